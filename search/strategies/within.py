"""Proposals within limits: what isn't allowed is proposed anew, and never becomes a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...errors import SpaceExhausted
from ...spaces import Space
from ..limits import Allowed, draws
from .grid import GridSampler

TRIES = 8  # proposals of the strategy, before one is drawn at random
DRAWS = 10_000


def within(make: Callable[[int], BaseSampler], space: Space, allowed: Allowed, seed: int) -> BaseSampler:
    """Returns a sampler that proposes the first that is `allowed` of what `make(0)`, `make(1)`, ... propose.

    Where a few propose nothing that is, it draws at random, and raises SpaceExhausted if that finds nothing either. A
    grid leaves out what isn't allowed.
    """
    first = make(0)
    return first.within(allowed) if isinstance(first, GridSampler) else Within(first, make, space, allowed, seed)


class Within(BaseSampler):
    """See `within`."""

    def __init__(
        self, first: BaseSampler, make: Callable[[int], BaseSampler], space: Space, allowed: Allowed, seed: int
    ) -> None:
        self._first, self._make, self._space, self._allowed, self._seed = first, make, space, allowed, seed

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._first.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._first.after_trial(study, trial, state, values)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.to_distributions()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        held: dict[str, Any] = trial.system_attrs.get("fixed_params", {})  # of a configuration that was enqueued
        for attempt in range(TRIES):
            sampler = self._make(attempt) if attempt else self._first
            params = _proposed(sampler, study, trial, self._space, held)
            if self._allowed(params):
                return params
        for params in islice(draws(self._space, self._seed, held), DRAWS):
            if self._allowed(params):
                return params
        raise SpaceExhausted(f"of {DRAWS:,} random configurations none is within the limits")

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._first.sample_independent(study, trial, param_name, param_distribution)


def _proposed(
    sampler: BaseSampler, study: Study, trial: FrozenTrial, space: Space, held: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the configuration that a sampler proposes, whole."""
    related = sampler.infer_relative_search_space(study, trial)
    together = sampler.sample_relative(study, trial, related) if related else {}
    params: dict[str, Any] = dict(space.fixed)
    for name, parameter in space.parameters.items():
        if not space.is_active(name, params):
            continue
        if name in held or name in together:
            params[name] = held.get(name, together.get(name))
        else:
            params[name] = sampler.sample_independent(study, trial, name, parameter.to_distribution())
    return params
