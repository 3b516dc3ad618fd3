import pytest
import torch
from torch import nn

import leadline as ll
from leadline import SettingsError
from leadline.trainers.networks.layers import StochasticDepth, Subsample


def built(in_shape=(3, 32, 32), classes=10, **architecture):
    with torch.device("meta"):
        return ll.build("resnet", in_shape=in_shape, classes=classes, **architecture)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def kinds(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize(
    ("depth", "parameters"),
    {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}.items(),
)
def test_for_imagenet_it_has_the_parameters_of_the_papers_network(depth, parameters):
    assert count(built((3, 224, 224), 1000, depth=depth)) == parameters


@pytest.mark.parametrize(("depth", "parameters"), {20: 269_722, 56: 853_018, 110: 1_727_962}.items())
def test_for_cifar_it_has_the_parameters_of_the_papers_network(depth, parameters):
    assert count(built(depth=depth)) == parameters  # table 6: 0.27, 0.85 and 1.7 million


@pytest.mark.parametrize("depth", [8, 20, 32, 44, 18, 34, 50])
def test_depth_counts_the_layers_with_weights_but_for_shortcuts(depth):
    network = built(depth=depth)
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(layers) == depth


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize(("shortcut", "free", "projected"), [("A", 3, 0), ("B", 0, 3), ("C", 0, 8)])
def test_shortcuts_are_identities_where_they_can_be(shortcut, free, projected, preactivation):
    network = built(depth=18, shortcut=shortcut, preactivation=preactivation)
    assert len(kinds(network, Subsample)) == free
    convolutions = [m for n, m in network.named_modules() if "shortcut" in n and isinstance(m, nn.Conv2d)]
    assert len(convolutions) == projected
    assert len(kinds(network, nn.Identity)) == 8 - free - projected


def test_a_shortcut_without_weights_takes_every_second_pixel_and_adds_maps_of_zero():
    images = torch.randn(1, 2, 5, 4)
    maps = Subsample(2, 3)(images)
    assert torch.equal(maps[:, :2], images[:, :, ::2, ::2])
    assert maps.shape == (1, 5, 3, 2)
    assert not maps[:, 2:].any()


def test_with_preactivation_the_way_around_all_blocks_is_free_of_activations():
    network = ll.build("resnet", in_shape=(3, 8, 8), classes=2, depth=8, feature_maps=2, preactivation=True).eval()
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d) and "body" in name:
                module.weight.zero_()
        images = torch.randn(2, 3, 8, 8)
        beginning, maps = network.conv1(images), network.conv1(images)
        for name in ("conv2_1", "conv3_1", "conv4_1"):
            maps = network.get_submodule(name)(maps)
    assert torch.equal(maps[:, :2], beginning[:, :, ::4, ::4])
    assert (beginning < 0).any()


def test_with_preactivation_norm_and_activation_come_last_before_the_average():
    names = [name for name, _ in built(depth=8, preactivation=True).named_children()]
    assert names == ["conv1", "conv2_1", "conv3_1", "conv4_1", "norm", "activation", "pool", "flatten", "dropout", "fc"]


def test_the_rate_of_stochastic_depth_grows_linearly_to_the_last_block():
    rates = [module.p for module in kinds(built(depth=14, stochastic_depth=0.6), StochasticDepth)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert kinds(built(depth=14), StochasticDepth) == []


def test_stochastic_depth_skips_bodies_example_by_example_in_training_alone():
    module = StochasticDepth(0.5)
    inputs = torch.ones(400, 2, 3)
    assert module.eval()(inputs) is inputs
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        outputs = module.train()(inputs)
    assert set(outputs.unique().tolist()) == {0.0, 2.0}
    assert (outputs.flatten(1).amin(1) == outputs.flatten(1).amax(1)).all()
    assert 0.4 < (outputs > 0).float().mean() < 0.6


@pytest.mark.parametrize("depth", [14, 18])
def test_the_next_block_of_a_stage_takes_the_stride_of_one_that_is_removed(depth):
    network = built(depth=depth, remove="conv3_1")
    assert network.conv3_2.sum.body.conv1.conv.stride == (2, 2)
    assert network.conv3_2.sum.body.conv1.conv.in_channels == network.conv2_2.sum.body.conv2.conv.out_channels
    assert network.conv4_1.sum.body.conv1.conv.stride == (2, 2)


def test_without_any_block_the_classifier_reads_the_first_maps():
    network = built(depth=8, remove="conv2_1,conv3_1,conv4_1", stochastic_depth=0.5)
    assert network.fc.in_features == 16


@pytest.mark.parametrize(
    ("depth", "near"), [(19, "18"), (36, "34"), (100, "101"), (3, "8"), (112, "110"), (1000, "998"), (10**18, "2000")]
)
def test_a_depth_between_is_refused_with_the_nearest(depth, near):
    message = rf"18, 34, 50, 101, 152 or 6n \+ 2 from 8 to 2000, but got depth={depth}\. Did you mean {near}\?"
    with pytest.raises(SettingsError, match=message):
        built(depth=depth)


def test_a_shortcut_that_isnt_there_is_refused():
    with pytest.raises(SettingsError, match="`shortcut` is one of `auto`, `A`, `B`, `C`, but got shortcut='D'"):
        built(shortcut="D")
