"""Each lane's optimizer is torch's of that name, with the lane's own rates and its own count of steps."""

import numpy as np
import pytest
import torch
from contracts.stack import torch_optimizer
from torch import nn

from leadline.trainers.optimizers import OPTIMIZERS, LaneAdam, LaneAdamOnCPU
from leadline.trainers.recipe import Recipe

STEPS, WIDTH = 100, 48
CPU = torch.device("cpu")
KINDS = {
    **{name: make(CPU) for name, make in OPTIMIZERS.items()},
    "adam for any device": LaneAdam(decoupled=False),
    "adamw for any device": LaneAdam(decoupled=True),
}
LANES = [  # of one stack: what they differ in, and the step at which they join
    ({"lr": 0.01, "weight_decay": 0.0, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999}, 0),
    ({"lr": 0.002, "weight_decay": 0.1, "momentum": 0.5, "beta1": 0.8, "beta2": 0.99}, 0),
    ({"lr": 0.03, "weight_decay": 0.01, "momentum": 0.0, "beta1": 0.0, "beta2": 0.9}, 0),
    ({"lr": 0.01, "weight_decay": 0.2, "momentum": 0.9, "beta1": 0.95, "beta2": 0.9999}, 40),
]


def normal(*shape, seed, dtype):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def recipes(kind):
    return [Recipe(optimizer=kind.split()[0], **rates) for rates, _ in LANES]


def rates_of(recipe):
    """A learning rate that moves: from the recipe's to half of it."""
    return recipe.lr * np.linspace(1, 0.5, STEPS)


def by_lanes(kind, dtype):
    """Returns the weights (S, K, P) after each step of all lanes at once."""
    weights, grads = (
        normal(len(LANES), WIDTH, seed=0, dtype=dtype),
        normal(STEPS, len(LANES), WIDTH, seed=1, dtype=dtype),
    )
    optimizer = KINDS[kind]
    state = {name: torch.zeros_like(weights) for name in optimizer.state}
    counts = [np.maximum(np.arange(1, STEPS + 1) - joins, 1).astype(float) for _, joins in LANES]
    table = optimizer.table(
        [(recipe, rates_of(recipe), steps) for recipe, steps in zip(recipes(kind), counts, strict=True)], weights
    )
    after = []
    for step in range(STEPS):
        for lane, (_, joins) in enumerate(LANES):
            if step == joins:  # in the place of another, which has left weights and state behind
                weights[lane] = normal(WIDTH, seed=lane, dtype=dtype)
                for rows in state.values():
                    rows[lane] = 0
        optimizer.update(weights, grads[step].clone(), state, {name: column[step] for name, column in table.items()})
        after.append(weights.clone())
    return torch.stack(after)


def by_torch(recipe, lane, joins, dtype):
    """Returns the weights (S - joins, P) after each step of one lane by torch's own optimizer."""
    grads = normal(STEPS, len(LANES), WIDTH, seed=1, dtype=dtype)
    weights = nn.Parameter(normal(WIDTH, seed=lane, dtype=dtype))
    optimizer, after = torch_optimizer(recipe, [weights]), []
    for step in range(joins, STEPS):
        optimizer.param_groups[0]["lr"] = float(rates_of(recipe)[step])
        weights.grad = grads[step, lane].clone()
        optimizer.step()
        after.append(weights.detach().clone())
    return torch.stack(after)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_each_lane_agrees_with_torch_at_each_of_100_steps(kind, dtype, tolerance):
    found = by_lanes(kind, dtype)
    for lane, (recipe, (_, joins)) in enumerate(zip(recipes(kind), LANES, strict=True)):
        expected = by_torch(recipe, lane, joins, dtype)
        torch.testing.assert_close(found[joins:, lane], expected, rtol=tolerance, atol=tolerance)


def test_on_a_cpu_adam_is_torchs_fused_kernel():
    assert {type(OPTIMIZERS[name](CPU)) for name in ("adam", "adamw")} == {LaneAdamOnCPU}
    assert {type(OPTIMIZERS[name](torch.device("cuda"))) for name in ("adam", "adamw")} == {LaneAdam}


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_gradient_and_no_weight_stays_zero(kind):
    optimizer = KINDS[kind]
    weights, grads = torch.zeros(2, 16), torch.zeros(2, 16)
    state = {name: torch.zeros_like(weights) for name in optimizer.state}
    recipe = Recipe(optimizer=kind.split()[0], lr=0.1, weight_decay=0.1)
    table = optimizer.table([(recipe, np.full(3, 0.1), np.arange(1.0, 4.0))] * 2, weights)
    for step in range(3):
        optimizer.update(weights, grads, state, {name: column[step] for name, column in table.items()})
    assert not weights.any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lane_that_is_no_number_leaves_the_others_alone(kind):
    optimizer = KINDS[kind]
    outcomes = []
    for first in (0.5, torch.nan):
        weights, grads = torch.ones(2, 16), torch.ones(2, 16)
        grads[0] = first
        state = {name: torch.zeros_like(weights) for name in optimizer.state}
        table = optimizer.table([(Recipe(optimizer=kind.split()[0]), np.full(1, 0.1), np.ones(1))] * 2, weights)
        optimizer.update(weights, grads, state, {name: column[0] for name, column in table.items()})
        outcomes.append(weights[1])
    assert torch.equal(*outcomes)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_begins_with_state_of_zeros_that_it_names(name):
    assert {
        "sgd": ("momentum_buffer",),
        "adagrad": ("sum",),
        "rmsprop": ("square_avg",),
        "adam": ("exp_avg", "exp_avg_sq"),
        "adamw": ("exp_avg", "exp_avg_sq"),
    }[name] == OPTIMIZERS[name](CPU).state
