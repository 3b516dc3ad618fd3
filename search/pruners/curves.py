"""A model of learning curves: what trials come to when trained to the end, given their first epochs."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_READINGS = 6  # of a curve, the last ones on a grid: neighbouring epochs say the same
_GROWTH = 1.35  # from one epoch of the grid to the next
_STEPS = 12  # of expectation-maximization
_LEAST_NOISE = 1e-4  # of a variance of 1
_PRIOR = 0.05  # weight of a unit covariance among those of the curves


@dataclass(frozen=True)
class CurveModel:
    """Curves that are straight lines in the logarithm of the epoch, each its own, drawn from one normal distribution.

    That distribution and the deviation of readings from the lines are the most probable given all curves
    (expectation-maximization), so short curves lean on the longer ones. Losses: lower is better, and they are those
    of the best epoch so far. They are standardized, and what is above the median after `first` epochs is cut off there,
    since how bad the worse half is says nothing of where the best will come to: 4.8 ± 0.6 full trainings to the regret
    of 100 random ones, 8.4 with diverged losses alone cut off (TaskSet's half to choose by, n = 24 and 30).

    Sources: Swersky et al., "Freeze-Thaw Bayesian Optimization" (2014) for the idea; Laird and Ware, "Random-Effects
    Models for Longitudinal Data" (1982) for the model.
    """

    epochs: int  # of a trial trained to the end
    mean: np.ndarray  # (2,), of the lines' coefficients
    precision: np.ndarray  # (2, 2), the inverse of their covariance
    noise: float  # variance
    scale: tuple[float, float]  # ceiling and deviation of the losses

    @classmethod
    def fit(cls, curves: Sequence[np.ndarray], epochs: int, first: int = 1) -> CurveModel:
        """Returns the model of these curves, (length,) each, which are compared from their `first` epoch on.

        Each has an epoch, and a finite loss after it.
        """
        scale = _scale(curves, first)
        squares, cross, total, readings = _products(curves, scale, epochs)
        n, identity = len(curves), np.eye(2)
        mean, precision, noise = np.zeros(2), identity, 0.05
        for _ in range(_STEPS):
            spread = np.linalg.inv(precision + squares / noise)  # (n, 2, 2), of each line given its readings
            lines = np.einsum("nij,nj->ni", spread, cross / noise + precision @ mean)
            mean = lines.mean(axis=0)
            off = lines - mean
            precision = np.linalg.inv((spread.sum(axis=0) + off.T @ off + _PRIOR * identity) / (n + 1))
            fitted = np.einsum("ni,nij,nj->", lines, squares, lines) - 2 * np.einsum("ni,ni->", lines, cross)
            noise = max(_LEAST_NOISE, (total + fitted + np.einsum("nij,nji->", spread, squares)) / readings)
        return cls(epochs, mean, precision, float(noise), scale)

    def predict(self, curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and deviation (n,) of the standardized losses at the end."""
        squares, cross, _, _ = _products(curves, self.scale, self.epochs)
        spread = np.linalg.inv(self.precision + squares / self.noise)
        lines = np.einsum("nij,nj->ni", spread, cross / self.noise + self.precision @ self.mean)
        end = _basis(np.array([self.epochs]), self.epochs)[0]
        return lines @ end, np.sqrt(np.einsum("i,nij,j->n", end, spread, end) + self.noise)

    def improvement(self, curves: Sequence[np.ndarray], best: float) -> np.ndarray:
        """Returns by how much each is expected to come below the loss `best`, in standard units, (n,)."""
        from scipy.special import ndtr

        mean, deviation = self.predict(curves)
        z = (self.standardized(best) - mean) / deviation
        return np.asarray(deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)))

    def standardized(self, loss: float) -> float:
        """Returns a loss in the units of `predict`."""
        return float(_standardized(np.array([loss]), self.scale)[0])


def _scale(curves: Sequence[np.ndarray], first: int) -> tuple[float, float]:
    early = np.array([curve[min(first, len(curve)) - 1] for curve in curves])
    ceiling = float(np.median(early[np.isfinite(early)]))
    ends = np.concatenate([early, [curve[-1] for curve in curves]])
    return ceiling, float(np.minimum(ends, ceiling).std()) or 1.0


def _standardized(curve: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    ceiling, deviation = scale
    return np.asarray((np.minimum(curve, ceiling) - ceiling) / deviation)


def _products(
    curves: Sequence[np.ndarray], scale: tuple[float, float], epochs: int
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Returns what the readings come to: basis' basis (n, 2, 2), basis' losses (n, 2), losses' losses, their number."""
    places = [_places(len(curve), epochs) for curve in curves]
    losses = [_standardized(curve[at], scale) for curve, (at, _, _) in zip(curves, places, strict=True)]
    cross = np.array([read @ basis for read, (_, basis, _) in zip(losses, places, strict=True)])
    together = np.concatenate(losses)
    return np.array([square for _, _, square in places]), cross, float(together @ together), len(together)


@functools.lru_cache(maxsize=4096)
def _places(length: int, epochs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns where a curve is read, (m,), counted from 0: at the grid's last epochs; the basis there, its square."""
    at = np.array([*steps(1, length), length])[-_READINGS:]
    basis = _basis(at, epochs)
    return at - 1, basis, basis.T @ basis


def _basis(at: np.ndarray, epochs: int) -> np.ndarray:
    return np.stack([np.ones(len(at)), np.log(at) / math.log(max(epochs, 2))], axis=1)


def steps(first: int, last: int) -> list[int]:
    """Returns epochs from `first` to below `last`, each a third more than the one before, and at least one more."""
    found, epoch = [], first
    while epoch < last:
        found.append(epoch)
        epoch = max(epoch + 1, round(epoch * _GROWTH))
    return found
