from copy import deepcopy

import pytest
import torch
from torch import nn

from leadline.trainers.optimizers import OPTIMIZERS, load_state_tensors, state_tensors
from leadline.trainers.recipe import Recipe


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


@pytest.fixture(autouse=True)
def own_generator():
    with torch.random.fork_rng([]):
        yield


def step(net, optimizer, inputs):
    optimizer.zero_grad()
    net(inputs).square().sum().backward()
    optimizer.step()


RECIPES = [
    *(Recipe(optimizer=name, lr=0.01, weight_decay=0.1) for name in OPTIMIZERS),
    Recipe(optimizer="sgd", momentum=0.0),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: f"{recipe.optimizer}-{recipe.momentum}")
def test_the_state_put_back_goes_on_bit_for_bit(recipe):
    inputs = torch.randn(7, 16, 4, generator=torch.Generator().manual_seed(1))
    net = network()
    optimizer = OPTIMIZERS[recipe.optimizer](net.parameters(), recipe)
    for batch in inputs[:4]:
        step(net, optimizer, batch)
    kept = {name: tensor.clone() for name, tensor in state_tensors(optimizer).items()}
    again = deepcopy(net)
    anew = OPTIMIZERS[recipe.optimizer](again.parameters(), recipe)
    load_state_tensors(anew, kept)
    for batch in inputs[4:]:
        step(net, optimizer, batch)
        step(again, anew, batch)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert state_tensors(anew).keys() == state_tensors(optimizer).keys()


def test_momentum_is_state_only_where_there_is_momentum():
    states = {}
    for momentum in (0.0, 0.9):
        net = network()
        optimizer = OPTIMIZERS["sgd"](net.parameters(), Recipe(optimizer="sgd", momentum=momentum))
        step(net, optimizer, torch.ones(3, 4))
        states[momentum] = set(state_tensors(optimizer))
    assert states == {0.0: set(), 0.9: {f"{index}.momentum_buffer" for index in range(6)}}


def test_an_optimizer_that_has_not_stepped_has_nothing_to_keep_but_zeros():
    for name, make in OPTIMIZERS.items():
        state = state_tensors(make(network().parameters(), Recipe(optimizer=name)))
        assert all(not tensor.any() for tensor in state.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_recipes_rates_are_the_optimizers(name):
    recipe = Recipe(optimizer=name, lr=0.123, weight_decay=0.045, momentum=0.67)
    optimizer = OPTIMIZERS[name](network().parameters(), recipe)
    (group,) = optimizer.param_groups
    assert type(optimizer).__name__.lower() == name
    assert (group["lr"], group["weight_decay"]) == (0.123, 0.045)
    assert group.get("momentum", 0) == (0.67 if name == "sgd" else 0)
