"""A network computed for K lanes at once: chains of layers by kernels of ours, all else by `torch.vmap`.

Activations are (K, B, ...) throughout. `nn.Sequential` is followed child by child, and so are the branches of
`networks.layers`. Of their leaves, those without parameters that treat each example by itself see K * B examples;
linear layers become batched matrix products; a module of any other kind, also a user's own, runs under `torch.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..networks.layers import Auxiliary, Concatenation, Maxout, Subsample, Sum, told_apart
from .dropout import LaneDropout
from .rows import VECTOR

Tensors = Mapping[str, Tensor]  # parameters and buffers by their names, with a leading K
Outputs = Any  # (K, B, ...), or in training a tuple of them: the network's, then those of its auxiliary heads
Forward = Callable[[Tensors, Tensor], Outputs]  # (the network's tensors, inputs (K, B, ...)) -> outputs (K, B, ...)
Kernel = Callable[[Any, Tensors, Tensor], Tensor]  # (module, its tensors, inputs (K, B, ...)) -> outputs (K, B, ...)
Composite = Callable[[Any, list[Forward], Tensors, Tensor], Outputs]  # the same with its children, for K lanes

NUMBER_BY_NUMBER = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.LogSigmoid, nn.Softsign),
)
EXAMPLE_BY_EXAMPLE = (
    *(nn.Flatten, nn.Unflatten),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.LocalResponseNorm, nn.PixelShuffle, nn.ZeroPad2d, nn.Upsample, Maxout, Subsample),
)


class StackedNetwork:
    """The forward pass of `network` for the lanes of a stack.

    `network` itself stays as it is: its own weights aren't used, only its modules. `vmapped` tells whether a part of it
    runs under vmap.
    """

    def __init__(self, network: nn.Module) -> None:
        if any(module._backward_hooks or module._backward_pre_hooks for module in network.modules()):
            raise ValueError("it has backward hooks, which torch.vmap would pass over")
        self.network = network
        self.vmapped = False
        self._names = {id(tensor): name for name, tensor in _tensors(network)}
        self._forward = self._stacked(network)

    def train(self) -> None:
        """Puts every module in training mode."""
        self.network.train()

    def eval(self) -> None:
        """Puts every module in evaluation mode."""
        self.network.eval()

    def __call__(self, tensors: Tensors, inputs: Tensor) -> Outputs:
        """Returns outputs (K, B, ...) for inputs (K, B, ...), with all tensors of the network, each (K, ...).

        With auxiliary heads, in training, it is a tuple of them.
        """
        return self._forward(tensors, inputs)

    def _stacked(self, module: nn.Module) -> Forward:
        """Returns what computes a module of the network for K lanes."""
        composite = COMPOSITES.get(type(module))
        if composite is not None and not _hooked(module):
            children = [self._stacked(child) for child in module._modules.values() if child is not None]
            return partial(composite, module, children)
        kernel = kernel_for(module)
        self.vmapped |= kernel is vmapped
        names = {own: self._names[id(tensor)] for own, tensor in _tensors(module)}
        return lambda tensors, inputs: kernel(module, {own: tensors[name] for own, name in names.items()}, inputs)


def kernel_for(module: nn.Module) -> Kernel:
    """Returns what computes `module` for K lanes."""
    if _hooked(module):
        return vmapped
    return KERNELS.get(type(module), vmapped)


def vmapped(module: nn.Module, tensors: Tensors, inputs: Tensor) -> Tensor:
    """Runs any module whose operations torch can batch, and that draws no random numbers."""
    outputs: Tensor = torch.vmap(partial(functional_call, module), randomness="error")(dict(tensors), (inputs,))
    return outputs


def number_by_number(module: nn.Module, tensors: Tensors, inputs: Tensor) -> Tensor:
    """Runs a module that maps each number by itself."""
    if getattr(module, "inplace", False):
        inputs = inputs.clone()  # they may be a view, or examples that all lanes share
    outputs: Tensor = module.forward(inputs)  # there are no hooks, and this is called often
    return outputs


def example_by_example(module: nn.Module, tensors: Tensors, inputs: Tensor) -> Tensor:
    """Runs a module for which lanes are only more examples."""
    outputs: Tensor = module(inputs.flatten(0, 1))
    return outputs.view(*inputs.shape[:2], *outputs.shape[1:])


def lane_by_lane(module: nn.Module, tensors: Tensors, inputs: Tensor) -> Tensor:
    """Runs a module for one lane after another."""
    lanes = zip(inputs.unbind(0), *(tensor.unbind(0) for tensor in tensors.values()), strict=True)
    return torch.stack([functional_call(module, dict(zip(tensors, own, strict=True)), (x,)) for x, *own in lanes])


def lane_by_lane_on_cpu(module: nn.Module, tensors: Tensors, inputs: Tensor) -> Tensor:
    """Runs a convolution, a batch norm, a PReLU: on a CPU, torch rounds those of several lanes by how many they are."""
    return (lane_by_lane if inputs.device.type == "cpu" else vmapped)(module, tensors, inputs)


def linear(module: nn.Linear, tensors: Tensors, inputs: Tensor) -> Tensor:
    """Runs a linear layer on inputs (K, B, features) as one batched product."""
    weight, bias = tensors["weight"], tensors.get("bias")
    if inputs.ndim != 3:
        return vmapped(module, tensors, inputs)
    if torch.is_autocast_enabled(inputs.device.type):  # which casts these, and knows nothing of ours
        product = torch.bmm(inputs, weight.mT)
        return product if bias is None else product + bias.unsqueeze(1).to(product.dtype)
    return cast(Tensor, _Linear.apply(inputs, weight, bias))  # type: ignore[no-untyped-call]


def lane_dropout(module: LaneDropout, tensors: Tensors, inputs: Tensor) -> Tensor:
    """Drops units of inputs (K, B, ...) at each lane's own rate."""
    if not module.training:
        return inputs
    columns = {name: buffer.view(-1, *(1 for _ in inputs.shape[1:])) for name, buffer in tensors.items()}
    return inputs * module.mask(inputs.shape[1:], **columns).to(inputs.dtype)


