"""The recipe: every number of a training, apart from the network's own."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import Problem, SettingsError, suggestion
from .networks.initialisation import INITIALISATIONS
from .optimizers import OPTIMIZERS
from .schedules import SCHEDULES

KINDS: dict[str, Collection[str]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "class_weights": ("equal", "balanced"),
    "init": INITIALISATIONS,
}


ALTERATIONS = ("flip", "shift", "cutout", "mixup", "class_weights")


@dataclass(frozen=True)
class Recipe:
    """How one lane is trained. Every field may be searched.

    lr, clip_norm > 0; weight_decay, l1, gamma >= 0; momentum, beta1, beta2, label_smoothing in [0, 1); epochs,
    batch_size, patience >= 1. `momentum` is used by `sgd` alone, the betas by `adam` and `adamw`. Weight decay is
    decoupled in `adamw`, and L2 in the loss in all others. `schedule` moves the learning rate ("constant", "cosine",
    "linear", "onecycle", or "step", which uses `gamma`) after `warmup` >= 0 epochs of growth. `clip_norm` is the
    greatest norm of all gradients together (None: any), patience None never stops early.

    `flip` in [0, 1] (a probability), `shift`, `cutout` (pixels) and `mixup` (0: none) augment the training examples
    (`leadline.trainers.augmentation`). `class_weights` "balanced" weighs each class by the inverse of its share of the
    training rows, "equal" doesn't. `auxiliary` >= 0 is the weight of auxiliary heads' losses,
    where a network has heads. `init` is how weights
    begin: "default" (as the network's modules have it), or one of `leadline.trainers.networks.initialisation`. Raises
    SettingsError holding every problem.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    l1: float = 0.0
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    schedule: str = "constant"
    gamma: float = 0.1
    warmup: float = 0.0
    patience: int | None = None
    init: str = "default"
    flip: float = 0.0
    shift: int = 0
    cutout: int = 0
    mixup: float = 0.0
    class_weights: str = "equal"
    auxiliary: float = 0.3

    def __post_init__(self) -> None:
        problems = self._problems()
        if problems:
            raise SettingsError(problems)

    def _problems(self) -> list[Problem]:
        found = []
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 1), ("shift", 0), ("cutout", 0)):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                found.append(Problem(f"`{name}` must be an integer >= {least}, but got {value!r}", (name,)))
        for name, below in (
            ("lr", None),
            ("weight_decay", None),
            ("momentum", 1.0),
            ("beta1", 1.0),
            ("beta2", 1.0),
            ("l1", None),
            ("label_smoothing", 1.0),
            ("clip_norm", None),
            ("gamma", None),
            ("warmup", None),
            ("flip", None),
            ("mixup", None),
            ("auxiliary", None),
        ):
            value = getattr(self, name)
            if name == "clip_norm" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                found.append(Problem(f"`{name}` must be a finite number >= 0, but got {value!r}", (name,)))
            elif below is not None and value >= below:
                found.append(Problem(f"`{name} < {below:g}` must hold, but got {value!r}", (name,)))
            elif value == 0 and name in ("lr", "clip_norm"):
                found.append(Problem(f"`{name} > 0` must hold, but got 0: nothing would be learned", (name,)))
            elif name == "flip" and value > 1:
                found.append(Problem(f"`flip` is a probability: `flip <= 1` must hold, but got {value!r}", (name,)))
        for name, known in KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                hint = suggestion(str(value), known)
                found.append(Problem(f"no {name} is called {value!r}. {hint}", (name,)))
        return found

    @property
    def alterations(self) -> tuple[str, ...]:
        """What is done to examples and classes, by the settings' names: lanes share a stack if they share these."""
        return tuple(name for name in ALTERATIONS if getattr(self, name) not in (0, "equal"))


RECIPE = {field.name: field.default for field in fields(Recipe)}


def recipe_of(settings: Mapping[str, Any], params: Mapping[str, Any]) -> Recipe:
    """Returns the recipe of a trial: the trainer's settings, overruled by the configuration where it names them."""
    return Recipe(**{**settings, **{name: value for name, value in params.items() if name in RECIPE}})
