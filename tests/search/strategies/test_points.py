from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from leadline.search.strategies.encoding import decoded, encoded
from leadline.search.strategies.points import Points
from leadline.spaces import Choice, Float, Int, Space

DISTRIBUTIONS = {
    "choice": CategoricalDistribution([None, True, "text"]),
    "even": IntDistribution(2, 12, step=2),
    "lattice": FloatDistribution(-0.3, 0.6, step=0.3),
    "log": IntDistribution(1, 1000, log=True),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
}
NESTED = Space(
    net=Choice(["cnn", "mlp", "none"]),
    depth=Int(1, 3, when={"net": ["cnn", "mlp"]}),
    last=Float(0.0, 1.0, when={"depth": 3}),
    optimizer="sgd",
    momentum=Float(0.0, 0.99, when={"optimizer": "sgd"}),
)


def nested(**given: object) -> Points:
    distributions = {name: d for name, d in sorted(NESTED.to_distributions().items())}
    return Points(distributions, NESTED, given)


def test_points_are_what_one_configuration_after_the_other_is_encoded_as() -> None:
    points = Points(DISTRIBUTIONS)
    drawn = points.spread(np.random.default_rng(0).random((200, 5)))
    configurations = [points.decode(point) for point in drawn]
    np.testing.assert_allclose(points.encode(configurations), drawn, atol=1e-12)
    assert configurations == [decoded(DISTRIBUTIONS, point) for point in drawn]
    assert points.encode([]).shape == (0, 5)
    assert points.encode([{}]).tolist() == [list(encoded(DISTRIBUTIONS, {}))]


def test_spread_points_have_every_value_equally_often() -> None:
    points = Points(DISTRIBUTIONS)
    configurations = [points.decode(point) for point in points.spread(np.random.default_rng(0).random((6000, 5)))]
    for name, values in (("choice", 3), ("even", 6), ("lattice", 4)):
        counts = Counter(params[name] for params in configurations)
        assert len(counts) == values
        assert min(counts.values()) > 0.85 * 6000 / values
    assert np.mean([params["rate"] < 1e-3 for params in configurations]) == pytest.approx(0.5, abs=0.03)


def test_neighbours_are_other_points_and_nearer_for_smaller_radii() -> None:
    points = Points(DISTRIBUTIONS)
    rng = np.random.default_rng(0)
    start = points.spread(rng.random((500, 5)))
    far, near = (points.neighbours(start, radius, rng) for radius in (0.3, 0.01))
    for moved in (far, near):
        np.testing.assert_array_equal(points.snap(moved), moved)
        assert (moved != start).any(axis=1).mean() > 0.85
    assert np.abs(near - start)[:, 4].mean() < np.abs(far - start)[:, 4].mean() / 10
    assert np.abs(near - start)[:, 1].max() == pytest.approx(1 / 6)  # a step of the lattice


def test_what_is_inactive_is_the_same_in_every_point_and_not_decoded() -> None:
    points = nested()
    drawn = points.spread(np.random.default_rng(0).random((300, len(points))))
    assert {frozenset(points.decode(point)) for point in drawn} == {
        frozenset({"net", "momentum"}),
        frozenset({"net", "momentum", "depth"}),
        frozenset({"net", "momentum", "depth", "last"}),
    }
    for point in drawn:
        params = points.decode(point)
        assert NESTED.contains(params)
        for name in ("depth", "last"):
            assert name in params or point[points.names.index(name)] == 0.5


def test_what_is_given_is_held_and_decides_what_is_active() -> None:
    points = nested(net="mlp", depth=3)
    drawn = points.spread(np.random.default_rng(0).random((50, len(points))))
    around = points.neighbours(drawn, 0.3, np.random.default_rng(1))
    for point in [*drawn, *around]:
        params = points.decode(point)
        assert (params["net"], params["depth"]) == ("mlp", 3)
        assert "last" in params
