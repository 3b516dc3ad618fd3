"""Which configurations fail: a model of the trials that did, so that no strategy goes back to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from .encoding import fits, to_unit, varying

_MOST = 128  # failed trials, and others, that are modelled: 256 in all take 0.1 s to fit
_BASE = 2.5  # log odds of success where nothing is known: 12 to 1
_TRENDS = (3.0, 12.0)  # standard deviations tried, of the log odds from the middle of all ranges to their ends
_LOCAL = 2.0  # standard deviation of what is left when the trends are taken out
_SCALES = (0.12, 0.25)  # length scales tried, as parts of the unit cube's diagonal
_STEPS = 50  # of Newton's method: 5 to 15 are usual


class Feasibility:
    """The probability that a configuration succeeds, learnt from the trials that failed and those that didn't.

    A Gaussian process classifier: the log odds of success are a linear trend over the parameters (what fails for want
    of memory, or diverges, does so beyond a plane, more or less, and one seen failure leans the plane) and a smooth
    local part. How steep the trend is, and how local that part, is chosen by the evidence. So a first failure keeps
    proposals away from its neighbourhood, and an accident is forgiven as its neighbours succeed. Where nothing is
    known, success is likely.

    `space` holds the parameters that are modelled. A trial that failed, whatever the reason, counts as failed, a
    complete or pruned one as successful; those running don't count. Of many, the newest 128 of each are modelled.

    Source: Rasmussen and Williams 2006, algorithms 3.1 and 3.2 (Laplace's approximation, logistic likelihood).
    """

    def __init__(self, space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]) -> None:
        self._space = varying(space)
        failed = [trial for trial in trials if trial.state == TrialState.FAIL and trial.params][-_MOST:]
        others = [trial for trial in trials if _succeeded(trial)][-_MOST:]
        self.failures = len(failed)
        if failed:
            points = self._points([trial.params for trial in failed + others])
            succeeded = np.repeat([0.0, 1.0], [len(failed), len(others)])
            fits = [_Fit(points, succeeded, trend, scale) for trend in _TRENDS for scale in _SCALES]
            self._fit = max(fits, key=lambda fit: fit.evidence)

    def probabilities(self, configurations: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns for each configuration the probability that it succeeds; 1 while no trial has failed. (n,)"""
        if not self.failures:
            return np.ones(len(configurations))
        return self._fit.probabilities(self._points(configurations))

    def _points(self, configurations: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Returns points (n, coordinates): numbers in [-1, 1], a column of 0 and 1 per choice; what is lacking is 0."""
        columns = []
        for name, distribution in self._space.items():
            has = np.array([name in p and fits(distribution, p[name]) for p in configurations], dtype=bool)
            places = [
                to_unit(distribution, params[name]) if there else 0.5
                for params, there in zip(configurations, has, strict=True)
            ]
            if isinstance(distribution, CategoricalDistribution):
                columns += [np.equal(places, index) & has for index in range(len(distribution.choices))]
            else:
                columns.append(2 * np.array(places) - 1)
        return np.array(columns or [np.zeros(len(configurations))], dtype=float).T


class _Fit:
    """Laplace's approximation of the log odds at `points` (n, coordinates), given which of them `succeeded` (n,)."""

    def __init__(self, points: np.ndarray, succeeded: np.ndarray, trend: float, scale: float) -> None:
        self._points, self._trend, self._scale = points, trend, scale
        kernel = self._kernel(points)
        weights = np.zeros(len(points))  # the log odds are _BASE + kernel @ weights
        signs = 2 * succeeded - 1
        posterior = -np.logaddexp(0, -signs * _BASE).sum()
        for _ in range(_STEPS):
            odds = _BASE + kernel @ weights
            chance = _logistic(odds)
            root = np.sqrt(chance * (1 - chance))
            lower = np.linalg.cholesky(np.eye(len(points)) + root[:, None] * kernel * root)
            pull = root**2 * (odds - _BASE) + succeeded - chance
            step = pull - root * _solved(lower, root * (kernel @ pull)) - weights
            before = posterior
            for size in 0.5 ** np.arange(12):  # a whole step may go too far
                tried = weights + size * step
                pulled = kernel @ tried
                posterior = -np.logaddexp(0, -signs * (_BASE + pulled)).sum() - tried @ pulled / 2
                if posterior > before:
                    weights = tried
                    break
            if posterior - before < 1e-6:
                break
        self.evidence = float(max(posterior, before) - np.log(np.diag(lower)).sum())
        self._lower, self._root, self._residual = lower, root, succeeded - chance

    def probabilities(self, points: np.ndarray) -> np.ndarray:
        across = self._kernel(points)  # (m, n)
        mean = _BASE + across @ self._residual
        explained = np.linalg.solve(self._lower, (across * self._root).T)
        own = self._trend**2 * (points**2).mean(axis=1) + _LOCAL**2
        variance = np.maximum(own - (explained**2).sum(axis=0), 0)
        return _logistic(mean / np.sqrt(1 + np.pi / 8 * variance))

    def _kernel(self, points: np.ndarray) -> np.ndarray:
        """Returns the covariance of the log odds at `points` (m, coordinates) and at those fitted. (m, n)"""
        apart = ((points[:, None] - self._points) ** 2).mean(axis=2)
        local = np.exp(-apart / (2 * (2 * self._scale) ** 2))
        kernel: np.ndarray = self._trend**2 * (points @ self._points.T) / points.shape[1] + _LOCAL**2 * local
        return kernel


def _succeeded(trial: FrozenTrial) -> bool:
    """Tells whether a trial hasn't failed, as far as is known: a running one has come through an epoch at least."""
    reported = trial.state == TrialState.RUNNING and bool(trial.intermediate_values)
    return reported or trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _logistic(odds: np.ndarray) -> np.ndarray:
    chance: np.ndarray = np.exp(-np.logaddexp(0, -odds))
    return chance


def _solved(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    solution: np.ndarray = np.linalg.solve(lower.T, np.linalg.solve(lower, right))
    return solution
