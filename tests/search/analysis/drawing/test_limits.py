import pytest

from leadline.search.analysis.drawing.limits import FEW, beyond, edge, limits

MANY = [0.9 + place / 1000 for place in range(40)]


@pytest.mark.parametrize("sign", [1, -1], ids=["maximized", "minimized"])
def test_of_many_values_those_far_worse_than_most_are_beyond_and_the_best_never_is(sign):
    values = [sign * value for value in [*MANY, 0.1, 0.2]]
    low, high = limits(values, maximize=sign > 0)
    assert low < sign * max(MANY) < high
    assert not low < sign * 0.2 < high
    assert beyond(values, maximize=sign > 0) == 2


def test_of_few_values_none_is_beyond():
    values = [0.952, 0.933, 0.931, 0.929, 0.92, 0.456]
    low, high = limits(values, maximize=True)
    assert low < min(values) < max(values) < high


def test_what_diverged_is_beyond_even_among_few():
    values = [*[1.0 + place / 10 for place in range(FEW - 2)], 1e12]
    assert limits(values, maximize=False)[1] < 1e3
    assert beyond(values, maximize=False) == 1


def test_what_must_be_within_is_within():
    values = [*MANY, 0.1, 0.2]
    assert limits(values, maximize=True, within=[0.2])[0] < 0.2
    assert beyond(values, maximize=True, within=[0.2]) == 1


def test_a_caption_tells_how_many_are_drawn_at_the_edge():
    assert edge(MANY, maximize=True) == ""
    told = edge([*MANY, 0.1, 0.2], maximize=True)
    assert told == " 2 trials are worse than the axis shows and are drawn at its edge."


def test_no_values_have_limits_too():
    assert limits([], maximize=True) == (0.0, 1.0)
