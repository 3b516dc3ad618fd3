"""Pruning for several objectives: at a rung, the best by non-domination go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from ..trial import Trial

if TYPE_CHECKING:
    from optuna import Study

    from ..goals import Goals


class RankPruner(BasePruner):
    """Lets a trial pass if of those that have reached its rung it is among the best: one in `reduction`, at least one.

    Rungs are the epochs `first` >= 1 times powers of `reduction` >= 2. Trials are compared by `Goals.standings`: a
    small network goes on beside an accurate one, as long as none is both, and those at the ends of the front always do.
    Each is compared with those that were there before it, and nobody waits.

    Sources: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020); Schmucker et al.,
    "Multi-objective Asynchronous Successive Halving" (2021), whose NSGA-II selection this is.
    """

    def __init__(self, goals: Goals, first: int, reduction: int) -> None:
        self._goals, self._first, self._reduction = goals, first, reduction

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        epoch = trial.last_step
        if epoch is None or not self._is_rung(epoch):
            return False
        standings = self._goals.standings([Trial.of(other, {}) for other in study.get_trials(deepcopy=False)], epoch)
        better = sum(standing < standings[trial.number] for standing in standings.values())
        return better >= max(1, len(standings) // self._reduction)

    def _is_rung(self, epoch: int) -> bool:
        times, rest = divmod(epoch, self._first)
        while times > 1 and rest == 0:
            times, rest = divmod(times, self._reduction)
        return times == 1 and rest == 0
