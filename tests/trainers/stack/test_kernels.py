"""Lanes computed at once come to what each network comes to alone: outputs, gradients, buffers; here in float64."""

from math import prod

import pytest
import torch
from contracts.models import Activated, Residual
from torch import nn

from leadline.trainers.networks.layers import Auxiliary, Concatenation, Maxout, StochasticDepth, Subsample, Sum
from leadline.trainers.stack.dropout import LaneDropout, dropouts, replace_dropout
from leadline.trainers.stack.kernels import EXAMPLE_BY_EXAMPLE, KERNELS, StackedNetwork

LANES, BATCH = 3, 5
LINE, PLANE, VOLUME = (4, 8), (4, 8, 6), (4, 6, 4, 4)  # maps of 1, 2, 3 dimensions
ARGUMENTS = {  # of the kinds that need some, by the beginning of their names
    "Unflatten": (1, (2, 3)),
    "MaxPool": (2,),
    "AvgPool": (2,),
    "AdaptiveAvgPool": (2,),
    "AdaptiveMaxPool": (2,),
    "LocalResponseNorm": (2,),
    "PixelShuffle": (2,),
    "ZeroPad": ((1, 0, 2, 1),),
    "Upsample": (None, 2),
    "Conv": (4, 3, 2),
    "BatchNorm": (4,),
    "InstanceNorm": (4,),
    "Linear": (6, 7),
    "Dropout": (0.4,),
    "Subsample": (2, 3),
}
KINDS = [nn.Dropout if kind is LaneDropout else kind for kind in dict.fromkeys((*KERNELS, *EXAMPLE_BY_EXAMPLE))]


def arguments_of(kind):
    return next((found for name, found in ARGUMENTS.items() if kind.__name__.startswith(name)), ())


def shapes_for(kind):
    """Returns the shapes of examples that a kind of module is to be tried on."""
    if kind in (nn.Unflatten, nn.Linear):
        return [(6,)]
    if kind is nn.BatchNorm1d:
        return [(4,), LINE]
    if kind in (nn.LocalResponseNorm, nn.PixelShuffle, nn.Upsample, Subsample):
        return [PLANE]
    return {"1d": [LINE], "2d": [PLANE], "3d": [VOLUME]}.get(kind.__name__[-2:], [(6,), LINE, PLANE])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lanes_of(build):
    """Returns networks built alike, with weights and dropout keys of their own."""
    made = []
    for number in range(LANES):
        with torch.random.fork_rng([]):
            torch.manual_seed(number)
            network = build().double()
        replace_dropout(network)
        for place, dropout in enumerate(dropouts(network)):
            dropout.begin(torch.tensor(1000 * number + place, dtype=torch.int32))
        made.append(network)
    return made


def tensors_of(network):
    return {name: tensor.detach() for name, tensor in (*network.named_parameters(), *network.named_buffers())}


def alone(network, inputs, weigh, training):
    """Returns outputs, gradients by name (and that of the inputs), and buffers afterwards of one network."""
    network.train(training)
    inputs = inputs.clone().requires_grad_()
    outputs = network(inputs)
    wanted = {"inputs": inputs, **dict(network.named_parameters())}
    found = torch.autograd.grad((outputs * weigh).sum(), list(wanted.values()), allow_unused=True)
    return outputs.detach(), dict(zip(wanted, found, strict=True)), dict(network.named_buffers())


def together(networks, inputs, weigh, training):
    """Returns the same of all networks at once, with a leading lane dimension."""
    stacked = StackedNetwork(networks[0])
    stacked.train() if training else stacked.eval()
    tensors = {name: torch.stack([tensors_of(one)[name] for one in networks]) for name in tensors_of(networks[0])}
    wanted = {"inputs": inputs.detach().requires_grad_()}
    for name, _ in networks[0].named_parameters():
        wanted[name] = tensors[name].requires_grad_()
    outputs = stacked(tensors, wanted["inputs"])
    found = torch.autograd.grad((outputs * weigh).sum(), list(wanted.values()), allow_unused=True)
    return outputs.detach(), dict(zip(wanted, found, strict=True)), tensors


