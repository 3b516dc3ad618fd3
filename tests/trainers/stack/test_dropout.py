"""Dropout's bits: at the right rate, independent of each other, and a matter of the trial's stream alone."""

import itertools

import pytest
import torch
from contracts.stack import Hall
from torch import nn

from leadline.trainers.networks.layers import StochasticDepth
from leadline.trainers.recipe import Recipe
from leadline.trainers.stack import FusedStack, Lane, LoopedStack
from leadline.trainers.stack.dropout import LaneDropout, dropouts, keys, replace_dropout
from leadline.trainers.streams import Stream

RATES = [0.01, 0.1, 0.3, 0.5, 0.9]


def lane(number=0, epoch=1, fold=0, seed=0):
    return Lane(number, {}, Recipe(), Stream(seed, number, fold), epoch=epoch)


def key_of(step=0, module=0, **of):
    return torch.tensor(keys(lane(**of), steps=5, modules=3)[step, module])


def kept(shape, p=0.5, key=None, calls=1, dimensions=None):
    """Returns which units are kept, bool `shape`, in the last of so many calls within a step."""
    dropout = LaneDropout(p, dimensions)
    dropout.begin(key_of() if key is None else key)
    for _ in range(calls):
        outputs = dropout(torch.ones(shape))
    return outputs != 0


def correlation(some, others):
    """Returns the correlation of two masks; of independent ones it is within 5 / sqrt(n) but once in two million."""
    return float(torch.corrcoef(torch.stack([some.flatten(), others.flatten()]).double())[0, 1])


def unlike(some, others):
    return abs(correlation(some, others)) < 5 / some.numel() ** 0.5


# The rate


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("shape", [(1000, 1000), (100, 100, 10, 10)], ids=["units", "maps"])
def test_of_a_million_units_the_share_kept_is_right_to_five_standard_deviations(p, shape):
    share = float(kept(shape, p).double().mean())
    assert share == pytest.approx(1 - p, abs=5 * (p * (1 - p) / 1e6) ** 0.5)


def test_over_many_steps_each_unit_is_kept_at_the_right_rate():
    masks = torch.stack([kept((20, 50), 0.3, torch.tensor(key)) for key in keys(lane(), 1000, 1)[:, 0]])
    shares = masks.double().mean(0)
    assert float((shares - 0.7).abs().max()) < 5.5 * (0.7 * 0.3 / 1000) ** 0.5  # of a thousand units the worst
    assert float(shares.std()) == pytest.approx((0.7 * 0.3 / 1000) ** 0.5, rel=0.15)


@pytest.mark.parametrize("p", [*RATES, 0.0])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(p):
    dropout = LaneDropout(p)
    dropout.begin(key_of())
    assert set(dropout(torch.ones(100, 100)).unique().tolist()) <= {0.0, float(torch.tensor(1 / (1 - p)))}


def test_at_rate_0_all_is_kept():
    inputs = torch.randn(1000, 100, generator=torch.Generator().manual_seed(0))
    for step in range(5):
        dropout = LaneDropout(0.0)
        dropout.begin(key_of(step))
        assert torch.equal(dropout(inputs), inputs)


def test_at_rate_1_all_is_zero_and_so_are_the_gradients():
    inputs = torch.randn(1000, 100, generator=torch.Generator().manual_seed(0)).requires_grad_()
    dropout = LaneDropout(1.0)
    dropout.begin(key_of())
    outputs = dropout(inputs)
    outputs.sum().backward()
    assert not outputs.any()
    assert not inputs.grad.any()


def test_in_evaluation_nothing_is_dropped():
    inputs = torch.ones(10, 10)
    assert LaneDropout(0.9).eval()(inputs) is inputs


def test_gradients_go_where_units_were_kept():
    inputs = torch.ones(100, 100, requires_grad=True)
    dropout = LaneDropout(0.4)
    dropout.begin(key_of())
    outputs = dropout(inputs)
    outputs.sum().backward()
    assert torch.equal(inputs.grad, outputs.detach())


