import pytest
import torch
from torch import nn
from torch.nn import functional as F

from leadline.trainers.sanity import activations

INPUTS = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))


def chain(depth, activation, gain, width=32):
    torch.manual_seed(0)
    layers = []
    for place in range(depth):
        linear = nn.Linear(16 if place == 0 else width, width)
        nn.init.normal_(linear.weight, std=gain / linear.in_features**0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(width, 3))


class Plain(nn.Module):
    """A network whose activation is no module."""

    def __init__(self, gain):
        super().__init__()
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 3)
        nn.init.normal_(self.first.weight, std=gain)

    def forward(self, inputs):
        return self.last(torch.tanh(self.first(inputs)))


class Still(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, inputs):
        return self.last(F.relu(self.first(torch.zeros_like(inputs))))


@pytest.fixture(autouse=True)
def generator():
    with torch.random.fork_rng(devices=[]):
        yield


def test_he_weights_and_relus_are_level():
    found = activations(chain(8, nn.ReLU, 2**0.5), INPUTS)
    assert (found.verdict, found.state) == ("ok", "level")
    assert [layer.kind for layer in found.layers] == ["linear", "relu"] * 8 + ["linear"]
    assert [layer.name for layer in found.layers] == [str(place) for place in range(17)]


@pytest.mark.parametrize(("activation", "kind"), [(nn.Sigmoid, "sigmoid"), (nn.Tanh, "tanh")])
def test_a_saturated_network_is_found_with_the_layer(activation, kind):
    found = activations(chain(3, activation, 30.0), INPUTS)
    assert (found.verdict, found.state) == ("problem", "saturated")
    assert f"of the {kind}'s outputs in `" in found.text
    assert max(layer.saturated or 0 for layer in found.layers) > 0.5


def test_an_activation_that_is_no_module_is_seen_too():
    assert activations(Plain(20.0), INPUTS).state == "saturated"
    assert activations(Plain(0.3), INPUTS).state == "level"


def test_signals_that_die_away_are_vanishing_and_those_that_grow_exploding():
    assert activations(chain(8, nn.ReLU, 0.3), INPUTS).state == "vanishing"
    assert activations(chain(8, nn.ReLU, 6.0), INPUTS).state == "exploding"
    assert activations(chain(12, nn.ReLU, 1e9), INPUTS).verdict == "problem"


def test_a_network_that_doesnt_see_its_inputs_is_a_problem():
    found = activations(Still(), INPUTS)
    assert (found.verdict, found.state) == ("problem", "vanishing")
    assert "`first` are the same for all examples" in found.text


def test_units_that_are_always_zero_are_dead():
    network = chain(2, nn.ReLU, 2**0.5)
    nn.init.constant_(network[2].bias, -20.0)
    with torch.no_grad():
        network[2].bias[:2] = 1.0  # all but two: with none at all nothing would come through
    found = activations(network, INPUTS)
    assert (found.verdict, found.state) == ("problem", "dead")
    assert next(layer for layer in found.layers if layer.name == "3").dead > 0.9


def test_a_last_layer_that_begins_at_zero_is_no_problem():
    network = chain(2, nn.ReLU, 2**0.5)
    nn.init.zeros_(network[-1].weight)
    assert activations(network, INPUTS).state == "level"


def test_batch_norm_keeps_small_weights_level_as_it_does_in_training():
    torch.manual_seed(0)
    layers = [part for _ in range(8) for part in (nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.9))]
    for layer in layers[::4]:
        nn.init.normal_(layer.weight, std=0.05)
    assert activations(nn.Sequential(*layers), INPUTS).state == "level"


def test_maps_are_looked_at_like_units():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 2 * 2, 3))
    found = activations(network, INPUTS.view(64, 1, 4, 4))
    assert [layer.kind for layer in found.layers] == ["conv2d", "relu", "linear"]


def test_network_hooks_and_torchs_generator_are_left_as_they_were():
    network = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).eval()
    network[3].train()
    before, state = torch.get_rng_state(), {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    activations(network, INPUTS)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_they_are_left_as_they_were_by_a_network_that_fails_too():
    network = nn.Sequential(nn.Linear(16, 8), nn.Linear(5, 3)).eval()
    with pytest.raises(RuntimeError, match="shapes"):
        activations(network, INPUTS)
    assert not network.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
