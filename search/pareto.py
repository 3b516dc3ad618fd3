"""Points compared in several objectives at once: which are better, where none is better in all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = Sequence[Sequence[float]]


def ranks(points: Points, maximize: Sequence[bool]) -> list[int]:
    """Returns each point's non-domination rank: 0 where no other dominates it, else one more than its dominators'.

    A point dominates another if it is at least as good in every objective and better in one. `maximize` says of each
    objective whether more is better; NaN is worse than every number.

    Sources: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002); Zhang et al., "An
    efficient approach to nondominated sorting" (2015), whose binary search over fronts this is.

    >>> ranks([(0.9, 100), (0.8, 10), (0.7, 50)], [True, False])
    [0, 0, 1]
    """
    return list(map(int, _ranks(_goodness(points, maximize))))


def crowding(points: Points, maximize: Sequence[bool]) -> list[float]:
    """Returns how alone each point stands among those of its rank, infinity at the ends: its crowding distance.

    It is the sum over objectives of the distance between its neighbours, as a part of the rank's range; 0 for a copy of
    an earlier point.

    Source: Deb et al. (2002), section III-B.

    >>> crowding([(0, 4), (1, 3), (4, 0)], [False, False])
    [inf, 2.0, inf]
    """
    goodness = _goodness(points, maximize)
    return list(map(float, _crowding(goodness, _ranks(goodness))))


def standings(points: Points, maximize: Sequence[bool]) -> list[tuple[int, float]]:
    """Returns of each point what it is sorted by, the less the better: its rank, and less its crowding distance.

    >>> standings([(0.9, 100), (0.8, 10), (0.7, 50)], [True, False])
    [(0, -inf), (0, -inf), (1, -inf)]
    """
    goodness = _goodness(points, maximize)
    own = _ranks(goodness)
    return list(zip(own.tolist(), (-_crowding(goodness, own)).tolist(), strict=True))


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


def _ranks(goodness: NDArray[np.float64]) -> NDArray[np.int64]:
    distinct, places = np.unique(goodness, axis=0, return_inverse=True)
    fronts: list[list[int]] = []
    found = np.zeros(len(distinct), dtype=np.int64)
    for place in reversed(range(len(distinct))):  # sorted: whatever dominates a point comes before it
        rest = distinct[place, 1:]
        low, high = 0, len(fronts)
        while low < high:  # what is dominated in a front is dominated in those before it
            middle = (low + high) // 2
            members = fronts[middle] if len(rest) > 1 else fronts[middle][-1:]  # of two objectives the last tells
            dominated = (distinct[members, 1:] >= rest).all(axis=1).any()
            low, high = (middle + 1, high) if dominated else (low, middle)
        if low == len(fronts):
            fronts.append([])
        fronts[low].append(place)
        found[place] = low
    return found[places.reshape(-1)]


def _crowding(goodness: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.float64]:
    found = np.zeros(len(goodness))
    for rank in range(int(own.max(initial=-1)) + 1):
        places = np.flatnonzero(own == rank)
        _, firsts = np.unique(goodness[places], axis=0, return_index=True)
        places = places[np.sort(firsts)]
        for column in goodness[places].T:
            along = np.argsort(column, kind="stable")
            found[places[along[[0, -1]]]] = np.inf
            low, high = column[along[0]], column[along[-1]]
            if low < high and np.isfinite(high - low):
                found[places[along[1:-1]]] += (column[along[2:]] - column[along[:-2]]) / (high - low)
    return found
