"""Proposals given part of the configuration: what fills a stack whose blueprint is chosen.

`optuna.samplers.PartialFixedSampler` holds values too, but drops them from the model, which then pools all the history:
with the best learning rate at 1e-2 for one architecture and at 1e-4 for the other, it proposes 1e-4 for the first.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...errors import SpaceError
from .encoding import fits, to_unit
from .fresh import Fresh
from .multifidelity import Multifidelity
from .proposer import Proposer
from .several import Several
from .views import View
from .wrapper import InTurn, Wrapper

_WITH_VALUE = (TrialState.COMPLETE, TrialState.PRUNED)
_LEAST = 16  # trials that TPE models; 16, 32: regret 0.041, 0.037 after 192 trials of benchmarks/batches.py (n=30)


@runtime_checkable
class Conditionable(Protocol):
    """A sampler that can itself propose in view of given values, which it leaves to be held."""

    def conditioned(self, given: Mapping[str, Any]) -> BaseSampler:
        """Returns the sampler that does so."""


def condition(sampler: BaseSampler, given: Mapping[str, Any]) -> BaseSampler:
    """Returns a sampler whose proposals have exactly the values in `given`, and the rest modelled given these.

    How depends on `sampler`, which is left as it is:
    - Optuna's TPE models the trials nearest to `given` (see `nearest`).
    - Optuna's Gaussian process, ours and `SkoptSampler` model all trials and maximize the acquisition with `given`
      fixed. A sampler with a method `conditioned(given)`, as the latter two, is asked for what takes its place.
    - `Fresh` has each sampler that it makes conditioned, and `InTurn` each that it has.
    - `GridSampler` takes the next missing configuration that agrees with `given`, and `Guarded` has the strategy it
      guards conditioned; where one is asked for and there is none, they raise SpaceExhausted.
    - Any other (random, a subclass of the above, your own) proposes as ever, and `given` is held.
    A parameter that isn't active in the trial may stand in `given`: it is never asked for. No state is added: what was
    a function of seed, trial number and history now is one of these and `given`.

    Raises SpaceError, when the trial asks for it, if a value in `given` isn't in the parameter's distribution.

    Sources: Krause and Ong 2011, contextual Gaussian process optimization; `fixed_features` in BoTorch's
    `optimize_acqf`; Ginsbourger et al. 2014, profile expected improvement.

    >>> import optuna
    >>> sampler = condition(optuna.samplers.TPESampler(seed=0), {"depth": 3})
    >>> study = optuna.create_study(sampler=sampler)
    >>> study.optimize(lambda trial: trial.suggest_int("depth", 1, 9) * trial.suggest_float("lr", 0, 1), n_trials=12)
    >>> {trial.params["depth"] for trial in study.trials}
    {3}
    """
    given = dict(given)
    if isinstance(sampler, Fresh | InTurn | Several | Multifidelity):
        return sampler.changed(lambda inner: condition(inner, given))
    if isinstance(sampler, Proposer):
        return sampler.conditioned(given)
    if isinstance(sampler, Conditionable):
        return Holding(sampler.conditioned(given), given)
    if type(sampler) is TPESampler:
        return _Tpe(sampler, given)
    if type(sampler) is GPSampler:
        return Holding(_Gp(sampler, given), given)
    return Holding(sampler, given)


class Holding(Wrapper):
    """Proposes the values in `given` as they are and asks `sampler` for the rest.

    Like `optuna.samplers.PartialFixedSampler`, except that a value outside the distribution is an error, not a warning.
    """

    def __init__(self, sampler: BaseSampler, given: Mapping[str, Any]) -> None:
        super().__init__(sampler)
        self._given = dict(given)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        space = super().infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in space.items() if name not in self._given}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if param_name not in self._given:
            return super().sample_independent(study, trial, param_name, param_distribution)
        value = self._given[param_name]
        if not fits(param_distribution, value):
            raise SpaceError(f"`{param_name}` is held at {value!r}, which isn't in {param_distribution}")
        return param_distribution.to_external_repr(param_distribution.to_internal_repr(value))


def nearest(trials: Sequence[FrozenTrial], given: Mapping[str, Any], least: int) -> list[FrozenTrial]:
    """Returns the trials that tell most about the configurations with `given`, by number.

    Every trial that agrees with `given` is among them, and of the nearest others as many as it takes to hold `least`
    with a value, the newer first among equally near. Distance is the sum over
    `given` of 0 or 1 for a categorical and the part of the range (logarithmic where `log`) for a number; 1 where the
    trial lacks the parameter or its value can't be compared. Unfinished trials count as near as what they have.
    """
    distances = {trial.number: _distance(trial, given) for trial in trials}
    ranked = sorted(trials, key=lambda trial: (distances[trial.number], -trial.number))
    valued = [trial for trial in ranked if trial.state in _WITH_VALUE]
    kept = {trial.number for trial in valued[:least]}
    reach = max((distances[number] for number in kept), default=0.0)
    return [
        trial
        for trial in trials
        if trial.number in kept
        or distances[trial.number] == 0
        or (trial.state not in _WITH_VALUE and distances[trial.number] <= reach)
    ]


def _distance(trial: FrozenTrial, given: Mapping[str, Any]) -> float:
    lacking = 1.0 if trial.state.is_finished() else 0.0
    return math.fsum(
        _apart(trial.distributions[name], trial.params[name], value) if name in trial.params else lacking
        for name, value in given.items()
    )


def _apart(distribution: BaseDistribution, one: Any, other: Any) -> float:
    if not fits(distribution, other):
        return 1.0
    if isinstance(distribution, CategoricalDistribution):
        return float(distribution.to_internal_repr(one) != distribution.to_internal_repr(other))
    return 0.0 if distribution.single() else abs(to_unit(distribution, one) - to_unit(distribution, other))


class _Tpe(Holding):
    """TPE of the trials nearest to `given`.

    To re-weight the two densities' components by `given` isn't enough: of 60 trials TPE takes 2 as good ones, and where
    another structure is better throughout it has both, so that nothing good would be known of this one.
    """

    def __init__(self, sampler: TPESampler, given: Mapping[str, Any]) -> None:
        super().__init__(copy.copy(sampler), given)  # shallow: the random generator is shared, and so moves on
        self._least = max(_LEAST, sampler._n_startup_trials)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # What TPE remembers of the space would be of other trials: those of the last proposal's `given`.
        inner = cast(TPESampler, self._sampler)
        inner._search_space = IntersectionSearchSpace(include_pruned=True)
        inner._group_decomposed_search_space = copy.deepcopy(inner._group_decomposed_search_space)
        return super().infer_relative_search_space(study, trial)

    def _shown(self, study: Study, trial: FrozenTrial) -> Study:
        if not self._given:
            return study
        return cast(Study, View(study, lambda trials: nearest(trials, self._given, self._least)))


class _Gp(GPSampler):
    """Optuna's Gaussian process of all parameters, its acquisition maximized over those not in `given`.

    Trials that lack a parameter in `given` have another structure: they are left out if enough others remain.
    """

    def __init__(self, sampler: GPSampler, given: Mapping[str, Any]) -> None:
        vars(self).update(vars(sampler))
        self._given = dict(given)
        self._modelled: dict[str, BaseDistribution] = {}  # those in `given` that are in the model

    def _alike(self, study: Study) -> Study:
        return cast(Study, View(study, self._with_given)) if self._given else study

    def _with_given(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        names = self._given.keys() & {name for trial in trials for name in trial.params}
        having = [trial for trial in trials if names <= trial.params.keys() or not trial.state.is_finished()]
        enough = sum(trial.state == TrialState.COMPLETE for trial in having) >= max(1, self._n_startup_trials)
        return having if enough else trials

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        self._intersection_search_space = IntersectionSearchSpace()  # it remembers the last proposal's trials
        space = super().infer_relative_search_space(self._alike(study), trial)
        self._modelled = {n: d for n, d in space.items() if n in self._given and fits(d, self._given[n])}
        return space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        whole = dict(sorted((search_space | self._modelled).items()))
        params = super().sample_relative(self._alike(study), trial, whole)
        return {name: value for name, value in params.items() if name in search_space}

    def _optimize_acqf(self, acqf: Any, best_params: np.ndarray | None) -> np.ndarray:
        # Private, but meant to be overridden, as its comment in Optuna says. `best_params`: (starts, parameters).
        if self._modelled:
            fixed = _fixed(acqf.search_space._optuna_search_space, {n: self._given[n] for n in self._modelled})
            acqf.search_space = fixed
            best_params = None if best_params is None else fixed.fix(best_params)
            _lower_threshold(acqf, fixed)
        return super()._optimize_acqf(acqf, best_params)


def _lower_threshold(acqf: Any, fixed: Any) -> None:
    """Lets an improvement start at what is expected of the structure, if that is less than the best of all.

    Where another structure is far better, nothing is expected to improve on the best, and what remains of the expected
    improvement grows with the uncertainty alone (of several running trials, it is the same everywhere).
    """
    import torch
    from optuna._gp.acqf import LogEI, qLogEI

    if not isinstance(acqf, LogEI | qLogEI):
        return
    model = acqf._gpr if isinstance(acqf, LogEI) else acqf._cond_gpr._gpr
    moved = fixed.fix(model._X_train.numpy())
    with torch.no_grad():
        mean, _ = model.posterior(torch.from_numpy(moved))
    acqf._threshold = min(acqf._threshold, float(mean.max()))


def _fixed(space: dict[str, BaseDistribution], given: Mapping[str, Any]) -> Any:
    """Returns Optuna's search space for Gaussian processes, with the columns of `given` never moved."""
    from optuna._gp.search_space import SearchSpace

    column = {name: index for index, name in enumerate(space)}
    held = {
        column[name]: SearchSpace({name: space[name]}).get_normalized_params([None], [{name: value}])[0, 0]  # type: ignore[list-item]
        for name, value in given.items()
    }

    class Fixed(SearchSpace):
        def __init__(self) -> None:
            super().__init__(space)
            self.continuous_indices = np.setdiff1d(self.continuous_indices, list(held))
            self.discrete_indices = np.setdiff1d(self.discrete_indices, list(held))

        def fix(self, points: np.ndarray) -> np.ndarray:
            points = points.copy()
            points[:, list(held)] = list(held.values())
            return points

        def sample_normalized_params(self, n: int, rng: np.random.RandomState | None) -> np.ndarray:
            return self.fix(super().sample_normalized_params(n, rng))

    return Fixed()
