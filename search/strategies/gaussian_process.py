"""Our own Gaussian process as a stateless Optuna sampler: small, quick, at home in mixed and conditional spaces."""

from __future__ import annotations

import copy
import functools
import math
import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from .encoding import fits
from .points import Points
from .regression import Regression, log_expected_improvement, squared_distances

if TYPE_CHECKING:
    from ...spaces import Space

Params = Mapping[str, Any]

OPT = dict(transform="rank", threshold="mean", n_global=512, n_local=512, rounds=6, far=16)
import json
import os

OPT.update(json.loads(os.environ.get("OPT", "{}")))


class GaussianProcessSampler(optuna.samplers.BaseSampler):
    def __init__(
        self,
        *,
        seed: int | None = None,
        n_startup_trials: int = 8,
        space: Space | None = None,
        observations: int = 300,
        acceptable: Callable[[Params], bool] | None = None,
        feasibility: Callable[[Sequence[Params]], np.ndarray] | None = None,
        belief: Callable[[Sequence[Params]], np.ndarray] | None = None,
        belief_weight: float = 10.0,
    ) -> None:
        self._seed = secrets.randbits(32) if seed is None else seed
        self._n_startup_trials = n_startup_trials
        self._space = space
        self._most = observations
        self._acceptable, self._feasibility = acceptable, feasibility
        self._belief, self._belief_weight = belief, belief_weight
        self._given: dict[str, Any] = {}

    def conditioned(self, given: Mapping[str, Any]) -> GaussianProcessSampler:
        other = copy.copy(self)
        other._given = dict(given)
        return other

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._space is not None:
            seen: dict[str, BaseDistribution] = self._space.to_distributions()
        else:
            seen = {}
            for past in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
                seen.update(past.distributions)
        return {name: seen[name] for name in sorted(seen) if not seen[name].single()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        asked = {name: d for name, d in search_space.items() if not d.single()}
        if not asked:
            return {}
        known = self.infer_relative_search_space(study, trial)
        held = {n: d for n, d in known.items() if n in self._given and fits(d, self._given[n])}
        points = Points(dict(sorted((asked | held).items())), self._space, {n: self._given[n] for n in held})
        valued, values, unvalued = self._observations(study, trial, points)
        if len(values) < max(1, self._n_startup_trials):
            point = self._startup(trial.number, points, np.concatenate([valued, unvalued]))
        else:
            point = self._propose(trial.number, points, valued, values, unvalued)
        return {name: value for name, value in points.decode(point).items() if name in asked}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        seed = int(self._entropy(trial.number, zlib.crc32(param_name.encode())).generate_state(1)[0])
        return optuna.samplers.RandomSampler(seed).sample_independent(study, trial, param_name, param_distribution)

    def _entropy(self, *key: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self._seed, *key])

    def _observations(self, study, trial, points):
        sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
        valued, values, failed, running = [], [], [], []
        for past in study.get_trials(deepcopy=False):
            if past.number == trial.number or past.state == TrialState.WAITING:
                continue
            if past.params.keys().isdisjoint(points.names):
                continue
            value = _value(past)
            if not math.isnan(value):
                valued.append(past.params)
                values.append(sign * value)
            elif past.state == TrialState.RUNNING:
                running.append(past.params)
            else:
                failed.append(past.params)
        valued += failed
        values += [math.inf] * len(failed)
        return points.encode(valued), np.array(values), points.encode(running)

    def _startup(self, number: int, points: Points, tried: np.ndarray) -> np.ndarray:
        """Returns, of some random points, the one farthest from all that was tried."""
        rng = np.random.default_rng(self._entropy(number))
        drawn = points.spread(rng.random((OPT["far"], len(points))))
        if not len(tried):
            return drawn[0]
        squares = squared_distances(drawn, tried, points.categorical).sum(axis=0)
        return drawn[squares.min(axis=1).argmax()]

    def _propose(self, number, points, valued, values, running):
        rng = np.random.default_rng(self._entropy(number))
        told = _transformed(values)
        kept = self._kept(told)
        model = _fitted(valued[kept].tobytes(), told[kept].tobytes(), points.categorical.tobytes())
        best = model.predict(valued[kept])[0].min() if OPT["threshold"] == "mean" else told.min()
        model = model.believing(running)
        if OPT["threshold"] == "mean":
            best = min(best, model.predict(model.points)[0].min())
        tried = {row.tobytes() for row in np.round(np.concatenate([valued, running]), 9) + 0.0}

        def score(at: np.ndarray) -> np.ndarray:
            return log_expected_improvement(*model.predict(at), best)

        return self._maximized(score, points, valued[np.argsort(told)[:5]], tried, rng)

    def _maximized(self, score, points, incumbents, tried, rng):
        from scipy.stats.qmc import Sobol

        sobol = Sobol(len(points), scramble=True, rng=rng).random(OPT["n_global"])
        incumbents = points.snap(incumbents)
        per = OPT["n_local"] // (4 * len(incumbents))
        near = [points.neighbours(np.repeat(incumbents, per, axis=0), r, rng) for r in (0.3, 0.1, 0.03, 0.01)]
        at = np.concatenate([points.spread(sobol), *near])
        at = _untried(at, tried)
        if not len(at):
            return points.spread(sobol)[0]
        gains = score(at)
        top = np.argsort(-gains)[:10]
        starts, gains = at[top], gains[top]
        radius = 0.1
        for _ in range(OPT["rounds"]):
            moved = points.neighbours(np.repeat(starts, 15, axis=0), radius, rng)
            fresh = np.array([row.tobytes() not in tried for row in np.round(moved, 9) + 0.0])
            found = np.where(fresh, score(moved), -np.inf).reshape(len(starts), 15)
            pick = found.argmax(axis=1)
            value = found[np.arange(len(starts)), pick]
            better = value > gains
            starts = np.where(better[:, None], moved.reshape(len(starts), 15, -1)[np.arange(len(starts)), pick], starts)
            gains = np.where(better, value, gains)
            radius *= 0.5
        return starts[gains.argmax()]

    def _kept(self, told: np.ndarray) -> np.ndarray:
        n = len(told)
        if n <= self._most:
            return np.arange(n)
        third = self._most // 3
        best = np.argsort(told, kind="stable")[:third]
        newest = np.arange(n - third, n)
        rest = np.setdiff1d(np.arange(n), np.union1d(best, newest))
        rng = np.random.default_rng(self._entropy(n))
        some = rng.choice(rest, self._most - len(np.union1d(best, newest)), replace=False)
        return np.sort(np.concatenate([np.union1d(best, newest), some]))