# Its own in each of ...

VARIED = {
    "the study's seed": {"seed": 1},
    "the trial": {"number": 1},
    "the fold": {"fold": 1},
    "the epoch": {"epoch": 2},
    "the step": {"step": 1},
    "the layer": {"module": 1},
}


@pytest.mark.parametrize("of", VARIED.values(), ids=VARIED)
def test_masks_are_independent_of_those_of_another(of):
    assert unlike(kept((1000, 100)), kept((1000, 100), key=key_of(**of)))


def test_masks_of_two_calls_in_one_step_are_independent():
    calls = [kept((1000, 100), calls=count) for count in (1, 2, 3)]
    assert all(itertools.starmap(unlike, itertools.combinations(calls, 2)))


@pytest.mark.parametrize("distance", [1, 2, 7, 64])
@pytest.mark.parametrize("dimension", [0, 1, 2, 3])
@pytest.mark.parametrize("p", [0.5, 0.1])
def test_units_near_each_other_are_independent(dimension, distance, p):
    mask = kept([128 if other == dimension else 16 for other in range(4)], p)
    size = 128 - distance
    assert unlike(mask.narrow(dimension, 0, size), mask.narrow(dimension, distance, size))


def test_every_pair_of_ten_neighbouring_steps_layers_and_trials_is_independent():
    made = [key_of(step, module, number=number) for step in range(3) for module in range(2) for number in range(2)]
    masks = [kept((300, 100), key=key) for key in made]
    assert all(itertools.starmap(unlike, itertools.combinations(masks, 2)))


def test_the_correlations_among_a_hundred_steps_are_those_of_coins():
    masks = torch.stack([kept((100, 100), key=torch.tensor(key)).flatten() for key in keys(lane(), 100, 1)[:, 0]])
    found = torch.corrcoef(masks.double()).triu(1)
    found = found[found != 0] * 100  # of 4950 pairs, in standard deviations of coins
    assert float(found.std()) == pytest.approx(1, abs=0.05)
    assert float(found.abs().max()) < 5


def test_the_keys_of_an_epoch_are_all_different():
    made = keys(lane(), steps=500, modules=4)
    assert made.shape == (500, 4)
    assert len(set(made.flatten().tolist())) == 2000


# ... and a matter of these alone


def test_the_same_key_gives_the_same_mask():
    assert torch.equal(kept((50, 60)), kept((50, 60), key=key_of()))
    assert torch.equal(kept((50, 60), calls=2), kept((50, 60), calls=2))


def test_keys_are_those_of_the_trial_whatever_came_before():
    expected = keys(lane(7, 3), 4, 2)
    keys(lane(8, 3), 4, 2)
    assert (keys(lane(7, 3), 4, 2) == expected).all()


def test_an_example_keeps_its_bits_in_a_larger_batch():
    assert torch.equal(kept((7, 30)), kept((50, 30))[:7])


def test_a_unit_keeps_its_bits_in_a_wider_layer():
    assert torch.equal(kept((16, 30)), kept((16, 128))[:, :30])


def test_a_map_keeps_its_bits_among_more_maps():
    assert torch.equal(kept((16, 5, 4, 3)), kept((16, 8, 4, 3))[:, :5])


def test_maps_flattened_channels_first_keep_their_bits_among_more_maps():
    assert torch.equal(kept((16, 5 * 4 * 3)), kept((16, 8 * 4 * 3))[:, : 5 * 4 * 3])


def test_the_mask_of_a_lane_in_a_stack_is_that_of_the_lane_alone():
    shape, rates = (16, 30), [0.0, 0.3, 1.0]
    alone = [LaneDropout(p) for p in rates]
    column = {
        name: torch.stack([getattr(dropout, name) for dropout in alone]).view(-1, 1, 1)
        for name in ("threshold", "scale")
    }
    own = torch.stack([key_of(number=number) for number in range(3)])
    for dropout, key in zip(alone, own, strict=True):
        dropout.begin(key)
    together = LaneDropout(0.5)
    for _ in range(2):  # calls in one step
        masks = together.mask(torch.Size(shape), own.view(-1, 1, 1), **column)
        for mask, dropout in zip(masks, alone, strict=True):
            assert torch.equal(mask, dropout(torch.ones(shape)))


