"""The blueprint: which networks may share a stack, and which may not."""

import functools
import os
import random
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leadline.trainers.blueprint import blueprint
from leadline.trainers.networks import build
from leadline.trainers.stack.dropout import replace_dropout


def mlp(**architecture):
    return build("mlp", in_shape=(6,), classes=3, **{"depth": 2, "feature_maps": 8, "batch_norm": True, **architecture})


def convnet(**architecture):
    given = {"depth": 2, "feature_maps": 4, **architecture}
    return build("convnet", in_shape=(1, 8, 8), classes=3, **given)


def plain(*layers):
    return nn.Sequential(nn.Linear(6, 4), *layers, nn.Linear(4, 3))


class Having(nn.Module):
    """A user's module with something of its own."""

    def __init__(self, own=None):
        super().__init__()
        self.linear, self.own = nn.Linear(6, 3), own

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs)


# What networks of one blueprint may differ in


def test_it_is_the_same_for_other_weights():
    assert blueprint(mlp()) == blueprint(mlp())
    assert blueprint(convnet()) == blueprint(convnet())


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d])
def test_it_is_the_same_for_other_dropout_rates(kind):
    assert blueprint(plain(kind(0.1))) == blueprint(plain(kind(0.6)))


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d])
def test_it_is_the_same_for_other_rates_of_dropout_that_was_replaced_and_has_run(kind):
    networks = plain(kind(0.1)), plain(kind(0.6))
    for size, network in enumerate(networks, start=1):
        replace_dropout(network)
        network(torch.zeros(size, 6))
    assert blueprint(networks[0]) == blueprint(networks[1])


def test_it_is_the_same_when_weights_and_statistics_have_been_trained():
    network = mlp()
    before = blueprint(network)
    network(torch.randn(8, 6)).sum().backward()
    assert blueprint(network) == before


# What they may not differ in


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: mlp(), lambda: mlp(feature_maps=9)),
        (lambda: mlp(), lambda: mlp(depth=3)),
        (lambda: mlp(), lambda: mlp(batch_norm=False)),
        (lambda: plain(nn.ReLU()), lambda: plain(nn.Tanh())),
        (lambda: plain(nn.ReLU()), lambda: plain(nn.ReLU(inplace=True))),
        (lambda: plain(nn.LeakyReLU(0.1)), lambda: plain(nn.LeakyReLU(0.2))),
        (lambda: plain(nn.BatchNorm1d(4)), lambda: plain(nn.BatchNorm1d(4, eps=1e-3))),
        (lambda: plain(nn.BatchNorm1d(4)), lambda: plain(nn.BatchNorm1d(4, momentum=0.2))),
        (lambda: plain(nn.Dropout(0.1)), lambda: plain(nn.Dropout2d(0.1))),
        (lambda: plain(nn.AlphaDropout(0.1)), lambda: plain(nn.AlphaDropout(0.2))),
        (lambda: nn.Conv2d(1, 2, 3, padding=1), lambda: nn.Conv2d(1, 2, 5, padding=2)),
        (lambda: nn.Conv2d(1, 2, 3), lambda: nn.Conv2d(1, 2, 3, stride=2)),
        (lambda: nn.Conv2d(1, 2, 3), lambda: nn.Conv2d(1, 2, 3, padding_mode="circular")),
        (lambda: nn.Linear(6, 3), lambda: nn.Linear(6, 3).double()),
        (lambda: nn.Linear(6, 3), lambda: nn.Linear(6, 3).requires_grad_(False)),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU()), lambda: nn.Sequential(nn.ReLU(), nn.Linear(4, 4))),
    ],
    ids=[
        *("width", "depth", "batch norm", "activation", "in place", "slope", "eps", "momentum", "whole maps"),
        *("dropout of another kind", "kernel size", "stride", "padding mode", "dtype", "frozen", "order"),
    ],
)
def test_it_is_another_for_another_structure(one, other):
    assert blueprint(one()) != blueprint(other())


