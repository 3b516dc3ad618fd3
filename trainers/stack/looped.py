"""Lanes trained one after another, each by ordinary PyTorch: what any module allows."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.autograd import grad

from ..data import Subset
from ..optimizers import OPTIMIZERS
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

    def weights(self, lane: Lane) -> dict[str, Tensor]:
        network, _ = self._parts[lane]
        return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def tensors(self, lane: Lane) -> dict[str, Tensor]:
        _, rows = self._parts[lane]
        model = {f"model.{name}": tensor for name, tensor in self.weights(lane).items()}
        return {**model, **{f"optimizer.{name}": state[0].clone() for name, state in rows.state.items()}}

    def _tried(self, lane: Lane) -> Epoch:
        try:
            return self._train(lane, *self._parts[lane])
        except (
            Exception
        ) as error:  # network, loss and metric are the user's, a device may be full: its neighbours go on
            return Epoch(lane, error=error)

    def _train(self, lane: Lane, network: nn.Module, rows: Rows) -> Epoch:
        began = time.perf_counter()
        bench, recipe, data = self.bench, lane.recipe, self.bench.data_of(lane)
        lane.epoch += 1
        order, steps = bench.order(lane).to(bench.device), bench.steps(recipe)
        update = Update(OPTIMIZERS[recipe.optimizer](bench.device), rows, [lane], steps)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        dropping = dropouts(network)
        dropout_keys = torch.from_numpy(keys(lane, steps, len(dropping))).to(bench.device)
        smoothing = {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
        losses, outputs = [], []
        network.train()
        with bench.seeded(lane.stream.key("noise", lane.epoch)):  # whatever a user's module draws
            for step, examples in enumerate(torch.split(order, bench.batch(recipe))):
                for dropout, key in zip(dropping, dropout_keys[step], strict=True):
                    dropout.begin(key)
                with bench.cast():
                    output = network(data.train.inputs.index_select(0, examples))
                    loss = bench.loss(output, data.train.targets.index_select(0, examples), **smoothing)
                rows.take([None if g is None else g[None] for g in grad(loss, trained, allow_unused=True)])
                update({name: column[step] for name, column in update.table.items()})
                losses.append(loss.detach())
                outputs.append(output.detach())
        metrics = {
            "train/loss": float(torch.stack(losses).double().mean()),
            f"train/{bench.metric.name}": bench.metric(torch.cat(outputs).float(), data.train.targets[order]),
        }
        finite = torch.isfinite(torch.stack(losses))
        diverged_at = None if bool(finite.all()) else int((~finite).nonzero()[0]) + 1
        with bench.seeded(lane.stream.key("noise", lane.epoch)):  # a user's module may draw in evaluation too
            loss_value, value = evaluate(bench, network, data.valid)
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
    with bench.cast():
        # Clones: a network may change its inputs in place, and these are everybody's.
        return torch.cat([network(rows.clone()).float() for rows in torch.split(inputs, EVALUATION_BATCH)])
