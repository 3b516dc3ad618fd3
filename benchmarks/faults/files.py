"""Wrong study files and broken data sets through `leadline check`: one message with exit code 2, or all is well?

    python benchmarks/faults/files.py --files 10000 --processes 50 --data 200

Each file is a good one changed at random (`mutations.py`), each data set a good one of its format with bytes flipped,
lost or cut off. They are checked in one process, through the command line's own `main` (but that the commands' options
are read off their functions once, not for each file), and some of the files in processes of their own. What is wrong
must give exit code 2, a message that names the file, with the line where one is to blame, no traceback, and nothing
created; files that are changed without saying anything else must stay valid. Prints one JSON object; exits 1 if
anything was otherwise, and keeps what was in `--keep`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import mutations

LEADLINE = [sys.executable, "-c", "from leadline.cli import main; main()"]
LONGEST = 30  # seconds that a check may take
STUDY = "study: s\ndata: %s\nmodel: mlp\nspace:\n  lr: {float: [1e-3, 1e-1], log: true}\n"


@dataclass(frozen=True)
class Answer:
    """What `leadline check` said, and how long it took, in seconds."""

    code: int
    out: str
    error: str
    seconds: float

    def wrong(self, path: Path) -> str | None:
        """Returns what is wrong with the answer itself; None if it is one that people can use."""
        if self.code not in (0, 2):
            return f"exit code {self.code}: {self.error[-500:]}"
        if "Traceback" in self.error + self.out:
            return "a traceback"
        if self.code == 2 and not (self.error.startswith("leadline:") and str(path) in self.error):
            return f"no message that names {path.name}: {self.error[:300]}"
        if any(len(line) > 1500 for line in self.error.splitlines()):
            return "a line of more than 1,500 characters"
        return None


class _Once:
    """The command line with its commands made once."""

    def __init__(self, app: Any) -> None:
        import typer.main

        self._command = typer.main.get_command(app)

    def __call__(self, prog_name: str) -> Any:
        return self._command(prog_name=prog_name)


def check(path: Path) -> Answer:
    """Returns what `leadline check PATH` says in this process."""
    from leadline import cli

    if type(cli.app).__name__ != _Once.__name__:
        cli.app = _Once(cli.app)  # type: ignore[assignment]

    def too_long(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"over {LONGEST} s")

    out, error = io.StringIO(), io.StringIO()
    arguments, sys.argv = sys.argv, ["leadline", "check", str(path)]
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST)
    began, code = time.perf_counter(), 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            cli.main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException as raised:  # a defect: exactly what is looked for
        code = -1
        error.write(f"{type(raised).__name__}: {raised}")
        import traceback

        error.write(traceback.format_exc())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        sys.argv = arguments
    return Answer(code, out.getvalue(), error.getvalue(), time.perf_counter() - began)


def in_a_process(path: Path) -> Answer:
    """Returns what `leadline check PATH` says in a process of its own."""
    began = time.perf_counter()
    done = subprocess.run([*LEADLINE, "check", str(path)], capture_output=True, text=True, timeout=4 * LONGEST)
    return Answer(done.returncode, done.stdout, done.stderr, time.perf_counter() - began)


class Bench:
    """Checks files in a folder of their own, and counts."""

    def __init__(self, folder: Path, keep: Path | None) -> None:
        self.folder, self.keep = folder, keep
        self.here = folder / "here"
        self.here.mkdir()
        os.chdir(self.here)
        self.counts: Counter[str] = Counter()
        self.seconds: list[float] = []  # of what was found wrong
        self.bad: list[str] = []

    def see(self, what: str, path: Path, answer: Answer) -> None:
        """Counts an answer; `what` says of which kind the file is."""
        wrong = answer.wrong(path) or ("something was created" if list(self.here.iterdir()) else None)
        if wrong is None and what == "the same" and answer.code:
            wrong = f"a valid file was refused: {answer.error[:300]}"
        self.counts[f"{what}: {'valid' if answer.code == 0 else 'told'}"] += 1
        if answer.code == 2 and what == "file":
            self.counts["file: told with a line"] += bool(re.search(re.escape(path.name) + r":\d+: ", answer.error))
            self.seconds.append(answer.seconds)
        if wrong is not None:
            self.bad.append(f"{what}: {wrong}")
            if self.keep is not None:
                self.keep.mkdir(exist_ok=True)
                kept = self.keep / f"{len(self.bad):04d}-{path.name}"
                shutil.copytree(path, kept) if path.is_dir() else shutil.copy(path, kept)

    def files(self, count: int, processes: int, chance: random.Random) -> None:
        """Checks so many changed study files, every tenth of them one that says the same otherwise."""
        path = self.folder / "study.yaml"
        for number in range(count):
            same = number % 10 == 9
            text = mutations.GOOD[number % len(mutations.GOOD)]
            path.write_bytes((mutations.unchanged if same else mutations.mutated)(text, chance))
            self.see("the same" if same else "file", path, check(path))
            if number < processes:
                self.see("in a process", path, in_a_process(path))

    def data(self, count: int, chance: random.Random) -> None:
        """Checks so many broken data sets, of each format in turn."""
        good = self.folder / "good"
        good.mkdir()
        names = list(mutations.data_sets(good))
        path = self.folder / "study.yaml"
        for number in range(-len(names), count):
            name = names[number % len(names)]
            broken = self.folder / name
            (shutil.copytree if (good / name).is_dir() else shutil.copy)(good / name, broken)
            if number >= 0:
                mutations.break_data(broken, chance)
            path.write_text(STUDY % broken)
            answer = check(path)
            self.see("the same" if number < 0 else "data", path, answer)
            if answer.code == 2 and str(broken) not in answer.error:
                self.bad.append(f"data: {name} isn't named: {answer.error[:300]}")
            shutil.rmtree(broken) if broken.is_dir() else broken.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=50, help="of the files, also in processes of their own")
    parser.add_argument("--data", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for what was answered badly")
    args = parser.parse_args()
    chance, began = random.Random(args.seed), time.monotonic()
    keep = args.keep.absolute() if args.keep else None
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"
        bench = Bench(Path(name), keep)
        check(bench.folder / "warm.yaml")  # imports aren't counted
        bench.files(args.files, args.processes, chance)
        bench.data(args.data, chance)
        os.chdir("/")
    result: dict[str, Any] = {
        **dict(sorted(bench.counts.items())),
        "median ms of a wrong file": round(1000 * statistics.median(bench.seconds or [0.0]), 1),
        "bad answers": len(bench.bad),
        "of them": bench.bad[:20],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result, indent=2))
    sys.exit(bool(bench.bad))


if __name__ == "__main__":
    main()
