from itertools import combinations

import pytest

from leadline.search.analysis.drawing.fronts import front


@pytest.mark.parametrize("maximize", [True, False])
def test_the_numbers_of_the_front_lie_within_the_axes(maximize):
    values = [(1 if maximize else -1) * place for place in range(9)]
    figure = front(range(9), values, range(9), [8], maximize=maximize, names=("cost", "value"))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (label,) = axes.texts
    box, frame = label.get_window_extent(), axes.get_window_extent()
    assert frame.y0 <= box.y0 < box.y1 <= frame.y1


def test_a_front_is_never_cut_however_bad_its_cheapest_trial_is():
    values = [*[0.9 + place / 1000 for place in range(40)], 0.1]
    figure = front(range(41, 0, -1), values, range(41), [39, 40], maximize=True, names=("cost", "value"))
    assert figure.axes[0].get_ylim()[0] < 0.1


def test_numbers_of_the_front_dont_lie_on_one_another():
    costs, values = [1, 1.01, 1.02, 5, 9], [0.5, 0.501, 0.502, 0.7, 0.9]
    figure = front(costs, values, [10, 11, 12, 13, 14], range(5), maximize=True, names=("cost", "value"))
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert [text.get_text() for text in texts] == ["10, …, 12", "13", "14"]
