"""What runs came to, as CSV: a file for each method, a row for each run of it, with the regret at each improvement."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("table", "seed", "trials", "repeats", "failed", "seconds", "improvements")
HERE = Path(__file__).parent / "traces"


@dataclass(frozen=True)
class Trace:
    """One run: `improvements` are the trials (from 1) that beat all before them, with their normalized regrets.

    `repeats` are trials of a configuration that the run had had, `failed` those that diverged. `seconds` were spent on
    asking and telling, all trials together.
    """

    table: str
    seed: int
    trials: int
    repeats: int
    failed: int
    seconds: float
    improvements: tuple[tuple[int, float], ...]

    def curve(self) -> list[float]:
        """Returns the regret of the best so far after each trial, 1 while none is better than the table's median."""
        regrets, best = [], 1.0
        improvements = dict(self.improvements)
        for trial in range(1, self.trials + 1):
            best = min(best, improvements.get(trial, best))
            regrets.append(best)
        return regrets

    def row(self) -> list[str]:
        improvements = " ".join(f"{trial}:{regret:.5g}" for trial, regret in self.improvements)
        counts = [str(count) for count in (self.seed, self.trials, self.repeats, self.failed)]
        return [self.table, *counts, f"{self.seconds:.2f}", improvements]


def read(folder: Path, method: str) -> dict[tuple[str, int], Trace]:
    """Returns a method's runs by table and seed; none if it has no file."""
    path = folder / f"{method}.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        traces = [_parsed(row) for row in csv.DictReader(file)]
    return {(trace.table, trace.seed): trace for trace in traces}


def write(folder: Path, method: str, traces: Iterable[Trace]) -> None:
    """Writes a method's file anew, in order of table and seed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{method}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(trace.row() for trace in sorted(traces, key=lambda trace: (trace.table, trace.seed)))


def append(folder: Path, method: str, trace: Trace) -> None:
    """Adds a run to a method's file, which `write` made."""
    with (folder / f"{method}.csv").open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(trace.row())


def _parsed(row: dict[str, str]) -> Trace:
    counts = [int(row[name]) for name in ("seed", "trials", "repeats", "failed")]
    pairs = [pair.split(":") for pair in row["improvements"].split()]
    improvements = tuple((int(trial), float(regret)) for trial, regret in pairs)
    return Trace(row["table"], *counts, float(row["seconds"]), improvements)
