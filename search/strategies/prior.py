"""Proposals from what the user thinks is good, until results say otherwise: priors on parameters, for any strategy."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...spaces import Space
from .conditioned import condition
from .trust import trust
from .wrapper import Wrapper

_PRIOR = 0x7072696F72  # "prior": sets these draws apart from the strategy's own of the same seed
_LASTING = 10  # trials after which half of the proposals would come from a prior held with confidence 1


class PriorSampler(Wrapper):
    """Draws some proposals from the priors of `space` and has `sampler` make the others.

    The first trial that isn't enqueued is the guesses themselves. Later ones are drawn from the priors with probability

        trust * b / (b + n),    b = 10 x the priors' mean confidence,

    n counting the trials that have begun. `trust` is 1 while trials where the priors are dense (`Space.log_density`
    above 0) did no worse than the others, and falls fast once they do (see `leadline.search.strategies.trust`).
    Parameters without a prior are always proposed by `sampler`, in view of what was drawn (see `condition`).

    A proposal is a function of the seed, the trial's number, the history, and of what `sampler` proposes.

    Sources: Hvarfner et al. 2022, piBO (a prior's influence decays with the trials); Mallik et al. 2023, PriorBand
    (sampling from the prior as long as what is near it does well).

    >>> import optuna
    >>> from leadline import Float, Space
    >>> space = Space(x=Float(-1, 1, prior=(0.1, 0.8)))
    >>> study = optuna.create_study(sampler=PriorSampler(space, optuna.samplers.TPESampler(seed=0), seed=0))
    >>> study.optimize(lambda trial: space.suggest(trial)["x"] ** 2, n_trials=3)
    >>> study.trials[0].params
    {'x': 0.1}
    """

    def __init__(self, space: Space, sampler: BaseSampler, seed: int) -> None:
        super().__init__(sampler)
        self._space, self._seed = space, seed
        self._given: dict[str, Any] = {}
        self._chosen: tuple[int, BaseSampler] | None = None

    def conditioned(self, given: Mapping[str, Any]) -> PriorSampler:
        """Returns the sampler of proposals in view of `given`, whose values it leaves to be held by who asks."""
        other = copy.copy(self)
        other._given, other._chosen = dict(given), None
        return other

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._chosen = None
        super().before_trial(study, trial)

    def _for(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        """Returns what proposes this trial, decided once: results that arrive meanwhile don't change it."""
        if self._chosen is None or self._chosen[0] != trial.number:
            given = {**self._drawn(study, trial), **self._given}
            self._chosen = trial.number, condition(self._sampler, given) if given else self._sampler
        return self._chosen[1]

    def _drawn(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """Returns the values drawn from the priors for this trial; none if it isn't theirs."""
        trials = study.get_trials(deepcopy=False)
        begun = [past for past in trials if past.number != trial.number and past.state != TrialState.WAITING]
        if all("fixed_params" in past.system_attrs for past in begun):
            return dict(self._space.guesses)
        generator = np.random.default_rng((self._seed, trial.number, _PRIOR))
        share, luck = self._share(len(begun)), generator.random()
        if luck >= share or luck >= share * trust(study, begun, self._dense):  # which takes longer to know
            return {}
        return {name: self._space.parameters[name].draw(generator.random()) for name in self._space.guesses}

    def _dense(self, params: Mapping[str, Any]) -> bool:
        return self._space.log_density(params) > 0

    def _share(self, begun: int) -> float:
        """Returns the share of proposals that the priors make after so many trials, if they are trusted."""
        priors = [parameter.prior for parameter in self._space.parameters.values() if parameter.prior is not None]
        lasting = _LASTING * math.fsum(confidence for _, confidence in priors) / len(priors)
        return lasting / (lasting + begun)
