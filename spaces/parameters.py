"""The three kinds of parameter, each with its Optuna distribution and its form in a study file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from ..errors import SpaceError, suggestion
from . import priors

if TYPE_CHECKING:
    import optuna

Scalar = str | int | float | bool | None
MOST = 2**53  # up to which floats are whole numbers apart: Optuna keeps all values as floats
Condition = Mapping[str, Scalar | Sequence[Scalar]]
Prior = tuple[Scalar, float]  # a guess and the confidence in it


@dataclass(frozen=True)
class Parameter:
    """What may vary under one name. Abstract: use `Float`, `Int` or `Choice`.

    `when` names other parameters and the value, or list of values, they must have for this one to be active; it is
    kept as name of the parent -> tuple of the parent's values.

    `prior` is a value that is thought to be good and the confidence in it, in (0, 1): that share of the proposals made
    from it is near the guess, the others are anywhere (formula: `leadline.spaces.priors`). How a strategy uses it, and
    how it wears off: `leadline.search.strategies.prior`.
    """

    when: Condition = field(default_factory=dict, kw_only=True)
    prior: Prior | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        prior: object = self.prior
        if isinstance(prior, list):
            object.__setattr__(self, "prior", tuple(prior))
        values = {name: v if isinstance(v, list | tuple) else (v,) for name, v in (self.when or {}).items()}
        object.__setattr__(self, "when", {name: tuple(v) for name, v in values.items()})
        problems = self._problems()
        problems += self._prior_problems(sound=not problems)
        if problems:
            raise SpaceError(problems)

    @property
    def conditions(self) -> dict[str, tuple[Scalar, ...]]:
        """`when`, as name of the parent -> the parent's values under which this parameter is active."""
        return cast("dict[str, tuple[Scalar, ...]]", self.when)

    @property
    def size(self) -> int | None:
        """How many values there are; None if uncountably many."""
        raise NotImplementedError

    def values(self, points: int | None = None) -> Sequence[Any]:
        """Returns every value, or about `points` values spread evenly (on a log scale where `log`), both ends included.

        Raises SpaceError if there are uncountably many and no `points` are given.
        """
        raise NotImplementedError

    def contains(self, value: object) -> bool:
        """Tells whether `value` is one this parameter can take."""
        raise NotImplementedError

    def log_density(self, value: Any) -> float:
        """Returns the logarithm of the prior's density at a value, relative to the uniform one; 0 without a prior.

        >>> from leadline import Float
        >>> round(Float(1e-4, 1e-1, log=True, prior=(1e-3, 0.7)).log_density(1e-3), 2)
        1.13
        """
        if self.prior is None or self.size == 1:
            return 0.0
        guess, confidence = self.prior
        return math.log(priors.density(*self._cell(value), self._middle(guess), confidence))

    def draw(self, u: float) -> Any:
        """Returns the value that the uniform number `u` in [0, 1) draws from the prior, or uniformly without one."""
        if self.prior is None or self.size == 1:
            return self._value(u)
        guess, confidence = self.prior
        return self._value(priors.place(u, self._middle(guess), confidence))

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Returns the value that an Optuna trial suggests for this parameter under `name`."""
        raise NotImplementedError

    def to_distribution(self) -> optuna.distributions.BaseDistribution:
        """Returns the Optuna distribution with the same values. (Optuna's distributions know no conditions.)"""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Returns the form a study file has for this parameter; `parse` reads it back."""
        raise NotImplementedError

    def _problems(self) -> list[str]:
        raise NotImplementedError

    def _prior_problems(self, *, sound: bool) -> list[str]:
        """Returns what is wrong with the prior; whether it is in range only if the parameter itself is `sound`."""
        prior: object = self.prior
        if prior is None:
            return []
        if not isinstance(prior, tuple) or len(prior) != 2:
            return [f"`prior` is a guess and a confidence, as (guess, confidence), but got {prior!r}"]
        guess, confidence = prior
        problems = []
        if not _is_number(confidence) or not 0 < confidence < 1:
            problems.append(f"`0 < confidence < 1` must hold in `prior`, but got confidence={confidence!r}")
        if sound and not self.contains(guess):
            problems.append(f"the guess of `prior` must be a value of the parameter, but got guess={guess!r}")
        return problems

    def _cell(self, value: Any) -> tuple[float, float]:
        """Returns the part of [0, 1] from which a value is drawn; both ends are its place if it is continuous."""
        raise NotImplementedError

    def _middle(self, value: Any) -> float:
        low, high = self._cell(value)
        return (low + high) / 2

    def _value(self, place: float) -> Any:
        """Returns the value in whose cell a place in [0, 1] is."""
        raise NotImplementedError


@dataclass(frozen=True)
class Float(Parameter):
    """A real number in [low, high], uniform, or log-uniform if `log`, or on the lattice low, low + step, ...

    >>> from leadline import Float
    >>> Float(1e-4, 1e-1, log=True).values(points=4)
    [0.0001, 0.001, 0.01, 0.1]

    Raises SpaceError unless low <= high, both finite, low > 0 where `log`, and `step` divides high - low.
    """

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    @property
    def size(self) -> int | None:
        if self.low == self.high:
            return 1
        return None if self.step is None else _steps(self.low, self.high, self.step) + 1

    def values(self, points: int | None = None) -> list[float]:
        if self.step is not None or self.low == self.high:
            count = self.size or 1
            chosen = range(count) if points is None else _spread(count, points)
            return [self._at(index) for index in chosen]
        if points is None:
            raise SpaceError(
                "a continuous parameter has a grid only with `points`; say how many, or give the parameter a `step`"
            )
        return _between(self.low, self.high, points, self.log)

    def contains(self, value: object) -> bool:
        if not _is_number(value) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        index = round((value - self.low) / self.step)
        return math.isclose(value, self._at(index), rel_tol=1e-12, abs_tol=1e-8 * self.step)

    def _cell(self, value: float) -> tuple[float, float]:
        if self.step is None:
            return (_unit(value, self.low, self.high, self.log),) * 2
        count = self.size or 1
        index = round((value - self.low) / self.step)
        return index / count, (index + 1) / count

    def _value(self, place: float) -> float:
        if self.step is not None:
            count = self.size or 1
            return self._at(min(int(place * count), count - 1))
        return min(max(_from_unit(place, self.low, self.high, self.log), self.low), self.high)

    def _at(self, index: int) -> float:
        return float(_decimal(self.low) + _decimal(self.step or 0.0) * index)

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def to_distribution(self) -> optuna.distributions.FloatDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def describe(self) -> dict[str, Any]:
        return _description("float", [self.low, self.high], self.log, self.step, parameter=self)

    def _problems(self) -> list[str]:
        problems = _bounds_problems(self.low, self.high, self.log)
        if problems or self.step is None:
            return problems
        if self.log:
            return ["`log` and `step` can't go together; drop one of them"]
        if not _is_number(self.step) or self.step <= 0:
            return [f"`step > 0` must hold, but got step={self.step!r}"]
        if (self.high - self.low) / self.step > MOST:
            return [f"`step` is so small that there are more than 2**53 values, with step={self.step!r}; leave it out"]
        return _step_problems(self.low, self.high, self.step)


@dataclass(frozen=True)
class Int(Parameter):
    """An integer in [low, high], both included, uniform, or log-uniform if `log`, or every `step`-th from low.

    >>> from leadline import Int
    >>> [*Int(1, 5).values()]
    [1, 2, 3, 4, 5]

    Raises SpaceError unless low <= high, low >= 1 where `log`, and `step` divides high - low.
    """

    low: int
    high: int
    log: bool = field(default=False, kw_only=True)
    step: int = field(default=1, kw_only=True)

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1

    def values(self, points: int | None = None) -> Sequence[int]:
        if points is None or points >= self.size:
            return range(self.low, self.high + 1, self.step)
        if self.log:
            return sorted({round(value) for value in _between(self.low, self.high, points, log=True)})
        return [self.low + index * self.step for index in _spread(self.size, points)]

    def contains(self, value: object) -> bool:
        if not _is_number(value) or value != int(value):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def to_distribution(self) -> optuna.distributions.IntDistribution:
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def describe(self) -> dict[str, Any]:
        step = self.step if self.step != 1 else None
        return _description("int", [self.low, self.high], self.log, step, parameter=self)

    def _cell(self, value: int) -> tuple[float, float]:
        edges = (value - self.step / 2, value + self.step / 2)
        low, high = (_unit(edge, *self._edges, self.log) for edge in edges)
        return low, high

    def _value(self, place: float) -> int:
        index = round((_from_unit(place, *self._edges, self.log) - self.low) / self.step)
        return self.low + min(max(index, 0), self.size - 1) * self.step

    @property
    def _edges(self) -> tuple[float, float]:
        return self.low - self.step / 2, self.high + self.step / 2

    def _problems(self) -> list[str]:
        for name, value in (("low", self.low), ("high", self.high), ("step", self.step)):
            if isinstance(value, bool) or not isinstance(value, int):
                return [f"`{name}` must be an integer, but got {value!r}; use `Float` for real numbers"]
            if abs(value) > MOST:
                return [f"`{name}` must be an integer of at most 2**53, but got one of {len(str(value))} digits"]
        problems = _bounds_problems(self.low, self.high, self.log)
        if problems:
            return problems
        if self.step < 1:
            return [f"`step >= 1` must hold, but got step={self.step}"]
        if self.log and self.step != 1:
            return ["`log` and `step` can't go together; drop one of them"]
        return _step_problems(self.low, self.high, self.step)


@dataclass(frozen=True)
class Choice(Parameter):
    """One of the given options, each a JSON scalar: a string, a number, true, false or null.

    >>> from leadline import Choice
    >>> len(Choice(["sgd", "adam"]).values())
    2

    Raises SpaceError if there is no option, one isn't a JSON scalar, or two are equal (as 1 and true are).
    """

    options: Sequence[Scalar]

    def __post_init__(self) -> None:
        if isinstance(self.options, list):
            object.__setattr__(self, "options", tuple(self.options))
        super().__post_init__()

    @property
    def size(self) -> int:
        return len(self.options)

    def values(self, points: int | None = None) -> list[Scalar]:
        return list(self.options)

    def contains(self, value: object) -> bool:
        return any(_same(option, value) for option in self.options)

    def suggest(self, trial: optuna.Trial, name: str) -> Scalar:
        return trial.suggest_categorical(name, list(self.options))

    def to_distribution(self) -> optuna.distributions.CategoricalDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(list(self.options))

    def describe(self) -> dict[str, Any]:
        return _description("choice", list(self.options), parameter=self)

    def log_density(self, value: Scalar) -> float:
        if self.prior is None:
            return 0.0
        guess, confidence = self.prior
        return math.log(1 - confidence + confidence * self.size * _same(guess, value))

    def draw(self, u: float) -> Scalar:
        guess, confidence = self.prior or (None, 0.0)
        if u < confidence:
            return guess
        return self.options[min(int((u - confidence) / (1 - confidence) * self.size), self.size - 1)]

    def _problems(self) -> list[str]:
        if not isinstance(self.options, tuple):
            return [f"the options must be a list, but got {self.options!r}; write [{self.options!r}]"]
        if not self.options:
            return ["a choice needs at least one option, but got none"]
        problems = [
            f"an option must be a string, a finite number, true, false or null, but got {option!r}"
            for option in self.options
            if not is_scalar(option)
        ]
        if problems:
            return problems
        twice = [repr(b) for i, b in enumerate(self.options) if any(a == b for a in self.options[:i])]
        return [f"options must differ, but {', '.join(twice)} equals an option before it"] if twice else []


KINDS: dict[str, type[Parameter]] = {"float": Float, "int": Int, "choice": Choice}


def parse(description: object) -> Parameter | Scalar:
    """Returns the parameter, or the fixed value, that a study file describes.

    >>> from leadline.spaces.parameters import parse
    >>> parse({"float": [1e-4, 1e-1], "log": True})
    Float(when={}, prior=None, low=0.0001, high=0.1, log=True, step=None)

    Raises SpaceError if the description breaks a rule.
    """
    if is_scalar(description):
        return description
    if isinstance(description, list):
        raise SpaceError(f"a list is no parameter, but got {description!r}; write {{choice: {description!r}}}")
    if not isinstance(description, Mapping):
        raise SpaceError(f"a parameter is a value or has one of `float`, `int`, `choice`, but got {description!r}")
    given = [kind for kind in KINDS if kind in description]
    if len(given) != 1:
        keys = [str(key) for key in description if key not in ("log", "step", "when", "prior")]
        hint = suggestion(keys[0], KINDS) if len(keys) == 1 else "Keep one of them." if given else ""
        got = ", ".join(f"`{key}`" for key in keys) or "none"
        raise SpaceError(f"a parameter has exactly one of `float`, `int`, `choice`, but got {got}. {hint}".rstrip())
    kind, extra = given[0], {key: value for key, value in description.items() if key != given[0]}
    allowed = ("when", "prior") if kind == "choice" else ("log", "step", "when", "prior")
    unknown = [str(key) for key in extra if key not in allowed]
    if unknown:
        raise SpaceError(f"`{key}` is no option of a `{kind}`. {suggestion(key, allowed)}" for key in unknown)
    if "log" in extra and not isinstance(extra["log"], bool):
        raise SpaceError(f"`log` must be true or false, but got {extra['log']!r}")
    if "when" in extra and not isinstance(extra["when"], Mapping):
        raise SpaceError(f"`when` must name parameters and their values, as {{optimizer: sgd}}, got {extra['when']!r}")
    if extra.get("step", 0) is None:
        del extra["step"]
    if "prior" in extra:
        extra["prior"] = _parsed_prior(extra["prior"])
    bounds = description[kind]
    if kind == "choice":
        return Choice(bounds, **extra)
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise SpaceError(f"`{kind}` takes two bounds, as {{{kind}: [low, high]}}, but got {bounds!r}")
    return KINDS[kind](*bounds, **extra)


def _parsed_prior(given: object) -> Prior | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != {"guess", "confidence"}:
        raise SpaceError(f"`prior` has a guess and a confidence, as {{guess: 0.001, confidence: 0.7}}, got {given!r}")
    return given["guess"], given["confidence"]


def from_distribution(distribution: optuna.distributions.BaseDistribution) -> Parameter:
    """Returns the parameter with the values of an Optuna distribution. Raises SpaceError if there is none."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match distribution:
        case FloatDistribution():
            return Float(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
        case IntDistribution():
            return Int(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
        case CategoricalDistribution():
            return Choice(distribution.choices)
    raise SpaceError(f"no parameter has the values of {distribution!r}")


def is_scalar(value: object) -> TypeGuard[Scalar]:
    """Tells whether `value` is a JSON scalar: a string, a finite number, a bool or None."""
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _same(a: object, b: object) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _description(
    kind: str, values: list[Any], log: bool = False, step: float | None = None, *, parameter: Parameter
) -> dict[str, Any]:
    parts: dict[str, Any] = {kind: values}
    if log:
        parts["log"] = True
    if step is not None:
        parts["step"] = step
    if when := parameter.conditions:
        parts["when"] = {name: list(v) if len(v) != 1 else v[0] for name, v in when.items()}
    if parameter.prior is not None:
        parts["prior"] = dict(zip(("guess", "confidence"), parameter.prior, strict=True))
    return parts


def _bounds_problems(low: object, high: object, log: bool) -> list[str]:
    if not _is_number(low) or not _is_number(high):
        name, value = ("high", high) if _is_number(low) else ("low", low)
        return [f"`{name}` must be a finite number, but got {value!r}"]
    if low > high:
        return [f"`low <= high` must hold, but got low={low}, high={high}. Did you swap them?"]
    if log and low <= 0:
        return [f"`low > 0` must hold where `log` is true, but got low={low}"]
    return []


def _unit(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _from_unit(place: float, low: float, high: float, log: bool) -> float:
    return math.exp(_from_unit(place, math.log(low), math.log(high), False)) if log else low + place * (high - low)


def _decimal(number: float) -> Decimal:
    return Decimal(repr(float(number)))  # numpy's floats have a repr of their own


def _steps(low: float, high: float, step: float) -> int:
    return int((_decimal(high) - _decimal(low)) // _decimal(step))


def _step_problems(low: float, high: float, step: float) -> list[str]:
    whole = float(_decimal(low) + _decimal(step) * _steps(low, high, step))
    if whole == high:
        return []
    end = int(whole) if isinstance(step, int) and isinstance(low, int) else whole
    return [f"`step` must divide `high - low`, but got low={low}, high={high}, step={step}. Did you mean high={end}?"]


def _between(low: float, high: float, points: int, log: bool) -> list[float]:
    if points < 1:
        raise SpaceError(f"`points >= 1` must hold, but got points={points}")
    if points == 1:
        return [math.sqrt(low * high) if log else (low + high) / 2]
    a, b = (math.log10(low), math.log10(high)) if log else (low, high)
    inner = [a + (b - a) * index / (points - 1) for index in range(1, points - 1)]
    rounded = {float(f"{10**x if log else x:.12g}") for x in inner}
    return sorted({low, *(x for x in rounded if low < x < high), high})


def _spread(count: int, points: int) -> list[int]:
    return sorted({round(position) for position in _between(0, count - 1, min(points, count), log=False)})