def _untried(at, tried):
    rows = np.round(at, 9) + 0.0
    return at[[row.tobytes() not in tried for row in rows]]


@functools.lru_cache(maxsize=4)
def _fitted(valued: bytes, told: bytes, categorical: bytes) -> Regression:
    values, kinds = np.frombuffer(told), np.frombuffer(categorical, dtype=bool)
    return Regression.fit(np.frombuffer(valued).reshape(len(values), -1), values, kinds)


def _transformed(values: np.ndarray) -> np.ndarray:
    from scipy.stats import norm, rankdata

    if OPT["transform"] == "rank":
        scores = norm.ppf((rankdata(values) - 0.5) / len(values))
    elif OPT["transform"] == "clip":
        told = np.clip(values, -1e100, 1e100)
        finite = told[np.isfinite(values)]
        lower, upper = np.quantile(finite, [0.25, 0.75])
        fence = upper + 3 * (upper - lower) if upper > lower else math.inf
        scores = np.clip(told, finite.min(), min(finite.max(), fence))
    elif OPT["transform"] == "yj":
        from scipy.stats import yeojohnson

        told = np.clip(values, -1e100, 1e100)
        finite = told[np.isfinite(values)]
        lower, upper = np.quantile(finite, [0.25, 0.75])
        fence = upper + 3 * (upper - lower) if upper > lower else math.inf
        scores = np.clip(told, finite.min(), min(finite.max(), fence))
        scores = (scores - scores.mean()) / (scores.std() or 1)
        scores = yeojohnson(scores)[0]
    return (scores - scores.mean()) / (scores.std() or 1.0)


def _value(trial: FrozenTrial) -> float:
    reports = trial.intermediate_values
    if trial.state == TrialState.PRUNED:
        return reports[max(reports)] if reports else math.nan
    return math.nan if trial.value is None else trial.value
