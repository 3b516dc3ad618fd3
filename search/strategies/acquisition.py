"""Where an acquisition is greatest: random points and neighbours of known ones, then local search."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from .points import Points

_GLOBAL, _LOCAL = 512, 512  # candidates scored at first
_RADII = (0.3, 0.1, 0.03, 0.01)  # of the local ones, in parts of the ranges
_STARTS, _MOVES, _ROUNDS = 10, 15, 6  # of the local search, whose radius is halved each round from `_RADII[1]` on

Score = Callable[[np.ndarray], np.ndarray]  # points (n, d) -> (n,)


def maximized(
    score: Score, points: Points, known: np.ndarray, allowed: Callable[[np.ndarray], bool], rng: np.random.Generator
) -> np.ndarray:
    """Returns the point (d,) of the greatest `score` found among those that are `allowed`.

    `known` (n >= 1, d) are points to look around. `allowed` is asked seldom, about candidates that are good. Where no
    candidate is allowed, which happens when a finite space is used up, the best one is returned all the same.
    """
    around = np.repeat(known, -(-_LOCAL // (len(_RADII) * len(known))), axis=0)
    near = [points.neighbours(around, radius, rng) for radius in _RADII]
    candidates = np.concatenate([points.spread(rng.random((_GLOBAL, len(points)))), *near])
    ranked = candidates[np.argsort(-score(candidates), kind="stable")]
    best = np.array(list(itertools.islice(filter(allowed, ranked), _STARTS))).reshape(-1, len(points))
    if not len(best):
        return np.asarray(ranked[0])
    gains = score(best)
    for round in range(_ROUNDS):
        moved = points.neighbours(np.repeat(best, _MOVES, axis=0), _RADII[1] / 2**round, rng)
        found = score(moved).reshape(-1, _MOVES)
        for i, j in enumerate(found.argmax(axis=1)):
            point = moved[i * _MOVES + j]
            if found[i, j] > gains[i] and allowed(point):
                best[i], gains[i] = point, found[i, j]
    return np.asarray(best[gains.argmax()])