def chained(module: nn.Sequential, children: list[Forward], tensors: Tensors, inputs: Tensor) -> Outputs:
    """Runs children one after another."""
    for child in children:
        inputs = child(tensors, inputs)
    return inputs


def joined(module: Sum | Concatenation, children: list[Forward], tensors: Tensors, inputs: Tensor) -> Tensor:
    """Runs branches side by side."""
    return module.join([child(tensors, inputs) for child in children], channels=2)


def with_head(module: Auxiliary, children: list[Forward], tensors: Tensors, inputs: Tensor) -> Outputs:
    """Runs the rest of a network, and in training an auxiliary head beside it."""
    rest, head = children
    outputs = rest(tensors, inputs)
    return (*told_apart(outputs), head(tensors, inputs)) if module.training else outputs


COMPOSITES: dict[type[nn.Module], Composite] = {
    nn.Sequential: chained,
    Sum: joined,
    Concatenation: joined,
    Auxiliary: with_head,
}
ROUNDED_BY_COUNT = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    nn.PReLU,
)
KERNELS: dict[type[nn.Module], Kernel] = {nn.Linear: linear, LaneDropout: lane_dropout}
KERNELS |= dict.fromkeys(ROUNDED_BY_COUNT, lane_by_lane_on_cpu)
KERNELS |= dict.fromkeys(EXAMPLE_BY_EXAMPLE, example_by_example) | dict.fromkeys(NUMBER_BY_NUMBER, number_by_number)


def _hooked(module: nn.Module) -> bool:
    """Tells whether a module does something else than its class says."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Returns parameters and buffers, each by its first name: `functional_call` ties the others to it."""
    return [*module.named_parameters(), *module.named_buffers()]


class _Linear(torch.autograd.Function):
    """Inputs (K, B, n) times weights (K, m, n), plus bias (K, m)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        inputs = _aligned(inputs)
        ctx.save_for_backward(inputs, weight)
        ctx.biased = bias is not None
        return _product(inputs, weight.mT, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        grad = _aligned(grad)
        to_inputs = _product(grad, weight) if ctx.needs_input_grad[0] else None
        return to_inputs, _product(grad.mT, inputs), grad.sum(1) if ctx.biased else None


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns left (K, a, b) times right (K, b, c), plus bias (K, c).

    How the library for matrices rounds depends on where in memory they begin, relative to its vectors. So that no lane
    is rounded otherwise than its neighbours, each begins with a vector: where its numbers don't fill whole vectors,
    room is left after them.
    """
    size = left.shape[1] * right.shape[2]
    if size % VECTOR == 0:
        return torch.bmm(left, right) if bias is None else torch.baddbmm(bias.unsqueeze(1), left, right)
    product = _roomy(left, left.shape[1], right.shape[2])
    if bias is not None:
        product.copy_(bias.unsqueeze(1).expand_as(product))
    return product.baddbmm_(left, right, beta=0 if bias is None else 1)


def _aligned(lanes: Tensor) -> Tensor:
    """Returns lanes (K, a, b), copied if they don't each begin with a vector."""
    if lanes.stride(0) % VECTOR == 0 and lanes.stride(2) == 1:
        return lanes
    return _roomy(lanes, *lanes.shape[1:]).copy_(lanes)


def _roomy(like: Tensor, rows: int, columns: int) -> Tensor:
    """Returns an empty (K, rows, columns) whose lanes each begin with a vector."""
    room = like.new_empty(len(like), -(-rows * columns // VECTOR) * VECTOR)
    return room[:, : rows * columns].view(-1, rows, columns)
