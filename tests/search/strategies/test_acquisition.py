from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from leadline.search.strategies.acquisition import maximized
from leadline.search.strategies.points import Points

POINTS = Points(
    {
        "c": CategoricalDistribution(["a", "b", "c"]),
        "n": IntDistribution(1, 9),
        "x": FloatDistribution(0, 1),
        "y": FloatDistribution(0, 1),
    }
)
START = np.array([[0.0, 0.5, 0.5, 0.5]])


def peak(at: np.ndarray) -> np.ndarray:
    """Greatest at c = b, n = 7, x = 0.31, y = 0.77."""
    n = np.abs(at[:, 1] - 6.5 / 9)
    return 1.0 * (at[:, 0] == 1) - 3 * n - np.abs(at[:, 2] - 0.31) - np.abs(at[:, 3] - 0.77)


@pytest.mark.parametrize("seed", range(5))
def test_the_greatest_point_of_a_mixed_space_is_found(seed: int) -> None:
    found = maximized(peak, POINTS, START, lambda point: True, np.random.default_rng(seed))
    assert POINTS.decode(found)["c"] == "b"
    assert POINTS.decode(found)["n"] == 7
    assert found[2:] == pytest.approx([0.31, 0.77], abs=0.05)


def test_what_is_not_allowed_is_not_returned_while_anything_else_is() -> None:
    found = maximized(peak, POINTS, START, lambda point: point[0] != 1 and point[2] > 0.5, np.random.default_rng(0))
    assert found[0] != 1
    assert 0.5 < found[2] < 0.6
    assert maximized(peak, POINTS, START, lambda point: False, np.random.default_rng(0))[0] == 1


def test_few_candidates_are_asked_whether_they_are_allowed() -> None:
    asked: list[np.ndarray] = []

    def allowed(point: np.ndarray) -> bool:
        asked.append(point)
        return True

    maximized(peak, POINTS, START, allowed, np.random.default_rng(0))
    assert len(asked) <= 70
