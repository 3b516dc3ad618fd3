"""Fused and looped lanes come to the same numbers: in float64, 100 steps, to 1e-9."""

import pytest
import torch
from contracts.models import DRAWING, FAMILIES, MODELS
from contracts.stack import ALTERATIONS, Hall, altered, blobs, uneven

from leadline.trainers.losses import LOSSES
from leadline.trainers.optimizers import OPTIMIZERS
from leadline.trainers.schedules import SCHEDULES
from leadline.trainers.stack import FusedStack, LoopedStack

EPOCHS = 25  # of 4 steps


def hall_of(make, model, **settings):
    builder, shape, params = MODELS[model]
    return Hall(make, builder, blobs(96, shape), dtype=torch.float64, **{"epochs": EPOCHS, **settings}), params


def trained(hall, *lanes, epochs=EPOCHS):
    """Returns the weights of lanes with these parameters, and the training loss of each epoch."""
    made = [hall.lane(number, **params) for number, params in enumerate(lanes)]
    stack = hall.stack(*made)
    losses = [[epoch.metrics["train/loss"] for epoch in stack.train_epoch()] for _ in range(epochs)]
    return [stack.weights(lane) for lane, _ in made], losses


def assert_parity(model, *lanes, **settings):
    outcomes = []
    for make in (FusedStack, LoopedStack):
        hall, params = hall_of(make, model, **settings)
        outcomes.append(trained(hall, *({**params, **lane} for lane in lanes)))
    assert_same_numbers(*outcomes)


def assert_same_numbers(fused, looped):
    torch.testing.assert_close(fused, looped, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in DRAWING])
def test_every_network_comes_to_the_same_weights_and_running_statistics(model):
    assert_parity(model, {"lr": 0.003}, {"lr": 0.01})


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_comes_to_the_same(optimizer):
    lanes = [
        {"lr": 0.002, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999},
        {"lr": 0.005, "momentum": 0.5, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.1},
        {"lr": 0.001, "momentum": 0.0, "beta1": 0.0, "beta2": 0.9, "weight_decay": 0.01},
    ]
    assert_parity("mlp with batch norm", *lanes, optimizer=optimizer)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "weight_decay": [0.0, 0.01, 0.3],
        "l1": [0.0, 0.001, 0.01],
        "label_smoothing": [0.0, 0.1, 0.5],
        "clip_norm": [None, 0.1, 1.0],
        "dropout": [0.0, 0.3, 0.9],
    }.items(),
)
def test_every_regularizer_comes_to_the_same_at_each_lanes_own_rate(name, values):
    assert_parity("mlp", *({name: value} for value in values), optimizer="sgd", lr=0.02)


def test_all_regularizers_together_come_to_the_same():
    rates = {"weight_decay": 0.01, "l1": 0.001, "label_smoothing": 0.1, "clip_norm": 0.5}
    assert_parity("convnet", {}, rates, lr=0.003)


@pytest.mark.parametrize("warmup", [0, 2.5])
def test_every_schedule_comes_to_the_same_beside_all_others(warmup):
    assert_parity("mlp", *({"schedule": schedule} for schedule in SCHEDULES), warmup=warmup, gamma=0.3, lr=0.01)


@pytest.mark.parametrize("loss", [loss for loss, (_, task) in LOSSES.items() if task == "regression"])
def test_a_regression_comes_to_the_same_by_every_loss(loss):
    inputs = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
    data = inputs, inputs @ torch.arange(6.0) + inputs[:, 0] ** 2
    halls = (Hall(make, data=data, dtype=torch.float64, lr=0.01, loss=loss) for make in (FusedStack, LoopedStack))
    assert_same_numbers(*(trained(hall, {"dropout": 0.2}, {"weight_decay": 0.1}) for hall in halls))


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_examples_and_classes_come_to_the_same_as_each_lane_has_them(name):
    lanes = [altered(name, which) for which in (0, 1)]
    halls = (Hall(make, "convnet", uneven(96), dtype=torch.float64) for make in (FusedStack, LoopedStack))
    params = {"depth": 2, "feature_maps": 7, "dropout": 0.3, "lr": 0.003}
    assert_same_numbers(*(trained(hall, *({**params, **lane} for lane in lanes)) for hall in halls))


