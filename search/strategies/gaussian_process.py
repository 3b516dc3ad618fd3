"""Our own Gaussian process as a stateless Optuna sampler: quick, and at home in mixed and conditional spaces."""

from __future__ import annotations

import copy
import functools
import itertools
import math
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from ...errors import SettingsError, suggestion
from .acquisition import maximized
from .encoding import fits, varying
from .fresh import at_random
from .points import Points
from .regression import Regression, log_expected_improvement, squared_distances
from .skopt import standardized
from .views import seen_space, value_of

if TYPE_CHECKING:
    from ...spaces import Space

Params = Mapping[str, Any]

_INCUMBENTS = 5  # of the observations, that the search for the next point looks around
_DRAWN = 16  # random points, of which a startup trial has the one farthest from those before
# Who sets a range puts what is sensible in its middle: with 1.0 regret after 25 trials was .17, with 0.5 .13 (18 tables
# to choose by, 8 seeds), and .18 with 0.7, .12 with 0.35 (4 seeds); a later batch has need of the whole space.
_WIDTH, _CENTRAL = 0.5, 8
# Leave-one-out R^2 from which the objective is smooth: of 40 random points it is .99 and more on Branin's function and
# quadratics in two dimensions, .53-.90 on 18 recorded tables. (Branin after 30 trials: .07 with .9, .63 with .95.)
_SMOOTH = 0.9
_HARDLY = 1e-9  # the least probability: what is thought infeasible can still be compared
_APART = 0.1  # root mean square over the coordinates, each in parts of its range


