import pytest
import torch
from torch import nn

import leadline as ll
from leadline import SettingsError
from leadline.trainers.networks import REMOVABLE


def built(in_shape=(3, 224, 224), classes=1000, **architecture):
    with torch.device("meta"):
        return ll.build("vgg", in_shape=in_shape, classes=classes, **architecture)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


# With batch norm: two numbers a map instead of the bias, which torchvision keeps (2,752 to 5,504 more).
PARAMETERS = {
    (11, False): 132_863_336,
    (13, False): 133_047_848,
    (16, False): 138_357_544,
    (19, False): 143_667_240,
    (11, True): 132_868_840 - 2_752,
    (13, True): 133_053_736 - 2_944,
    (16, True): 138_365_992 - 4_224,
    (19, True): 143_678_248 - 5_504,
}


@pytest.mark.parametrize(("depth", "batch_norm"), PARAMETERS)
def test_it_has_the_parameters_of_the_papers_network(depth, batch_norm):
    assert count(built(depth=depth, batch_norm=batch_norm)) == PARAMETERS[depth, batch_norm]


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_depth_counts_the_layers_with_weights(depth):
    layers = [module for module in built(depth=depth).modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    assert len(REMOVABLE["vgg"](depth=depth)) == depth - 1


def test_hidden_layers_are_narrower_for_small_images_unless_told():
    units = {
        (in_shape, given): built(in_shape, hidden_units=given).fc7.linear.out_features
        for in_shape in [(3, 224, 224), (3, 32, 32)]
        for given in (None, 100)
    }
    assert list(units.values()) == [4096, 100, 512, 100]


@pytest.mark.parametrize(("side", "poolings"), [(1, 0), (3, 1), (28, 4), (32, 5), (224, 5)])
def test_it_pools_while_both_sides_have_two_pixels(side, poolings):
    network = ll.build("vgg", in_shape=(1, side, max(side, 40)), classes=2, depth=11, feature_maps=2).eval()
    assert sum(isinstance(module, nn.MaxPool2d) for module in network.modules()) == poolings
    assert network(torch.zeros(1, 1, side, max(side, 40))).shape == (1, 2)


def test_without_a_whole_group_its_pooling_stays():
    network = built(depth=16, remove="conv3_1,conv3_2,conv3_3")
    assert network.conv4_1.conv.in_channels == 128
    assert network.fc6.linear.in_features == 512 * 49


def test_a_depth_that_isnt_one_of_the_papers_is_refused():
    with pytest.raises(SettingsError, match="`depth` is one of `11`, `13`, `16`, `19`, but got depth=12"):
        built(depth=12)
