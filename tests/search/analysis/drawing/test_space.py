import pytest

from leadline.search.analysis.drawing.scales import Scale
from leadline.search.analysis.drawing.space import parallel, sliced


def texts(values, *, maximize):
    best = values.index((max if maximize else min)(values))
    configurations = [{"x": place / len(values)} for place in range(len(values))]
    figure = parallel([Scale("x", 0, 1)], configurations, values, best, maximize=maximize, metric="m")
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(("maximize", "sign"), [(True, "≤"), (False, "≥")])
def test_the_end_of_the_last_axis_says_where_worse_values_lie_on_it(maximize, sign):
    values = [(1 if maximize else -1) * (0.9 + place / 1000) for place in range(40)]
    assert not any(sign in text for text in texts(values, maximize=maximize))
    worse = [*values, 0.0]
    assert sum(text.startswith(sign) for text in texts(worse, maximize=maximize)) == 1


@pytest.mark.parametrize(
    "scale", [Scale("depth", 1, 2, whole=True), Scale("depth", 1, 90, whole=True), Scale("depth", 0, 1, options=(1, 2))]
)
def test_points_of_a_slice_lie_beside_their_places_by_little_and_the_best_in_its_ring(scale):
    places, values = [1, 2] * 40, [place / 100 for place in range(80)]
    figure = sliced(scale, {"complete": (places, values, "C0")}, (2, 0.79), maximize=True, metric="m")
    axes = figure.axes[0]
    points, ring = (drawn.get_offsets()[:, 0] for drawn in axes.collections)
    left, right = axes.get_xlim()
    exact = [scale.coordinate(place) for place in places]
    assert 0 < abs(points - exact).max() <= 0.02 * (right - left)
    assert left < points.min() <= points.max() < right
    assert points[-1] == ring[0] == scale.coordinate(2)
