"""Points of a search space, many at a time: what a model's acquisition is maximized over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from .encoding import Space as Distributions
from .encoding import _edges, decoded, encoded, to_unit

if TYPE_CHECKING:
    from ...spaces import Space


class Points:
    """The points of `distributions`, rows of (n, d) arrays: a number's coordinate in [0, 1], a categorical's index.

    With a `space`, whose conditions say what is inactive, an inactive coordinate always has the same value. `given` are
    values that every point has.
    """

    def __init__(
        self, distributions: Distributions, space: Space | None = None, given: Mapping[str, Any] | None = None
    ) -> None:
        self.distributions, self._space = distributions, space
        self.names = list(distributions)
        self.choices = np.array(
            [len(d.choices) if isinstance(d, CategoricalDistribution) else 0 for d in distributions.values()]
        )
        self.categorical = self.choices > 0
        self.filled = np.array(encoded(distributions, {}))
        given = given or {}
        self.held = {i: to_unit(distributions[n], given[n]) for i, n in enumerate(self.names) if n in given}
        self._least = np.array([_least(d) for d in distributions.values()])  # of moves to another value
        self._conditions = self._wanted()

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, configurations: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns the configurations as points (n, d); what they lack is filled in."""
        return np.array([encoded(self.distributions, params) for params in configurations]).reshape(-1, len(self))

    def decode(self, point: np.ndarray) -> dict[str, Any]:
        """Returns the configuration at `point` (d,), inactive parameters left out."""
        active = self._active(point[None])[0]
        return {n: v for (n, v), on in zip(decoded(self.distributions, point).items(), active, strict=True) if on}

    def spread(self, unit: np.ndarray) -> np.ndarray:
        """Returns the points at `unit` (n, d), uniform in [0, 1): choices are equally likely."""
        return self.snap(np.where(self.categorical, np.floor(unit * np.maximum(self.choices, 1)), unit))

    def snap(self, points: np.ndarray) -> np.ndarray:
        """Returns the nearest points of the space: on lattices, what is given held, what is inactive filled in."""
        points = points.copy()
        for i, distribution in enumerate(self.distributions.values()):
            if i in self.held:
                points[:, i] = self.held[i]
            elif not self.categorical[i]:
                points[:, i] = _snapped(distribution, np.clip(points[:, i], 0, 1))
        active = self._active(points)
        return np.where(active, points, self.filled)

    def neighbours(self, points: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
        """Returns a random neighbour of each of the points (n, d): one coordinate or more moved by about `radius`."""
        n, d = points.shape
        moved = rng.random((n, d)) < np.maximum(1 / d, rng.random((n, 1)) ** 2)
        moved[np.arange(n), rng.integers(d, size=n)] = True
        steps = rng.standard_normal((n, d)) * radius
        steps = np.where(self._least > np.abs(steps), np.sign(steps) * self._least, steps)
        numbers = np.clip(np.abs(1 - np.abs(1 - (points + steps))), 0, 1)  # reflected at the edges
        others = rng.integers(np.maximum(self.choices, 1), size=(n, d))
        return self.snap(np.where(moved, np.where(self.categorical, others, numbers), points))

    def _wanted(self) -> dict[int, list[tuple[int, np.ndarray]]]:
        """Returns by coordinate what it depends on: the parents' coordinates and the values they must have."""
        wanted: dict[int, list[tuple[int, np.ndarray]]] = {}
        if self._space is None:
            return wanted
        column = {name: i for i, name in enumerate(self.names)}
        for name in (n for n in self._space.parameters if n in column):
            for parent, values in self._space.parameters[name].conditions.items():
                if parent in column:
                    d = self.distributions[parent]
                    wanted.setdefault(column[name], []).append(
                        (column[parent], np.array([to_unit(d, value) for value in values]))
                    )
        return wanted

    def _active(self, points: np.ndarray) -> np.ndarray:
        active = np.ones(points.shape, dtype=bool)
        for i, parents in self._conditions.items():  # parents come before
            for parent, values in parents:
                active[:, i] &= active[:, parent] & (np.abs(points[:, [parent]] - values) < 1e-9).any(axis=1)
        return active


def _least(distribution: BaseDistribution) -> float:
    """Returns the least move from a number to another, in [0, 1]; 0 if any leads there or it differs."""
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return 0.0
    if distribution.step is None or distribution.log:
        return 0.0
    return float(distribution.step / (distribution.high - distribution.low + distribution.step))


def _snapped(distribution: BaseDistribution, unit: np.ndarray) -> np.ndarray:
    """Returns the coordinates as rounding to the distribution's lattice leaves them."""
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is None:
        return unit
    low, high = _edges(distribution)
    values = low + unit * (high - low)
    values = np.exp(values) if distribution.log else values
    values = distribution.low + np.round((values - distribution.low) / distribution.step) * distribution.step
    values = np.clip(values, distribution.low, distribution.high)
    return ((np.log(values) if distribution.log else values) - low) / (high - low)