def assert_agreement(build, shape, training=True):
    room = normal(LANES, BATCH * prod(shape) + 3)  # lanes don't lie side by side, as after a linear layer
    inputs = room[:, 3:].view(LANES, BATCH, *shape)
    with torch.no_grad():
        probe = lanes_of(build)[0].train(training)(inputs[0])
    weigh = normal(LANES, *probe.shape, seed=1)
    outputs, gradients, tensors = together(lanes_of(build), inputs, weigh, training)
    for number, network in enumerate(lanes_of(build)):
        own_outputs, own_gradients, buffers = alone(network, inputs[number], weigh[number], training)
        assert_close(outputs[number], own_outputs)
        for name, gradient in own_gradients.items():
            if gradient is None:
                assert gradients[name] is None or not gradients[name].any()
            else:
                assert_close(gradients[name][number], gradient)
        for name, buffer in buffers.items():
            assert_close(tensors[name][number], buffer)


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


training_or_not = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


@training_or_not
@pytest.mark.parametrize(("kind", "shape"), [(kind, shape) for kind in KINDS for shape in shapes_for(kind)], ids=str)
def test_every_kind_of_module_that_has_a_kernel(kind, shape, training):
    assert_agreement(lambda: nn.Sequential(kind(*arguments_of(kind))), shape, training)


class Reused(nn.Module):
    """A module of a user's, with one of its children used twice."""

    def __init__(self):
        super().__init__()
        self.linear, self.dropout = nn.Linear(6, 6), nn.Dropout(0.4)

    def forward(self, inputs):
        return self.linear(self.dropout(torch.relu(self.linear(self.dropout(inputs)))))


class MyLinear(nn.Linear):
    """A subclass, whose forward is its own."""

    def forward(self, inputs):
        return 2 * super().forward(inputs)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.there, self.back = nn.Linear(6, 6), nn.Linear(6, 6)
        self.back.weight = self.there.weight

    def forward(self, inputs):
        return self.back(torch.tanh(self.there(inputs)))


def used_twice():
    layer, activation = nn.Linear(6, 6), nn.Tanh()
    return nn.Sequential(layer, activation, layer, activation, nn.Linear(6, 2))


def tied_chain():
    first, second = nn.Linear(6, 6), nn.Linear(6, 6, bias=False)
    second.weight = first.weight
    return nn.Sequential(first, nn.ReLU(), second)


def inception():
    branches = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU()), nn.Conv2d(2, 4, 3, padding=1)
    named = {"pool": nn.MaxPool2d(3, stride=1, padding=1)}
    return nn.Sequential(Concatenation(*branches, **named), nn.Conv2d(9, 4, 1), Maxout(2))


def residual():
    body = nn.Sequential(nn.Conv2d(2, 5, 3, 2, padding=1), nn.BatchNorm2d(5), StochasticDepth(0.4))
    return nn.Sequential(Sum(Subsample(2, 3), body), nn.ReLU(), Sum(nn.Identity(), nn.Conv2d(5, 5, 1)))


def nested():
    inner = nn.Sequential(nn.Linear(6, 7), nn.Sequential(nn.ReLU(), nn.Dropout(0.3)))
    return nn.Sequential(nn.Sequential(nn.Flatten(), inner), nn.Linear(7, 2))


