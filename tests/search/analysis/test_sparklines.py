import math

from leadline.search.analysis.sparklines import cells, scale, sparkline


def test_heights_follow_the_values_within_the_range_whoever_else_is_drawn():
    assert sparkline([0.0, 0.5, 1.0], (0.0, 1.0)) == "▁▅█"
    assert sparkline([0.5], (0.0, 1.0)) == "▅"
    assert sparkline([-9.0, 9.0], (0.0, 1.0)) == "▁█"


def test_what_is_no_number_is_left_blank():
    assert sparkline([1.0, None, math.nan, math.inf, 0.0], (0.0, 1.0)) == "█   ▁"


def test_curves_without_any_height_can_be_drawn():
    assert sparkline([0.5, 0.5], scale([0.5, 0.5])) == "██"
    assert scale([]) == (0.0, 1.0)
    assert scale([math.nan]) == (0.0, 1.0)


def test_a_few_that_explode_do_not_flatten_the_others():
    losses = [0.5, 0.4, 0.3] * 20
    assert scale([*losses, 1e30], maximize=False) == (0.3, 0.5)
    assert scale([*losses, -1e30], maximize=True) == (0.3, 0.5)


def test_an_epoch_is_in_the_same_cell_for_every_curve():
    short, whole = cells({1: 0.1, 2: 0.2}, last=100, width=10), cells(dict.fromkeys(range(1, 101), 0.5), 100, 10)
    assert short == [0.2, *[None] * 9]
    assert whole == [0.5] * 10
    assert cells({51: 0.3}, last=100, width=10).index(0.3) == 5  # one that began from another's state


def test_short_curves_take_a_cell_an_epoch():
    assert cells({1: 0.1, 2: 0.2, 3: 0.3}, last=3, width=24) == [0.1, 0.2, 0.3]
    assert cells({}, last=0, width=24) == []
