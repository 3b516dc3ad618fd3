"""Asynchronous successive halving by promotion: what isn't among the best pauses, and goes on once it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..trial import Trial
from .base import Move, Pruner, Resume, Verdict
from .standing import ranking, stands_at

Order = Callable[[Sequence[Trial], int], list[int]]


class Asha(Pruner):
    """Lets a trial pass a rung if it is among the best 1/`reduction` of those that have come so far; else it pauses.

    Rungs are at `first`, `first * reduction`, `first * reduction**2`, ... epochs, up to half of a trial's (None: a
    sixteenth of them all). A paused trial goes on, from where it stands, as soon as it is among the best of a rung that
    others have reached since: no epoch is ever trained twice, and nobody waits for a rung to fill. Trials that report
    together are judged together. When no new trial is to come, at least the best of each rung passes, so that a study
    of a few trials ends with a complete one too. What can't pause (not `pausing`) ends instead, and the best of a rung
    always passes. `order(trials, rung)` returns the numbers of those that have come so far, the best first (None: by
    the best value of their first epochs).

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020), with promotion as in algorithm 2.
    """

    showing = "longest"

    def __init__(
        self,
        epochs: int | None,
        *,
        maximize: bool = True,
        pausing: bool = True,
        reduction: int = 8,
        first: int | None = None,
        order: Order | None = None,
    ) -> None:
        self.maximize, self.pauses, self.reduction = maximize, pausing, reduction
        self.order = order or partial(by_value, maximize=maximize)
        self.first = first or max(1, round((epochs or 1) / 16))

    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        return frozenset(self._rungs(epochs))

    def verdicts(self, waiting: Sequence[int], trials: Sequence[Trial]) -> list[Verdict]:
        standing = {trial.number: stands_at(trial) for trial in trials if trial.number in waiting}
        passing = {rung: self._passing(trials, rung, least=0 if self.pauses else 1) for rung in set(standing.values())}
        otherwise: Verdict = "pause" if self.pauses else "prune"
        return ["go" if number in passing[standing[number]] else otherwise for number in waiting]

    def moves(self, trials: Sequence[Trial]) -> list[Move]:
        return self._promotions(trials, least=0)

    def last_moves(self, trials: Sequence[Trial]) -> list[Move]:
        return self._promotions(trials, least=1)

    def _rungs(self, epochs: int) -> list[int]:
        found, rung = [], self.first
        while 2 * rung <= epochs:
            found.append(rung)
            rung *= self.reduction
        return found

    def _passing(self, trials: Sequence[Trial], rung: int, *, least: int) -> list[int]:
        """Returns the numbers of those that may pass the rung, the best first."""
        ranked = self.order(trials, rung)
        return ranked[: max(least, len(ranked) // self.reduction)]

    def _promotions(self, trials: Sequence[Trial], *, least: int) -> list[Move]:
        paused = {trial.number: stands_at(trial) for trial in trials if trial.state == "paused"}
        return [
            Resume(number)
            for rung in sorted(set(paused.values()), reverse=True)
            for number in self._passing(trials, rung, least=least)
            if paused.get(number) == rung
        ]


def by_value(trials: Sequence[Trial], rung: int, *, maximize: bool) -> list[int]:
    """Returns the numbers of those that count after that rung, the best first."""
    return [trial.number for trial in ranking(trials, rung, maximize=maximize)]
