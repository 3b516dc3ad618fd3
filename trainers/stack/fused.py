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

from ..augmentation import Augmentation, augmented, mixed
from ..data import Streamed, one_after_another
from ..losses import combined, lane_losses
from ..networks.layers import told_apart
from ..optimizers import OPTIMIZERS
from ..reasons import out_of_memory, users_code
from .base import Bench, Epoch, Lane, Stack, part
from .dropout import dropouts, keys, replace_dropout
from .graph import ReplayedStep, Step
from .kernels import StackedNetwork
from .rows import VECTOR, Rows
from .update import Update

EVALUATION_BATCH = 256  # rows a lane
LOSS_OPTIONS = ("label_smoothing", "weight")


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

    def predict(self, lane: Lane, inputs: Tensor | Streamed) -> Tensor:
        self._close_ranks()
        return self._outputs([inputs])[self._places.index(lane), : len(inputs)]

    def predict_all(self, inputs: Sequence[Tensor | Streamed]) -> list[Tensor]:
        self._close_ranks()
        outputs, sizes = self._outputs(inputs), [len(one) for one in inputs]
        return [outputs[self._places.index(lane), : sizes[lane.stream.fold % len(sizes)]] for lane in self.lanes]

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
        self._examples = one_after_another([data.train for data in self.bench.folds])

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
            with users_code():
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
        augmentation = Augmentation(
            self._occupants, self._steps, self._batch, self.bench.data.in_shape, self.bench.device
        )
        order = self._order()
        targets = self._examples.targets[order]
        targets = targets.view(self._steps, len(self._places), self._batch, *targets.shape[2:])
        table = {**update.table, **augmentation.table, **self._loss_columns()}
        table |= {"targets": targets, "keys": self._dropout_keys()}
        self._network.train()
        step: Step = partial(self._step, update)
        made: list[tuple[Tensor, Tensor]] = []
        for index, inputs in enumerate(self._examples.batches(order)):
            now = {"inputs": inputs, **{name: column[index] for name, column in table.items()}}
            step = step if made else self._replayed(step, now)
            made.append(step(now))
        losses, outputs = (torch.stack(parts) for parts in zip(*made, strict=True))
        return losses, outputs, targets

    def _step(self, update: Update, now: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Makes a step; returns losses (K,) and outputs (K, B, ...). All that differs from step to step is in `now`."""
        rows, targets = self._rows, now["targets"]
        for (name, dropout), key in zip(self._dropouts.items(), now["keys"], strict=True):
            rows.tensors[name] = key
            dropout.calls = 0
        with self.bench.cast():
            inputs = now["inputs"].view(*targets.shape[:2], *now["inputs"].shape[1:])
            outputs = self._network(rows.tensors, augmented(inputs, now))
            options = {name: now[name] for name in LOSS_OPTIONS if name in now}
            loss_of = partial(lane_losses, self.bench.loss, options=options)
            losses = combined(loss_of, outputs, targets, mixed(targets, now), now["auxiliary"])
        rows.take(grad(losses.sum(), rows.trained, allow_unused=True))
        update(now)
        return losses.detach(), told_apart(outputs)[0].detach()

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
        predictions = self._outputs([data.valid.inputs for data in self.bench.folds])
        results: dict[Lane, dict[str, Any]] = {}
        for lane in self.lanes:
            row, valid = self._places.index(lane), self.bench.data_of(lane).valid
            try:
                with users_code():
                    trained = self.bench.score(
                        lane, outputs[:, row].flatten(0, 1).float(), targets[:, row].flatten(0, 1)
                    )
                    predicted = predictions[row, : len(valid)]
                    value = self.bench.score(lane, predicted, valid.targets)
                    loss = float(self.bench.loss(predicted, valid.targets))
                    others = self.bench.others(lane, predicted, valid.targets)
            except Exception as error:  # loss and metric are the user's: they may like one lane and not another
                results[lane] = {"error": error}
                continue
            name = self.bench.metric.name
            metrics = {"train/loss": means[row], f"train/{name}": trained, "valid/loss": loss, f"valid/{name}": value}
            metrics |= others
            step = None if all(finite[row]) else finite[row].index(False) + 1
            results[lane] = {"value": value, "metrics": metrics, "diverged_at": step, "outputs": predicted}
        return results

    @torch.no_grad()
    def _outputs(self, inputs: Sequence[Tensor | Streamed]) -> Tensor:
        """Returns all lanes' outputs (K, N, ...), float32, in evaluation mode, for inputs (n, ...) of all or each fold.

        N is the most that a fold has, rounded up to whole vectors: others are filled up by their first example.
        """
        self._network.eval()
        rows = -(-max(map(len, inputs)) // VECTOR) * VECTOR
        folds = torch.tensor([lane.stream.fold % len(self.bench.folds) for lane in self._occupants])
        parts = []
        with self.bench.cast():
            for start in range(0, rows, EVALUATION_BATCH):
                stop = min(start + EVALUATION_BATCH, rows)
                examples = torch.stack([filled(one, start, stop) for one in inputs])
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

    def _loss_columns(self) -> dict[str, Tensor]:
        """Returns what the losses need at each step, by name, (S, K, ...); only what a lane uses."""
        own = [self.bench.loss_options(lane) for lane in self._occupants]
        columns = {"auxiliary": [lane.recipe.auxiliary for lane in self._occupants]}
        if any("label_smoothing" in options for options in own):
            columns["label_smoothing"] = [options.get("label_smoothing", 0.0) for options in own]
        if any("weight" in options for options in own):
            columns["weight"] = [options["weight"].tolist() for options in own]
        rows = {name: self._rows.weights.new_tensor(values) for name, values in columns.items()}
        return {name: row.expand(self._steps, *row.shape) for name, row in rows.items()}


def filled(inputs: Tensor | Streamed, start: int, stop: int) -> Tensor:
    """Returns the inputs from start to stop: the first one stands in for those beyond the last."""
    some = inputs[start:stop]
    missing = stop - start - len(some)
    return some if missing == 0 else torch.cat([some, inputs[:1].expand(missing, *some.shape[1:])])
