"""How trials of different lengths are compared: each by the best it had reached by the same epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..trial import Trial


def best_by(trial: Trial, epoch: int, *, maximize: bool) -> float:
    """Returns the best value of a trial's first epochs, up to `epoch`, the lower the better whatever the direction.

    Infinite if there is none: values that are no numbers are worse than any.
    """
    sign = -1.0 if maximize else 1.0
    values = (sign * value for at, value in trial.curve.items() if at <= epoch and not math.isnan(value))
    return min(values, default=math.inf)


def has_reached(trial: Trial, epoch: int) -> bool:
    """Tells whether a trial counts after `epoch`: it was trained so far, or will never be because it ended before.

    A complete trial that took fewer epochs counts with the best of these. So does a failed one, as the worst: that its
    configuration fails is a result too.
    """
    return trial.state in ("complete", "failed") or stands_at(trial) >= epoch


def stands_at(trial: Trial) -> int:
    """Returns the last epoch for which a trial has a value, 0 if there is none."""
    return max(trial.curve, default=0)


def ranking(trials: Sequence[Trial], epoch: int, *, maximize: bool) -> list[Trial]:
    """Returns the trials that count after `epoch`, the best first, equal ones by number."""
    there = [trial for trial in trials if has_reached(trial, epoch)]

    def place(trial: Trial) -> tuple[float, int]:
        return math.inf if trial.state == "failed" else best_by(trial, epoch, maximize=maximize), trial.number

    return sorted(there, key=place)
