from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import leadline as ll
from leadline import SettingsError
from leadline.trainers.networks import FAMILIES, SPACES

untimed = settings(deadline=None, max_examples=25)

DEPTHS, WIDTHS, BATCH_NORM = st.integers(1, 5), st.integers(1, 12), st.booleans()
IMAGES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
SHAPES = {"mlp": (1, 8, 8), "convnet": (1, 8, 8)}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def own_generator():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


# Every family


def test_every_family_is_tested_here_and_has_a_default_space():
    assert set(SHAPES) == set(FAMILIES) == set(SPACES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_returns_one_output_a_class_for_each_example(family):
    network = ll.build(family, in_shape=SHAPES[family], classes=7)
    assert network(torch.randn(5, *SHAPES[family])).shape == (5, 7)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_depth_feature_maps_and_dropout(family):
    network = ll.build(family, in_shape=SHAPES[family], classes=3, depth=4, feature_maps=5, dropout=0.25)
    assert {module.p for module in network.modules() if isinstance(module, nn.Dropout)} == {0.25}
    wider = ll.build(family, in_shape=SHAPES[family], classes=3, depth=4, feature_maps=6)
    deeper = ll.build(family, in_shape=SHAPES[family], classes=3, depth=5, feature_maps=5)
    assert count(network) < min(count(wider), count(deeper))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_every_parameter_of_a_deep_network(family, batch_norm):
    network = ll.build(family, in_shape=SHAPES[family], classes=3, depth=5, feature_maps=16, batch_norm=batch_norm)
    network(torch.randn(32, *SHAPES[family])).square().sum().backward()
    first = next(network.parameters())
    assert first.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_builds_the_same_network_and_another_seed_another(family):
    def first(seed):
        torch.manual_seed(seed)
        return next(ll.build(family, in_shape=SHAPES[family], classes=3).parameters())

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_can_be_built_without_memory(family):
    with torch.device("meta"):
        network = ll.build(family, in_shape=SHAPES[family], classes=3, feature_maps=10_000)
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_space_is_one_that_family_and_trainer_take(family):
    assert ll.Trainer(family, "digits").check(SPACES[family](), metric=None, seed=0) == []


# Each family


@untimed
@given(IMAGES, st.integers(1, 6), DEPTHS, WIDTHS, BATCH_NORM)
def test_an_mlp_has_as_many_parameters_as_the_formula_says(in_shape, classes, depth, width, batch_norm):
    beside_weights = 2 * width if batch_norm else width  # scale and shift, or biases
    hidden = prod(in_shape) * width + (depth - 1) * width**2 + depth * beside_weights
    network = ll.build(
        "mlp", in_shape=in_shape, classes=classes, depth=depth, feature_maps=width, batch_norm=batch_norm
    )
    assert count(network) == hidden + width * classes + classes


def test_an_mlp_of_depth_zero_is_a_linear_model():
    assert count(ll.build("mlp", in_shape=(4, 2), classes=3, depth=0)) == 8 * 3 + 3


@untimed
@given(IMAGES, st.integers(1, 6), DEPTHS, WIDTHS, BATCH_NORM)
def test_a_convnet_takes_images_of_any_size_and_has_the_parameters_of_the_formula(
    in_shape, classes, depth, width, batch_norm
):
    beside_weights = 2 * width if batch_norm else width
    blocks = 9 * width * (in_shape[0] + (depth - 1) * width) + depth * beside_weights
    network = ll.build(
        "convnet", in_shape=in_shape, classes=classes, depth=depth, feature_maps=width, batch_norm=batch_norm
    )
    assert count(network) == blocks + width * classes + classes
    assert network.eval()(torch.randn(2, *in_shape)).shape == (2, classes)


@pytest.mark.parametrize(("side", "poolings"), [(3, 0), (4, 1), (8, 2), (28, 3), (32, 4)])
def test_a_convnet_pools_while_both_sides_have_four_pixels(side, poolings):
    network = ll.build("convnet", in_shape=(1, side, 40), classes=2, depth=6)
    assert sum(isinstance(module, nn.MaxPool2d) for module in network) == poolings


@pytest.mark.parametrize("in_shape", [(64,), (8, 8), (1, 1, 8, 8)])
def test_a_convnet_refuses_what_is_no_image(in_shape):
    with pytest.raises(SettingsError, match=r"`convnet` needs images of shape \(channels, height, width\).*use `mlp`"):
        ll.build("convnet", in_shape=in_shape, classes=2)


# build


def test_a_builder_of_ones_own_is_built_as_a_family_is():
    def mine(in_shape, classes, width, **others):
        return nn.Linear(in_shape[0] * width, classes + len(others))

    network = ll.build(mine, in_shape=(3,), classes=2, width=4, any_name=1)
    assert (network.in_features, network.out_features) == (12, 3)


def needs(in_shape, classes, width, *, height): ...


@pytest.mark.parametrize(
    ("model", "architecture", "messages"),
    [
        ("convnte", {}, ["no network family is called `convnte`. Did you mean `convnet`?"]),
        ("transformer9", {}, ["Known: `convnet`, `mlp`."]),
        ("mlp", {"dropuot": 0.5}, ["the network has no argument `dropuot`. Did you mean `dropout`?"]),
        ("mlp", {"dpeth": 1, "widht": 2}, ["no argument `dpeth`", "no argument `widht`"]),
        (needs, {}, ["the network needs a value for `width`", "the network needs a value for `height`"]),
        (needs, {"widht": 3}, ["`widht`. Did you mean `width`?", "a value for `width`", "a value for `height`"]),
    ],
)
def test_a_family_or_an_argument_that_isnt_there_is_refused_with_a_suggestion(model, architecture, messages):
    with pytest.raises(SettingsError) as raised:
        ll.build(model, in_shape=(4,), classes=2, **architecture)
    assert len(raised.value.problems) == len(messages)
    for problem, message in zip(raised.value.problems, messages, strict=True):
        assert message in problem.text
