"""scikit-optimize's surrogates (a Gaussian process, random forests, extra trees) as a stateless Optuna sampler."""

from __future__ import annotations

import copy
import math
import secrets
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from ...errors import SettingsError, suggestion
from .encoding import Point, Space, decoded, encoded, fits, to_unit, varying
from .fresh import at_random, entropy
from .views import seen_space, value_of

_ESTIMATORS = ("gp", "rf", "et")
_XI = 0.001  # the least improvement, in deviations; at skopt's 0.01 GP ended 4 x further from Branin's minimum (n=8)

# `warnings.catch_warnings` and `threadpool_limits` set state of the whole process and restore what they found: two
# threads that overlap in them would leave warnings muted and BLAS on one thread for good.
_one_fit_at_a_time = threading.Lock()


class SkoptSampler(optuna.samplers.BaseSampler):
    """Proposals that maximize the expected improvement under a scikit-optimize model of all the trials so far.

    It keeps no state: each proposal refits the model, so it is a function of the seed, the trial's number and the
    study's history, and a resumed study goes on as the uninterrupted one would have. The price is the refit: about
    0.3 s at 20 trials, 1 s at 100 and 8 s at 500 for a Gaussian process; 0.2-0.4 s throughout for forests.

    How trials become observations:
    - Numbers are mapped to [0, 1], logarithmically where `log`; the lattice of an integer or a `step` is restored by
      rounding. A value outside the parameter's newest range counts at its nearest edge.
    - The space is the union of the parameters seen. Where a trial lacks one (a conditional space), the middle of its
      range or its first choice fills in.
    - A pruned trial counts with its last report. A trial without a value is told as the worst value seen: a running one
      so that parallel proposals spread (a constant liar), a failed or NaN one so that it isn't proposed for ever.
    - Infinite values and those far worse than the rest are pulled in, so that one diverged trial can't hide the others.

    `estimator` is the model: "gp" (Gaussian process, Matern 5/2; best for few trials of mostly continuous parameters),
    "rf" (random forest) or "et" (extra trees; both for many trials, categoricals and conditional spaces). `seed` >= 0;
    None draws one. Proposals are random until `n_startup_trials` >= 0 trials have a value. `candidates` >= 1
    random configurations are scored for each proposal; "gp" polishes the best of them by L-BFGS.
    Raises SettingsError if an argument breaks these rules, and ValueError in a study with several objectives.

    Sources: Jones, Schonlau and Welch 1998 (expected improvement); Hutter, Hoos and Leyton-Brown 2011, SMAC (forests);
    Ginsbourger, Le Riche and Carraro 2010 (constant liar); `Optimizer` in https://scikit-optimize.readthedocs.io.

    >>> import optuna
    >>> study = optuna.create_study(sampler=SkoptSampler("rf", seed=0, n_startup_trials=2))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    """

    def __init__(
        self, estimator: str = "gp", *, seed: int | None = None, n_startup_trials: int = 10, candidates: int = 2000
    ) -> None:
        floors = (("seed", seed or 0, 0), ("n_startup_trials", n_startup_trials, 0), ("candidates", candidates, 1))
        problems = [f"`{name} >= {low}` must hold, but got {value}." for name, value, low in floors if value < low]
        if estimator not in _ESTIMATORS:
            problems.append(f"`estimator` can't be {estimator!r}. {suggestion(estimator, _ESTIMATORS)}")
        if problems:
            raise SettingsError(problems)
        self._estimator = estimator
        self._seed = secrets.randbits(32) if seed is None else seed
        self._n_startup_trials = n_startup_trials
        self._candidates = candidates
        self._given: dict[str, Any] = {}

    def conditioned(self, given: Mapping[str, Any]) -> SkoptSampler:
        """Returns the sampler that maximizes the expected improvement with the values in `given` fixed.

        It proposes the other parameters; those in `given` are proposed as rounding leaves them, so hold them yourself.
        """
        other = copy.copy(self)
        other._given = dict(given)
        return other

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Returns the newest distribution of every parameter that a trial with a value had, in order of name."""
        return varying(seen_space(study))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Returns a value for each parameter in `search_space`, or {} while too few trials have a value."""
        self._raise_error_if_multi_objective(study)
        asked = varying(search_space)  # skopt takes no single values
        known = self.infer_relative_search_space(study, trial)
        given = {n: d for n, d in known.items() if n in self._given and fits(d, self._given[n])}
        space = asked | given  # what is given isn't asked for, but the model has it
        points, values, lies = self._observations(study, trial, space)
        if not asked or len(values) < max(1, self._n_startup_trials):
            return {}
        told = standardized(values)
        point = self._propose(trial.number, space, points + lies, told + [max(told)] * len(lies))
        return {name: value for name, value in decoded(space, point).items() if name in asked}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Returns a random value, the same for the same seed, trial number and name."""
        self._raise_error_if_multi_objective(study)
        return at_random(self._seed, study, trial, param_name, param_distribution)

    def _observations(
        self, study: optuna.Study, trial: FrozenTrial, space: Space
    ) -> tuple[list[Point], list[float], list[Point]]:
        """Returns the points with a value, these values (lower is better), and the points without a value."""
        sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
        points, values, unvalued = [], [], []
        for past in study.get_trials(deepcopy=False):
            if past.number == trial.number or past.state == TrialState.WAITING or past.params.keys().isdisjoint(space):
                continue
            value = value_of(past)
            if math.isnan(value):
                unvalued.append(encoded(space, past.params))
            else:
                points.append(encoded(space, past.params))
                values.append(sign * value)
        # A value beats a lie: a failed trial's retry tells what the configuration is worth.
        return points, values, [point for point in unvalued if point not in points]

    def _propose(self, number: int, space: Space, points: list[Point], values: list[float]) -> Point:
        with _one_fit_at_a_time, warnings.catch_warnings():
            # None of these can a user act on: numpy's deprecations inside skopt, a Gaussian process whose length scale
            # ends at its bound, a point evaluated before.
            warnings.filterwarnings("ignore", module=r"(skopt|sklearn|scipy|joblib)(\.|$)")
            import skopt  # Here, for it loads scikit-learn: 1-2 s that only studies with this strategy should pay.
            import threadpoolctl
            from skopt.space import Categorical, Real

            held = [to_unit(d, self._given[name]) if name in self._given else None for name, d in space.items()]
            choices = [len(d.choices) if isinstance(d, CategoricalDistribution) else 0 for d in space.values()]
            optimizer = skopt.Optimizer(
                [Categorical(range(n)) if n else Real(0.0, 1.0) for n in choices],
                base_estimator=self._estimator,
                n_initial_points=0,
                acq_func="EI",  # skopt's default, "gp_hedge", learns from its earlier proposals: state
                acq_func_kwargs={"xi": _XI},
                acq_optimizer_kwargs={"n_points": self._candidates},
                avoid_duplicates=False,  # it would replace one by a random point
                random_state=entropy(self._seed, number),
            )
            with threadpoolctl.threadpool_limits(1):  # a second thread is no faster, and much slower under load
                optimizer.tell([list(point) for point in points], values)
                best = self._best_given(optimizer, number, held) if self._given else optimizer.ask()
                point = encoded(space, decoded(space, best))
                # The model is smooth: what it favours beside the best lattice point often rounds back to that point.
                return point if point not in points else self._best_untried(optimizer, number, space, points, held)

    def _best_untried(
        self, optimizer: Any, number: int, space: Space, points: list[Point], held: Sequence[float | None]
    ) -> Point:
        """Returns the untried random candidate with the greatest expected improvement."""
        from skopt.acquisition import gaussian_ei

        drawn = _overwritten(optimizer.space.rvs(self._candidates, random_state=entropy(self._seed, number, 1)), held)
        candidates, tried = [encoded(space, decoded(space, point)) for point in drawn], set(points)
        untried = [point for point in candidates if point not in tried] or candidates  # all tried: a repeat it is
        transformed = optimizer.space.transform([list(point) for point in untried])
        gains = gaussian_ei(transformed, optimizer.models[-1], _to_beat(optimizer, held), _XI)
        return untried[int(np.argmax(gains))]

    def _best_given(self, optimizer: Any, number: int, held: Sequence[float | None]) -> list[float]:
        """Returns what skopt's `ask` would, with the coordinates in `held` fixed among candidates and in L-BFGS."""
        from skopt.acquisition import gaussian_acquisition_1D, gaussian_ei
        from skopt.optimizer.optimizer import fmin_l_bfgs_b  # scipy's

        space, model, to_beat = optimizer.space, optimizer.models[-1], _to_beat(optimizer, held)
        drawn = space.rvs(self._candidates, random_state=entropy(self._seed, number, 2))
        candidates = space.transform(_overwritten(drawn, held))
        gains = gaussian_ei(candidates, model, to_beat, _XI)
        starts = candidates[np.argsort(-gains)[: optimizer.n_restarts_optimizer]]
        if optimizer.acq_optimizer == "sampling":  # forests have no gradient
            return list(space.inverse_transform(starts[:1])[0])
        bounds: list[tuple[float, float]] = []
        for dimension, fixed in zip(space.dimensions, held, strict=True):
            if fixed is not None:
                bounds += [(x, x) for x in np.ravel(dimension.transform([fixed])).tolist()]
            else:
                bounds += (
                    [dimension.transformed_bounds] if dimension.transformed_size == 1 else dimension.transformed_bounds
                )
        arguments = (model, to_beat, "EI", {"xi": _XI})
        ends = [fmin_l_bfgs_b(gaussian_acquisition_1D, x, args=arguments, bounds=bounds, maxiter=20) for x in starts]
        point = min(ends, key=lambda end: float(np.ravel(end[1])[0]))[0]
        return list(space.inverse_transform(np.clip(point, *np.transpose(bounds))[None])[0])


