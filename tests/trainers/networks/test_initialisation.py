from functools import partial

import pytest
import torch
from torch import nn

import leadline as ll
from leadline import SettingsError
from leadline.trainers.networks import FAMILIES
from leadline.trainers.networks.initialisation import INITIALISATIONS, initialise

NEW = [name for name in INITIALISATIONS if name != "default"]


class Users(nn.Module):
    """A module as users write them: layers in another order than they are run in, one twice, one past its `forward`."""

    def __init__(self):
        super().__init__()
        self.last, self.second, self.first = nn.Linear(16, 3), nn.Linear(16, 16), nn.Linear(6, 16)
        self.tied, self.taken = nn.Linear(16, 16), nn.Linear(16, 16)
        self.tied.weight = self.second.weight
        self.norm, self.dropout = nn.BatchNorm1d(16), nn.Dropout(0.9)
        self.register_buffer("mean", torch.full((6,), 0.25))
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        hidden = self.norm(self.first(inputs - self.mean)).relu()
        hidden = self.dropout(self.tied(self.second(hidden).relu()))
        return self.last(nn.functional.linear(hidden, self.taken.weight))


def examples(*shape, n=64):
    return 3 * torch.randn(n, *shape, generator=torch.Generator().manual_seed(1)) + 1


def initialised(make, name, inputs, seed=0):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = make()
        initialise(network, name, inputs)
    return network


def convnet():
    return ll.build("convnet", in_shape=(2, 8, 8), classes=3, depth=3, feature_maps=6, batch_norm=False)


def variances(network, inputs):
    """Returns the variance of what each layer gives in training, dropout being off."""
    found = {}

    def note(name, layer, arguments, outputs):
        found[name] = outputs.var(correction=0).item()

    for module in network.train().modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(partial(note, name))
    network(inputs)
    return found


def test_every_initialisation_is_listed():
    assert list(INITIALISATIONS) == ["default", "he", "glorot", "orthogonal", "lsuv"]


def test_the_default_leaves_everything_as_it_was():
    network = convnet()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    initialise(network, "default", None)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize(("make", "shape"), [(convnet, (2, 8, 8)), (Users, (6,))])
def test_the_seed_decides_and_biases_are_zero(name, make, shape):
    some, same, other = (initialised(make, name, examples(*shape), seed) for seed in (0, 0, 1))
    for one, two, three in zip(some.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one.ndim == 1 or not torch.equal(one, three)
    for module in some.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert not module.bias.any()


@pytest.mark.parametrize("name", NEW)
def test_nothing_but_weights_and_biases_of_layers_is_changed(name):
    network = Users().eval()
    network.taken.weight.requires_grad_(False)
    frozen = network.taken.weight.clone()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items() if "norm" in key or "mean" in key}
    initialise(network, name, examples(6))
    after = network.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert torch.equal(network.taken.weight, frozen)
    assert network.calls == 0
    assert not any(module.training for module in network.modules())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.tied.weight is network.second.weight


def test_he_keeps_the_variance_through_relus():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        linear = nn.Linear(400, 300)
        initialise(linear, "he")
    assert linear.weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)


def test_glorot_is_uniform_by_both_sides():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        linear = nn.Linear(400, 200)
        initialise(linear, "glorot")
    assert linear.weight.abs().max().item() == pytest.approx((6 / 600) ** 0.5, rel=0.01)
    assert linear.weight.std().item() == pytest.approx((2 / 600) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(3, 8, 3), nn.Conv2d(4, 8, 3, groups=2), nn.Linear(30, 20), nn.Conv1d(4, 2, 3)]
)
def test_the_kernels_of_an_orthogonal_layer_are_orthonormal(layer):
    initialise(layer, "orthogonal")
    rows = layer.weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), rtol=0, atol=1e-5)


def test_lsuv_gives_every_layers_outputs_a_variance_of_one():
    inputs = examples(2, 8, 8)
    found = variances(initialised(convnet, "lsuv", inputs), inputs)
    assert len(found) == 4
    assert list(found.values()) == pytest.approx([1.0] * 4, rel=1e-3)


def test_lsuv_takes_layers_in_the_order_they_are_run_in_and_a_weight_in_two_places_once():
    inputs = examples(6)
    found = variances(initialised(Users, "lsuv", inputs), inputs)
    once = {name: variance for name, variance in found.items() if name != "tied"}
    assert once == pytest.approx(dict.fromkeys(["first", "second", "last"], 1.0), rel=1e-3)


def test_lsuv_leaves_a_layer_that_isnt_called_orthonormal():
    weight = initialised(Users, "lsuv", examples(6)).taken.weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(16), rtol=0, atol=1e-5)


def test_lsuv_scales_auxiliary_heads_too():
    inputs = examples(3, 32, 32, n=8)
    network = initialised(
        lambda: ll.build("googlenet", in_shape=(3, 32, 32), classes=3, feature_maps=4, auxiliary=True), "lsuv", inputs
    )
    found = variances(network, inputs)
    heads = [variance for name, variance in found.items() if ".head." in name]
    assert heads == pytest.approx([1.0] * 6, rel=1e-3)


def test_lsuv_leaves_a_layer_whose_outputs_are_constant():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    initialise(network, "lsuv", torch.zeros(8, 4))
    assert all(parameter.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NEW)
def test_every_family_can_be_initialised(family, name):
    inputs = examples(1, 8, 8, n=8)
    network = initialised(lambda: ll.build(family, in_shape=(1, 8, 8), classes=3, feature_maps=8), name, inputs)
    assert network.eval()(inputs).isfinite().all()


@pytest.mark.parametrize("name", NEW)
def test_a_weight_that_is_computed_is_left_alone(name):
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 2))
    before = [parameter.clone() for parameter in network[0].parametrizations.parameters()]
    initialise(network, name, torch.randn(8, 4))
    assert all(map(torch.equal, before, network[0].parametrizations.parameters()))


def test_an_unknown_name_and_missing_inputs_are_refused():
    with pytest.raises(SettingsError, match=r"`init` is one of `default`, .*, but got 'lsvu'\. Did you mean `lsuv`"):
        initialise(convnet(), "lsvu", None)
    with pytest.raises(SettingsError, match="`lsuv` scales layers by what they make of examples, but got no inputs"):
        initialise(convnet(), "lsuv", None)