def test_it_is_another_where_one_layer_alone_is_frozen():
    frozen = mlp()
    frozen[1].requires_grad_(False)
    assert blueprint(frozen) != blueprint(mlp())


def test_it_is_another_where_weights_are_tied():
    def network(tied: bool) -> nn.Module:
        made = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        if tied:
            made[1].weight = made[0].weight
        return made

    assert blueprint(network(True)) == blueprint(network(True)) != blueprint(network(False))


def test_it_is_another_where_a_module_is_used_twice():
    once = nn.ReLU()
    assert blueprint(nn.Sequential(once, once)) != blueprint(nn.Sequential(nn.ReLU(), nn.ReLU()))
    shared = nn.Linear(4, 4)
    assert blueprint(nn.Sequential(shared, shared)) != blueprint(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))


@dataclass
class Options:
    scale: float


def clamped(low: float) -> Callable[[Tensor], Tensor]:
    return lambda inputs: inputs.clamp(min=low)


PAIRS = {
    "a number": (1.5, 2.5),
    "an integer that equals a float": (1, 1.0),
    "a word": ("mean", "sum"),
    "a list": ([1, 2], [1, 3]),
    "a tuple": ((1, 2), [1, 2]),
    "a list in a list": ([[1], 2], [[2], 2]),
    "a dict": ({"a": 1}, {"a": 2}),
    "a set": ({1, 2}, {1, 3}),
    "a tensor": (torch.arange(3.0), torch.arange(3.0) + 1),
    "a tensor's dtype": (torch.zeros(3), torch.zeros(3, dtype=torch.int32)),
    "a numpy array": (np.arange(3), np.arange(3) + 1),
    "a numpy array's shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "an object": (Options(1.0), Options(2.0)),
    "a function": (F.relu, F.gelu),
    "a function of torch's": (torch.relu, torch.tanh),
    "a lambda": (lambda x: x + 1, lambda x: x + 2),
    "a closure": (clamped(0.0), clamped(0.1)),
    "a partial": (functools.partial(F.leaky_relu, negative_slope=0.1), functools.partial(F.leaky_relu)),
    "a method": (Options(1.0).__eq__, Options(2.0).__eq__),
    "a class": (nn.ReLU, nn.GELU),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_it_is_another_for_another_attribute(pair):
    one, other = pair
    assert blueprint(Having(one)) == blueprint(Having(one))
    assert blueprint(Having(one)) != blueprint(Having(other))


def test_it_is_the_same_for_attributes_that_are_equal_and_not_identical():
    def attributes() -> list[object]:
        values = [1.5, "mean", {"a": [1, 2]}, {3, 1, 2}, torch.arange(3.0), np.arange(3), Options(1.0)]
        return [*values, clamped(0.5), functools.partial(F.leaky_relu, negative_slope=0.1)]

    assert blueprint(Having(attributes())) == blueprint(Having(attributes()))


def test_it_is_the_same_for_words_that_are_equal_wherever_they_came_from():
    read = "".join(["re", "lu"])  # as from a file, a pipe or a database
    assert blueprint(Having(["relu", "relu"])) == blueprint(Having(["relu", read]))


def doubled(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return 2 * output


@pytest.mark.parametrize("register", ["register_forward_hook", "register_full_backward_hook"])
def test_it_is_another_with_a_hook(register):
    network = Having()
    getattr(network.linear, register)(doubled)
    assert blueprint(network) != blueprint(Having())


def test_it_is_another_with_a_hook_before_the_forward():
    network = Having()
    network.linear.register_forward_pre_hook(lambda module, inputs: None)
    assert blueprint(network) != blueprint(Having())


def locally_made(scale: float = 1.0, *, base: float = 1.0, constant: float = 1.0, shown: float = 1.0) -> nn.Module:
    """Returns a network whose class is made on the spot, as notebooks do."""

    class Base(nn.Module):
        def outer(self, inputs: Tensor) -> Tensor:
            return base * inputs

    class Local(Base):
        factor = constant

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 3)

        @property
        def shown(self) -> float:
            return shown

        def forward(self, inputs: Tensor) -> Tensor:
            return scale * self.factor * self.shown * self.outer(self.linear(inputs))

    return Local()


def test_it_is_the_same_for_a_class_made_in_the_builder():
    assert blueprint(locally_made(2.0)) == blueprint(locally_made(2.0))


def test_it_is_another_for_a_class_that_closes_over_another_value():
    assert blueprint(locally_made(2.0)) != blueprint(locally_made(3.0))


@pytest.mark.parametrize("where", ["constant", "base", "shown"], ids=["class attribute", "base class", "property"])
def test_it_is_another_for_a_class_that_holds_another_value(where):
    assert blueprint(locally_made(**{where: 2.0})) != blueprint(locally_made(**{where: 3.0}))


def test_it_is_another_for_other_activations_in_a_plain_list():
    assert blueprint(Having([nn.LeakyReLU(0.1)])) != blueprint(Having([nn.LeakyReLU(0.2)]))


def test_it_is_another_for_a_method_of_another_value():
    assert blueprint(Having({1: 2}.get)) != blueprint(Having({1: 3}.get))


# What is hard to compare


def test_a_file_makes_it_unlike_any_other():
    with open(os.devnull) as one, open(__file__) as other:
        assert blueprint(Having(one)) != blueprint(Having(other))


def test_a_lock_makes_it_unlike_any_other():
    one, other = Having(threading.Lock()), Having(threading.Lock())
    assert blueprint(one) != blueprint(other)


def test_a_lock_makes_it_unlike_those_that_are_gone():
    assert len({blueprint(Having(threading.Lock())) for _ in range(50)}) == 50


SELDOM = {
    "a range": lambda: range(3),
    "a queue": lambda: deque([1, 2]),
    "bfloat16": lambda: torch.zeros(2, dtype=torch.bfloat16),
}


@pytest.mark.parametrize("make", SELDOM.values(), ids=SELDOM)
def test_what_is_seldom_seen_can_be_compared_too(make):
    one, other = make(), make()
    assert blueprint(Having(one)) == blueprint(Having(other))


def test_generators_of_other_seeds_are_not_the_same():
    one, other = random.Random(1), random.Random(2)
    assert blueprint(Having(one)) != blueprint(Having(other))


def test_an_attribute_that_holds_itself_is_compared():
    def cyclic(number: int) -> nn.Module:
        items: list[object] = [number]
        items.append(items)
        network = Having({"items": items})
        network.own["network"] = network
        return network

    assert blueprint(cyclic(1)) == blueprint(cyclic(1)) != blueprint(cyclic(2))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("module", [F, torch], ids=["functional", "torch"])
def test_an_attribute_may_be_an_imported_module(module):
    assert blueprint(Having(module)) == blueprint(Having(module))


def test_a_function_that_calls_one_not_made_yet_can_be_compared():
    def made() -> nn.Module:
        def early(inputs: Tensor) -> Tensor:
            return late(inputs)

        network = Having(early)
        network.found = blueprint(network)

        def late(inputs: Tensor) -> Tensor:
            return inputs

        return network

    assert made().found == made().found


ELSEWHERE = """
import torch
from torch import nn
from leadline.trainers.blueprint import blueprint
from leadline.trainers.networks import build

def scaled(scale):
    return lambda inputs: inputs * scale if inputs.ndim in {1, 2, 3} else inputs

def network():
    made = build("mlp", in_shape=(6,), classes=3, depth=2, feature_maps=8, batch_norm=True, dropout=0.3)
    made.activation, made.options, made.words = torch.relu, {"a": [1, 2.5]}, {"mean", "sum", "max"}
    made.scaled, made.dtype, made.table = scaled(0.5), torch.float32, torch.arange(4)
    made.kind = nn.GELU
    return made

print(blueprint(network()))
"""


def test_it_is_the_same_in_another_process():
    def elsewhere(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", ELSEWHERE]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert elsewhere("1") == elsewhere("2")
