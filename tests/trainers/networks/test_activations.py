import pytest
import torch

from leadline.trainers.networks import ZERO_TO_ZERO
from leadline.trainers.networks.activations import ACTIVATIONS, PLAIN, activation, pieces


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("beyond", [(), (5, 3)])
def test_an_activation_gives_the_channels_it_was_made_for(name, beyond):
    inputs = torch.randn(2, 4 * pieces(name), *beyond)
    assert activation(name, 4)(inputs).shape == (2, 4, *beyond)


def test_maxout_alone_takes_more_channels_than_it_gives():
    assert {name for name in ACTIVATIONS if pieces(name) > 1} == set(ACTIVATIONS) - set(PLAIN) == {"maxout"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_widths_may_be_padded_where_zero_stays_zero(name):
    zero = activation(name, 4)(torch.zeros(2, 4 * pieces(name)))
    assert (not zero.any()) == (name in ZERO_TO_ZERO)


def test_prelu_has_a_slope_a_channel():
    assert activation("prelu", 4).weight.shape == (4,)
