"""What a strategy of a study can: say a trial's whole configuration before there is a trial."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Self

from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...spaces import Space

Params = dict[str, Any]

NOWHERE = -1  # the id of a trial that no storage has


class Proposer(BaseSampler):
    """A sampler that can say the whole configuration of a trial of a `space` before there is one. Abstract.

    `allowed`, if given, tells whether a configuration (fixed values included) keeps the hard limits: one that doesn't
    is never proposed. Within `optuna.Study.optimize` a proposer ends the study when nothing is left to propose.
    """

    def __init__(self, space: Space) -> None:
        self.allowed: Callable[[Params], bool] | None = None
        self._space = space
        self._given: Params = {}

    def choose(self, study: Study, trial: FrozenTrial) -> Params:
        """Returns the configuration, active parameters only, that `trial` shall have, which need not be in the study.

        What the trial was enqueued with is kept. Raises SpaceExhausted if nothing is left to propose.
        """
        raise NotImplementedError

    def conditioned(self, given: Mapping[str, Any]) -> Self:
        """Returns the like, whose configurations have the values in `given` as far as these are active in them."""
        other = copy.copy(self)
        other._given = {**self._given, **given}
        return other

    def propose(self, study: Study) -> FrozenTrial:
        """Returns the next trial, running, with all its parameters; the study hasn't got it yet. Raises as `choose`."""
        trial = FrozenTrial(
            number=len(all_trials(study)),
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=NOWHERE,
        )
        params = self.choose(study, trial)
        trial.distributions = {name: self._space.parameters[name].to_distribution() for name in params}
        trial.params = params
        return trial

    def _is_allowed(self, params: Params) -> bool:
        return self.allowed is None or self.allowed({**self._space.fixed, **params})


def all_trials(study: Study) -> list[FrozenTrial]:
    # Not `study.get_trials`: under the Hyperband pruner a sampler is handed a study that shows one bracket only.
    return study._storage.get_all_trials(study._study_id, deepcopy=False)
