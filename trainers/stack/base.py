"""The seam: lanes, and what every stack of them promises."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Dataset, Streamed
from ..losses import Loss
from ..metrics import Metric
from ..recipe import Recipe
from ..streams import Stream


@dataclass(eq=False)
class Lane:
    """One training: its trial, its recipe, its random streams (and with them its fold), and how far it has come."""

    number: int
    params: Mapping[str, Any]
    recipe: Recipe
    stream: Stream
    epoch: int = 0
    seconds: float = 0.0

    @property
    def rank(self) -> tuple[int, int]:
        """Its place among lanes: by the trial's number, then by fold."""
        return self.number, self.stream.fold


@dataclass(frozen=True)
class Epoch:
    """What one epoch of one lane came to.

    `diverged_at` is the step whose loss wasn't finite, from 1; `error` what the lane's network, loss or metric raised;
    `outputs` (N, ...), float32, are those of the validation rows, by which it was judged.
    """

    lane: Lane
    value: float = math.nan
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    diverged_at: int | None = None
    error: Exception | None = None
    outputs: Tensor | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Bench:
    """Where lanes are trained: data on the device, the loss, the metric, the numbers' precision.

    `folds` are the data of each fold, prepared by what its own training rows say; replicates share one.
    """

    folds: tuple[Dataset, ...]
    device: torch.device
    loss: Loss
    metric: Metric
    autocast: torch.dtype | None = None  # None trains in float32
    further: tuple[Metric, ...] = ()  # what else lanes are judged by, on the validation rows
    graphs: bool = True  # whether steps are captured as CUDA graphs

    @property
    def data(self) -> Dataset:
        """The data of the first fold, the only one where there are no folds."""
        return self.folds[0]

    def data_of(self, lane: Lane) -> Dataset:
        """Returns what the lane trains on and is judged by."""
        return self.folds[lane.stream.fold % len(self.folds)]

    @contextmanager
    def seeded(self, key: int) -> Iterator[None]:
        """Draws torch's global random numbers from `key` inside, and leaves the generators as they were."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(key)
            yield

    def score(self, lane: Lane, outputs: Tensor, targets: Tensor) -> float:
        """Returns the metric of outputs (N, ...) for targets (N, ...), both as the lane's network has them."""
        data = self.data_of(lane)
        return self.metric(data.in_units(outputs), data.in_units(targets))

    def others(self, lane: Lane, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Returns the further metrics of the validation rows, by the names they are reported under."""
        data = self.data_of(lane)
        told, true = data.in_units(outputs), data.in_units(targets)
        return {f"valid/{metric.name}": metric(told, true) for metric in self.further}

    def loss_options(self, lane: Lane) -> dict[str, Any]:
        """Returns the loss's own arguments for a lane, by name; nothing that changes nothing."""
        options: dict[str, Any] = {}
        if lane.recipe.label_smoothing:
            options["label_smoothing"] = lane.recipe.label_smoothing
        if lane.recipe.class_weights == "balanced":
            options["weight"] = self.data_of(lane).balance
        return options

    def cast(self) -> torch.autocast:
        """Computes inside in the numbers' precision."""
        return torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None)

    def order(self, lane: Lane) -> Tensor:
        """Returns the training rows of the lane's epoch, in their order, int64 (S * B,) on the CPU."""
        generator = torch.Generator().manual_seed(lane.stream.key("order", lane.epoch))
        rows = torch.randperm(len(self.data_of(lane).train), generator=generator)
        return rows[: self.steps(lane.recipe) * self.batch(lane.recipe)]

    def batch(self, recipe: Recipe) -> int:
        """Returns how many examples a step takes: the recipe's batch size, or all there are."""
        return min(recipe.batch_size, self._smallest)

    def steps(self, recipe: Recipe) -> int:
        """Returns how many steps an epoch has: full batches only, as many as the smallest fold gives."""
        return self._smallest // self.batch(recipe)

    @cached_property
    def _smallest(self) -> int:
        return min(len(data.train) for data in self.folds)


class Stack(ABC):
    """Lanes of one blueprint, batch size, optimizer and loss. An epoch trains each of them once through the data."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.lanes: list[Lane] = []

    @abstractmethod
    def another(self) -> Stack:
        """Returns a stack for lanes of the same blueprint, without any."""

    @abstractmethod
    def add(self, lane: Lane, network: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Takes in a lane with its network, and with the `tensors` of its checkpoint where it goes on from one."""

    @abstractmethod
    def remove(self, lane: Lane) -> None:
        """Lets a lane go; the others close ranks."""

    @abstractmethod
    def train_epoch(self) -> list[Epoch]:
        """Trains every lane for one epoch and evaluates it; returns what came of it, in the order of trial numbers.

        Raises torch.OutOfMemoryError, all lanes being as they were before, where fewer of them might fit.
        """

    @abstractmethod
    def predict(self, lane: Lane, inputs: Tensor | Streamed) -> Tensor:
        """Returns the outputs (N, ...) of the lane's network for inputs (N, *in_shape), float32, in evaluation mode.

        They are those that `train_epoch` judges the lane by, bit for bit.
        """

    def predict_all(self, inputs: Sequence[Tensor | Streamed]) -> list[Tensor]:
        """Returns what `predict` gives for each lane, in the order of `lanes`, for the inputs of its fold."""
        return [self.predict(lane, inputs[lane.stream.fold % len(inputs)]) for lane in self.lanes]

    @abstractmethod
    def weights(self, lane: Lane) -> dict[str, Tensor]:
        """Returns a copy of the lane's parameters and buffers, by their names in the network."""

    @abstractmethod
    def tensors(self, lane: Lane) -> dict[str, Tensor]:
        """Returns all that a checkpoint of the lane needs: `model.*` and `optimizer.*`."""


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
