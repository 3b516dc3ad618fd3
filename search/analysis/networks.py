"""Which networks of a space are looked at: its smallest, its largest, one between, and one for each named choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...spaces import Choice, Space
from ...spaces.parameters import Parameter
from ...trainers.networks import takes
from ...trainers.recipe import RECIPE

if TYPE_CHECKING:
    from ...trainers.trainer import Trainer

MOST = 8  # networks that are looked at


@dataclass(frozen=True)
class Candidate:
    """A configuration of the space, and what to call its network."""

    name: str
    params: dict[str, Any]


def candidates(space: Space, trainer: Trainer) -> list[Candidate]:
    """Returns configurations whose networks differ, the middle one first, then the smallest, then the largest.

    After them come the middle one's variants: one for each other option of what isn't a number ("tanh", "relu"). All
    else than the network's own arguments is in the middle of its range.
    """
    named, anything = takes(trainer.builder)

    def with_ends(end: int) -> dict[str, Any]:
        def pick(name: str, parameter: Parameter) -> Any:
            own = name in named or (anything and name not in RECIPE)
            return ordered(parameter)[end] if own and is_ordered(parameter) else middle(parameter)

        return configuration(space, pick)

    center = between(space)
    small, large = sorted((with_ends(0), with_ends(-1)), key=trainer.weight)
    found = [Candidate("middle", center), Candidate("smallest", small), Candidate("largest", large)]
    for name, parameter in space.parameters.items():
        if (name in named or (anything and name not in RECIPE)) and not is_ordered(parameter):
            for option in parameter.values()[1:]:
                found.append(Candidate(f"{name}={option}", between(space, {name: option})))
    seen: list[dict[str, Any]] = []
    different = []
    for candidate in found:
        own = {n: v for n, v in candidate.params.items() if n in named or (anything and n not in RECIPE)}
        if own not in seen:
            seen.append(own)
            different.append(candidate)
    return different[:MOST]


def configuration(space: Space, pick: Callable[[str, Parameter], Any]) -> dict[str, Any]:
    """Returns the configuration in which each active parameter has the value that `pick(name, parameter)` returns."""
    params: dict[str, Any] = dict(space.fixed)
    for name, parameter in space.parameters.items():
        if space.is_active(name, params):
            params[name] = pick(name, parameter)
    return params


def between(space: Space, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the configuration in the middle of the space, but for the values that are given."""
    chosen = given or {}
    return configuration(space, lambda name, parameter: chosen[name] if name in chosen else middle(parameter))


def middle(parameter: Parameter) -> Any:
    """Returns the value in the middle of a parameter's range; of options that aren't numbers the first.

    >>> from leadline import Choice, Float
    >>> middle(Float(1e-4, 1e-2, log=True)), middle(Choice(["sgd", "adam"]))
    (0.001, 'sgd')
    """
    values = ordered(parameter)
    return values[(len(values) - 1) // 2] if is_ordered(parameter) else values[0]


def ordered(parameter: Parameter) -> Sequence[Any]:
    """Returns the least value of a parameter, ones between, and the greatest; of options that aren't numbers all."""
    values = parameter.values(points=3)
    return sorted(values) if is_ordered(parameter) else values


def is_ordered(parameter: Parameter) -> bool:
    """Tells whether a parameter's values are numbers (or booleans)."""
    return not isinstance(parameter, Choice) or all(isinstance(option, int | float) for option in parameter.options)
