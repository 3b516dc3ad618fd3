"""When trials were trained, from the times of their epochs: rows of bars, without the hours in which nothing ran."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ..trial import EPOCH

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

IDLE = 0.1  # of all time of work: a pause longer than that, and than LEAST seconds, is drawn as one of IDLE / 5
LEAST = 30.0
BREAK = 4.0  # times its usual epoch: if a trial took longer for one, it was paused in between


@dataclass(frozen=True)
class Bar:
    """A stretch of training of trial `number`, in `row`, from `start` to `end` in seconds since the first began."""

    number: int
    row: int
    start: float
    end: float


@dataclass(frozen=True)
class Timeline:
    """Stretches of training, those that overlap in rows of their own, and where idle time was `cut` out.

    `busy` is how many seconds at least one trial was being trained, `most` how many were at once.
    """

    bars: tuple[Bar, ...]
    cuts: tuple[float, ...]
    busy: float
    most: int


def timeline(frozen: Iterable[FrozenTrial]) -> Timeline | None:
    """Returns when these trials were trained; None where that wasn't recorded."""
    stretches = sorted(
        (start, end, trial.number) for trial in frozen for start, end in _stretches(trial) if end > start
    )
    if not stretches:
        return None
    busy = list(_merged((start, end) for start, end, _ in stretches))
    total = sum(end - start for start, end in busy)
    squeezed, cuts = _squeeze(busy, total)
    bars, free = [], list[float]()
    slack = max(1e-3 * total, 0.05)  # a trial may be proposed while the one before it is being written down
    for start, end, number in stretches:
        begin = next(at for at, (low, high) in zip(squeezed, busy, strict=True) if low <= start <= high)
        low = next(low for low, high in busy if low <= start <= high)
        row = next((row for row, until in enumerate(free) if until <= start + slack), len(free))
        free[row : row + 1] = [end]
        bars.append(Bar(number, row, begin + start - low, begin + end - low))
    return Timeline(tuple(bars), tuple(cuts), total, len(free))


def _stretches(trial: FrozenTrial) -> Iterator[tuple[float, float]]:
    """Yields from when to when a trial was trained; a pause ends one stretch, and the next begins after it."""
    began = trial.datetime_start.timestamp() if trial.datetime_start else None
    ended = trial.datetime_complete.timestamp() if trial.datetime_complete else None
    entries = [entry for name, entry in trial.system_attrs.items() if name.startswith(EPOCH) and "at" in entry]
    times = sorted(entry["at"] for entry in entries)
    if not times or "seconds" not in entries[0].get("metrics", {}):
        if began is not None and ended is not None:
            yield began, min(ended, began + trial.user_attrs.get("seconds", math.inf))
        return
    if began is None or began > times[0]:
        began = times[0]
    usual = statistics.median(later - earlier for earlier, later in pairwise([began, *times]))
    start = began
    for earlier, later in pairwise([began, *times]):
        if later - earlier > BREAK * usual and earlier != began:
            yield start, earlier
            start = later - usual
    yield start, times[-1]


def _merged(stretches: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yields the times in which anything was trained, as stretches that don't touch."""
    low = high = None
    for start, end in stretches:
        if low is None or high is None:
            low, high = start, end
        elif start <= high:
            high = max(high, end)
        else:
            yield low, high
            low, high = start, end
    if low is not None and high is not None:
        yield low, high


def _squeeze(busy: Sequence[tuple[float, float]], total: float) -> tuple[list[float], list[float]]:
    """Returns where each busy stretch begins when long idle ones are cut short, and where these were cut."""
    begins, cuts = [0.0], []
    for (low, high), (then, _) in pairwise(busy):
        gap, at = then - high, begins[-1] + high - low
        if gap > max(IDLE * total, LEAST):
            gap = IDLE * total / 5
            cuts.append(at + gap / 2)
        begins.append(at + gap)
    return begins, cuts