NETWORKS = {
    "a linear layer": (lambda: nn.Linear(6, 7), (6,)),
    "a linear layer without bias": (lambda: nn.Linear(6, 7, bias=False), (6,)),
    "a linear layer on sequences": (lambda: nn.Linear(6, 7), (4, 6)),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 7), nn.Dropout(0.4)), (6,)),
    "dropout at 0 and 1": (lambda: nn.Sequential(nn.Linear(6, 7), nn.Dropout(0.0), nn.Dropout(1.0)), (6,)),
    "dropout of maps": (lambda: nn.Sequential(nn.Conv2d(2, 7, 3), nn.Dropout2d(0.4)), (2, 4, 4)),
    "dropout twice by one module": (
        lambda: nn.Sequential(nn.Linear(6, 6), drop := nn.Dropout(0.4), nn.ReLU(), drop),
        (6,),
    ),
    "chains in a chain": (nested, (2, 3)),
    "an empty chain": (lambda: nn.Sequential(nn.Sequential(), nn.Linear(6, 2)), (6,)),
    "a module twice in a chain": (used_twice, (6,)),
    "tied weights in a chain": (tied_chain, (6,)),
    "tied weights in a user's module": (Tied, (6,)),
    "a user's module, a child used twice": (Reused, (6,)),
    "a user's module in a chain": (lambda: nn.Sequential(nn.Linear(6, 7), Activated(), nn.Linear(7, 2)), (6,)),
    "a subclass of a linear layer": (lambda: MyLinear(6, 7), (6,)),
    "branches put side by side": (inception, (2, 5, 5)),
    "branches added up": (residual, (2, 5, 5)),
    "a user's residual branches": (lambda: nn.Sequential(Residual(6, 0.3), Residual(6, 0.2), nn.Linear(6, 2)), (6,)),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 2, groups=2), nn.Flatten()),
        (2, 5, 5),
    ),
    "batch norm of units": (lambda: nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU()), (6,)),
    "batch norm of maps": (lambda: nn.Sequential(nn.Conv2d(2, 7, 3), nn.BatchNorm2d(7), nn.ReLU()), (2, 5, 5)),
    "batch norm without weights": (lambda: nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7, affine=False)), (6,)),
    "other norms": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.LayerNorm(6)),
        (2, 8),
    ),
    "an activation with a weight": (lambda: nn.Sequential(nn.Linear(6, 7), nn.PReLU()), (6,)),
    "a softmax": (lambda: nn.Sequential(nn.Linear(6, 7), nn.Softmax(dim=1)), (6,)),
    "in-place activations": (
        lambda: nn.Sequential(nn.Linear(6, 7), nn.ReLU(inplace=True), nn.Linear(7, 7), nn.SiLU(inplace=True)),
        (6,),
    ),
    "an in-place activation of maps": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ELU(inplace=True)), (2, 4, 4)),
    "an in-place activation of normed units": (
        lambda: nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU(inplace=True)),
        (6,),
    ),
    "batch norm with a plain mean": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=None)),
        (2, 4, 4),
    ),
}


