from dataclasses import replace

import pytest
import torch
from contracts.models import DRAWING, MODELS, residual
from contracts.stack import Hall, StackContract, blobs, identical, point, run, same
from torch import nn
from torch.nn import functional as F

from leadline.trainers.stack import FusedStack


class TestFusedStack(StackContract):
    models = tuple(model for model in MODELS if model not in DRAWING)

    @pytest.fixture
    def make(self):
        return FusedStack


@pytest.mark.parametrize("counts", [(8, 7, 3, 2, 1), (1, 2, 5, 16)], ids=["fewer", "more"])
def test_stacks_are_as_large_as_their_lanes_need(counts):
    hall = Hall(FusedStack)
    stack, numbers = hall.stack(), iter(range(100))
    for count in counts:
        while len(stack.lanes) > count:
            stack.remove(stack.lanes[0])
        while len(stack.lanes) < count:
            stack.add(*hall.lane(next(numbers)))
        stack.train_epoch()
        assert count <= len(stack._rows) <= max(4, count + 1)


def test_a_refill_takes_the_place_of_the_lane_that_left():
    hall = Hall(FusedStack)
    lanes = [hall.lane(number) for number in range(4)]
    stack = hall.stack(*lanes)
    stack.train_epoch()
    rows = stack._rows.weights.data_ptr()
    stack.remove(lanes[1][0])
    stack.add(*hall.lane(9))
    stack.train_epoch()
    assert stack._rows.weights.data_ptr() == rows
    assert [lane.number for lane in stack._places if lane is not None] == [0, 9, 2, 3]


def test_an_empty_stack_may_begin_again_with_other_networks():
    hall = Hall(FusedStack)
    first = hall.lane(0, depth=1)
    stack = hall.stack(first)
    stack.train_epoch()
    stack.remove(first[0])
    lane, network = hall.lane(3, depth=3)
    stack.add(lane, network)
    assert identical(run(stack, lane, epochs=3), hall.alone(3, depth=3))


def test_a_stack_that_runs_out_of_memory_is_as_it_was():
    hall = Hall(FusedStack)
    params = {"batch_norm": True, "dropout": 0.3}
    expected, room = hall.alone(3, **params), []

    def greedy(outputs, targets):
        room.append(1)
        if len(room) == 3:
            raise torch.OutOfMemoryError("no room")
        return F.cross_entropy(outputs, targets)

    hall.bench = replace(hall.bench, loss=greedy)
    lanes = [hall.lane(number, **params) for number in (3, 4)]
    stack = hall.stack(*lanes)
    before = [stack.tensors(lane) for lane, _ in lanes]
    with pytest.raises(torch.OutOfMemoryError):
        stack.train_epoch()
    assert [lane.epoch for lane, _ in lanes] == [0, 0]
    assert all(same(stack.tensors(lane), kept) for (lane, _), kept in zip(lanes, before, strict=True))
    curve, weights = run(stack, lanes[0][0], epochs=3)
    torch.testing.assert_close(weights, expected[1], rtol=1e-4, atol=1e-5)  # another function computes the loss
    assert [epoch["value"] for epoch in curve] == [epoch["value"] for epoch in expected[0]]


class Normed(nn.Module):
    """A user's module whose batch norm, under vmap, gets bfloat16 numbers and float32 statistics."""

    def __init__(self, features, classes):
        super().__init__()
        self.first, self.norm = nn.Linear(features, 16, bias=False), nn.BatchNorm1d(16)
        self.last = nn.Linear(16, classes)

    def forward(self, inputs):
        return self.last(F.relu(self.norm(self.first(inputs))))


@pytest.mark.xfail(strict=True, reason="torch can't batch it on a CPU; the plan finds that out, and loops it")
def test_a_users_module_with_batch_norm_trains_in_bfloat16():
    hall = Hall(FusedStack, lambda in_shape, classes: Normed(in_shape[0], classes), precision="bfloat16")
    assert hall.alone(0, epochs=1)


@pytest.mark.xfail(strict=True, reason="under vmap, odd sizes are rounded by the count of lanes")
def test_a_users_module_of_odd_width_is_bit_identical_to_the_lane_alone():
    hall = Hall(FusedStack, residual, blobs(78), batch_size=50)
    assert identical(hall.among(4, 5, width=7), hall.alone(4, width=7))


def test_frozen_weights_stay_and_the_others_learn():
    def frozen(in_shape, classes):
        network = nn.Sequential(nn.Linear(in_shape[0], 8), nn.ReLU(), nn.Linear(8, classes))
        network[0].requires_grad_(False)
        return network

    hall = Hall(FusedStack, frozen, weight_decay=0.1, l1=0.1)
    lanes = [hall.lane(number) for number in range(2)]
    before = [{name: tensor.clone() for name, tensor in network.state_dict().items()} for _, network in lanes]
    stack = hall.stack(*lanes)
    stack.train_epoch()
    for (lane, _), kept in zip(lanes, before, strict=True):
        after = stack.weights(lane)
        assert {name for name in kept if torch.equal(kept[name], after[name])} == {"0.weight", "0.bias"}


def test_a_network_of_a_user_that_draws_random_numbers_is_an_error_of_each_lane():
    builder, _, params = MODELS["functional dropout"]
    hall = Hall(FusedStack, builder)
    epochs = hall.stack(hall.lane(0, **params), hall.lane(1, **params)).train_epoch()
    assert [type(epoch.error) for epoch in epochs] == [RuntimeError, RuntimeError]


@pytest.mark.parametrize("number", [0, 2])
def test_a_narrow_lane_among_wide_ones_is_bit_identical_to_the_lane_alone(number):
    _, widest = Hall(FusedStack).lane(0, feature_maps=16)
    hall = Hall(lambda bench: FusedStack(bench, widest), lr=0.01)
    own = {"feature_maps": 5, "dropout": 0.3, "batch_norm": False}
    expected = hall.alone(number, **own)
    lane = hall.lane(number, **own)
    stack = hall.stack(*(lane if n == number else hall.lane(n, feature_maps=16, dropout=0.5) for n in range(3)))
    assert identical(run(stack, lane[0], epochs=3), expected)
    assert stack.weights(lane[0])["1.weight"].shape == (5, 6)
    assert point(lane[0], stack.train_epoch())
