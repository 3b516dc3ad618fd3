"""Points compared in several objectives at once: which are better, where none is better in all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = Sequence[Sequence[float]]


def ranks(points: Points, maximize: Sequence[bool]) -> list[int]:
    """Returns each point's non-domination rank: 0 where no other dominates it, else one more than its dominators'.

    A point dominates another if it is at least as good in every objective and better in one. `maximize` says of each
    objective whether more is better; NaN is worse than every number. Takes n x n bytes for n points.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002).

    >>> ranks([(0.9, 100), (0.8, 10), (0.7, 50)], [True, False])
    [0, 0, 1]
    """
    goodness = _goodness(points, maximize)
    as_good = np.ones((len(goodness), len(goodness)), dtype=bool)  # [i, j]: i is nowhere worse than j
    for column in goodness.T:
        as_good &= column[:, None] >= column[None, :]
    dominates = as_good & ~as_good.T
    dominators = dominates.sum(axis=0)
    found = np.full(len(goodness), -1)
    for rank in range(len(goodness)):
        front = (dominators == 0) & (found < 0)
        if not front.any():
            break
        found[front] = rank
        dominators -= dominates[front].sum(axis=0)
    return [int(rank) for rank in found]


def crowding(points: Points, maximize: Sequence[bool]) -> list[float]:
    """Returns how alone each point stands among those of its rank, infinity at the ends: its crowding distance.

    It is the sum over objectives of the distance between its neighbours, as a part of the rank's range; 0 for a copy of
    an earlier point.

    Source: Deb et al. (2002), section III-B.

    >>> crowding([(0, 4), (1, 3), (4, 0)], [False, False])
    [inf, 2.0, inf]
    """
    goodness, found = _goodness(points, maximize), np.zeros(len(points))
    own = np.array(ranks(points, maximize), dtype=int)
    for rank in set(own.tolist()):
        places = np.flatnonzero(own == rank)
        _, firsts = np.unique(goodness[places], axis=0, return_index=True)
        places = places[np.sort(firsts)]
        for column in goodness[places].T:
            along = np.argsort(column, kind="stable")
            found[places[along[[0, -1]]]] = np.inf
            low, high = column[along[0]], column[along[-1]]
            if low < high and np.isfinite(high - low):
                found[places[along[1:-1]]] += (column[along[2:]] - column[along[:-2]]) / (high - low)
    return [float(distance) for distance in found]


def standings(points: Points, maximize: Sequence[bool]) -> list[tuple[int, float]]:
    """Returns of each point what it is sorted by, the less the better: its rank, and less its crowding distance.

    >>> standings([(0.9, 100), (0.8, 10), (0.7, 50)], [True, False])
    [(0, -inf), (0, -inf), (1, -inf)]
    """
    alone = crowding(points, maximize)
    return [(rank, -distance) for rank, distance in zip(ranks(points, maximize), alone, strict=True)]


def order(points: Points, maximize: Sequence[bool]) -> list[int]:
    """Returns the points' places, the best first: by rank, then the more alone, then the earlier.

    >>> order([(0.7, 50), (0.9, 100), (0.8, 10)], [True, False])
    [1, 2, 0]
    """
    standing = standings(points, maximize)
    return sorted(range(len(points)), key=lambda place: (standing[place], place))


def front(points: Points, maximize: Sequence[bool]) -> list[int]:
    """Returns the places of the points that no other dominates.

    >>> front([(0.7, 50), (0.9, 100), (0.8, 10)], [True, False])
    [1, 2]
    """
    return [place for place, rank in enumerate(ranks(points, maximize)) if rank == 0]


def _goodness(points: Points, maximize: Sequence[bool]) -> NDArray[np.float64]:
    """Returns the points as (n, objectives) in which more is better everywhere."""
    signed = np.array(points, dtype=float).reshape(len(points), len(maximize)) * np.where(maximize, 1.0, -1.0)
    return np.where(np.isnan(signed), -np.inf, signed)
