"""Freeze-thaw: trials pause every few epochs, and the next epochs go where they are expected to improve most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..trial import Trial
from .base import Move, Pruner, Resume, Verdict
from .curves import CurveModel, steps

RECENT = 20  # trials: what these were worth when they were new is what a new one is taken to be worth


class Thaw(Pruner):
    """Gives the next epochs to the trial whose end is expected to improve most on the best value, for what it takes.

    Trials pause after `first` epochs (None: a sixteenth of them all), and then after a third more each time. A model of
    all learning curves (`curves.py`) says what each would come to at its end. A paused trial's worth is its expected
    improvement on the best value so far, for each second that it takes to get there (each epoch, where seconds aren't
    known of all). A new trial is worth the rate at which it pays to train one for `first` epochs and go on only if it
    turns out to be worth more, the last 20 telling what it may turn out to be: Weitzman's reservation value. The first
    `startup` trials are new ones. What can't pause (not `pausing`) ends where a new trial is worth more. When no new
    trial is to come, the one that promises most goes on, until that is a complete one.

    Sources: Swersky et al., "Freeze-Thaw Bayesian Optimization" (2014); Weitzman, "Optimal Search for the Best
    Alternative" (1979).
    """

    showing = "best"

    def __init__(
        self,
        epochs: int | None,
        *,
        maximize: bool = True,
        pausing: bool = True,
        first: int | None = None,
        startup: int = 8,
    ) -> None:
        self.epochs, self.maximize, self.pauses, self.startup = epochs or 1, maximize, pausing, startup
        self.first = first or max(1, round(self.epochs / 16))

    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        return frozenset(steps(self.first, epochs))

    def verdicts(self, waiting: Sequence[int], trials: Sequence[Trial]) -> list[Verdict]:
        worth, new = self._worth(trials)
        rivals = [trial.number for trial in trials if trial.state == "paused" or trial.number in waiting]
        rivals.sort(key=lambda number: (-worth[number], number))
        going = [number for number in (rivals[: len(waiting)] if self.pauses else waiting) if worth[number] > new]
        otherwise: Verdict = "pause" if self.pauses else "prune"
        return ["go" if number in going else otherwise for number in waiting]

    def moves(self, trials: Sequence[Trial]) -> list[Move]:
        paused = [trial.number for trial in trials if trial.state == "paused"]
        if not paused:
            return []
        worth, new = self._worth(trials)
        best = min(paused, key=lambda number: (-worth[number], number))
        return [Resume(best)] if worth[best] > new else []

    def last_moves(self, trials: Sequence[Trial]) -> list[Move]:
        paused = [trial for trial in trials if trial.state == "paused"]
        if not paused:
            return []
        complete = [self._losses(trial)[-1] for trial in trials if trial.state == "complete" and trial.curve]
        promise = dict.fromkeys((trial.number for trial in paused), np.inf)
        if modelled := self._modelled(trials):
            model = CurveModel.fit([*modelled.values()], self.epochs, self.first)
            mean, _ = model.predict([*modelled.values()])
            promise.update({n: loss for n, loss in zip(modelled, mean, strict=True) if n in promise})
            complete = [model.standardized(loss) for loss in complete]
        best = min(promise, key=lambda number: (promise[number], number))
        return [Resume(best)] if not complete or promise[best] < min(complete) else []

    def _worth(self, trials: Sequence[Trial]) -> tuple[dict[int, float], float]:
        """Returns what each trial is worth, and a new one: expected improvement by second, or by epoch."""
        worth = dict.fromkeys((trial.number for trial in trials), 0.0)
        modelled = self._modelled(trials)
        if len(modelled) < self.startup:
            return worth, np.inf
        model = CurveModel.fit([*modelled.values()], self.epochs, self.first)
        best = min(losses[-1] for losses in modelled.values())
        price = self._prices([trial for trial in trials if trial.number in modelled])
        gains = model.improvement([*modelled.values()], best)
        for (number, losses), gain in zip(modelled.items(), gains, strict=True):
            worth[number] = float(gain / (price[number] * max(self.epochs - len(losses), 1)))
        recent = [*modelled][-RECENT:]
        chances = model.improvement([modelled[number][: self.first] for number in recent], best)
        usual = float(np.mean([price[number] for number in recent]))
        return worth, reservation(chances, usual * self.first, usual * (self.epochs - self.first))

    def _modelled(self, trials: Sequence[Trial]) -> dict[int, np.ndarray]:
        """Returns the losses of those that have come to `first` epochs, by number; failed ones say nothing."""
        curves = {trial.number: self._losses(trial) for trial in trials if trial.curve and trial.state != "failed"}
        return {n: losses for n, losses in curves.items() if len(losses) >= self.first and np.isfinite(losses[0])}

    def _losses(self, trial: Trial) -> np.ndarray:
        """Returns the loss of the best epoch so far, for each epoch; infinite where that is no number."""
        values = np.array([*trial.curve.values()])
        losses = np.where(np.isfinite(values), -values if self.maximize else values, np.inf)
        return np.minimum.accumulate(losses)

    def _prices(self, trials: Sequence[Trial]) -> dict[int, float]:
        """Returns the seconds that an epoch of each takes; 1 for each if they aren't known of all."""
        known = all(trial.seconds for trial in trials)
        return {trial.number: (trial.seconds or 1.0) / len(trial.curve) if known else 1.0 for trial in trials}


def reservation(chances: np.ndarray, first: float, rest: float) -> float:
    """Returns the rate at which it just pays to try one of equally likely `chances` (n,) to gain something.

    A try costs `first`; then it is known which chance it was, and that is had for `rest` more, or left. At the rate r,
    that is worth the mean of max(chance - r * rest, 0), which equals r * first.
    """
    # Of the k best chances taken, r = sum / (k * rest + n * first): the largest of these is the solution.
    ordered = np.sort(chances)[::-1]
    taken = np.arange(1, len(ordered) + 1)
    return float((np.cumsum(ordered) / (taken * rest + len(ordered) * first)).max())
