"""Samplers of Optuna's without their state: made anew for each trial."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from .views import View, telling


class Fresh(BaseSampler):
    """Has each trial's values proposed by a sampler of its own: `make(seed)`, seeded by this `seed` and its number.

    Optuna's samplers draw from a generator that lives as long as they do, so a study that was interrupted goes on with
    other proposals. Made anew, a proposal depends on the seed, the trial's number and the trials before it alone;
    a value that is proposed independently, on the parameter's name as well. So `reseed_rng` has nothing to do: trials
    proposed side by side differ by their numbers. Where more than `most` trials have ended, the sampler is shown the
    `most` that tell most (`views.telling`): models whose cost grows with the trials are kept affordable by it.

    >>> import optuna
    >>> study = optuna.create_study(sampler=Fresh(lambda seed: optuna.samplers.TPESampler(seed=seed), seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int, most: int | None = None) -> None:
        self._make, self._seed, self._most = make, seed, most
        self._local = threading.local()  # trials of several threads take turns

    def changed(self, change: Callable[[BaseSampler], BaseSampler]) -> Fresh:
        """Returns the like, each sampler that is made being changed so."""
        return Fresh(lambda seed: change(self._make(seed)), self._seed, self._most)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        sampler = self._make(entropy(self._seed, trial.number))
        self._local.current = trial.number, sampler
        return sampler.infer_relative_search_space(self._shown(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # Some samplers remember what they inferred, so it must be the same one, and each proposes once.
        number, sampler = getattr(self._local, "current", (None, None))
        self._local.current = None, None
        if sampler is None or number != trial.number:
            sampler = self._make(entropy(self._seed, trial.number))
            sampler.infer_relative_search_space(self._shown(study), trial)
        return sampler.sample_relative(self._shown(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        sampler = self._make(entropy(self._seed, trial.number, zlib.crc32(param_name.encode())))
        return sampler.sample_independent(self._shown(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._make(entropy(self._seed, trial.number)).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._make(entropy(self._seed, trial.number)).after_trial(study, trial, state, values)

    def _shown(self, study: Study) -> Study:
        most = self._most
        if most is None:
            return study
        return cast(Study, View(study, lambda trials: telling(study, trials, most, self._seed)))


def entropy(seed: int, *key: int) -> int:
    """Returns 32 bits that are the same for the same seed and key, and independent of those of any other."""
    # A trial that a study is shown from elsewhere has a negative number.
    return int(np.random.SeedSequence((seed, *(part % 2**64 for part in key))).generate_state(1)[0])


def at_random(seed: int, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
    """Returns a random value, the same for the same seed, trial number and name."""
    # crc32, because `hash` of a string differs from process to process.
    drawn = RandomSampler(entropy(seed, trial.number, zlib.crc32(name.encode())))
    return drawn.sample_independent(study, trial, name, distribution)
