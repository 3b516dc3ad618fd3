from importlib import import_module

import pytest
import torch
from torch import nn

from leadline.trainers.memory import bytes_told
from leadline.trainers.sanity.cost import cost, duration

MODULE = import_module("leadline.trainers.sanity.cost")  # by its name the package has the function


def of(case, optimizer="adamw", batch=16, **params):
    one = case("mlp", None, {"optimizer": optimizer, "batch_size": batch}, **params)
    return cost(one.build, one.bench, one.recipe, one.stream, seconds=0.1)


def test_a_training_costs_seconds_and_bytes(case):
    found = of(case, depth=1, feature_maps=8)
    assert found.verdict == "ok"
    assert (found.parameters, found.batch_size) == (6 * 8 + 8 + 8 * 3 + 3, 16)
    assert 0 < found.step_seconds < found.epoch_seconds < found.seconds
    assert found.memory == found.weights + found.state + found.activations < found.available
    assert "83 parameters, batches of 16" in found.text


def test_memory_grows_with_the_network_and_its_batches(case):
    small, wide = of(case, feature_maps=16), of(case, feature_maps=64)
    assert wide.parameters > 3 * small.parameters
    assert wide.weights > 3 * small.weights
    assert wide.activations > 2 * small.activations
    assert of(case, batch=32, feature_maps=16).activations == 2 * small.activations


@pytest.mark.parametrize(("optimizer", "tensors"), [("adamw", 2), ("sgd", 1), ("rmsprop", 1)])
def test_an_optimizers_state_counts(case, optimizer, tensors):
    found = of(case, optimizer, depth=1, feature_maps=8)
    assert found.state == tensors * 4 * found.parameters


def test_weights_dont_count_as_activations(case):
    assert of(case, depth=2, feature_maps=64).activations < 16 * 4 * (6 + 64 * 2 * 3 + 3 * 3) * 2


def test_what_a_device_cant_hold_is_a_problem_and_isnt_tried(case, monkeypatch):
    monkeypatch.setattr(MODULE, "available_memory", lambda device: 1000)
    monkeypatch.setattr(MODULE, "_step_seconds", lambda *_: pytest.fail("it must not be tried"))
    found = of(case, depth=1, feature_maps=8)
    assert found.verdict == "problem"
    assert "take smaller batches or networks" in found.text


def test_a_network_too_slow_for_whole_batches_is_measured_by_few_examples(case, monkeypatch):
    monkeypatch.setattr(MODULE, "_step_seconds", lambda *_: pytest.fail("it must not be tried"))
    one = case("mlp", feature_maps=8)
    assert cost(one.build, one.bench, one.recipe, one.stream, seconds=0.0).step_seconds > 0


def test_torchs_generator_is_left_alone(case):
    before = torch.get_rng_state()
    of(case, dropout=0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_that_shares_its_weights_counts_them_once(case):
    class Tied(nn.Module):
        def __init__(self, inputs, classes):
            super().__init__()
            self.first = self.second = nn.Linear(inputs, inputs)
            self.last = nn.Linear(inputs, classes)

        def forward(self, inputs):
            return self.last(self.second(self.first(inputs)))

    one = case(lambda in_shape, classes: Tied(in_shape[0], classes))
    assert cost(one.build, one.bench, one.recipe, one.stream, seconds=0.1).parameters == 6 * 6 + 6 + 6 * 3 + 3


def test_durations_and_sizes_are_told_in_their_units():
    assert [duration(seconds) for seconds in (0.0123, 59, 90, 7200, 864000)] == [
        *("0.012 s", "59 s", "1.5 min", "2.0 h", "10.0 days")
    ]
    assert [bytes_told(count) for count in (999, 1_000, 2_500_000, 3_000_000_000)] == [
        *("999 B", "1 kB", "2.5 MB", "3 GB")
    ]
