"""Gaussian process regression for tens to hundreds of observations, in numpy and scipy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Modes and deviations of the normal priors on the logarithms in `theta`. Length scales are about as long as the range;
# values come with deviation 1; recorded losses of neural networks have a few per cent of their variance as noise.
_LENGTH, _SIGNAL, _NOISE = (0.0, 2.0), (0.0, 0.7), (-4.0, 1.5)
LEAST_NOISE = 1e-5  # keeps the Cholesky factor of hundreds of near observations from failing
_STEPS = 40  # of L-BFGS at most; about 20 suffice
_DOUBT = 1.0  # deviations


@dataclass(frozen=True)
class Regression:
    """A Gaussian process given observations: `points` (n, d), `values` (n,), of mean about 0 and deviation about 1.

    The kernel is Matern 5/2 with a length scale for each of the d coordinates. Where `categorical` (d,), a coordinate
    is an index and its distance 0 or 1; else it is a number.
    `theta` (d + 2,): logarithms of the inverse squared length scales, of the signal's variance and of the noise's.
    """

    points: np.ndarray
    values: np.ndarray
    categorical: np.ndarray
    theta: np.ndarray
    factor: np.ndarray  # (n, n), lower Cholesky factor of the values' covariance
    weights: np.ndarray  # (n,): covariance^-1 values

    @classmethod
    def at(cls, points: np.ndarray, values: np.ndarray, categorical: np.ndarray, theta: np.ndarray) -> Regression:
        """Returns the process with these hyperparameters."""
        from scipy.linalg import cho_solve, cholesky

        covariance = _kernel(points, points, categorical, theta)
        covariance[np.diag_indices_from(covariance)] += math.exp(theta[-1]) + LEAST_NOISE
        factor = cholesky(covariance, lower=True, check_finite=False)
        weights = cho_solve((factor, True), values, check_finite=False)
        return cls(points, values, categorical, theta, factor, weights)

    @classmethod
    def fit(cls, points: np.ndarray, values: np.ndarray, categorical: np.ndarray) -> Regression:
        """Returns the process whose hyperparameters are the most probable (MAP), from the priors' modes by L-BFGS."""
        from scipy.optimize import minimize

        squares = squared_distances(points, points, categorical)
        start = _prior(points.shape[1])[0]
        bounds = [(mode - 6, mode + 6) for mode in start]
        end = minimize(
            negative_log_posterior,
            start,
            (squares, values),
            "L-BFGS-B",
            jac=True,
            bounds=bounds,
            options={"maxiter": _STEPS, "gtol": 1e-2, "ftol": 1e-5},
        )
        return cls.at(points, values, categorical, end.x)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation (m,) of the noiseless function at `points` (m, d)."""
        from scipy.linalg import solve_triangular

        cross = _kernel(self.points, points, self.categorical, self.theta)
        half = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = math.exp(self.theta[-2]) - np.einsum("ij,ij->j", half, half)
        return self.weights @ cross, np.sqrt(np.maximum(variance, 1e-12))

    @property
    def explained(self) -> float:
        """The part of the values' variance that is predicted, each value by the others, at most 1.

        Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), equation 5.12.
        """
        from scipy.linalg.lapack import dpotri

        inverse, _ = dpotri(self.factor, lower=1)
        variance = self.values.var()
        return float(1 - np.mean((self.weights / np.diag(inverse)) ** 2) / variance) if variance else 0.0

    def believing(self, points: np.ndarray) -> Regression:
        """Returns the process given `points` (m, d), too, each `_DOUBT` deviations worse than expected.

        Source: Ginsbourger, Le Riche and Carraro 2010, kriging believer, which believes what is expected.
        """
        if not len(points):
            return self
        mean, deviation = self.predict(points)
        values = np.concatenate([self.values, mean + _DOUBT * deviation])
        return self.at(np.concatenate([self.points, points]), values, self.categorical, self.theta)


def negative_log_posterior(theta: np.ndarray, squares: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns minus the log of likelihood times prior, up to a constant, and its gradient (d + 2,).

    `squares` (d, n, n): squared distances of the observations by coordinate. Source: Rasmussen and Williams, "Gaussian
    Processes for Machine Learning" (2006), equations 5.8 and 5.9.
    """
    from scipy.linalg import LinAlgError, cho_solve, cholesky
    from scipy.linalg.lapack import dpotri

    n = len(values)
    inverse, signal, noise = np.exp(theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1])
    shape, slope = _matern(np.tensordot(inverse, squares, 1))
    covariance = signal * shape
    covariance[np.diag_indices(n)] += noise + LEAST_NOISE
    try:
        factor = cholesky(covariance, lower=True, check_finite=False)
    except LinAlgError:
        return 1e10, np.zeros_like(theta)
    weights = cho_solve((factor, True), values, check_finite=False)
    lower, _ = dpotri(factor, lower=1)
    half = 0.5 * (lower + np.tril(lower, -1).T - np.outer(weights, weights))
    mode, deviation = _prior(len(theta) - 2)
    off = (theta - mode) / deviation
    value = 0.5 * values @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
    gradient = off / deviation
    gradient[:-2] += inverse * (squares.reshape(len(squares), -1) @ (signal * half * slope).ravel())
    gradient[-2] += signal * (half * shape).sum()
    gradient[-1] += noise * np.trace(half)
    return float(value), gradient


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Returns the log of the expected improvement below `best`, finite also where that is less than any float.

    Source: Ament et al., "Unexpected Improvements to Expected Improvement" (2023), equation 9.
    """
    from scipy.special import erfcx, log_ndtr

    z = (best - mean) / deviation
    density = -0.5 * z * z - 0.5 * math.log(2 * math.pi)
    near = z > -1
    result = np.empty_like(z)
    result[near] = np.log(np.exp(density[near]) + z[near] * np.exp(log_ndtr(z[near])))
    far = z[~near]
    # 1 - |z| x Mills' ratio, which beyond 1e4 is 1/z^2 to double precision.
    ratio = 1 + far * math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2))
    result[~near] = density[~near] + np.log(np.where(far > -1e4, np.maximum(ratio, 1e-300), 1 / (far * far)))
    return np.asarray(result + np.log(deviation))


def _prior(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns modes and deviations (d + 2,) of the normal priors on `theta`."""
    modes, deviations = np.transpose([_LENGTH] * d + [_SIGNAL, _NOISE])
    return modes, deviations


def squared_distances(left: np.ndarray, right: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """Returns squared distances by coordinate, (d, n, m)."""
    differences = left.T[:, :, None] - right.T[:, None, :]
    squares = differences * differences
    squares[categorical] = squares[categorical] > 0
    return np.asarray(squares)


def _kernel(left: np.ndarray, right: np.ndarray, categorical: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Returns the covariances (n, m) of points (n, d) and (m, d), without the many numbers of `squared_distances`."""
    from scipy.spatial.distance import cdist

    inverse, numbers = np.exp(theta[:-2]), ~categorical
    scale = np.sqrt(inverse[numbers])
    squares = cdist(left[:, numbers] * scale, right[:, numbers] * scale, "sqeuclidean")
    for j in np.flatnonzero(categorical):
        squares += inverse[j] * (left[:, j, None] != right[:, j])
    return math.exp(theta[-2]) * _matern(squares)[0]


def _matern(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the Matern 5/2 correlation at squared distances, and its derivative by these."""
    root = np.sqrt(5 * squares)
    decay = np.exp(-root)
    return (1 + root + root * root / 3) * decay, -5 / 6 * (1 + root) * decay
