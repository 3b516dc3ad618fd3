"""Studies to be reported: made in a moment, by telling trials what they came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import leadline as ll

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def told(folder: Path) -> Callable[..., ll.Study]:
    """Makes a study of these configurations, each told a value, a tuple of values, or None: it failed."""

    def make(space: ll.Space, ended: Iterable[tuple[Mapping[str, Any], Any]], **options: Any) -> ll.Study:
        chosen = {"strategy": "random", "storage": folder, "executor": "inline", "mlflow": None, **options}
        with ll.Study(chosen.pop("name", "told"), space, **chosen) as study:
            for params, value in ended:
                study.enqueue(params)
                study.tell(study.ask(), value)
        return ll.load_study(study.name, folder)

    return make


@pytest.fixture
def hilly(told: Callable[..., ll.Study]) -> ll.Study:
    """A study of 30 trials in which `x` matters most, `kind` a little, `idle` not at all, and `only` is conditional."""
    space = ll.Space(
        x=ll.Float(1e-3, 10.0, log=True),
        kind=ll.Choice(["plain", HOSTILE, "a|b *c* _d_ `e`"]),
        idle=ll.Int(0, 9),
        only=ll.Float(0, 1, when={"kind": "plain"}),
    )
    kinds = space.parameters["kind"].values()
    ended = []
    for number in range(30):
        kind = kinds[number % 3]
        params = {"x": 10.0 ** (-3 + 4 * (number * 7 % 30) / 30), "kind": kind, "idle": (number * 3) % 10}
        params |= {"only": (number % 5) / 5} if kind == "plain" else {}
        value = -((number * 7 % 30 / 30 - 0.6) ** 2) + (0.01 if kind == "plain" else 0.0)
        ended.append((params, value))
    return told(space, ended, name="hilly")
