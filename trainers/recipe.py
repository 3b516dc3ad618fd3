"""The recipe: every number of a training, apart from the network's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import Problem, SettingsError, suggestion
from .optimizers import OPTIMIZERS


@dataclass(frozen=True)
class Recipe:
    """How one lane is trained. Every field may be searched.

    lr > 0; weight_decay, l1 >= 0; momentum, label_smoothing in [0, 1); epochs, batch_size, patience >= 1. Momentum is
    used by `sgd` alone; patience None never stops early. Raises SettingsError holding every problem.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    l1: float = 0.0
    label_smoothing: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        problems = self._problems()
        if problems:
            raise SettingsError(problems)

    def _problems(self) -> list[Problem]:
        found = []
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                found.append(Problem(f"`{name}` must be an integer >= 1, but got {value!r}", (name,)))
        for name, least, below in (
            ("lr", 0.0, None),
            ("weight_decay", 0.0, None),
            ("l1", 0.0, None),
            ("momentum", 0.0, 1.0),
            ("label_smoothing", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
                found.append(Problem(f"`{name}` must be a finite number >= {least:g}, but got {value!r}", (name,)))
            elif below is not None and value >= below:
                found.append(Problem(f"`{name} < {below:g}` must hold, but got {value!r}", (name,)))
        if self.lr == 0:
            found.append(Problem("`lr > 0` must hold, but got 0: nothing would be learned", ("lr",)))
        if not isinstance(self.optimizer, str) or self.optimizer not in OPTIMIZERS:
            hint = suggestion(str(self.optimizer), OPTIMIZERS)
            found.append(Problem(f"no optimizer is called {self.optimizer!r}. {hint}", ("optimizer",)))
        return found


RECIPE = {field.name: field.default for field in fields(Recipe)}


def recipe_of(settings: Mapping[str, Any], params: Mapping[str, Any]) -> Recipe:
    """Returns the recipe of a trial: the trainer's settings, overruled by the configuration where it names them."""
    return Recipe(**{**settings, **{name: value for name, value in params.items() if name in RECIPE}})
