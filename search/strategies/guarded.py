"""Whole configurations, each proposed once, within hard limits, and away from what failed: around every strategy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    _get_single_value,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...errors import SpaceExhausted, StudyError
from ...spaces import Space
from .conditioned import condition
from .encoding import fits, from_unit, to_unit
from .feasibility import Feasibility
from .fresh import entropy
from .proposer import NOWHERE, Params, Proposer, all_trials
from .views import View

Key = frozenset[tuple[str, Any]]

# The chance of success at which a proposal is taken as it is; chosen on `benchmarks/repeats.py`, where TPE loses 9 of
# 100 trials with it. Lower, more are lost; higher, good regions are walled off.
LIKELY = 0.75
_NEIGHBOURS = 256  # configurations looked at around a proposal that won't do
_SPREAD = (0.02, 1.0)  # how far from it they are, in parts of a range, from the first to the last
_DISALLOWED = 10_000  # configurations that may break a hard limit before the search for one that doesn't is given up


class Guarded(Proposer):
    """Proposes whole configurations of `space` by a strategy, and sees to it that

    - none is proposed that a trial of the study has, whatever its state, also when it waits or runs;
    - none is that isn't `allowed`, which costs no trial;
    - none is, if it can be helped, that is likely to fail as trials before it did (`Feasibility`), if `avoid_failures`.

    `make(seed)` returns the strategy's sampler, a function of seed, trial number and history alone; what `make` gives
    for `seed` is asked first, and for up to `attempts` in all as long as the proposal won't do. Then the nearest
    configuration that will do is taken; if none is likely to succeed, the likeliest. So proposals are a function of
    seed, number and history too. Trials proposed at the same moment by several threads or processes can't know each
    other.

    Raises SpaceExhausted exactly when every configuration (that agrees with what is given and is allowed) has had its
    trial, and StudyError if 10,000 configurations weren't allowed and none was.

    >>> import optuna
    >>> from leadline import Choice, Int, Space
    >>> space = Space(depth=Int(1, 3), norm=Choice([True, False]))
    >>> study = optuna.create_study(sampler=Guarded(lambda seed: optuna.samplers.RandomSampler(seed), space, seed=0))
    >>> study.optimize(lambda trial: float(len(space.suggest(trial))))  # ends when there is nothing left
    >>> len(study.trials)
    6
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        space: Space,
        seed: int,
        *,
        avoid_failures: bool = True,
        attempts: int = 8,
    ) -> None:
        super().__init__(space)
        self._make, self._seed = make, seed
        self._avoid_failures, self._attempts = avoid_failures, attempts
        self._distributions = space.to_distributions()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._distributions)  # a copy: Optuna's PartialFixedSampler takes from it what it holds

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {name: value for name, value in self.choose(study, trial).items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        # A parameter that the space hasn't, or not with these values.
        return self._make(self._seed).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._make(self._seed).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._make(self._seed).after_trial(study, trial, state, values)
        if getattr(study._thread_local, "in_optimize_loop", False) and (size := self._space.size) is not None:
            trials = all_trials(study)
            if len(trials) >= size and len(self._taken(trials)) >= size:
                study.stop()

    def choose(self, study: Study, trial: FrozenTrial) -> Params:
        trials = [past for past in all_trials(study) if past.number != trial.number]
        enqueued = _enqueued(trial, self._distributions)
        given = {name: value for name, value in (self._given | enqueued).items() if name in self._distributions}
        taken = self._taken(trials)
        model = Feasibility(self._distributions, trials if self._avoid_failures else [])
        seen = cast(Study, _Seen(study, trial))
        drawn: list[Params] = []
        for attempt in range(self._attempts):
            seed = self._seed if attempt == 0 else entropy(self._seed, attempt)
            params = self._proposal(seen, trial, seed, given)
            likely = self._key(params) not in taken and model.probabilities([params])[0] >= LIKELY
            if likely and self._is_allowed(params):
                return params
            drawn.append(params)
        around = self._around(drawn[0], given, np.random.default_rng((self._seed, trial.number)))
        for params in self._ranked([*drawn, *around], taken, model):
            if self._is_allowed(params):
                return params
        left = self._left(taken, given, np.random.default_rng((self._seed, trial.number)))
        if left is None and not enqueued:
            agreeing = f" with {self._given}" if self._given else ""
            raise SpaceExhausted(f"every configuration{agreeing} has been proposed")
        return left or drawn[0]  # what is enqueued runs, also again

    def _proposal(self, study: Study, trial: FrozenTrial, seed: int, given: Params) -> Params:
        """Returns the configuration that the strategy proposes."""
        sampler = condition(self._make(seed), given) if given else self._make(seed)
        relative = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))

        def value(name: str, distribution: BaseDistribution) -> Any:
            if distribution.single():  # as Optuna's trials do: TPE divides by the range
                return _get_single_value(distribution)
            if name in relative and fits(distribution, relative[name]):
                return relative[name]
            return sampler.sample_independent(study, trial, name, distribution)

        return self._built(value)

    def _around(self, params: Params, given: Params, rng: np.random.Generator) -> Iterator[Params]:
        """Yields configurations near `params` that agree with `given`, the nearer first."""
        names = list(self._distributions)
        for reach in np.geomspace(*_SPREAD, _NEIGHBOURS if names else 0):
            moving = {name for name in names if rng.random() < reach} | {names[rng.integers(len(names))]}

            def value(name: str, distribution: BaseDistribution, reach: float = reach, moving: Any = moving) -> Any:
                if name in given or (name in params and name not in moving):
                    return given.get(name, params.get(name))
                return _moved(distribution, params.get(name), reach, rng)

            yield self._built(value)

    def _built(self, value: Callable[[str, BaseDistribution], Any]) -> Params:
        """Returns the configuration whose active parameters have what `value` says."""
        params = dict(self._space.fixed)
        for name in self._space.parameters:
            if self._space.is_active(name, params):
                distribution = self._distributions[name]
                params[name] = _plain(distribution, value(name, distribution))
        return {name: value for name, value in params.items() if name in self._distributions}

    def _ranked(self, candidates: Sequence[Params], taken: set[Key], model: Feasibility) -> Iterator[Params]:
        """Yields those candidates that aren't taken: the likely ones in order, then the others by their chance."""
        fresh = list({self._key(params): params for params in reversed(candidates)}.values())[::-1]
        fresh = [params for params in fresh if self._key(params) not in taken]
        chances = np.minimum(model.probabilities(fresh), LIKELY)
        yield from (fresh[index] for index in np.argsort(-chances, kind="stable"))

    def _left(self, taken: set[Key], given: Params, rng: np.random.Generator) -> Params | None:
        """Returns a configuration that agrees with `given`, isn't taken and is allowed; None if there is none."""
        disallowed = 0
        for params in self._others(given, rng):
            if self._key(params) not in taken:
                if self._is_allowed(params):
                    return params
                disallowed += 1
                if disallowed == _DISALLOWED:
                    raise StudyError(
                        f"none of {_DISALLOWED} configurations keeps within the limits, the last one {params}: loosen"
                        " the limits, or narrow the space to what can keep them"
                    )
        return None

    def _others(self, given: Params, rng: np.random.Generator) -> Iterator[Params]:
        """Yields every configuration that agrees with `given`, without end and at random if they are uncountable."""
        if self._space.size is not None:
            for params in self._space.grid(given=given):
                yield {name: value for name, value in params.items() if name in self._distributions}
        while self._space.size is None:
            yield self._built(lambda name, d: given[name] if name in given else _moved(d, None, 1.0, rng))

    def _taken(self, trials: Sequence[FrozenTrial]) -> set[Key]:
        return {self._key(trial.params or _enqueued(trial, self._distributions)) for trial in trials}

    def _key(self, params: Params) -> Key:
        """Returns what equal configurations have in common: a step's values by their index, as rounding differs."""
        pairs = ((name, params[name]) for name in self._distributions if name in params)
        return frozenset((name, self._index(name, value)) for name, value in pairs)

    def _index(self, name: str, value: Any) -> Any:
        distribution = self._distributions[name]
        if isinstance(distribution, FloatDistribution) and distribution.step is not None:
            return round((value - distribution.low) / distribution.step)
        return value


