import pytest

from leadline.search.analysis.drawing.scales import Scale
from leadline.search.analysis.drawing.space import parallel


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
