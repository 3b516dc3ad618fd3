"""Options of what is given by name, as strategies and pruners are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..errors import Problem, suggestion


def option_problems(
    name: str, options: Mapping[str, Any], known: Collection[str], least: Mapping[str, int]
) -> Iterator[Problem]:
    """Yields what is wrong with the options of `name`: one that isn't `known`, or no integer of its `least` or more."""
    for option, value in options.items():
        if option not in known:
            yield Problem(f"`{name}` has no option `{option}`. {suggestion(option, known)}", (option,))
        elif option in least and (isinstance(value, bool) or not isinstance(value, int) or value < least[option]):
            yield Problem(f"`{option}` must be an integer >= {least[option]}, but got {value!r}", (option,))
