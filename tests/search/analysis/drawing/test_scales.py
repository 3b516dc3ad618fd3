import numpy as np
import pytest

import leadline as ll
from leadline.search.analysis.drawing.scales import Scale


def test_numbers_lie_between_the_ends_of_their_range():
    scale = Scale.of("x", ll.Float(0, 0.6))
    assert [scale.unit(value) for value in (0, 0.3, 0.6)] == pytest.approx([0, 0.5, 1])
    assert [text for _, text in scale.ticks()] == ["0", "0.15", "0.3", "0.45", "0.6"]


def test_a_logarithmic_range_is_even_in_powers():
    scale = Scale.of("lr", ll.Float(1e-4, 1e-2, log=True))
    assert scale.unit(1e-3) == pytest.approx(0.5)
    assert scale.raw(np.array([0, 0.5, 1])) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert [text for _, text in scale.ticks()] == ["1e-4", "1e-3", "0.01"]


def test_options_lie_side_by_side_and_true_isnt_one():
    scale = Scale.of("kind", ll.Choice(["a", True, None, 2]))
    assert [scale.coordinate(value) for value in ("a", True, None, 2)] == [0, 1, 2, 3]
    assert scale.labels == ["a", "true", "null", "2"]
    assert Scale.of("kind", ll.Choice([0, True])).coordinate(True) == 1


def test_a_range_of_one_value_is_in_the_middle():
    assert Scale.of("x", ll.Int(3, 3)).unit(3) == 0.5


def test_what_was_measured_over_decades_is_logarithmic():
    assert Scale.around("parameters", [1e3, 1e6]).log
    assert not Scale.around("parameters", [1e3, 2e3]).log
    assert Scale.around("seconds", [0.0, 5.0]).low < 0
    assert Scale.around("seconds", [2.0, 2.0]).low < 2 < Scale.around("seconds", [2.0, 2.0]).high


def test_long_names_are_cut():
    scale = Scale.of("kind", ll.Choice(["a" * 40, "b"]))
    assert len(scale.labels[0]) <= 14