class _Seen(View):
    """The study as the strategy sees it: without the trial itself, and with trials that wait as running ones."""

    def __init__(self, study: Study, trial: FrozenTrial) -> None:
        super().__init__(study, lambda trials: [_as_seen(past) for past in trials if past.number != trial.number])
        self._storage = _Storage(study, trial)


class _Storage:
    """A storage that keeps a trial's attributes with the trial while it isn't in the study yet.

    What TPE and Optuna's Gaussian process write there (what they propose) is dropped: it may not be what is chosen.
    """

    def __init__(self, study: Study, trial: FrozenTrial) -> None:
        self._storage, self._trial = study._storage, trial

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if "relative_params" in key:
            return
        if trial_id == NOWHERE:
            self._trial.system_attrs[key] = value
        else:
            self._storage.set_trial_system_attr(trial_id, key, value)


def _as_seen(trial: FrozenTrial) -> FrozenTrial:
    if trial.state != TrialState.WAITING or not trial.params:
        return trial
    running = copy.copy(trial)
    running.state = TrialState.RUNNING
    return running


def _enqueued(trial: FrozenTrial, space: Mapping[str, BaseDistribution]) -> Params:
    fixed = trial.system_attrs.get("fixed_params", {})
    return {name: value for name, value in fixed.items() if name in space and fits(space[name], value)}


def _plain(distribution: BaseDistribution, value: Any) -> Any:
    return distribution.to_external_repr(distribution.to_internal_repr(value))


def _moved(distribution: BaseDistribution, value: Any, reach: float, rng: np.random.Generator) -> Any:
    """Returns another value about `reach` parts of the range away from `value`, or any value if it is None."""
    if distribution.single():
        return _get_single_value(distribution)
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    if value is None:
        return from_unit(distribution, rng.random())
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = (distribution.step or 0) / (distribution.high - distribution.low)  # at least one
    unit = to_unit(distribution, value) + rng.normal() * max(reach, step)
    return from_unit(distribution, 1 - abs(1 - unit % 2))  # what would leave the range is reflected
