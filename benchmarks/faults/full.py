"""Disks that are full: is the last checkpoint whole, the problem told in a line, the study resumed once there is room?

    python benchmarks/faults/full.py --every 2 3 5 7 11 13 --sizes 20

First with every k-th write of state failing, in driver and worker; then on a small tmpfs of so many sizes (as root
only). When a study has given up, all its checkpoints are read, and its output must end in one line that names a file
and the bytes needed. Then there is room, and it is finished and compared with an undisturbed one, as in `kill.py`.
Prints one JSON object; exits 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from disturbed import FILE, Disturbed

from leadline.trainers import checkpoints

LINE = re.compile(r"leadline: \S+/\S+ can't be written \(.*\): [\d,]+ (more )?bytes are needed")
COUNTS = ("not told in a line", "tracebacks", "checkpoints that don't load", "unlike the undisturbed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, nargs="*", default=[2, 3, 5, 7, 11, 13], help="so many writes one fails")
    parser.add_argument("--sizes", type=int, default=20, help="of the tmpfs")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    text = FILE % (args.epochs, args.trials)
    totals = {"writes failing": 0, "sizes": 0, "gave up": 0, **dict.fromkeys(COUNTS, 0)}
    with tempfile.TemporaryDirectory() as name:
        calm = Disturbed(Path(name) / "calm", text)
        needed = most_taken(calm)
        wanted = calm.facts()
        for every in args.every:
            study = Disturbed(Path(name) / f"every-{every}", text)
            code = study.finish({"FAULT_STEP": "full", "FAULT_AT": str(every)})
            add(totals, "writes failing", judged(study, code), study, wanted)
        for size in range(1, args.sizes + 1 if os.geteuid() == 0 else 1):
            study = Disturbed(Path(name) / f"size-{size}", text)
            place = study.own.parent
            place.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={needed * size // (args.sizes + 1)}", "tmpfs", str(place)]
            subprocess.run(mount, check=True)
            try:
                found = judged(study, study.finish())
                subprocess.run(["mount", "-o", "remount,size=1G", str(place)], check=True)
                add(totals, "sizes", found, study, wanted)
            finally:
                subprocess.run(["umount", "-l", str(place)], check=True)
    print(json.dumps({"bytes needed": needed, "root": os.geteuid() == 0, **totals}))
    sys.exit(any(totals[name] for name in COUNTS))


def most_taken(study: Disturbed) -> int:
    """Runs a study; returns the most bytes that its files took meanwhile."""
    study.start()
    most = 0
    while (code := study.wait(0.1)) is None:
        taken = subprocess.run(["du", "-s", "--block-size=1", str(study.own.parent)], capture_output=True, text=True)
        most = max(most, int(taken.stdout.split()[0]) if taken.stdout else 0)
    assert code == 0, study.output
    return most


def judged(study: Disturbed, code: int | None) -> dict[str, int]:
    """Returns what is wrong with a study that may have given up."""
    if code == 0:
        return {}
    last = study.output.rstrip().splitlines()[-1]
    kept = list((study.own / "trials").glob("*/checkpoint*.safetensors"))
    unread = sum(checkpoints.read(file) is None for file in kept)
    print(f"exit code {code}, {len(kept)} checkpoints: {last}", file=sys.stderr, flush=True)
    told, traces = LINE.match(last) is not None and code == 1, study.output.count("Traceback")
    return {"gave up": 1, "not told in a line": not told, "tracebacks": traces, "checkpoints that don't load": unread}


def add(
    totals: dict[str, int], what: str, found: dict[str, int], study: Disturbed, wanted: list[dict[str, Any]]
) -> None:
    """Finishes the study, now that there is room, and adds up what was found."""
    done = study.finish() == 0 and study.facts() == wanted
    for name, count in {what: 1, **found, "unlike the undisturbed": not done}.items():
        totals[name] += count


if __name__ == "__main__":
    main()
