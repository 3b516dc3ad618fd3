"""The footprint of a network: what it, and training it, would take, by its blueprint: without weights, data or time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from .losses import Loss, combined
from .optimizers import OPTIMIZERS
from .reasons import users_code
from .recipe import Recipe
from .stack.dropout import replace_dropout

FEW = 4  # examples of the step that tells whether a whole batch can be afforded


@dataclass(frozen=True)
class Footprint:
    """What a network takes: its `parameters`; the `flops` of predicting one example; and to train, `memory` in bytes.

    Flops are those of matrix products, convolutions and attention, a multiplication and its addition being two. Memory
    is that of one lane: weights, gradients, the optimizer's state, and what is kept of a batch for the backward pass.
    """

    parameters: int
    flops: int
    memory: int


@dataclass(frozen=True)
class Examples:
    """What a network is given: the shape of an example, the outputs it needs, a target's shape and type, how many."""

    in_shape: tuple[int, ...]
    outputs: int
    target_shape: tuple[int, ...]
    target_type: torch.dtype
    count: int


def footprint(
    build: Callable[[], nn.Module], examples: Examples, recipe: Recipe, loss: Loss, autocast: torch.dtype | None
) -> Footprint:
    """Returns the footprint of the network that `build` makes, trained by `recipe` on `examples`.

    It is computed on the meta device, which keeps shapes and no numbers; where builder, network or loss look at
    numbers, the network is built in earnest, and given a few zeros. Raises what they raise then.
    """
    measure = _Measure(examples, recipe, loss, autocast)
    try:
        with torch.device("meta"), users_code():
            return measure.of_shapes(build())
    except Exception:  # all three are the user's: they may raise anything
        with torch.random.fork_rng(devices=[]), users_code():
            return measure.of_numbers(build())


@dataclass(frozen=True)
class _Measure:
    examples: Examples
    recipe: Recipe
    loss: Loss
    autocast: torch.dtype | None

    @property
    def batch(self) -> int:
        return min(self.recipe.batch_size, self.examples.count)

    def of_shapes(self, network: nn.Module) -> Footprint:
        parameters, kept, flops = self._of_network(network)
        if self.autocast is None:
            return Footprint(parameters, flops, kept + self._activations(network, self.batch))
        # The meta device knows no autocast: its copies of the weights, and what it computes, are of its type.
        copies = parameters * self.autocast.itemsize
        return Footprint(parameters, flops, kept + copies + self._activations(network.to(self.autocast), self.batch))

    def of_numbers(self, network: nn.Module) -> Footprint:
        parameters, kept, flops = self._of_network(network)
        few = min(FEW, self.batch)
        with torch.autocast("cpu", dtype=self.autocast, enabled=self.autocast is not None):
            activations = self._activations(network, few)
        return Footprint(parameters, flops, kept + activations * self.batch // few)

    def _of_network(self, network: nn.Module) -> tuple[int, int, int]:
        """Returns its parameters, the bytes kept for them, and the flops of an example."""
        from torch.utils.flop_counter import FlopCounterMode

        replace_dropout(network)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.eval()(torch.zeros(1, *self.examples.in_shape))
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return parameters, sum(kept_bytes(network, self.recipe.optimizer)), counter.get_total_flops()

    def _activations(self, network: nn.Module, count: int) -> int:
        """Returns the bytes that are kept of a step with so many examples."""
        like = next(network.parameters())
        targets = torch.zeros(count, *self.examples.target_shape, dtype=self.examples.target_type)
        network.train()
        with saved_bytes(network) as saved:
            outputs = network(torch.zeros(count, *self.examples.in_shape, dtype=like.dtype))
            combined(self.loss, outputs, targets, None, self.recipe.auxiliary)
        return sum(saved.values())


def kept_bytes(network: nn.Module, optimizer: str) -> tuple[int, int]:
    """Returns the bytes of a network's parameters with their gradients, and those of the optimizer's state."""
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    state = OPTIMIZERS[optimizer](torch.device("meta")).state  # the same on every device
    return 3 * size, len(state) * size  # three: autograd makes gradients of its own, which a lane's are taken from


@contextmanager
def saved_bytes(network: nn.Module) -> Iterator[dict[int, int]]:
    """Gathers the bytes of what autograd keeps inside, by storage, but for the network's own tensors."""
    # A storage is told by its place, which isn't given to another as long as it is held: so all that are told are.
    held = [tensor.untyped_storage() for tensor in (*network.parameters(), *network.buffers())]
    own = {storage._cdata for storage in held}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:  # not its address: on the meta device all have the same
            found[storage._cdata] = storage.nbytes()
            held.append(storage)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found
