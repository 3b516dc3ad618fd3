"""How a study came to its best value: after so many trials, epochs and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..trial import ENDED

if TYPE_CHECKING:
    from ..trial import Trial


@dataclass(frozen=True)
class Step:
    """Where a study stood after a trial, by number: what all had taken by then, and the best complete value (or None).

    `seconds` are those of training.
    """

    trials: int
    epochs: int
    seconds: float
    best: float | None


def history(trials: Sequence[Trial], *, maximize: bool) -> list[Step]:
    """Returns where a study stood after each of its ended trials, of several objectives by the first.

    >>> from leadline import Trial
    >>> from leadline.search.analysis.history import history
    >>> trials = [Trial(0, "complete", {}, 0.8, epochs=3, seconds=1.0), Trial(1, "complete", {}, 0.7, epochs=3)]
    >>> history(trials, maximize=True)[-1]
    Step(trials=2, epochs=6, seconds=1.0, best=0.8)
    """
    steps: list[Step] = []
    epochs, seconds, best = 0, 0.0, None
    for trial in trials:
        if trial.state not in ENDED:
            continue
        epochs, seconds = epochs + trial.epochs, seconds + (trial.seconds or 0.0)
        if trial.state == "complete" and trial.value is not None:
            best = trial.value if best is None else (max if maximize else min)(best, trial.value)
        steps.append(Step(len(steps) + 1, epochs, seconds, best))
    return steps
