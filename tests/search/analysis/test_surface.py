import numpy as np

import leadline as ll
from leadline.search.analysis.drawing.scales import Scale
from leadline.search.analysis.surface import FINE, surface


def scattered(count, *, x=1.0, y=1.0):
    generator = np.random.default_rng(0)
    return [{"x": float(x * a), "y": float(y * b)} for a, b in generator.uniform(size=(count, 2))]


def test_a_hill_is_found_where_it_is():
    scales = Scale.of("x", ll.Float(0, 1)), Scale.of("y", ll.Float(0, 1))
    tried = scattered(60)
    values = np.array([-((p["x"] - 0.25) ** 2) - (p["y"] - 0.75) ** 2 for p in tried])
    found = surface(scales, tried, values)
    assert found.shape == (FINE, FINE)
    row, column = np.unravel_index(np.nanargmax(found), found.shape)
    assert abs(column / (FINE - 1) - 0.25) < 0.1
    assert abs(row / (FINE - 1) - 0.75) < 0.1


def test_where_nothing_was_tried_nothing_is_said():
    scales = Scale.of("x", ll.Float(0, 1)), Scale.of("y", ll.Float(0, 1))
    tried = scattered(60, x=0.3, y=0.3)
    values = np.array([np.sin(20 * p["x"]) * np.sin(20 * p["y"]) for p in tried])
    found = surface(scales, tried, values)
    assert np.isnan(found[-1, -1])
    assert not np.isnan(found[FINE // 8, FINE // 8])


def test_values_of_noise_alone_leave_no_place_blank_that_trials_lie_around():
    scales = Scale.of("x", ll.Float(0, 1)), Scale.of("y", ll.Float(0, 1))
    found = surface(scales, scattered(20), np.random.default_rng(1).normal(size=20))
    assert np.isfinite(found).mean() > 0.9


def test_options_have_a_place_each():
    scales = Scale.of("x", ll.Float(0, 1)), Scale.of("kind", ll.Choice(["a", "b", "c"]))
    tried = [{"x": n / 30, "kind": "abc"[n % 3]} for n in range(30)]
    found = surface(scales, tried, np.array([1.0 if p["kind"] == "b" else 0.0 for p in tried]))
    assert found.shape == (3, FINE)
    assert np.nanmean(found[1]) > 0.8
    assert np.nanmean(found[[0, 2]]) < 0.2
