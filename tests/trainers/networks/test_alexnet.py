import pytest
import torch
from torch import nn

import leadline as ll
from leadline import SettingsError

IMAGENET = {"in_shape": (3, 224, 224), "classes": 1000}


def count(in_shape=(3, 224, 224), classes=1000, **architecture):
    with torch.device("meta"):
        network = ll.build("alexnet", in_shape=in_shape, classes=classes, **architecture)
    return sum(parameter.numel() for parameter in network.parameters())


def kinds(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ({}, 61_100_840),  # torchvision's
        ({"groups": 2}, 60_965_224),  # the paper's: "60 million"
        ({"remove": "fc7"}, 61_100_840 - 4096 * 4097),
        ({"groups": 2, "remove": "fc7"}, 60_965_224 - 16_781_312),
        ({"remove": "fc6,fc7"}, 2_469_696 + 1000 * (9216 + 1)),
        ({"local_response_norm": True}, 61_100_840),
    ],
    ids=str,
)
def test_it_has_the_parameters_of_the_papers_network(architecture, parameters):
    assert count(**architecture) == parameters


def test_what_the_lectures_ablation_takes_away_is_as_many_parameters_as_it_says():
    whole = count(groups=2)
    millions = {
        remove: round((whole - count(groups=2, remove=remove)) / 1e6)
        for remove in ("fc7", "fc6,fc7", "conv3,conv4", "conv3,conv4,fc6,fc7")
    }
    assert millions == {"fc7": 17, "fc6,fc7": 49, "conv3,conv4": 2, "conv3,conv4,fc6,fc7": 51}


def test_a_network_less_deep_is_the_one_without_those_layers():
    assert count(depth=7) == count(remove="fc7")
    assert count(depth=5) == count(remove="conv3,conv4,fc7")


@pytest.mark.parametrize("in_shape", [(3, 224, 224), (3, 256, 256), (3, 300, 224)])
def test_large_images_come_to_six_by_six_pixels_before_fc6(in_shape):
    assert count(in_shape) == 61_100_840


@pytest.mark.parametrize("remove", ["conv1", "conv2", "conv1,conv2", "conv5"])
def test_a_stride_goes_to_the_next_convolution_so_that_maps_keep_their_size(remove):
    network = ll.build("alexnet", **IMAGENET, feature_maps=4, hidden_units=2, remove=remove).eval()
    assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    assert max(conv.stride for conv in kinds(network, nn.Conv2d)) == (4, 4)
    assert network.fc6.linear.in_features == 16 * 36


def test_local_response_norm_follows_the_first_two_convolutions():
    network = ll.build("alexnet", in_shape=(3, 32, 32), classes=2, feature_maps=4, local_response_norm=True)
    names = list(dict(network.named_children()))
    assert names[:6] == ["conv1", "norm1", "pool1", "conv2", "norm2", "pool2"]


def test_local_response_norm_is_the_papers_formula():
    network = ll.build("alexnet", in_shape=(3, 32, 32), classes=2, feature_maps=4, local_response_norm=True)
    maps = torch.rand(1, 4, 2, 2)
    sums = torch.stack([maps[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(4)], dim=1)
    torch.testing.assert_close(network.norm1(maps), maps / (2 + 1e-4 * sums) ** 0.75)


def test_the_convolutions_of_two_towers_are_grouped_where_their_input_can_be():
    network = ll.build("alexnet", in_shape=(3, 32, 32), classes=2, feature_maps=6, groups=2)
    assert [conv.groups for conv in kinds(network, nn.Conv2d)] == [1, 2, 1, 2, 2]
    network = ll.build("alexnet", in_shape=(3, 32, 32), classes=2, feature_maps=6, groups=2, remove="conv1")
    assert [conv.groups for conv in kinds(network, nn.Conv2d)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("in_shape", "architecture", "message"),
    [
        ((3, 32, 32), {"groups": 4, "feature_maps": 6}, r"groups=4\. Did you mean feature_maps=8\?"),
        ((3, 6, 90), {"stem": "imagenet"}, r"at least 7x7 pixels, but got 6x90\. Use stem='small'"),
        ((3, 32, 32), {"depth": 9}, "`depth` is one of `3`, .*`8`, but got depth=9"),
        ((3, 32, 32), {"remove": "fc7", "depth": 7}, "there is no layer `fc7` to remove. Did you mean `fc6`?"),
        ((3, 32, 32), {"groups": 0}, "`groups >= 1` must hold"),
        ((3, 32, 32), {"hidden_units": 0}, "`hidden_units >= 1` must hold"),
    ],
    ids=str,
)
def test_what_cant_be_built_is_refused(in_shape, architecture, message):
    with pytest.raises(SettingsError, match=message):
        ll.build("alexnet", in_shape=in_shape, classes=2, **architecture)
