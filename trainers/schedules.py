"""Schedules by name: how a lane's learning rate moves over its training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .recipe import Recipe

Share = NDArray[np.float64]

# Each takes the shares of the training that are over, in [0, 1), and returns the factors of the learning rate.
SCHEDULES: dict[str, Callable[[Share, Recipe], Share]] = {
    "constant": lambda over, recipe: np.ones_like(over),
    "cosine": lambda over, recipe: (1 + np.cos(math.pi * over)) / 2,
    "linear": lambda over, recipe: 1 - over,
    "onecycle": lambda over, recipe: _one_cycle(over),
    "step": lambda over, recipe: recipe.gamma ** np.floor(over * 3 + 1e-9),
}


def learning_rates(recipe: Recipe, epoch: int, steps: int) -> NDArray[np.float64]:
    """Returns the learning rates of the `steps` steps of an epoch, counted from 1: float64 (steps,).

    "constant" keeps `lr`; "cosine" (Loshchilov & Hutter, 2017, without restarts) and "linear" go to 0 with the last
    epoch; "onecycle" rises from lr / 25 to `lr` over the first 30 % of the training and falls to lr / 250,000, both
    along a cosine (Smith & Topin, 2018; the numbers are `torch.optim.lr_scheduler.OneCycleLR`'s); "step" multiplies by
    `gamma` after a third and after two thirds of the epochs. During the first `warmup` epochs the rate grows linearly
    to what the schedule says (Goyal et al., 2017).

    >>> from leadline.trainers.recipe import Recipe
    >>> [float(learning_rates(Recipe(epochs=3, lr=1.0, schedule="step"), epoch, steps=1)[0]) for epoch in (1, 2, 3)]
    [1.0, 0.1, 0.01]
    """
    done = (epoch - 1) * steps + np.arange(steps, dtype=np.float64)
    rates: NDArray[np.float64] = recipe.lr * SCHEDULES[recipe.schedule](done / (recipe.epochs * steps), recipe)
    if recipe.warmup > 0:
        rates = rates * np.minimum(1.0, (done + 1) / (recipe.warmup * steps))
    return rates


def _one_cycle(over: Share, rise: float = 0.3, start: float = 1 / 25, end: float = 1 / 25e4) -> Share:
    def between(first: float, last: float, share: Share) -> Share:
        return last + (first - last) * (1 + np.cos(math.pi * share)) / 2

    return np.where(over < rise, between(start, 1.0, over / rise), between(1.0, end, (over - rise) / (1 - rise)))
