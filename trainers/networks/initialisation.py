"""How the weights of a network begin, by name."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from ...errors import SettingsError, suggestion


def initialise(network: nn.Module, name: str, inputs: Tensor | None = None) -> None:
    """Gives the convolutions and linear layers of any network new weights, in place, and biases of zero.

    `name` is one of INITIALISATIONS; "default" leaves what PyTorch or the user's module gave. `inputs` (n, *in_shape)
    are examples as they are trained on, which "lsuv" needs: 64 or more. Nothing else in the network is changed, frozen
    weights neither. Random numbers come from torch's global generator. Raises SettingsError if the name is unknown or
    the inputs are missing.

    >>> network = nn.Linear(4, 2)
    >>> initialise(network, "orthogonal")
    >>> torch.allclose(network.weight @ network.weight.T, torch.eye(2), atol=1e-6)
    True
    """
    if name not in INITIALISATIONS:
        known = ", ".join(f"`{known}`" for known in INITIALISATIONS)
        raise SettingsError(f"`init` is one of {known}, but got {name!r}. {suggestion(name, INITIALISATIONS)}")
    INITIALISATIONS[name](network, inputs)


def default(network: nn.Module, inputs: Tensor | None) -> None:
    """Leaves the weights as they are."""


def he(network: nn.Module, inputs: Tensor | None) -> None:
    """Normal weights that keep the variance through ReLUs: K. He et al., "Delving Deep into Rectifiers", 2015."""
    _fill(network, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"))


def glorot(network: nn.Module, inputs: Tensor | None) -> None:
    """Uniform weights for symmetric activations: X. Glorot, Y. Bengio, "Understanding the Difficulty ...", 2010."""
    _fill(network, nn.init.xavier_uniform_)


def orthogonal(network: nn.Module, inputs: Tensor | None) -> None:
    """Orthonormal weights: A. Saxe et al., "Exact Solutions to the Nonlinear Dynamics of Learning ...", 2014."""
    _fill(network, nn.init.orthogonal_)


def lsuv(network: nn.Module, inputs: Tensor | None) -> None:
    """Orthonormal weights, scaled until each layer's outputs have variance one on `inputs`.

    Source: D. Mishkin, J. Matas, "All You Need is a Good Init", 2016. Layers are scaled in the order they are run in,
    each with all before it scaled; as biases are zero, its variance is one after one scaling, and one pass will do. It
    is the pass of training, without dropout, and run by a copy. A layer that the pass doesn't call (a user may take its
    weight instead), or whose outputs are constant, stays orthonormal.
    """
    if inputs is None:
        raise SettingsError("`lsuv` scales layers by what they make of examples, but got no inputs; give a batch")
    orthogonal(network, None)
    twin = deepcopy(network).train()
    for module in twin.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    scaled: set[int] = set()

    def scale(layer: nn.Module, arguments: object, outputs: Tensor) -> Tensor:
        weight, deviation = layer._parameters["weight"], outputs.std(correction=0)
        if weight is None or id(weight) in scaled or not deviation.isfinite() or deviation == 0:
            return outputs
        scaled.add(id(weight))
        weight.div_(deviation)
        return outputs / deviation

    with torch.no_grad():
        for layer, _ in _layers(twin):
            layer.register_forward_hook(scale)
        twin(inputs)
        for (_, weight), (_, found) in zip(_layers(network), _layers(twin), strict=True):
            weight.copy_(found)


def _fill(network: nn.Module, fill: Callable[[Tensor], Tensor]) -> None:
    filled: set[int] = set()  # a weight may have two places
    for layer, weight in _layers(network):
        if id(weight) not in filled:
            fill(weight)
            filled.add(id(weight))
        bias = layer._parameters.get("bias")
        if bias is not None and bias.requires_grad:
            nn.init.zeros_(bias)


def _layers(network: nn.Module) -> list[tuple[nn.Module, nn.Parameter]]:
    """Returns convolutions and linear layers with their weights, but for frozen ones."""
    layers = (module for module in network.modules() if isinstance(module, nn.Linear | nn.modules.conv._ConvNd))
    weights = ((layer, layer._parameters.get("weight")) for layer in layers)  # None if computed, as by weight norm
    return [(layer, weight) for layer, weight in weights if weight is not None and weight.requires_grad]


INITIALISATIONS: dict[str, Callable[[nn.Module, Tensor | None], None]] = {
    "default": default,
    "he": he,
    "glorot": glorot,
    "orthogonal": orthogonal,
    "lsuv": lsuv,
}
