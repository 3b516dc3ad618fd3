"""Lanes trained at once: one stacked network whose every operation has a leading lane dimension."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import grad

from ..data import Subset
from ..losses import lane_losses
from ..optimizers import OPTIMIZERS
from ..reasons import out_of_memory
from .base import Bench, Epoch, Lane, Stack, part
from .dropout import dropouts, keys, replace_dropout
from .graph import ReplayedStep, Step
from .kernels import StackedNetwork
from .rows import VECTOR, Rows
from .update import Update

EVALUATION_BATCH = 256  # rows a lane


class FusedStack(Stack):
    """Lanes trained at once. A row without a lane computes along and harms nobody.

    With `widest`, a network of a family of declared widths, lanes may train networks like it that are narrower.
    """

    def __init__(self, bench: Bench, widest: nn.Module | None = None) -> None:
        super().__init__(bench)
        self._places: list[Lane | None] = []  # the lane of each row
        self._widest = widest
        self._proven = 0  # rows for which memory has sufficed
        self._captured: ReplayedStep | None = None

    def another(self) -> FusedStack:
        return FusedStack(self.bench, self._widest)

    # Lanes come and go

    def add(self, lane: Lane, network: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> None:
        replace_dropout(network)
        network = network.to(self.bench.device)
        if not self.lanes:
            self._lay_out(network if self._widest is None else self._widest.to(self.bench.device), lane)
        if tensors is not None:
            network.load_state_dict(part(tensors, "model."))
        if None not in self._places:
            self._arrange([*self._places, *(None for _ in range(max(2, len(self._places))))])
        row = self._places.index(None)
        self._places[row] = lane
        self._rows.write(row, network, part(tensors or {}, "optimizer."))
        self.lanes = sorted([*self.lanes, lane], key=lambda lane: lane.rank)

    def remove(self, lane: Lane) -> None:
        self._places[self._places.index(lane)] = None
        self.lanes.remove(lane)

    def weights(self, lane: Lane) -> dict[str, Tensor]:
        return self._rows.network(self._places.index(lane))

    def tensors(self, lane: Lane) -> dict[str, Tensor]:
        row = self._places.index(lane)
        model = {f"model.{name}": tensor for name, tensor in self._rows.network(row).items()}
        return {**model, **{f"optimizer.{name}": rows[row].clone() for name, rows in self._rows.state.items()}}

    def _lay_out(self, network: nn.Module, lane: Lane) -> None:
        """Makes the stack one of networks like this."""
        replace_dropout(network)
        self._network = StackedNetwork(network)
        self._optimizer = OPTIMIZERS[lane.recipe.optimizer](self.bench.device)
        self._rows, self._places, self._captured = Rows(network, self._optimizer.state), [], None
        names = {id(buffer): name for name, buffer in network.named_buffers()}
        self._dropouts = {names[id(dropout.key)]: dropout for dropout in dropouts(network)}
        self._steps, self._batch = self.bench.steps(lane.recipe), self.bench.batch(lane.recipe)
        folds = self.bench.folds
        self._examples = folds[0].train if len(folds) == 1 else joined([data.train for data in folds])
        most = max(len(data.valid) for data in folds)
        self._judges = torch.stack([padded(data.valid.inputs, -(-most // VECTOR) * VECTOR) for data in folds])

    def _arrange(self, places: list[Lane | None]) -> None:
        """Moves the lanes to these places, and makes room where there is None."""
        self._rows.arrange([None if lane is None else self._places.index(lane) for lane in places])
        self._places = places
        self._captured = None  # it is of the tensors that were

    def _close_ranks(self) -> None:
        """Leaves out rows without a lane, all but those that keep a lane's bits independent of its place.

        torch takes other kernels for one lane than for several. And where a lane's share of a tensor doesn't fill whole
        vectors, the last few numbers of the tensor are computed by other instructions than the rest: a last row
        without a lane takes them.
        """
        count = max(2, len(self.lanes) + (self._network.vmapped or self._batch % VECTOR > 0))
        if len(self._places) != count:
            self._arrange([*self.lanes, *(None for _ in range(count - len(self.lanes)))])

    # An epoch

    def train_epoch(self) -> list[Epoch]:
        began = time.perf_counter()
        self._close_ranks()
        in_doubt = self.bench.device.type == "cuda" or len(self._places) > self._proven
        snapshot = self._rows.snapshot() if in_doubt else None
        for lane in self.lanes:
            lane.epoch += 1
        try:
            results = self._judged(*self._train())
        except Exception as error:  # network, loss and metric are the user's
            if out_of_memory(error) and snapshot is not None and len(self.lanes) > 1:
                self._rows.restore(snapshot)
                for lane in self.lanes:
                    lane.epoch -= 1
                raise torch.OutOfMemoryError(str(error)) from error
            return [Epoch(lane, error=error) for lane in self.lanes]
        self._proven = len(self._places)
        seconds = (time.perf_counter() - began) / len(self.lanes)
        for lane in self.lanes:
            lane.seconds += seconds
        return [Epoch(lane, seconds=seconds, **results[lane]) for lane in self.lanes]

    def _train(self) -> tuple[Tensor, Tensor, Tensor]:
        """Trains an epoch; returns losses (S, K), outputs (S, K, B, ...) and targets (S, K, B, ...)."""
        update = Update(self._optimizer, self._rows, self._occupants, self._steps)
        table = {**update.table, "examples": self._order(), "keys": self._dropout_keys(), **self._smoothing()}
        self._network.train()
        step = self._replayed(partial(self._step, update), {name: column[0] for name, column in table.items()})
        made = [step({name: column[index] for name, column in table.items()}) for index in range(self._steps)]
        losses, outputs = (torch.stack(parts) for parts in zip(*made, strict=True))
        targets = self._examples.targets[table["examples"]]
        return losses, outputs, targets.view(*outputs.shape[:3], *targets.shape[2:])

    def _step(self, update: Update, now: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Makes a step; returns losses (K,) and outputs (K, B, ...). All that differs from step to step is in `now`."""
        rows, shape = self._rows, (len(self._places), self._batch)
        for (name, dropout), key in zip(self._dropouts.items(), now["keys"], strict=True):
            rows.tensors[name] = key
            dropout.calls = 0
        with self.bench.cast():
            drawn = (part.index_select(0, now["examples"]) for part in (self._examples.inputs, self._examples.targets))
            inputs, targets = (part.view(*shape, *part.shape[1:]) for part in drawn)
            outputs = self._network(rows.tensors, inputs)
            losses = lane_losses(self.bench.loss, outputs, targets, now.get("smoothing"))
        rows.take(grad(losses.sum(), rows.trained, allow_unused=True))
        update(now)
        return losses.detach(), outputs.detach()

    def _replayed(self, step: Step, now: Mapping[str, Tensor]) -> Step:
        """Returns the step, on a GPU captured and replayed where it can be."""
        if not self.bench.graphs or self.bench.device.type != "cuda":
            return step
        if self._captured is None or self._captured.names != set(now):
            try:
                self._captured = ReplayedStep(step, now, self._rows)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # the network does what can't be captured: it asks the device for a number, say
                self.bench = replace(self.bench, graphs=False)
                return step
        return self._captured

    def _judged(self, losses: Tensor, outputs: Tensor, targets: Tensor) -> dict[Lane, dict[str, Any]]:
        """Returns, by lane, what the epoch came to: the fields of `Epoch`."""
        means, finite = losses.double().mean(0).tolist(), torch.isfinite(losses).T.tolist()
        predictions = self._predictions()
        results: dict[Lane, dict[str, Any]] = {}
        for lane in self.lanes:
            row, valid = self._places.index(lane), self.bench.data_of(lane).valid
            try:
                trained = self.bench.metric(outputs[:, row].flatten(0, 1).float(), targets[:, row].flatten(0, 1))
                predicted = predictions[row, : len(valid)]
                loss, value = (
                    float(self.bench.loss(predicted, valid.targets)),
                    self.bench.metric(predicted, valid.targets),
                )
            except Exception as error:  # loss and metric are the user's: they may like one lane and not another
                results[lane] = {"error": error}
                continue
            name = self.bench.metric.name
            metrics = {"train/loss": means[row], f"train/{name}": trained, "valid/loss": loss, f"valid/{name}": value}
            step = None if all(finite[row]) else finite[row].index(False) + 1
            results[lane] = {"value": value, "metrics": metrics, "diverged_at": step}
        return results

    @torch.no_grad()
    def _predictions(self) -> Tensor:
        """Returns all lanes' outputs for their validation rows, (K, N, ...), float32, in evaluation mode."""
        self._network.eval()
        folds = torch.tensor([lane.stream.fold % len(self.bench.folds) for lane in self._occupants])
        parts = []
        with self.bench.cast():
            for examples in torch.split(self._judges, EVALUATION_BATCH, dim=1):
                shared = len(examples) == 1
                own = examples.expand(len(folds), *examples.shape[1:]) if shared else examples[folds]
                parts.append(self._network(self._rows.tensors, own).float())
        return torch.cat(parts, dim=1)

    # What differs from lane to lane, made once an epoch; a row without a lane has the first lane's

    @property
    def _occupants(self) -> list[Lane]:
        return [lane or self.lanes[0] for lane in self._places]

    def _order(self) -> Tensor:
        """Returns the training examples of each step, int64 (S, K * B)."""
        sizes = [len(data.train) for data in self.bench.folds]
        orders = [
            (self.bench.order(lane) + sum(sizes[: lane.stream.fold % len(sizes)])).view(self._steps, self._batch)
            for lane in self._occupants
        ]
        return torch.cat(orders, dim=1).to(self.bench.device)

    def _dropout_keys(self) -> Tensor:
        """Returns the dropout modules' keys, int32 (S, modules, K)."""
        own = [keys(lane, self._steps, len(self._dropouts)) for lane in self._occupants]
        return torch.from_numpy(np.stack(own, axis=2)).to(self.bench.device)

    def _smoothing(self) -> dict[str, Tensor]:
        """Returns the label smoothing of each step, (S, K); nothing if no lane has any."""
        values = [lane.recipe.label_smoothing for lane in self._occupants]
        smoothing = self._rows.weights.new_tensor(values)
        return {"smoothing": smoothing.expand(self._steps, -1)} if any(values) else {}


def joined(subsets: Sequence[Subset]) -> Subset:
    """Returns the examples of all subsets, one after another."""
    return Subset(torch.cat([one.inputs for one in subsets]), torch.cat([one.targets for one in subsets]))


def padded(inputs: Tensor, size: int) -> Tensor:
    """Returns inputs (N, ...) as (size, ...): the first example stands in for those that are missing."""
    return torch.cat([inputs, inputs[:1].expand(size - len(inputs), *inputs.shape[1:])])
