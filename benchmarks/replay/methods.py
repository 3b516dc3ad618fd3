"""The methods that are compared, each asked for a configuration and told its loss, one after the other.

leadline's strategies go by their own names, with options as `bayes:startup=20`. The others, as a user has them who
takes their defaults:

    random          Optuna's RandomSampler
    optuna.tpe      Optuna's TPESampler
    optuna.gp       Optuna's GPSampler
    optuna.cmaes    Optuna's CmaEsSampler, which draws choices at random
    skopt.gp        skopt's Optimizer: a Gaussian process, ten random points first, `gp_hedge`
    skopt.et        the same with extra trees

Optuna's samplers, leadline's among them, see a diverged trial as failed, as they would in use. skopt's Optimizer
refuses NaN: it is told the worst loss it has been told, as its users do.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import optuna
from optuna.trial import TrialState

from leadline.search.strategies import Strategy
from leadline.spaces import Choice, Float, Int, Parameter, Space


class Method(Protocol):
    """What proposes configurations: after each `ask`, one `tell`."""

    def ask(self) -> dict[str, Any]:
        """Returns a configuration of the space."""

    def tell(self, params: dict[str, Any], loss: float) -> None:
        """Tells the loss (NaN: diverged) of `params`, which stood for what was asked for last."""


class Optuna:
    """An Optuna study in memory, whose sampler for each trial is what `sampler()` returns."""

    def __init__(self, space: Space, sampler: Callable[[], optuna.samplers.BaseSampler]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._sampler = space, sampler
        self._distributions = space.to_distributions()
        self._study = optuna.create_study(sampler=sampler())

    def ask(self) -> dict[str, Any]:
        self._study.sampler = self._sampler()
        self._trial = self._study.ask()
        return self._space.suggest(self._trial)

    def tell(self, params: dict[str, Any], loss: float) -> None:
        for name, value in params.items():
            if self._trial.params[name] != value:  # the pool's configuration instead of the one proposed
                distribution = self._distributions[name]
                internal = distribution.to_internal_repr(value)
                self._study._storage.set_trial_param(self._trial._trial_id, name, internal, distribution)
        if math.isnan(loss):
            self._study.tell(self._trial, state=TrialState.FAIL)
        else:
            self._study.tell(self._trial, loss)


class Skopt:
    """scikit-optimize's own Optimizer with its defaults and the given estimator."""

    def __init__(self, space: Space, estimator: str, seed: int) -> None:
        import skopt

        self._parameters = space.parameters
        dimensions = [_dimension(parameter) for parameter in self._parameters.values()]
        self._optimizer = skopt.Optimizer(dimensions, base_estimator=estimator, random_state=seed)
        self._diverged: list[list[Any]] = []  # before there was a loss to tell of them

    def ask(self) -> dict[str, Any]:
        point = zip(self._parameters.items(), self._optimizer.ask(), strict=True)
        return {name: _value(parameter, value) for (name, parameter), value in point}

    def tell(self, params: dict[str, Any], loss: float) -> None:
        point = [params[name] for name in self._parameters]
        if math.isnan(loss):
            self._diverged.append(point)
        else:
            self._optimizer.tell(point, loss)
        if self._optimizer.yi:
            for diverged in self._diverged:
                self._optimizer.tell(diverged, max(self._optimizer.yi))
            self._diverged = []


def _dimension(parameter: Parameter) -> Any:
    from skopt.space import Categorical, Integer, Real

    if isinstance(parameter, Choice):
        return Categorical(list(parameter.options))
    assert isinstance(parameter, Float | Int)
    if parameter.log:  # integers too: skopt's forests go wrong with log-uniform ones
        return Real(parameter.low, parameter.high, prior="log-uniform")
    return (Integer if isinstance(parameter, Int) else Real)(parameter.low, parameter.high)


def _value(parameter: Parameter, value: Any) -> Any:
    if isinstance(parameter, Choice):
        return str(value)
    assert isinstance(parameter, Float | Int)
    number = min(max(float(value), parameter.low), parameter.high)  # rounding of logarithms
    return round(number) if isinstance(parameter, Int) else number


def _held(make: Callable[[int], optuna.samplers.BaseSampler]) -> Callable[[Space, int], Method]:
    def method(space: Space, seed: int) -> Method:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = make(seed)
        return Optuna(space, lambda: sampler)

    return method


PEERS: dict[str, Callable[[Space, int], Method]] = {
    "random": _held(lambda seed: optuna.samplers.RandomSampler(seed)),
    "optuna.tpe": _held(lambda seed: optuna.samplers.TPESampler(seed=seed)),
    "optuna.gp": _held(lambda seed: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)),
    "optuna.cmaes": _held(lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)),
    "skopt.gp": lambda space, seed: Skopt(space, "GP", seed),
    "skopt.et": lambda space, seed: Skopt(space, "ET", seed),
}


def make(name: str, space: Space, seed: int) -> Method:
    """Returns a method by name. Raises SettingsError if it is no peer's and no strategy of leadline's."""
    if name in PEERS:
        return PEERS[name](space, seed)
    name, _, given = name.partition(":")
    options = dict(option.split("=") for option in given.split(",") if option)
    strategy = Strategy({"name": name, **{key: json.loads(value) for key, value in options.items()}}, space)
    return Optuna(space, lambda: strategy.sampler(seed))  # made anew for each trial, as a study does
