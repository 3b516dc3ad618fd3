"""The seam: lanes, and what every stack of them promises."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Dataset
from ..early_stopping import EarlyStopping
from ..losses import Loss
from ..metrics import Metric
from ..recipe import Recipe
from ..streams import Stream


@dataclass
class Lane:
    """One training: its trial, its recipe, its random streams, and how far it has come."""

    number: int
    params: Mapping[str, Any]
    recipe: Recipe
    stream: Stream
    stopping: EarlyStopping
    epoch: int = 0
    seconds: float = 0.0
    rungs: frozenset[int] = frozenset()  # epochs after which it awaits a decision
    parameters: int = 0  # weights of its network
    written: float = field(default_factory=time.monotonic)  # when its last checkpoint was, or it began
    reports: list[dict[str, Any]] = field(default_factory=list)  # epoch, value and metrics of each epoch so far
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether its epochs or its patience are used up."""
        return self.epoch >= self.recipe.epochs or self.stopping.exhausted


@dataclass(frozen=True)
class Epoch:
    """What one epoch of one lane came to.

    `diverged_at` is the step whose loss wasn't finite, from 1; `error` what the lane's network, loss or metric raised.
    """

    lane: Lane
    value: float = math.nan
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    diverged_at: int | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Bench:
    """Where lanes are trained: data on the device, the loss, the metric, the numbers' precision."""

    data: Dataset
    device: torch.device
    loss: Loss
    metric: Metric
    autocast: torch.dtype | None = None  # None trains in float32

    @contextmanager
    def seeded(self, key: int) -> Iterator[None]:
        """Draws torch's global random numbers from `key` inside, and leaves the generators as they were."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(key)
            yield

    def cast(self) -> torch.autocast:
        """Computes inside in the numbers' precision."""
        return torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None)

    def order(self, lane: Lane) -> Tensor:
        """Returns the training rows of the lane's epoch, in their order, int64 (n,) on the CPU: full batches only."""
        batch = self.batch(lane.recipe)
        generator = torch.Generator().manual_seed(lane.stream.key("order", lane.epoch))
        rows = torch.randperm(len(self.data.train), generator=generator)
        return rows[: len(rows) // batch * batch]

    def batch(self, recipe: Recipe) -> int:
        """Returns how many examples a step takes: the recipe's batch size, or all there are."""
        return min(recipe.batch_size, len(self.data.train))

    def steps(self, recipe: Recipe) -> int:
        """Returns how many steps an epoch has."""
        return len(self.data.train) // self.batch(recipe)


class Stack(ABC):
    """Lanes of one blueprint, batch size, optimizer and loss. An epoch trains each of them once through the data."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.lanes: list[Lane] = []

    @abstractmethod
    def add(self, lane: Lane, network: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Takes in a lane with its network, and with the `tensors` of its checkpoint where it goes on from one."""

    @abstractmethod
    def remove(self, lane: Lane) -> None:
        """Lets a lane go; the others close ranks."""

    @abstractmethod
    def train_epoch(self) -> list[Epoch]:
        """Trains every lane for one epoch and evaluates it; returns what came of it, in the order of trial numbers."""

    @abstractmethod
    def weights(self, lane: Lane) -> dict[str, Tensor]:
        """Returns a copy of the lane's parameters and buffers, by their names in the network."""

    @abstractmethod
    def tensors(self, lane: Lane) -> dict[str, Tensor]:
        """Returns all that a checkpoint of the lane needs: `model.*` and `optimizer.*`."""


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