class GaussianProcessSampler(optuna.samplers.BaseSampler):
    """Proposals that maximize the expected improvement under a Gaussian process of the trials so far.

    It keeps no state: each proposal fits the model anew, so it is a function of the seed, the trial's number and the
    study's history, and a resumed study goes on as the uninterrupted one would have.

    How trials become observations:
    - Numbers are mapped to [0, 1], logarithmically where `log`; two choices are equally far apart, whichever they are.
    - Values are replaced by `scores`: "power" pulls in the far ones and makes all more normal, best where the objective
      is smooth; "ranks" takes the normal scores of their ranks, best where it is rough; "auto" is "power" if each value
      is predicted well by the others, else "ranks". Neither a diverged trial nor the objective's scale matters. A
      pruned trial counts with its last report, a failed or NaN one as the worst.
    - Running trials are believed to have the values that the model expects, so that parallel proposals spread.
    - Of more than `observations` trials the model has the best third, the newest third, and a third evenly from the
      rest, by rank: so the time of a proposal is bounded.

    `seed` >= 0; None draws one. The first proposals, until `n_startup_trials` >= 0 trials have ended, are the middle
    of the ranges and random points far from those before. `space` says which parameters there are, and when they are
    active; without it, they are those that trials had, and what a trial lacks has the middle of its range or its first
    choice.

    Raises SettingsError if an argument breaks these rules, and ValueError in a study with several objectives.

    Sources: Jones, Schonlau and Welch 1998 (expected improvement); Ginsbourger, Le Riche and Carraro 2010 (kriging
    believer).

    >>> import optuna
    >>> study = optuna.create_study(sampler=GaussianProcessSampler(seed=0, n_startup_trials=2))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        n_startup_trials: int = 5,
        space: Space | None = None,
        scores: str = "auto",
        observations: int = 200,
    ) -> None:
        floors = (
            ("seed", seed or 0, 0),
            ("n_startup_trials", n_startup_trials, 0),
            ("observations", observations, 30),
        )
        problems = [f"`{name} >= {low}` must hold, but got {value}." for name, value, low in floors if value < low]
        if scores not in (known := ["auto", *_SCORES]):
            problems.append(f"`scores` can't be {scores!r}. {suggestion(scores, known)}")
        if problems:
            raise SettingsError(problems)
        self._seed = secrets.randbits(32) if seed is None else seed
        self._n_startup_trials, self._space, self._most = n_startup_trials, space, observations
        self._scores = scores
        self._given: dict[str, Any] = {}

    def conditioned(self, given: Params) -> GaussianProcessSampler:
        """Returns the sampler that maximizes the acquisition with the values in `given` fixed.

        It proposes the other parameters; hold those in `given` yourself.
        """
        other = copy.copy(self)
        other._given = dict(given)
        return other

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Returns the space's parameters, or the newest distribution of each that trials with a value had."""
        space = seen_space(study) if self._space is None else dict(sorted(self._space.to_distributions().items()))
        return varying(space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Returns a value for each parameter in `search_space` that is active."""
        self._raise_error_if_multi_objective(study)
        asked = varying(search_space)
        if not asked:
            return {}
        known = self.infer_relative_search_space(study, trial)
        held = {name: known[name] for name, value in self._given.items() if name in known and fits(known[name], value)}
        points = Points(asked | held, self._space, {name: self._given[name] for name in held})
        observed, values, running = _observations(study, trial, points)
        rng = np.random.default_rng(self._entropy(trial.number))
        before = set(map(_key, np.concatenate([observed, running])))

        def allowed(point: np.ndarray) -> bool:
            return _key(point) not in before

        if len(values) < max(1, self._n_startup_trials):
            point = _startup(points, np.concatenate([observed, running]), allowed, rng)
        else:
            point = self._promising(points, observed, values, running, allowed, rng)
        return {name: value for name, value in points.decode(point).items() if name in asked}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        return at_random(self._seed, study, trial, param_name, param_distribution)

    def _entropy(self, *key: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self._seed, *key])

    def _promising(
        self,
        points: Points,
        observed: np.ndarray,
        values: np.ndarray,
        running: np.ndarray,
        allowed: Callable[[np.ndarray], bool],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Returns the allowed point (d,) with the greatest expected improvement, as far as it is found."""
        model = self._model(observed, values, points.categorical).believing(running)
        # With values given, the improvement is on what is expected of these (profile expected improvement), however
        # much better others are.
        moved = points.snap(model.points)
        expected, _ = model.predict(moved)

        def score(at: np.ndarray) -> np.ndarray:
            return log_expected_improvement(*model.predict(at), expected.min()) + _apart(points, at, running)

        return maximized(score, points, moved[np.argsort(expected, kind="stable")[:_INCUMBENTS]], allowed, rng)

    def _model(self, observed: np.ndarray, values: np.ndarray, categorical: np.ndarray) -> Regression:
        for scores in ("power", "ranks") if self._scores == "auto" else (self._scores,):
            told = _SCORES[scores](values)
            told = (told - told.mean()) / (told.std() or 1.0)
            kept = _telling(told, self._most)
            model = _fitted(observed[kept].tobytes(), told[kept].tobytes(), categorical.tobytes())
            if model.explained > _SMOOTH:
                break
        return model


def _key(point: np.ndarray) -> bytes:
    return (np.round(point, 9) + 0.0).tobytes()  # + 0.0, because -0.0 has other bytes


def _startup(
    points: Points, tried: np.ndarray, allowed: Callable[[np.ndarray], bool], rng: np.random.Generator
) -> np.ndarray:
    """Returns the middle of the numbers' ranges if nothing was tried, else a random point far from what was.

    It is the farthest of `_DRAWN` that are allowed; the first `_CENTRAL` come from the middle `_WIDTH` of the ranges.
    """
    width = 0.0 if not len(tried) else _WIDTH if len(tried) < _CENTRAL else 1.0
    unit = rng.random((64 * _DRAWN, len(points)))
    drawn = points.spread(np.where(points.categorical, unit, 0.5 + width * (unit - 0.5)))
    some = np.array(list(itertools.islice(filter(allowed, drawn), _DRAWN)))
    if not len(some) or not len(tried):
        return np.asarray(some[0] if len(some) else drawn[0])
    squares = squared_distances(some, tried, points.categorical).sum(axis=0)
    return np.asarray(some[squares.min(axis=1).argmax()])


def _apart(points: Points, at: np.ndarray, running: np.ndarray) -> np.ndarray | float:
    """Returns the log of a penalty (n,) on being near a running trial, which rises from 0 to 1 at about `_APART`.

    A model that is sure of itself would have a whole batch in one place, right or wrong. Source: González et al. 2016,
    local penalization, with a radius of our own.
    """
    if not len(running):
        return 0.0
    squares = squared_distances(at, running, points.categorical).mean(axis=0).min(axis=1)
    return np.asarray(np.log(-np.expm1(-squares / (2 * _APART**2)) + _HARDLY))


def _observations(study: optuna.Study, trial: FrozenTrial, points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the points of ended trials (n, d), their values (n,) (lower is better, inf: failed), and running ones."""
    sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
    valued: list[Params] = []
    values: list[float] = []
    failed: list[Params] = []
    running: list[Params] = []
    for past in study.get_trials(deepcopy=False):
        unseen = past.number == trial.number or past.state == TrialState.WAITING
        if unseen or past.params.keys().isdisjoint(points.names):
            continue
        if not math.isnan(value := value_of(past)):
            valued.append(past.params)
            values.append(sign * value)
        else:
            (failed if past.state.is_finished() else running).append(past.params)
    observed, worst = points.encode(valued), points.encode(failed)
    # A value beats a failure: a failed trial's retry tells what the configuration is worth.
    known = set(map(_key, observed))
    worst = worst[[_key(point) not in known for point in worst]]
    return np.concatenate([observed, worst]), np.array([*values, *[math.inf] * len(worst)]), points.encode(running)


def _ranked(values: np.ndarray) -> np.ndarray:
    """Returns the normal scores of the values' ranks, (n,)."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


def _powered(values: np.ndarray) -> np.ndarray:
    """Returns the values, more normally distributed, (n,).

    After far ones are pulled in (`standardized`), Yeo and Johnson's power transform (2000), as in HEBO, with a normal
    prior on its exponent, lest few values bend it far.
    """
    from scipy.optimize import minimize_scalar
    from scipy.stats import yeojohnson, yeojohnson_llf

    told = np.array(standardized(values.tolist()))
    if not told.any():
        return told  # they are all equal

    def improbable(exponent: float) -> float:
        return float(0.5 * (exponent - 1) ** 2 - yeojohnson_llf(exponent, told))

    return np.asarray(yeojohnson(told, minimize_scalar(improbable, bounds=(-3, 5), method="bounded").x))


_SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"power": _powered, "ranks": _ranked}


def _telling(scores: np.ndarray, most: int) -> np.ndarray:
    """Returns the indices, in order, of at most `most` observations: the best, the newest, and some of all ranks."""
    if len(scores) <= most:
        return np.arange(len(scores))
    ranked = np.argsort(scores, kind="stable")
    best, newest = ranked[: most // 3], np.arange(len(scores) - most // 3, len(scores))
    chosen = np.union1d(best, newest)
    rest = ranked[~np.isin(ranked, chosen)]
    some = rest[np.linspace(0, len(rest) - 1, most - len(chosen)).astype(int)]
    return np.union1d(chosen, some)


@functools.lru_cache(maxsize=4)
def _fitted(observed: bytes, scores: bytes, categorical: bytes) -> Regression:
    # Kept for the other proposals of a batch, which are made from the same ended trials.
    values, kinds = np.frombuffer(scores), np.frombuffer(categorical, dtype=bool)
    return Regression.fit(np.frombuffer(observed).reshape(len(values), -1), values, kinds)
