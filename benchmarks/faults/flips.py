"""Flipped bytes and truncations of a study's state files: is any of them believed?

    python benchmarks/faults/flips.py --flips 1000 --truncations 200

Runs a small study on the digits, and leaves a trial in the middle, with its checkpoint. Then a byte of one of its state
files is changed, or the file is cut short, at random, and the file is read as leadline reads it: that must be told as
damage. Where a file may be made anew (a checkpoint, the journal's seal), the study must go on as if it weren't there;
`--resumes` of the checkpoints are damaged and the study finished, to be compared with an undisturbed one. Prints one
JSON object; exits 1 if anything was believed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import leadline as ll
from leadline.errors import LeadlineError
from leadline.search.folder import Folder, locked
from leadline.search.seal import Seal
from leadline.trainers import checkpoints

EPOCHS, TRIALS = 4, 6


def study(root: Path, stop_at: tuple[int, int] | None = None) -> ll.Study:
    """Returns the study in `root`, which a callback stops at that trial's epoch."""
    space = ll.Space(depth=ll.Int(1, 2), lr=ll.Float(1e-3, 1e-1, log=True))

    def on_epoch(trial: ll.Trial, epoch: int, metrics: dict[str, float]) -> None:
        if stop_at == (trial.number, epoch):
            made.stop()

    trainer = ll.Trainer("mlp", data="digits", epochs=EPOCHS, checkpoint=0, on_epoch=on_epoch)
    how: dict[str, Any] = {"executor": "inline", "mlflow": None, "strategy": "random", "lanes": 1, "plan": "looped"}
    made = ll.Study("damaged", space, trainer, storage=root, **how)
    return made


def told(trials: list[ll.Trial]) -> list[Any]:
    """Returns what trials came to."""
    return [(trial.number, trial.state, trial.params, trial.value, trial.curve) for trial in trials]


def refuses(read: Callable[[], Any]) -> bool:
    """Tells whether reading raises an error of leadline's own, in one line, or gives nothing."""
    try:
        return read() is None
    except LeadlineError as error:
        return "\n" not in str(error)


def checks(root: Path) -> dict[Path, Callable[[], bool]]:
    """Returns the state files of the study in `root`, each with what tells whether damage to it is found out."""
    folder = Folder(root, "damaged")
    before, identity = told(study(root).trials), study(root).attribute("id")

    def seal_is_found_out() -> bool:
        return Seal(folder.journal).read() is None and told(study(root).trials) == before

    def lock_is_harmless() -> bool:  # what stands in it is only ever shown
        with locked(root, folder):
            return refuses(lambda: locked(root, folder).__enter__())

    found: dict[Path, Callable[[], bool]] = {
        folder.journal: lambda: refuses(lambda: study(root).trials),
        Seal(folder.journal).path: seal_is_found_out,
        folder.path / "id": lambda: refuses(lambda: folder.require(identity) or True),
        folder.path / "lock": lock_is_harmless,
    }
    for path in sorted(folder.path.glob("trials/*/*.safetensors")):
        found[path] = lambda path=path: refuses(lambda: checkpoints.read(path))  # type: ignore[misc]
    return found


def damaged(content: bytes, chance: random.Random, *, cut: bool) -> bytes:
    """Returns the content with a byte changed, or cut short."""
    place = chance.randrange(len(content))
    if cut:
        return content[:place]
    return content[:place] + bytes([content[place] ^ chance.randrange(1, 256)]) + content[place + 1 :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--truncations", type=int, default=200)
    parser.add_argument("--resumes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    args = parser.parse_args()
    chance, began = random.Random(args.seed), time.monotonic()
    counts: dict[str, Counter[str]] = {"flips": Counter(), "truncations": Counter()}
    believed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "stopped"
        study(root, stop_at=(TRIALS - 1, 2)).run(trials=TRIALS, progress=False)
        files = checks(root)
        names = sorted({path.name for path in files})
        for kind, often in (("flips", args.flips), ("truncations", args.truncations)):
            for _ in range(often):
                chosen = chance.choice(names)
                path = chance.choice([path for path in files if path.name == chosen])
                content = path.read_bytes()
                path.write_bytes(worse := damaged(content, chance, cut=kind == "truncations"))
                counts[kind][path.name] += 1
                if not files[path]():
                    believed.append(f"{kind}: {path.relative_to(root)}, {len(worse)} of {len(content)} bytes")
                path.write_bytes(content)
        calm = Path(name) / "calm"
        study(calm).run(trials=TRIALS, progress=False)
        undisturbed, unlike = told(study(calm).trials), 0
        for number in range(args.resumes):
            copy = Path(name) / f"resumed-{number}"
            shutil.copytree(root, copy)
            path = Folder(copy, "damaged").trial(TRIALS - 1) / "checkpoint.safetensors"
            path.write_bytes(damaged(path.read_bytes(), chance, cut=number % 2 == 1))
            study(copy).run(trials=TRIALS, progress=False)
            unlike += told(study(copy).trials) != undisturbed
    bad = bool(believed or unlike)
    result = {
        **{kind: dict(sorted(counted.items())) for kind, counted in counts.items()},
        "believed": believed,
        "resumed with a damaged checkpoint": args.resumes,
        "unlike the undisturbed study": unlike,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))
    sys.exit(bad)


if __name__ == "__main__":
    main()
