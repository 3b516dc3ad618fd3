"""Hyperband: successive halving with first rungs of several lengths, for where short trainings tell little."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial

from ..trial import Trial
from .asha import Asha
from .base import Move, Pruner, Verdict

GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples, modulo 1, are spread evenly at every length


class Hyperband(Pruner):
    """Spreads trials over brackets, each an `Asha` of its own, each with another first rung.

    A trial's bracket follows from its number, in proportions that give each bracket the same epochs. The last bracket
    trains all of its trials to the end, whatever their first epochs say.

    Source: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (2018); brackets that
    run side by side, as in "A System for Massively Parallel Hyperparameter Tuning" (2020).
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
    ) -> None:
        self.epochs, self.pauses = epochs or 1, pausing
        asha = partial(Asha, epochs, maximize=maximize, pausing=pausing, reduction=reduction)
        firsts = [*sorted(asha(first=first).rungs(0, self.epochs)), self.epochs]
        self.brackets = [asha(first=rung) for rung in firsts]

    def bracket(self, number: int) -> int:
        """Returns the bracket of a trial, by its number."""
        place = (number * GOLDEN) % 1.0
        return next((index for index, end in enumerate(self._ends) if place < end), len(self._ends) - 1)

    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        return self.brackets[self.bracket(number)].rungs(number, epochs)

    def verdicts(self, waiting: Sequence[int], trials: Sequence[Trial]) -> list[Verdict]:
        found: dict[int, Verdict] = {}
        for asha, members in self._members(trials):
            theirs = [trial.number for trial in members if trial.number in waiting]
            found.update(zip(theirs, asha.verdicts(theirs, members), strict=True))
        return [found[number] for number in waiting]

    def moves(self, trials: Sequence[Trial]) -> list[Move]:
        return [move for asha, members in self._members(trials) for move in asha.moves(members)]

    def last_moves(self, trials: Sequence[Trial]) -> list[Move]:
        return [move for asha, members in self._members(trials) for move in asha.last_moves(members)]

    @cached_property
    def _ends(self) -> list[float]:
        """Where the brackets' shares of the numbers end, in [0, 1]."""
        shares = [1 / self._cost(asha) for asha in self.brackets]
        return [sum(shares[: index + 1]) / sum(shares) for index in range(len(shares))]

    def _cost(self, asha: Asha) -> float:
        """Returns the epochs that a trial of the bracket takes on average."""
        ends = [*sorted(asha.rungs(0, self.epochs)), self.epochs]
        begins = [0, *ends]
        parts = enumerate(zip(begins, ends, strict=False))
        return math.fsum((end - begin) / asha.reduction**k for k, (begin, end) in parts)

    def _members(self, trials: Sequence[Trial]) -> list[tuple[Asha, list[Trial]]]:
        of: list[list[Trial]] = [[] for _ in self.brackets]
        for trial in trials:
            of[self.bracket(trial.number)].append(trial)
        return list(zip(self.brackets, of, strict=True))
