"""Samplers around others: what they share is that another one proposes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class Wrapper(BaseSampler):
    """Has `sampler` propose. A subclass may say who proposes for a trial (`_for`), and which trials it is `_shown`."""

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler

    def changed(self, change: Callable[[BaseSampler], BaseSampler]) -> Self:
        """Returns the like, what proposes being changed so."""
        other = copy.copy(self)
        other._sampler = change(self._sampler)
        return other

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._for(study, trial).infer_relative_search_space(self._shown(study, trial), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._for(study, trial).sample_relative(self._shown(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        shown = self._shown(study, trial)
        return self._for(study, trial).sample_independent(shown, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._for(study, trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def _for(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        return self._sampler

    def _shown(self, study: Study, trial: FrozenTrial) -> Study:
        return study


class InTurn(Wrapper):
    """Has each trial's values proposed by one of several samplers, which `turn(number)` names.

    All of them see the whole history.
    """

    def __init__(self, samplers: Mapping[str, BaseSampler], turn: Callable[[int], str]) -> None:
        super().__init__(next(iter(samplers.values())))
        self._samplers, self._turn = dict(samplers), turn

    def changed(self, change: Callable[[BaseSampler], BaseSampler]) -> InTurn:
        return InTurn({name: change(sampler) for name, sampler in self._samplers.items()}, self._turn)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._for(study, trial).after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        for sampler in self._samplers.values():
            sampler.reseed_rng()

    def _for(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        return self._samplers[self._turn(trial.number)]