def test_a_regression_on_mixed_examples_comes_to_the_same():
    inputs, _ = blobs(96)
    halls = (
        Hall(make, data=(inputs, inputs.sum(1)), dtype=torch.float64, lr=0.01) for make in (FusedStack, LoopedStack)
    )
    assert_same_numbers(*(trained(hall, {"mixup": 0.2}, {"mixup": 1.0}) for hall in halls))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_to_the_same_with_rates_and_heads_weighed_as_each_lane_has_them(family):
    shape, params, other = FAMILIES[family]
    halls = (Hall(make, family, blobs(48, shape), dtype=torch.float64) for make in (FusedStack, LoopedStack))
    lanes = {**params, "lr": 0.002}, {**params, **other, "lr": 0.001}
    assert_same_numbers(*(trained(hall, *lanes, epochs=4) for hall in halls))


def test_a_loss_of_the_users_comes_to_the_same():
    def hinge(outputs, targets, label_smoothing=0.0):
        right = outputs.gather(1, targets[:, None])
        return (1 - label_smoothing) * (outputs - right + 1).clamp(min=0).mean() + outputs.square().mean() / 10

    assert_parity("mlp", {}, {"label_smoothing": 0.2}, loss=hinge, lr=0.003)


def test_folds_come_to_the_same():
    outcomes = []
    for make in (FusedStack, LoopedStack):
        hall = Hall(make, data=blobs(98), dtype=torch.float64, folds=3, lr=0.003)
        lanes = [hall.lane(0, fold, dropout=0.3) for fold in range(3)]
        stack = hall.stack(*lanes)
        losses = [[epoch.metrics["train/loss"] for epoch in stack.train_epoch()] for _ in range(EPOCHS)]
        outcomes.append(([stack.weights(lane) for lane, _ in lanes], losses))
    assert_same_numbers(*outcomes)


def test_lanes_that_come_and_go_come_to_the_same():
    outcomes = []
    for make in (FusedStack, LoopedStack):
        hall, params = hall_of(make, "mlp with batch norm", lr=0.003)
        first, second, third = (hall.lane(number, **params) for number in range(3))
        stack = hall.stack(first, second)
        for _ in range(5):
            stack.train_epoch()
        stack.remove(first[0])
        stack.add(*third)
        for _ in range(20):
            stack.train_epoch()
        outcomes.append([stack.weights(lane) for lane, _ in (second, third)])
    assert_same_numbers(*outcomes)


NARROW = [
    *(("mlp", (6,), True, optimizer) for optimizer in OPTIMIZERS),
    ("mlp", (6,), False, "adamw"),
    ("convnet", (2, 4, 4), True, "adamw"),
    ("convnet", (2, 4, 4), False, "sgd"),
]


@pytest.mark.parametrize(("family", "shape", "batch_norm", "optimizer"), NARROW)
def test_a_narrow_network_in_a_wide_stack_comes_to_the_same(family, shape, batch_norm, optimizer):
    settings = {"lr": 0.002, "l1": 0.001, "weight_decay": 0.01, "clip_norm": 0.5, "optimizer": optimizer}
    params = {"depth": 2, "batch_norm": batch_norm}
    lanes = [{**params, "dropout": 0.3, "feature_maps": width} for width in (3, 8, 5)]
    looped = Hall(LoopedStack, family, blobs(96, shape), dtype=torch.float64, **settings)
    _, widest = looped.lane(0, **params, feature_maps=8)
    fused = Hall(lambda bench: FusedStack(bench, widest), family, blobs(96, shape), dtype=torch.float64, **settings)
    assert_same_numbers(trained(fused, *lanes), trained(looped, *lanes))
