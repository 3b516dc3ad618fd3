"""Configurations as points: what models of numbers work on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Space = Mapping[str, BaseDistribution]
Point = tuple[float, ...]  # a coordinate per parameter: a number's is in [0, 1], a categorical's the choice's index


def _edges(d: FloatDistribution | IntDistribution) -> tuple[float, float]:
    half = (d.step or 0) / 2  # so that after rounding the lattice's ends are as likely as its middle
    low, high = d.low - half, d.high + half
    return (math.log(low), math.log(high)) if d.log else (low, high)


def fits(distribution: BaseDistribution, value: Any) -> bool:
    """Tells whether the distribution has the value."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # no such choice, or no number
        return False


def varying(space: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    """Returns those parameters of a space that have more than one value."""
    return {name: distribution for name, distribution in space.items() if not distribution.single()}


def to_unit(distribution: BaseDistribution, value: Any) -> float:
    """Returns a number's place in its range, in [0, 1], on a logarithmic scale where `log`; a choice's index."""
    if isinstance(distribution, CategoricalDistribution):
        return float(distribution.to_internal_repr(value))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = _edges(distribution)
    unit = ((math.log(value) if distribution.log else value) - low) / (high - low)
    return min(max(unit, 0.0), 1.0)


def from_unit(distribution: BaseDistribution, unit: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.to_external_repr(unit)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = _edges(distribution)
    value = low + unit * (high - low)
    value = math.exp(value) if distribution.log else value
    if distribution.step is not None:
        value = distribution.low + round((value - distribution.low) / distribution.step) * distribution.step
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def encoded(space: Space, params: Mapping[str, Any]) -> Point:
    # Filling in random values did neither better nor worse (toy with three arms, 40 trials, 30 seeds, each estimator).
    fill = {name: 0.0 if isinstance(d, CategoricalDistribution) else 0.5 for name, d in space.items()}
    return tuple(to_unit(d, params[name]) if name in params else fill[name] for name, d in space.items())


def decoded(space: Space, point: Iterable[float]) -> dict[str, Any]:
    return {name: from_unit(d, float(x)) for (name, d), x in zip(space.items(), point, strict=True)}