def _overwritten(points: list[list[Any]], held: Sequence[float | None]) -> list[list[Any]]:
    return [[x if fixed is None else fixed for x, fixed in zip(point, held, strict=True)] for point in points]


def _to_beat(optimizer: Any, held: Sequence[float | None]) -> float:
    """Returns the value that an improvement is measured from: the best told, with nothing held.

    Else, if that is worse, the best that the model expects where what was told is moved to what is held (profile
    expected improvement): nothing is expected to improve on the best of all where another structure is far better, and
    what remains of the expectation then grows with the uncertainty alone.
    """
    best = float(min(optimizer.yi))
    if all(fixed is None for fixed in held):
        return best
    moved = optimizer.space.transform(_overwritten(optimizer.Xi, held))
    return max(best, float(np.min(optimizer.models[-1].predict(moved))))


def standardized(values: list[float]) -> list[float]:
    """Returns the values with mean 0 and deviation 1, after pulling in the infinite and the far worse.

    "Far worse" is beyond Tukey's outer fence, three interquartile ranges above the upper quartile: on a toy loss that
    diverges for large learning rates, GP ended 40 x nearer to the minimum with it (32 trials, medians of 8 seeds). The
    scale matters because skopt's expected improvement asks for at least `xi` in the values' own unit.
    """
    told = np.clip(np.asarray(values, dtype=float), -1e100, 1e100)  # squares must stay finite
    finite = told[np.isfinite(values)]
    if not finite.size:
        return [0.0] * len(values)
    lower, upper = np.quantile(finite, [0.25, 0.75])
    fence = upper + 3 * (upper - lower) if upper > lower else math.inf
    told = np.clip(told, finite.min(), min(finite.max(), fence))
    return [float(v) for v in (told - told.mean()) / (told.std() or 1.0)]
