"""The space: parameters by name, some of them active only under a condition."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import Problem, SpaceError, suggestion
from .parameters import Choice, Float, Parameter, Scalar, from_distribution, is_scalar, parse

if TYPE_CHECKING:
    import optuna


Given = Mapping[str, Parameter | Scalar]


class Space:
    """The parameters that may vary, by name; a plain value is fixed.

    >>> from leadline import Choice, Int, Space
    >>> space = Space(
    ...     depth=Int(1, 3),
    ...     optimizer=Choice(["sgd", "adam"]),
    ...     momentum=Choice([0.0, 0.9], when={"optimizer": "sgd"}),
    ... )
    >>> len(space)      # 3 depths x (sgd with 2 momenta + adam)
    9
    >>> space.contains({"depth": 2, "optimizer": "adam"})
    True

    Raises SpaceError, holding every problem, if a name is no identifier, a value is no parameter and no JSON scalar,
    or a condition names an unknown parameter, an impossible value, or itself.
    """

    def __init__(self, parameters: Given | None = None, /, **named: Parameter | Scalar) -> None:
        given = {**(parameters or {}), **named}
        problems = list(_problems(given))
        if problems:
            raise SpaceError(problems)
        ordered = _parents_first({name: p for name, p in given.items() if isinstance(p, Parameter)})
        self.parameters: dict[str, Parameter] = ordered
        self.fixed: dict[str, Scalar] = {name: v for name, v in given.items() if not isinstance(v, Parameter)}
        self._given_order = tuple(given)

    @classmethod
    def parse(cls, description: Mapping[str, Any]) -> Space:
        """Returns the space that a study file describes. Raises SpaceError holding every problem."""
        parameters: dict[str, Parameter | Scalar] = {}
        problems: list[Problem] = []
        broken: set[str] = set()
        for name, part in description.items():
            try:
                parameters[name] = parse(part)
            except SpaceError as error:
                problems += [problem.inside(name) for problem in error.problems]
                broken.add(name)
                parameters[name] = None
        problems += _problems(parameters, broken)
        if problems:
            raise SpaceError(problems)
        return cls(parameters)

    @classmethod
    def from_distributions(cls, distributions: Mapping[str, optuna.distributions.BaseDistribution]) -> Space:
        """Returns the space of these Optuna distributions, all of them active."""
        return cls({name: from_distribution(distribution) for name, distribution in distributions.items()})

    def to_distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Returns each varying parameter's Optuna distribution. (Optuna's distributions know no conditions.)"""
        return {name: parameter.to_distribution() for name, parameter in self.parameters.items()}

    def describe(self) -> dict[str, Any]:
        """Returns the form a study file has for this space; `Space.parse` reads it back."""
        return {
            name: self.parameters[name].describe() if name in self.parameters else self.fixed[name]
            for name in self._given_order
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, in the order given: varying parameters and fixed values."""
        return self._given_order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.describe() == other.describe()

    def __hash__(self) -> int:
        return hash(self._given_order)

    def __repr__(self) -> str:
        parts = (f"{name}={self.parameters.get(name, self.fixed.get(name))!r}" for name in self.names)
        return f"Space({', '.join(parts)})"

    def is_active(self, name: str, params: Mapping[str, Any]) -> bool:
        """Tells whether parameter `name` is active in the configuration `params`, which holds its parents."""
        return all(
            parent in params and any(params[parent] == value for value in values)
            for parent, values in self.parameters[name].conditions.items()
        )

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Returns the configuration that an Optuna trial suggests: fixed values and active parameters."""
        params: dict[str, Any] = dict(self.fixed)
        for name, parameter in self.parameters.items():
            if self.is_active(name, params):
                params[name] = parameter.suggest(trial, name)
        return params

    def problems(self, params: Mapping[str, Any], *, partial: bool = False) -> list[Problem]:
        """Returns what keeps `params` from being a configuration of this space; parts may be missing if `partial`."""
        found = [
            Problem(f"the space has no parameter `{name}`. {suggestion(str(name), self.names)}", (name,))
            for name in params
            if name not in self.names
        ]
        for name, fixed in self.fixed.items():
            if name in params and params[name] != fixed:
                found.append(Problem(f"`{name}` is fixed to {fixed!r}, but got {params[name]!r}", (name,)))
        known = {**self.fixed, **params}
        for name, parameter in self.parameters.items():
            undecided = partial and any(parent not in known for parent in parameter.when)
            active = self.is_active(name, known)
            if name in params and not parameter.contains(params[name]):
                found.append(Problem(f"`{name}` must be in {parameter.describe()}, but got {params[name]!r}", (name,)))
            elif name in params and not active and not undecided:
                found.append(Problem(f"`{name}` is active only when {_words(parameter.conditions)}", (name,)))
            elif name not in params and active and not partial:
                found.append(Problem(f"`{name}` is missing", (name,)))
        return found

    @property
    def guesses(self) -> dict[str, Scalar]:
        """The guess of each parameter that has a prior."""
        return {name: p.prior[0] for name, p in self.parameters.items() if p.prior is not None}

    def log_density(self, params: Mapping[str, Any]) -> float:
        """Returns the logarithm of the priors' density at a configuration, relative to the uniform one."""
        return math.fsum(p.log_density(params[name]) for name, p in self.parameters.items() if name in params)

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Tells whether `params` is a complete configuration of this space; fixed values may be left out."""
        return not self.problems(params)

    def require(self, configurations: Sequence[Mapping[str, Any]]) -> None:
        """Raises SpaceError, with every problem, if a configuration isn't in the space; parts may be missing."""
        problems = [
            problem.inside(index) if len(configurations) > 1 else problem
            for index, params in enumerate(configurations)
            for problem in self.problems(params, partial=True)
        ]
        if problems:
            raise SpaceError(problems)

    @functools.cached_property
    def size(self) -> int | None:
        """How many configurations there are; None if uncountably many."""
        parents = {parent for parameter in self.parameters.values() for parent in parameter.when}
        leaves = [name for name in self.parameters if name not in parents]
        if any(parameter.size is None for parameter in self.parameters.values()):
            return None
        branches = self._configurations({name: p.values() for name, p in self.parameters.items() if name in parents})
        return sum(
            math.prod(self.parameters[name].size or 0 for name in leaves if self.is_active(name, params))
            for params in branches
        )

    def __len__(self) -> int:
        """Returns how many configurations there are. Raises SpaceError if there are uncountably many."""
        size = self.size
        if size is None:
            endless = [name for name, parameter in self.parameters.items() if parameter.size is None]
            raise SpaceError(f"the space isn't finite: {', '.join(f'`{name}`' for name in endless)} is continuous")
        return size

    def __bool__(self) -> bool:
        return True

    def grid(
        self, points: int | Mapping[str, int] | None = None, given: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yields every configuration of the grid once, fixed values included; dead branches don't multiply.

        `points` is how many values a numeric parameter contributes: one number for all continuous ones, or one by name
        (which also thins integers). A parameter in `given` has that value only, where it is active. Raises SpaceError
        if a continuous parameter has no points.
        """
        by_name = points if isinstance(points, Mapping) else {}
        problems = [
            Problem(f"`points` names no parameter `{name}`. {suggestion(name, self.parameters)}", (name,))
            for name in by_name
            if name not in self.parameters
        ]
        values: dict[str, Sequence[Any]] = {}
        for name, parameter in self.parameters.items():
            if given and name in given:
                values[name] = [given[name]]
                continue
            every = points if isinstance(points, int) and parameter.size is None else None
            try:
                values[name] = parameter.values(by_name.get(name, every))
            except SpaceError as error:
                problems += [problem.inside(name) for problem in error.problems]
        if problems:
            raise SpaceError(problems)
        return self._configurations(values)

    def _configurations(self, values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
        names = list(values)

        def extend(params: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
            if depth == len(names):
                yield params
            elif not self.is_active(names[depth], params):
                yield from extend(params, depth + 1)
            else:
                for value in values[names[depth]]:
                    yield from extend({**params, names[depth]: value}, depth + 1)

        return extend(dict(self.fixed), 0)


def _problems(given: Given, broken: Collection[str] = ()) -> Iterator[Problem]:
    for name, value in given.items():
        if not isinstance(name, str) or not name.isidentifier():
            yield Problem(f"a parameter's name must be a Python identifier, but got {name!r}", (name,))
        if not isinstance(value, Parameter):
            if not is_scalar(value):
                yield Problem(f"a value must be Float, Int, Choice or a JSON scalar, but got {value!r}", (name,))
            continue
        for parent, wanted in value.conditions.items():
            where = (name, "when")
            if parent in broken:  # told already
                continue
            if parent not in given:
                hint = suggestion(parent, set(given) - {name})
                yield Problem(f"the space has no parameter `{parent}`. {hint}", where)
                continue
            holder = given[parent]
            if isinstance(holder, Float):
                yield Problem(f"a condition needs a parent with countable values, but `{parent}` is a Float", where)
                continue
            possible = holder if isinstance(holder, Parameter) else Choice([holder])
            for item in wanted:
                if not possible.contains(item):
                    yield Problem(f"`{parent}` never is {item!r}; it is {possible.describe()}", where)
    yield from _circle(given)


def _circle(given: Given) -> Iterator[Problem]:
    parents = {name: [q for q in p.when if q in given] for name, p in given.items() if isinstance(p, Parameter)}
    settled = {name for name in given if name not in parents}
    while ready := [name for name in parents if name not in settled and settled.issuperset(parents[name])]:
        settled.update(ready)
    stuck = [name for name in parents if name not in settled]
    if stuck:
        around = ", ".join(f"`{name}`" for name in stuck)
        yield Problem(f"conditions go round in a circle: {around}", (stuck[0], "when"))


def _parents_first(parameters: dict[str, Parameter]) -> dict[str, Parameter]:
    ordered: dict[str, Parameter] = {}

    def place(name: str) -> None:
        for parent in parameters[name].when:
            if parent in parameters and parent not in ordered:
                place(parent)
        ordered[name] = parameters[name]

    for name in parameters:
        if name not in ordered:
            place(name)
    return ordered


def _words(when: Mapping[str, tuple[Scalar, ...]]) -> str:
    return " and ".join(f"`{name}` is {' or '.join(map(repr, values))}" for name, values in when.items())
