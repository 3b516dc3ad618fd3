"""Do activations stay level from layer to layer, and out of saturation, before the first step?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .finding import Finding

LAYERS = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
RECTIFIERS = ("relu", "relu_", "relu6")
# Where the slope of an activation is less than a tenth of its greatest.
SATURATED: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda outputs: 1 - outputs**2 < 0.1,
    "tanh_": lambda outputs: 1 - outputs**2 < 0.1,
    "sigmoid": lambda outputs: 4 * outputs * (1 - outputs) < 0.1,
    "sigmoid_": lambda outputs: 4 * outputs * (1 - outputs) < 0.1,
    "hardtanh": lambda outputs: outputs.abs() >= 1,
    "hardsigmoid": lambda outputs: (outputs <= 0) | (outputs >= 1),
}
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
FACTOR = 1e4  # by which variances may differ (a hundred in the size of activations) before they aren't level
FLAT = 0.2  # share of a layer's outputs that may be saturated
DEAD = 0.6  # share of a layer's units that may be zero: half of them are by chance where hardly a signal arrives


@dataclass(frozen=True)
class Layer:
    """What an operation of the network puts out for a batch of real examples.

    `variance` is that over examples (and places, in maps), averaged over units: what is the same for all examples tells
    nothing. `saturated` is the share of outputs where the activation is flat, `dead` that of units which are zero for
    all examples; None where that can't be.
    """

    name: str
    kind: str
    variance: float
    saturated: float | None = None
    dead: float | None = None


@dataclass(frozen=True)
class Activations(Finding):
    """How activations go through an untrained network: "level", "vanishing", "exploding", "saturated" or "dead"."""

    state: str
    layers: tuple[Layer, ...]


@torch.no_grad()
def activations(network: nn.Module, inputs: Tensor, seed: int = 0) -> Activations:
    """Returns how activations go through the network for inputs (B, *in_shape).

    Looked at are linear and convolutional layers and activation functions, modules or not, in training mode without
    dropout. The network is left as it was, and so are torch's random generators. (Glorot & Bengio, 2010.)
    """
    with _as_it_was(network), _names(network) as names, _seeded(inputs.device, seed):
        network.train()
        for module in network.modules():
            if isinstance(module, DROPOUTS):
                module.eval()
        with _Watch(names) as watch:
            network(inputs.clone())
    return _judged(tuple(watch.layers))


class _Watch(TorchFunctionMode):
    """Notes what layers and activation functions put out, wherever they are called."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.layers: list[Layer] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        kind = getattr(func, "__name__", "")
        if isinstance(outputs, Tensor) and outputs.ndim > 1 and (kind in (*LAYERS, *RECTIFIERS) or kind in SATURATED):
            self.layers.append(_layer(self.names[-1], kind, outputs.float()))
        return outputs


def _layer(name: str, kind: str, outputs: Tensor) -> Layer:
    """Returns what outputs (B, C, ...) are like."""
    # Of a sequence (B, T, C) each place is taken for a unit's: there is no telling, and the share is much the same.
    units = outputs.transpose(0, 1).flatten(1)
    variance = float(units.var(dim=1, correction=0).mean())
    saturated = float(SATURATED[kind](outputs).float().mean()) if kind in SATURATED else None
    dead = float((units == 0).all(dim=1).float().mean()) if kind in RECTIFIERS else None
    return Layer(name, kind.rstrip("_"), variance, saturated, dead)


def _judged(layers: tuple[Layer, ...]) -> Activations:
    every = [layer for layer in layers if layer.kind in LAYERS]
    if not every:
        return Activations("ok", "No linear or convolutional layer is to be seen in this network.", "level", layers)
    hidden = every[:-1] or every  # the last may well begin smaller
    alive = [place for place, layer in enumerate(hidden) if layer.variance > 0]
    silent = hidden[alive[-1] + 1 if alive else 0 :]  # others that are zero have a shortcut beside them
    if silent:
        text = f"The outputs of `{silent[0].name}` are the same for all examples: what follows it can't learn anything."
        return Activations("problem", text, "vanishing", layers)
    levels = [hidden[place] for place in alive]
    low, high = (end(levels, key=lambda layer: layer.variance) for end in (min, max))
    first, last = levels[0].variance, levels[-1].variance
    course = f"The variance of hidden layers' outputs goes from {first:.2g} to {last:.2g} over {len(hidden)} layers"
    if len(hidden) == 1:
        course = f"The variance of the first layer's outputs is {first:.2g}"
    flat = max(layers, key=lambda layer: layer.saturated or 0.0)
    dead = max(layers, key=lambda layer: layer.dead or 0.0)
    if not high.variance < float("inf"):
        text = f"{course}: activations overflow. Begin with smaller weights, or normalize."
        return Activations("problem", text, "exploding", layers)
    if (flat.saturated or 0.0) > FLAT:
        text = (
            f"{flat.saturated:.0%} of the {flat.kind}'s outputs in `{flat.name}` are saturated before the first step, "
            "where gradients hardly pass. Begin with smaller weights, normalize before it, or take a ReLU."
        )
        return Activations("problem" if (flat.saturated or 0.0) > 0.5 else "warning", text, "saturated", layers)
    if high.variance / low.variance > FACTOR:
        state = "vanishing" if last < first else "exploding"
        told = f"{course}: " + (
            "they tell less and less of the inputs" if state == "vanishing" else "they grow from layer to layer"
        )
        grave = high.variance / low.variance > FACTOR**2
        remedy = "Normalize (batch norm), initialise by `init: he`, add shortcuts, or take fewer layers."
        return Activations("problem" if grave else "warning", f"{told}. {remedy}", state, layers)
    if (dead.dead or 0.0) > DEAD:
        text = (
            f"{dead.dead:.0%} of the units of `{dead.name}` are zero for all examples before the first step, and may "
            "never learn. Begin with other weights or biases, or take a leaky ReLU."
        )
        return Activations("problem" if (dead.dead or 0.0) > 0.9 else "warning", text, "dead", layers)
    return Activations("ok", f"{course}: level, and neither saturated nor dead.", "level", layers)


@contextmanager
def _as_it_was(network: nn.Module) -> Iterator[None]:
    """Puts modes and buffers of the network back afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for buffer, before in buffers:
            buffer.copy_(before)


@contextmanager
def _names(network: nn.Module) -> Iterator[list[str]]:
    """Keeps the name of the module that is running last in the list."""
    running, hooks = [""], []

    def leaves(*_: Any) -> None:
        running.pop()

    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda _, __, name=name: running.append(name)))
        hooks.append(module.register_forward_hook(leaves))
    try:
        yield running
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
