"""Optuna's pruners, and those made for it: what ends a trial early and never pauses one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..trial import Trial
from .base import Pruner, Verdict

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study


class OptunaPruner(Pruner):
    """Ends the trials that an Optuna pruner ends, which is asked after every epoch from `first` on but the last.

    It is asked about the trials of the study it is bound to, in the order in which they wait, and may keep what it
    likes with them there, as Optuna's do; so its answers are functions of that study, not of the records alone.
    """

    def __init__(self, pruner: BasePruner, first: int = 1) -> None:
        self.pruner, self.first = pruner, first
        self._study: Study | None = None

    def bind(self, study: Study) -> None:
        """Says which study the trials are of."""
        self._study = study

    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        return frozenset(range(self.first, epochs))

    def verdicts(self, waiting: Sequence[int], trials: Sequence[Trial]) -> list[Verdict]:
        assert self._study is not None, "an Optuna pruner is asked about a study: `bind` it first"
        frozen = {trial.number: trial for trial in self._study.get_trials(deepcopy=False)}
        return ["prune" if self.pruner.prune(self._study, frozen[number]) else "go" for number in waiting]


class NoPruner(Pruner):
    """Lets every trial train to its end."""

    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        return frozenset()

    def verdicts(self, waiting: Sequence[int], trials: Sequence[Trial]) -> list[Verdict]:
        return ["go" for _ in waiting]
