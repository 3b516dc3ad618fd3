"""Samplers of Optuna's without their state: made anew for each trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class Fresh(BaseSampler):
    """Has each trial's values proposed by a sampler of its own: `make(seed)`, seeded by this `seed` and its number.

    Optuna's samplers draw from a generator that lives as long as they do, so a study that was interrupted goes on with
    other proposals. Made anew, a proposal depends on the seed, the trial's number and the trials before it alone.

    >>> import optuna
    >>> study = optuna.create_study(sampler=Fresh(lambda seed: optuna.samplers.TPESampler(seed=seed), seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._current: tuple[int, BaseSampler] | None = None

    def changed(self, change: Callable[[BaseSampler], BaseSampler]) -> Fresh:
        """Returns the like, each sampler that is made being changed so."""
        return Fresh(lambda seed: change(self._make(seed)), self._seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._current = None  # should the same number come again, in another study, it begins again too
        self._of(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._of(trial).after_trial(study, trial, state, values)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            entropy = np.random.SeedSequence((self._seed, trial.number)).generate_state(1)
            self._current = trial.number, self._make(int(entropy[0]))
        return self._current[1]