# Whole maps


@pytest.mark.parametrize("shape", [(64, 100, 5), (64, 100, 3, 4), (64, 100, 2, 3, 2)], ids=["1d", "2d", "3d"])
def test_whole_maps_are_dropped(shape):
    maps = kept(shape, 0.3, dimensions=2).flatten(2)
    assert torch.equal(maps.all(2), maps.any(2))
    assert float(maps.double().mean()) == pytest.approx(0.7, abs=5 * (0.21 / 6400) ** 0.5)


def test_where_there_are_no_maps_units_are_dropped():
    assert torch.equal(kept((64, 100), dimensions=2), kept((64, 100)))


def test_stochastic_depth_drops_whole_examples():
    examples = kept((6400, 3, 2, 2), 0.3, dimensions=1).flatten(1)
    assert torch.equal(examples.all(1), examples.any(1))
    assert float(examples.double().mean()) == pytest.approx(0.7, abs=5 * (0.21 / 6400) ** 0.5)


# In the place of torch's own


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, StochasticDepth])
def test_each_kind_of_dropout_module_is_replaced(kind):
    network = nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"inner": kind(0.3)}))
    replace_dropout(network)
    (dropout,) = dropouts(network)
    assert network[1]["inner"] is dropout
    assert (dropout.p, dropout.dimensions) == (0.3, {nn.Dropout: None, StochasticDepth: 1}.get(kind, 2))


def test_a_module_of_another_kind_stays():
    class Mine(nn.Dropout):
        pass

    network = nn.Sequential(Mine(), nn.AlphaDropout(), nn.ReLU())
    replace_dropout(network)
    assert [type(module) for module in network] == [Mine, nn.AlphaDropout, nn.ReLU]


def test_a_module_in_two_places_stays_one():
    shared = nn.Dropout(0.3)
    network = nn.Sequential(shared, nn.Sequential(shared), nn.Dropout(0.3))
    replace_dropout(network)
    assert network[0] is network[1][0]
    assert network[0] is not network[2]
    assert len(dropouts(network)) == 2


def test_replacing_twice_changes_nothing_more():
    network = nn.Sequential(nn.Dropout(0.3))
    replace_dropout(network)
    (before,) = dropouts(network)
    replace_dropout(network)
    assert dropouts(network) == [before]


def test_a_stand_in_is_in_the_mode_of_what_it_replaces():
    network = nn.Sequential(nn.Dropout(0.3), nn.Dropout(0.3).eval())
    replace_dropout(network)
    assert [module.training for module in network] == [True, False]


def test_it_leaves_no_entry_in_the_networks_state():
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3))
    before = set(network.state_dict())
    replace_dropout(network)
    assert set(network.state_dict()) == before


@pytest.mark.parametrize("make", [FusedStack, LoopedStack])
def test_one_module_used_twice_in_a_step_drops_twice(make):
    class Twice(nn.Module):
        """Its output tells how many units were dropped by the first call alone, and by the second."""

        def __init__(self, features):
            super().__init__()
            self.dropout, self.last = nn.Dropout(0.5), nn.Linear(features, 3)
            self.register_buffer("differences", torch.zeros(()))

        def forward(self, inputs):
            first, second = (self.dropout(torch.ones_like(inputs)) for _ in range(2))
            self.differences += (first != second).sum()
            return self.last(inputs * first * second)

    hall = Hall(make, lambda in_shape, classes: Twice(in_shape[0]))
    _, weights = hall.alone(0, epochs=1)
    assert 384 * 0.35 < float(weights["differences"]) < 384 * 0.65  # of 4 steps x 16 examples x 6 units
