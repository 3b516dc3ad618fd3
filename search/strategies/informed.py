"""A strategy told what is known before the first trial: priors on parameters, and trials of earlier studies."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.samplers import BaseSampler

from ...spaces import Space
from .fresh import Fresh
from .prior import PriorSampler
from .warm import Entry, WarmSampler


def informed(sampler: BaseSampler, space: Space, earlier: Sequence[Entry], seed: int) -> BaseSampler:
    """Returns a sampler that knows the trials of `earlier` studies and the priors of `space`; as it was without any."""

    def warm(made: BaseSampler) -> BaseSampler:
        return WarmSampler(space, made, earlier, seed)

    if earlier:  # inside `Fresh`, so that what it shows of the study's own trials is chosen among these alone
        sampler = sampler.changed(warm) if isinstance(sampler, Fresh) else warm(sampler)
    return PriorSampler(space, sampler, seed) if space.guesses else sampler
