import pytest
import torch
from torch import nn

import leadline as ll
from leadline import SettingsError
from leadline.trainers.networks.layers import Auxiliary, Concatenation


def built(in_shape=(3, 224, 224), classes=1000, **architecture):
    with torch.device("meta"):
        return ll.build("googlenet", in_shape=in_shape, classes=classes, **architecture)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ({"wide_kernel": 3}, 6_624_904),  # torchvision's
        ({}, 7_005_832),
        ({"batch_norm": False}, 6_998_552),  # the paper's
        ({"wide_kernel": 3, "auxiliary": True}, 13_004_888),  # torchvision's, with heads
    ],
    ids=str,
)
def test_it_has_the_parameters_of_the_papers_network(architecture, parameters):
    assert count(built(**architecture)) == parameters


@pytest.mark.parametrize("depth", [10, 12, 14, 16, 18, 20, 22])
def test_depth_counts_the_layers_with_weights_along_the_way(depth):
    network = built(depth=depth)
    modules = [module for module in network if isinstance(module, Concatenation)]
    assert 3 + 2 * len(modules) + 1 == depth


def test_maps_are_halved_between_stages_for_small_images_too():
    network = ll.build("googlenet", in_shape=(3, 32, 32), classes=3, feature_maps=4).eval()
    sizes = {}
    images = torch.zeros(1, 3, 32, 32)
    for name, module in network.named_children():
        images = module(images)
        sizes[name] = tuple(images.shape[2:])
    assert sizes["conv2"] == sizes["inception3b"] == (32, 32)
    assert sizes["inception4a"] == sizes["inception4e"] == (16, 16)
    assert sizes["inception5b"] == (8, 8)


def test_heads_answer_in_training_alone_the_networks_own_answer_first():
    network = ll.build("googlenet", in_shape=(3, 32, 32), classes=5, feature_maps=4, auxiliary=True, dropout=0.0)
    images = torch.randn(3, 3, 32, 32)
    outputs = network(images)
    assert [tuple(output.shape) for output in outputs] == [(3, 5)] * 3
    assert isinstance(network.eval()(images), torch.Tensor)
    assert len([module for module in network.modules() if isinstance(module, Auxiliary)]) == 2
    network.train()
    fc = network.auxiliary1.rest.auxiliary2.rest.fc
    (only,) = torch.autograd.grad(network(images)[0].sum(), fc.bias)
    assert torch.equal(only, torch.full((5,), 3.0))


def test_two_heads_that_would_read_the_same_maps_are_one():
    network = ll.build("googlenet", in_shape=(3, 32, 32), classes=5, depth=10, feature_maps=4, auxiliary=0.3)
    assert len(network(torch.randn(3, 3, 32, 32))) == 2


def test_a_trial_gives_the_weight_of_heads_to_network_and_trainer_by_one_name():
    space = ll.Space(auxiliary=0.3, depth=10, feature_maps=4)
    assert ll.Trainer("googlenet", "digits").check(space, metric=None, seed=0) == []


def test_the_module_after_one_that_is_removed_takes_the_channels_before_it():
    network = built(remove="inception3a,inception3b,inception5b")
    assert network.inception4a.one.conv.in_channels == 192
    assert network.fc.in_features == 832
    assert isinstance(network.pool4, nn.MaxPool2d)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"depth": 21}, "but got depth=21"),
        ({"wide_kernel": 7}, "`wide_kernel` is one of `3`, `5`, but got wide_kernel=7"),
        ({"auxiliary": -1}, "`auxiliary >= 0` must hold, but got auxiliary=-1"),
        ({"activation": "maxout"}, "but got activation='maxout'"),
        ({"depth": 20, "remove": "inception4d"}, "there is no layer `inception4d` to remove. Did you mean"),
    ],
    ids=str,
)
def test_what_cant_be_built_is_refused(architecture, message):
    with pytest.raises(SettingsError, match=message):
        built(**architecture)
