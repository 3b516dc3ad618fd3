"""The stack: lanes stepping together on one device."""

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

from .data import Dataset, Subset
from .early_stopping import EarlyStopping
from .losses import Loss, l1_norm
from .metrics import Metric
from .optimizers import OPTIMIZERS, load_state_tensors, state_tensors
from .recipe import Recipe
from .streams import Stream

EVALUATION_BATCH = 1024  # rows; no gradients are kept, so larger than any training batch


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


class LoopedStack(Stack):
    """Lanes trained one after another, each by ordinary PyTorch: what any module allows."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._parts: dict[int, tuple[nn.Module, torch.optim.Optimizer]] = {}

    def add(self, lane: Lane, network: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> None:
        network = network.to(self.bench.device)
        optimizer = OPTIMIZERS[lane.recipe.optimizer](network.parameters(), lane.recipe)
        if tensors is not None:
            network.load_state_dict(_part(tensors, "model."))
            load_state_tensors(optimizer, _part(tensors, "optimizer."))
        self._parts[lane.number] = network, optimizer
        self.lanes = sorted([*self.lanes, lane], key=lambda lane: lane.number)

    def remove(self, lane: Lane) -> None:
        del self._parts[lane.number]
        self.lanes.remove(lane)

    def train_epoch(self) -> list[Epoch]:
        return [self._tried(lane) for lane in self.lanes]

    def _tried(self, lane: Lane) -> Epoch:
        try:
            return self._train(lane, *self._parts[lane.number])
        except (
            Exception
        ) as error:  # network, loss and metric are the user's, a device may be full: its neighbours go on
            return Epoch(lane, error=error)

    def weights(self, lane: Lane) -> dict[str, Tensor]:
        network, _ = self._parts[lane.number]
        return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def tensors(self, lane: Lane) -> dict[str, Tensor]:
        network, optimizer = self._parts[lane.number]
        parts = {"model.": network.state_dict(), "optimizer.": state_tensors(optimizer)}
        return {prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.items()}

    def _train(self, lane: Lane, network: nn.Module, optimizer: torch.optim.Optimizer) -> Epoch:
        began = time.perf_counter()
        bench, recipe, train = self.bench, lane.recipe, self.bench.data.train
        lane.epoch += 1
        batch = min(recipe.batch_size, len(train))
        generator = torch.Generator().manual_seed(lane.stream.key("order", lane.epoch))
        order = torch.randperm(len(train), generator=generator).to(bench.device)
        order = order[: len(train) // batch * batch]  # full batches only, so that shapes never change
        smoothing = {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
        losses, outputs = [], []
        network.train()
        with bench.seeded(lane.stream.key("noise", lane.epoch)):  # dropout, and whatever a user's module draws
            for rows in torch.split(order, batch):
                optimizer.zero_grad()
                with _autocast(bench):
                    output = network(train.inputs.index_select(0, rows))
                    loss = bench.loss(output, train.targets.index_select(0, rows), **smoothing)
                (loss + recipe.l1 * l1_norm(network.parameters()) if recipe.l1 else loss).backward()
                optimizer.step()
                losses.append(loss.detach())
                outputs.append(output.detach())
        metrics = {
            "train/loss": float(torch.stack(losses).double().mean()),
            f"train/{bench.metric.name}": bench.metric(torch.cat(outputs).float(), train.targets[order]),
        }
        finite = torch.isfinite(torch.stack(losses))
        diverged_at = None if bool(finite.all()) else int((~finite).nonzero()[0]) + 1
        with bench.seeded(lane.stream.key("noise", lane.epoch)):  # a user's module may draw in evaluation too
            loss_value, value = evaluate(bench, network, bench.data.valid)
        metrics |= {"valid/loss": loss_value, f"valid/{bench.metric.name}": value}
        seconds = time.perf_counter() - began
        lane.seconds += seconds
        return Epoch(lane, value, metrics, seconds, diverged_at)


def evaluate(bench: Bench, network: nn.Module, subset: Subset) -> tuple[float, float]:
    """Returns (mean loss, metric) of a network on a subset, in evaluation mode."""
    outputs = predict(bench, network, subset.inputs)
    return float(bench.loss(outputs, subset.targets)), bench.metric(outputs, subset.targets)


@torch.no_grad()
def predict(bench: Bench, network: nn.Module, inputs: Tensor) -> Tensor:
    """Returns the network's outputs (N, classes), float32, for inputs (N, *in_shape), in evaluation mode."""
    network.eval()
    with _autocast(bench):
        return torch.cat([network(part).float() for part in torch.split(inputs, EVALUATION_BATCH)])


def _autocast(bench: Bench) -> torch.autocast:
    return torch.autocast(bench.device.type, dtype=bench.autocast, enabled=bench.autocast is not None)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
