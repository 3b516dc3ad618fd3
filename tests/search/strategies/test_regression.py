from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from leadline.search.strategies.regression import (
    LEAST_NOISE,
    Regression,
    log_expected_improvement,
    negative_log_posterior,
    squared_distances,
)

NUMBERS = np.zeros(3, dtype=bool)
MIXED = np.array([False, True, False])


def observations(n: int = 30, d: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.random((n, d))
    values = np.sin(5 * points[:, 0]) + points[:, 1] ** 2 + 0.1 * rng.standard_normal(n)
    return points, (values - values.mean()) / values.std()


def mixed_observations(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    points, values = observations(n)
    points[:, 1] = np.floor(3 * points[:, 1])
    return points, values + (points[:, 1] == 1)


@pytest.mark.parametrize("theta", [np.zeros(5), np.array([2.0, -1.0, 0.5, 0.7, -3.0])])
def test_the_gradient_is_that_of_finite_differences(theta: np.ndarray) -> None:
    points, values = mixed_observations()
    squares = squared_distances(points, points, MIXED)
    error = check_grad(
        lambda at: negative_log_posterior(at, squares, values)[0],
        lambda at: negative_log_posterior(at, squares, values)[1],
        theta,
    )
    assert error < 1e-4


def test_predictions_are_those_of_scikit_learn() -> None:
    points, values = observations()
    theta = np.array([2.0, -1.0, 0.5, 0.7, -3.0])
    kernel = ConstantKernel(math.exp(0.7)) * Matern(np.exp(-theta[:3] / 2), nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=math.exp(-3.0) + LEAST_NOISE, optimizer=None).fit(points, values)
    at = np.random.default_rng(1).random((50, 3))
    mean, deviation = Regression.at(points, values, NUMBERS, theta).predict(at)
    wanted = theirs.predict(at, return_std=True)
    np.testing.assert_allclose(mean, wanted[0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(deviation, wanted[1], rtol=1e-6)


def test_choices_are_equally_far_from_each_other() -> None:
    points = np.array([[0.2, 0.0, 0.5], [0.2, 1.0, 0.5], [0.2, 2.0, 0.5], [0.7, 2.0, 0.5]])
    squares = squared_distances(points, points, MIXED)
    assert squares[1].tolist() == [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert squares[0][0] == pytest.approx([0, 0, 0, 0.25])


def test_a_fit_finds_which_coordinates_matter() -> None:
    points, values = observations(60)
    fitted = Regression.fit(points, values, NUMBERS)
    first, second, third = np.exp(-fitted.theta[:3] / 2)  # length scales
    assert first < second < third
    start = Regression.at(points, values, NUMBERS, np.zeros(5))
    squares = squared_distances(points, points, NUMBERS)
    better, worse = (negative_log_posterior(model.theta, squares, values)[0] for model in (fitted, start))
    assert better < worse
    others, wanted = observations(200)
    mean, deviation = fitted.predict(others[100:])
    off = mean - wanted[100:]
    assert np.corrcoef(mean, wanted[100:])[0, 1] > 0.97
    assert np.mean(np.abs(off) < 2 * np.hypot(deviation, math.exp(fitted.theta[-1] / 2))) > 0.85


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0, 0.0]])
def test_a_fit_survives_few_and_equal_and_repeated_observations(values: list[float]) -> None:
    points = np.full((len(values), 3), 0.5)
    mean, deviation = Regression.fit(points, np.array(values), MIXED).predict(np.array([[0.5, 0.0, 0.5]]))
    assert mean == pytest.approx([0.0])
    assert deviation > 0


def test_what_is_explained_is_what_is_predicted_without_each() -> None:
    points, values = mixed_observations()
    model = Regression.fit(points, values, MIXED)
    rest = [np.arange(len(values)) != i for i in range(len(values))]
    others = [Regression.at(points[r], values[r], MIXED, model.theta).predict(points[~r])[0][0] for r in rest]
    assert model.explained == pytest.approx(1 - np.mean((values - others) ** 2) / values.var())
    assert Regression.fit(points, np.zeros_like(values), MIXED).explained == 0


def test_believing_lowers_the_uncertainty_and_raises_the_mean() -> None:
    points, values = mixed_observations()
    model = Regression.fit(points, values, MIXED)
    at = np.array([[0.4, 2.0, 0.9], [0.1, 1.0, 0.1]])
    believing = model.believing(at)
    assert (believing.predict(at)[0] > model.predict(at)[0]).all()
    assert (believing.predict(at)[1] < 0.9 * model.predict(at)[1]).all()
    assert model.believing(np.empty((0, 3))) is model


@pytest.mark.parametrize("z", [8.0, 1.0, 0.0, -0.9, -1.1, -5.0, -20.0])
@pytest.mark.parametrize("deviation", [0.3, 2.0])
def test_the_expected_improvement_is_the_integral(z: float, deviation: float) -> None:
    # In units of the density at the threshold, lest it is less than any float.
    integral, _ = quad(lambda t: t * math.exp(z * t - t * t / 2), 0, max(z, 0) + 12, epsabs=0, epsrel=1e-11)
    wanted = math.log(integral * deviation) + norm.logpdf(z)
    mean = np.array([1.0 - z * deviation])
    assert log_expected_improvement(mean, np.array([deviation]), 1.0)[0] == pytest.approx(wanted, rel=1e-8)


def test_the_log_expected_improvement_is_finite_and_rises_throughout() -> None:
    z = -np.concatenate([np.logspace(9, -3, 400), [0.0]])
    gains = log_expected_improvement(-z, np.ones_like(z), 0.0)
    assert np.isfinite(gains).all()
    assert (np.diff(gains) > 0).all()
    far = -1e6  # log of density / z^2
    assert log_expected_improvement(np.array([-far]), np.ones(1), 0.0)[0] == pytest.approx(
        norm.logpdf(far) - 2 * math.log(-far), rel=1e-12
    )
