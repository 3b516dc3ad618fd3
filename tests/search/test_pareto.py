"""Points compared in several objectives, against definitions written out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.search.pareto import crowding, front, order, ranks, standings

NUMBERS = st.one_of(st.integers(0, 4).map(float), st.floats(allow_nan=True, allow_infinity=True))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[tuple[float, ...]], list[bool]]:
    """Up to twelve points in one to three objectives, many of them alike in some."""
    count = draw(st.integers(1, 3))
    maximize = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return draw(st.lists(st.tuples(*[NUMBERS] * count), max_size=12)), maximize


def goodness(value: float, more: bool) -> float:
    return -math.inf if math.isnan(value) else value if more else -value


def dominates(one: tuple[float, ...], other: tuple[float, ...], maximize: list[bool]) -> bool:
    pairs = [(goodness(a, more), goodness(b, more)) for a, b, more in zip(one, other, maximize, strict=True)]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def chains(points: list[tuple[float, ...]], maximize: list[bool]) -> list[int]:
    """Returns of each point how long the longest chain is of points that dominate one another and, last, this one."""
    found: dict[int, int] = {}

    def longest(place: int) -> int:
        if place not in found:
            above = [k for k, point in enumerate(points) if dominates(point, points[place], maximize)]
            found[place] = 1 + max(map(longest, above), default=-1)
        return found[place]

    return [longest(place) for place in range(len(points))]


@settings(deadline=None)
@given(cases())
def test_ranks_are_the_longest_chains_of_dominators(case: tuple[list[tuple[float, ...]], list[bool]]) -> None:
    points, maximize = case
    assert ranks(points, maximize) == chains(points, maximize)


@settings(deadline=None)
@given(cases())
def test_the_front_is_what_nothing_dominates(case: tuple[list[tuple[float, ...]], list[bool]]) -> None:
    points, maximize = case
    expected = [k for k, point in enumerate(points) if not any(dominates(other, point, maximize) for other in points)]
    assert front(points, maximize) == expected


@settings(deadline=None)
@given(cases())
def test_the_order_has_every_place_once_and_none_before_its_dominators(
    case: tuple[list[tuple[float, ...]], list[bool]],
) -> None:
    points, maximize = case
    ordered = order(points, maximize)
    assert sorted(ordered) == list(range(len(points)))
    for later, place in enumerate(ordered):
        assert not any(dominates(points[place], points[earlier], maximize) for earlier in ordered[:later])


@settings(deadline=None)
@given(cases())
def test_standings_sort_as_the_order_does_and_distances_are_no_nan(
    case: tuple[list[tuple[float, ...]], list[bool]],
) -> None:
    points, maximize = case
    found = standings(points, maximize)
    assert sorted(range(len(points)), key=lambda place: (found[place], place)) == order(points, maximize)
    assert all(distance >= 0 for distance in crowding(points, maximize))


@settings(deadline=None)
@given(st.lists(NUMBERS, max_size=12), st.booleans())
def test_with_one_objective_the_order_is_that_of_the_values_the_earlier_of_equals_first(
    values: list[float], more: bool
) -> None:
    expected = sorted(range(len(values)), key=lambda place: (-goodness(values[place], more), place))
    assert order([(value,) for value in values], [more]) == expected


def test_crowding_is_the_distance_between_neighbours_as_a_part_of_the_range() -> None:
    points = [(0.0, 10.0), (1.0, 6.0), (2.0, 4.0), (4.0, 0.0)]
    assert crowding(points, [False, False]) == [math.inf, 2 / 4 + 6 / 10, 3 / 4 + 6 / 10, math.inf]


def test_each_rank_has_its_own_ends() -> None:
    points = [(0.0, 2.0), (2.0, 0.0), (3.0, 5.0), (5.0, 3.0), (4.0, 4.0)]
    assert ranks(points, [False, False]) == [0, 0, 1, 1, 1]
    assert crowding(points, [False, False]) == [math.inf, math.inf, math.inf, math.inf, 2.0]


def test_a_copy_is_less_alone_than_what_it_copies() -> None:
    assert crowding([(0, 1), (1, 0), (0, 1)], [False, False]) == [math.inf, math.inf, 0.0]
    assert order([(0, 1), (0, 1), (1, 0)], [False, False]) == [0, 2, 1]


@pytest.mark.parametrize("compare", [ranks, crowding, order, front])
def test_of_no_points_there_is_nothing_to_tell(compare: object) -> None:
    assert compare([], [True, False]) == []  # type: ignore[operator]


def test_nan_is_worse_than_every_number() -> None:
    assert ranks([(math.nan, 1), (-1e300, 1)], [True, False]) == [1, 0]
