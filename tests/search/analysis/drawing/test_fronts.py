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
