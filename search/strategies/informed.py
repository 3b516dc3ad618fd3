"""A strategy told what is known before the first trial: priors on parameters, and trials of earlier studies."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.samplers import BaseSampler

from ...spaces import Space
from .fresh import Fresh
from .multifidelity import Multifidelity, beside
from .prior import PriorSampler
from .warm import Entry, WarmSampler


def informed(sampler: BaseSampler, space: Space, earlier: Sequence[Entry], seed: int, showing: str = "") -> BaseSampler:
    """Returns a sampler that knows the trials of `earlier` studies and the priors of `space`; as it was without any.

    Where trials pause, `showing` names how it is shown those of the study itself (`multifidelity.SHOWINGS`).
    """

    def warm(made: BaseSampler) -> BaseSampler:
        return WarmSampler(space, made, earlier, seed)

    if earlier:  # inside of what shows the study's own trials otherwise: on their scale, and not among them
        sampler = sampler.changed(warm) if isinstance(sampler, Fresh | Multifidelity) else warm(sampler)
    sampler = beside(sampler, showing)
    return PriorSampler(space, sampler, seed) if space.guesses else sampler