@training_or_not
@pytest.mark.parametrize(("build", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_networks(build, shape, training):
    assert_agreement(build, shape, training)


def test_auxiliary_heads_are_beside_the_network_in_training_alone():
    def build():
        inner = Auxiliary(nn.Linear(7, 2), nn.Sequential(nn.Tanh(), nn.Linear(7, 2)))
        return nn.Sequential(nn.Linear(6, 6), Auxiliary(nn.Sequential(nn.Linear(6, 7), inner), nn.Linear(6, 2)))

    networks, inputs = lanes_of(build), normal(LANES, BATCH, 6)
    tensors = {name: torch.stack([tensors_of(one)[name] for one in networks]) for name in tensors_of(networks[0])}
    stacked = StackedNetwork(networks[0])
    for number, network in enumerate(networks):
        stacked.train()
        for found, expected in zip(stacked(tensors, inputs), network.train()(inputs[number]), strict=True):
            assert_close(found[number], expected)
        stacked.eval()
        assert_close(stacked(tensors, inputs)[number], network.eval()(inputs[number]))


@pytest.fixture
def uninitialized_numbers_are_nan():
    torch.use_deterministic_algorithms(True)  # which fills all memory it is given
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("wide", "narrow"), [(6, 1), (7, 3), (30, 7), (64, 33)])
def test_a_linear_layer_reads_no_memory_but_its_own(wide, narrow, bias, uninitialized_numbers_are_nan):
    assert torch.empty(3).isnan().all()
    assert_agreement(lambda: nn.Sequential(nn.Linear(wide, narrow, bias), nn.Linear(narrow, wide, bias)), (wide,))


# Which way a module goes


def under_vmap(network):
    replace_dropout(network)
    return StackedNetwork(network).vmapped


@pytest.mark.parametrize(
    "build",
    [
        *(nested, inception, residual, used_twice, tied_chain),
        lambda: nn.Sequential(*(kind(*arguments_of(kind)) for kind in KINDS)),
    ],
)
def test_chains_of_known_modules_need_no_vmap(build):
    assert not under_vmap(build())


@pytest.mark.parametrize("build", [lambda: MyLinear(6, 7), Tied, Activated, lambda: nn.LayerNorm(6)])
def test_what_isnt_known_exactly_runs_under_vmap(build):
    assert under_vmap(build())
    assert under_vmap(nn.Sequential(nn.ReLU(), nn.Sequential(build())))


def test_a_subclass_of_a_chain_isnt_a_chain():
    class Backwards(nn.Sequential):
        def forward(self, inputs):
            for module in reversed(self):
                inputs = module(inputs)
            return inputs

    assert under_vmap(Backwards(nn.Linear(6, 6), nn.ReLU()))
    assert_agreement(lambda: Backwards(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6)), (6,))


HOOKED = {"linear": lambda: nn.Linear(6, 6), "relu": nn.ReLU, "chain": lambda: nn.Sequential(nn.Linear(6, 6))}
FORWARD_HOOKS = {
    "after": lambda module: module.register_forward_hook(lambda module, inputs, outputs: 2 * outputs),
    "before": lambda module: module.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],)),
}
BACKWARD_HOOKS = {
    "after": lambda module: module.register_full_backward_hook(lambda module, grads, _: (2 * grads[0],)),
    "before": lambda module: module.register_full_backward_pre_hook(lambda module, grads: (2 * grads[0],)),
}


def hooked(module, hook):
    def build():
        network = nn.Sequential(nn.Linear(6, 6), module(), nn.Linear(6, 2))
        hook(network[1])
        return network

    return build


@pytest.mark.parametrize("hook", FORWARD_HOOKS.values(), ids=FORWARD_HOOKS)
@pytest.mark.parametrize("module", HOOKED.values(), ids=HOOKED)
def test_forward_hooks_run(module, hook):
    assert_agreement(hooked(module, hook), (6,))


@pytest.mark.parametrize("hook", BACKWARD_HOOKS.values(), ids=BACKWARD_HOOKS)
@pytest.mark.parametrize("module", HOOKED.values(), ids=HOOKED)
def test_a_network_with_backward_hooks_is_refused(module, hook):
    with pytest.raises((RuntimeError, ValueError)):
        StackedNetwork(hooked(module, hook)())


def test_a_module_whose_forward_was_replaced_does_as_it_was_told():
    def build():
        layer = nn.Linear(6, 7)
        forward = layer.forward
        layer.forward = lambda inputs: 2 * forward(inputs)
        return nn.Sequential(layer)

    assert_agreement(build, (6,))


# What can't be computed for lanes at once


class Drawing(nn.Module):
    def forward(self, inputs):
        return inputs + torch.rand_like(inputs)


class Choosing(nn.Module):
    def forward(self, inputs):
        return inputs if inputs.sum() > 0 else -inputs


@pytest.mark.parametrize("build", [Drawing, Choosing, lambda: nn.AlphaDropout(0.3), nn.RReLU])
def test_what_torch_cant_batch_is_refused_at_the_first_step(build):
    with pytest.raises((RuntimeError, ValueError)):
        together(lanes_of(lambda: nn.Sequential(nn.Linear(6, 6), build())), normal(LANES, BATCH, 6), 1.0, training=True)
