"""Lanes trained one after another, each by ordinary PyTorch: what any module allows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd import grad

from ..augmentation import Augmentation, augmented, mixed
from ..data import Streamed
from ..losses import combined
from ..networks.layers import told_apart
from ..optimizers import OPTIMIZERS
from ..reasons import users_code
from .base import Bench, Epoch, Lane, Stack, part
from .dropout import dropouts, keys, replace_dropout
from .rows import Rows
from .update import Update

EVALUATION_BATCH = 1024  # rows; no gradients are kept, so larger than any training batch


class LoopedStack(Stack):
    """Lanes trained one after another, each by ordinary PyTorch: what any module allows."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._parts: dict[Lane, tuple[nn.Module, Rows]] = {}

    def another(self) -> LoopedStack:
        return LoopedStack(self.bench)

    def add(self, lane: Lane, network: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> None:
        replace_dropout(network)
        network = network.to(self.bench.device)
        if tensors is not None:
            network.load_state_dict(part(tensors, "model."))
        rows = Rows(network, OPTIMIZERS[lane.recipe.optimizer](self.bench.device).state)
        rows.arrange([None])
        rows.write(0, network, part(tensors or {}, "optimizer."))
        rows.lend(0, network)
        self._parts[lane] = network, rows
        self.lanes = sorted([*self.lanes, lane], key=lambda lane: lane.rank)

    def remove(self, lane: Lane) -> None:
        del self._parts[lane]
        self.lanes.remove(lane)

    def train_epoch(self) -> list[Epoch]:
        return [self._tried(lane) for lane in self.lanes]

    def predict(self, lane: Lane, inputs: Tensor | Streamed) -> Tensor:
        network, _ = self._parts[lane]
        with self.bench.seeded(lane.stream.key("noise", lane.epoch)):  # a user's module may draw in evaluation too
            return predict(self.bench, network, inputs)

    def weights(self, lane: Lane) -> dict[str, Tensor]:
        network, _ = self._parts[lane]
        return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def tensors(self, lane: Lane) -> dict[str, Tensor]:
        _, rows = self._parts[lane]
        model = {f"model.{name}": tensor for name, tensor in self.weights(lane).items()}
        return {**model, **{f"optimizer.{name}": state[0].clone() for name, state in rows.state.items()}}

    def _tried(self, lane: Lane) -> Epoch:
        try:
            with users_code():
                return self._train(lane, *self._parts[lane])
        except Exception as error:  # network, loss, metric are the user's, a device may be full: the others go on
            return Epoch(lane, error=error)

    def _train(self, lane: Lane, network: nn.Module, rows: Rows) -> Epoch:
        began = time.perf_counter()
        bench, recipe, data = self.bench, lane.recipe, self.bench.data_of(lane)
        lane.epoch += 1
        steps = bench.steps(recipe)
        order = bench.order(lane).to(bench.device).view(steps, -1)
        update = Update(OPTIMIZERS[recipe.optimizer](bench.device), rows, [lane], steps)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        dropping = dropouts(network)
        dropout_keys = torch.from_numpy(keys(lane, steps, len(dropping))).to(bench.device)
        augmentation = Augmentation([lane], steps, bench.batch(recipe), data.in_shape, bench.device).table
        loss_of = partial(bench.loss, **bench.loss_options(lane))
        losses, outputs = [], []
        network.train()
        with bench.seeded(lane.stream.key("noise", lane.epoch)):  # whatever a user's module draws
            for step, (examples, inputs) in enumerate(zip(order, data.train.batches(order), strict=True)):
                for dropout, key in zip(dropping, dropout_keys[step], strict=True):
                    dropout.begin(key)
                now = {name: column[step] for name, column in augmentation.items()}
                targets = data.train.targets.index_select(0, examples)
                inputs = augmented(inputs[None], now)[0] if now else inputs
                with bench.cast():
                    output = network(inputs)
                    mix = mixed(targets[None], now)
                    mix = None if mix is None else (mix[0][0], mix[1][0])
                    loss = combined(loss_of, output, targets, mix, recipe.auxiliary)
                rows.take([None if g is None else g[None] for g in grad(loss, trained, allow_unused=True)])
                update({name: column[step] for name, column in update.table.items()})
                losses.append(loss.detach())
                outputs.append(told_apart(output)[0].detach())
        metrics = {
            "train/loss": float(torch.stack(losses).double().mean()),
            f"train/{bench.metric.name}": bench.score(
                lane, torch.cat(outputs).float(), data.train.targets[order.flatten()]
            ),
        }
        finite = torch.isfinite(torch.stack(losses))
        diverged_at = None if bool(finite.all()) else int((~finite).nonzero()[0]) + 1
        predicted = self.predict(lane, data.valid.inputs)
        value = bench.score(lane, predicted, data.valid.targets)
        valid_loss = float(bench.loss(predicted, data.valid.targets))
        metrics |= {"valid/loss": valid_loss, f"valid/{bench.metric.name}": value}
        metrics |= bench.others(lane, predicted, data.valid.targets)
        seconds = time.perf_counter() - began
        lane.seconds += seconds
        return Epoch(lane, value, metrics, seconds, diverged_at, outputs=predicted)


@torch.no_grad()
def predict(bench: Bench, network: nn.Module, inputs: Tensor | Streamed) -> Tensor:
    """Returns the network's outputs (N, classes), float32, for inputs (N, *in_shape), in evaluation mode."""
    network.eval()
    with bench.cast():
        # Clones: a network may change its inputs in place, and these are everybody's.
        return torch.cat([network(rows.clone()).float() for rows in inputs.split(EVALUATION_BATCH)])
