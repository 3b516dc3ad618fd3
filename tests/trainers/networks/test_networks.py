from math import prod

import pytest
import torch
from contracts.stack import Hall, blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import leadline as ll
from leadline import SettingsError
from leadline.trainers.networks import FAMILIES, REMOVABLE, SPACES, ZERO_TO_ZERO, widths
from leadline.trainers.networks import WIDTHS as WIDTHS_OF
from leadline.trainers.networks.activations import ACTIVATIONS, PLAIN
from leadline.trainers.stack import FusedStack, LoopedStack
from leadline.trainers.stack.dropout import replace_dropout
from leadline.trainers.stack.kernels import StackedNetwork

untimed = settings(deadline=None, max_examples=25)

DEPTHS, WIDTHS, BATCH_NORM = st.integers(1, 5), st.integers(1, 12), st.booleans()
IMAGES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 40, 63), (3, 64, 100), (3, 224, 224)]
TWO_DEPTHS = {  # of each family, the first being less
    "mlp": (4, 5),
    "convnet": (4, 5),
    "alexnet": (4, 5),
    "vgg": (11, 13),
    "googlenet": (10, 12),
    "resnet": (8, 14),
    "stages": (2, 3),
}
OPTIONS = {  # of each family, arguments that make another kind of network of it
    "mlp": [{"input_dropout": 0.2, "batch_norm": True}, {"activation": "maxout"}],
    "convnet": [{"input_dropout": 0.2, "spatial_dropout": 0.1}, {"activation": "maxout"}],
    "alexnet": [{"local_response_norm": True, "groups": 2}, {"batch_norm": True, "activation": "maxout"}],
    "vgg": [{"depth": 11, "batch_norm": True}],
    "googlenet": [{"auxiliary": 0.3, "batch_norm": False}],
    "resnet": [
        {"depth": 18, "shortcut": "A"},
        {"depth": 8, "shortcut": "C", "preactivation": True, "stochastic_depth": 0.5},
        {"depth": 50, "preactivation": True, "stem": "imagenet"},
    ],
    "stages": [
        {"stage1_block": "plain", "stage2_block": "bottleneck", "stage3_block": "inception", "stage3_skip": True},
        {"stem": "none", "stage1_block": "inception", "stage2_kernel": 5, "stage2_skip": True},
    ],
}
VARIANTS = [(family, {}) for family in FAMILIES] + [(family, o) for family in FAMILIES for o in OPTIONS[family]]


def narrow(family, in_shape=(3, 32, 32), classes=3, **architecture):
    """Returns a network of the family that is quick to run."""
    return ll.build(family, in_shape=in_shape, classes=classes, **{"feature_maps": 8, **architecture})


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def own_generator():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


# Any network


def test_lazy_modules_are_given_their_shapes_and_nothing_else():
    def build(in_shape, classes):
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.Linear(5, classes))

    network = ll.build(build, in_shape=(1, 4, 4), classes=3)
    assert [tuple(parameter.shape) for parameter in network.parameters()][:2] == [(5, 16), (5,)]
    assert network[2].num_batches_tracked == 0
    assert all(module.training for module in network.modules())
    with torch.device("meta"):
        assert ll.build(build, in_shape=(1, 4, 4), classes=3)[1].weight.shape == (5, 16)


# Every family


def test_every_family_is_tested_here_and_has_a_default_space_and_a_list_of_layers():
    assert set(TWO_DEPTHS) == set(OPTIONS) == set(FAMILIES) == set(SPACES) == set(REMOVABLE)


@pytest.mark.parametrize("in_shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_returns_one_output_a_class_for_images_small_and_large(family, in_shape):
    network = narrow(family, in_shape, classes=7).eval()
    assert network(torch.randn(2, *in_shape)).shape == (2, 7)


@pytest.mark.parametrize("stem", ["small", "imagenet"])
@pytest.mark.parametrize("family", ["alexnet", "vgg", "googlenet", "resnet", "stages"])
def test_either_stem_may_be_asked_for_at_any_size(family, stem):
    automatic = count(narrow(family, (3, 64, 64)))
    for in_shape in [(3, 28, 28), (3, 64, 64)]:
        network = narrow(family, in_shape, stem=stem).eval()
        assert network(torch.randn(1, *in_shape)).shape == (1, 3)
    assert (count(network) == automatic) == (stem == "imagenet")


@pytest.mark.parametrize(("family", "options"), VARIANTS, ids=str)
def test_an_image_has_the_outputs_that_it_has_alone(family, options):
    network, images = narrow(family, **options).eval(), torch.randn(3, 3, 32, 32)
    together = network(images)
    torch.testing.assert_close(together[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_depth_feature_maps_and_dropout(family):
    less, more = TWO_DEPTHS[family]
    with torch.device("meta"):
        network = narrow(family, depth=less, feature_maps=16, dropout=0.25)
        wider = narrow(family, depth=less, feature_maps=17)
        deeper = narrow(family, depth=more, feature_maps=16)
    assert {module.p for module in network.modules() if isinstance(module, nn.Dropout)} == {0.25}
    assert count(network) < min(count(wider), count(deeper))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_every_parameter_of_a_deep_network(family, batch_norm):
    network = narrow(family, depth=TWO_DEPTHS[family][1], feature_maps=16, batch_norm=batch_norm)
    network(torch.randn(16, 3, 32, 32)).square().sum().backward()
    first = next(network.parameters())
    assert first.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("family", "options"), VARIANTS, ids=str)
def test_gradients_reach_every_parameter_of_every_kind_of_network(family, options):
    network = narrow(family, **options)
    outputs = network(torch.randn(4, 3, 32, 32))
    sum(part.square().sum() for part in (outputs if isinstance(outputs, tuple) else (outputs,))).backward()
    assert next(network.parameters()).grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_builds_the_same_network_and_another_seed_another(family):
    def weights(seed):
        torch.manual_seed(seed)
        return list(narrow(family).parameters())

    assert all(map(torch.equal, weights(1), weights(1)))
    assert not torch.equal(weights(1)[0], weights(2)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_can_be_built_without_memory(family):
    with torch.device("meta"):
        network = narrow(family, feature_maps=10_000)
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_shows_its_layers_by_name_and_none_works_in_place(family):
    network = narrow(family, depth=TWO_DEPTHS[family][1])
    assert not any(getattr(module, "inplace", False) for module in network.modules())
    if family not in ("mlp", "convnet"):  # whose layers have numbers, in studies that were recorded
        assert set(REMOVABLE[family](depth=TWO_DEPTHS[family][1])) <= {
            name.replace(".body", "").replace(".", "_") for name, _ in network.named_modules()
        }


@pytest.mark.parametrize("activation", PLAIN)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_activation_stands_in_every_family(family, activation):
    network = narrow(family, (1, 8, 8), activation=activation)
    kinds = {type(module) for module in network.modules()} & {type(make(8)) for make in ACTIVATIONS.values()}
    assert kinds == {type(ACTIVATIONS[activation](8))}
    network(torch.randn(4, 1, 8, 8)).sum().backward()
    assert next(network.parameters()).grad is not None


# How they train


@pytest.mark.parametrize(("family", "options"), VARIANTS, ids=str)
def test_a_network_is_made_of_what_stacked_lanes_are_computed_by(family, options):
    network = narrow(family, **options)
    replace_dropout(network)
    assert not StackedNetwork(network).vmapped


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_computed_for_stacked_lanes(activation):
    assert not StackedNetwork(nn.Sequential(ACTIVATIONS[activation](8))).vmapped


def trained(make, family, in_shape, lanes, epochs=2, **architecture):
    """Returns the weights of lanes with these parameters after some epochs in float64."""
    hall = Hall(make, family, blobs(48, in_shape), dtype=torch.float64, lr=0.002)
    made = [hall.lane(number, **architecture, **lane) for number, lane in enumerate(lanes)]
    stack = hall.stack(*made)
    for _ in range(epochs):
        stack.train_epoch()
    return [stack.weights(lane) for lane, _ in made]


@pytest.mark.parametrize(("family", "options"), VARIANTS, ids=str)
def test_fused_lanes_come_to_the_weights_of_looped_ones(family, options):
    outcomes = [
        trained(make, family, (1, 8, 8), [{"dropout": 0.1}, {"dropout": 0.3}], feature_maps=8, epochs=1, **options)
        for make in (FusedStack, LoopedStack)
    ]
    torch.testing.assert_close(*outcomes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", ZERO_TO_ZERO)
@pytest.mark.parametrize("family", WIDTHS_OF)
def test_with_an_activation_that_keeps_zero_a_narrow_lane_in_a_wide_stack_comes_to_the_same(family, activation):
    shape, lanes = (1, 4, 4), [{"feature_maps": 3}, {"feature_maps": 8}]
    architecture = {"depth": 2, "batch_norm": True, "activation": activation}
    widest = ll.build(family, in_shape=shape, classes=3, **architecture, feature_maps=8).double()
    outcomes = [
        trained(make, family, shape, lanes, **architecture)
        for make in (lambda bench: FusedStack(bench, widest), LoopedStack)
    ]
    torch.testing.assert_close(*outcomes, rtol=1e-9, atol=1e-9)


def test_which_arguments_are_widths_depends_on_the_activation():
    assert widths("mlp", {"activation": "gelu"}) == widths("mlp", {}) == ("feature_maps",)
    assert widths("mlp", {"activation": "sigmoid"}) == widths("resnet", {}) == ()


# Removal


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_runs_without_each_of_its_layers(family):
    depth = TWO_DEPTHS[family][1]
    whole = count(narrow(family, depth=depth))
    for name in REMOVABLE[family](depth=depth):
        network = narrow(family, depth=depth, remove=name)
        assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 3)
        assert count(network) != whole, name
        assert name not in dict(network.named_modules())


@untimed
@given(st.data())
def test_a_network_runs_without_any_of_its_layers(data):
    family = data.draw(st.sampled_from(list(FAMILIES)))
    depth = TWO_DEPTHS[family][1]
    gone = data.draw(st.sets(st.sampled_from(REMOVABLE[family](depth=depth))))
    network = narrow(family, depth=depth, feature_maps=4 if family != "stages" else 8, remove=", ".join(gone))
    assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_lists_removable_layers_takes_a_whole_configuration(family):
    assert REMOVABLE[family](depth=TWO_DEPTHS[family][0], lr=0.1, dropout=0.5, feature_maps=8)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_that_isnt_there_or_is_the_classifier_cant_be_removed(family):
    depth = TWO_DEPTHS[family][0]
    known = REMOVABLE[family](depth=depth)
    classifier = {"mlp": f"fc{depth + 1}", "alexnet": "fc8", "vgg": "fc8"}.get(family, "fc")
    with pytest.raises(SettingsError) as raised:
        narrow(family, depth=depth, remove=f"{known[0]}x, {classifier}, {known[0]}")
    unknown, last = sorted((problem.text for problem in raised.value.problems), reverse=True)
    assert unknown.startswith(f"there is no layer `{known[0]}x` to remove. Did you mean `{known[0]}")
    assert last.startswith(f"`{classifier}` is the classifier, which can't be removed. Known: ")


# Wrong arguments


@pytest.mark.parametrize("family", FAMILIES)
def test_all_bad_arguments_are_told_at_once(family):
    with pytest.raises(SettingsError) as raised:
        narrow(family, feature_maps=0, dropout=30, activation="rleu", depth=-1)
    told = "\n".join(problem.text for problem in raised.value.problems)
    assert "`feature_maps >= 1` must hold, but got feature_maps=0" in told
    assert "`0 <= dropout <= 1` must hold, but got dropout=30. Did you mean 0.3?" in told
    assert "got activation='rleu'. Did you mean `relu`?" in told
    assert "depth=-1" in told
    assert len(raised.value.problems) == 4


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mlp"])
@pytest.mark.parametrize("in_shape", [(64,), (8, 8), (1, 1, 8, 8)])
def test_a_family_for_images_refuses_what_is_none(family, in_shape):
    message = rf"`{family}` needs images of shape \(channels, height, width\).*use `mlp`"
    with pytest.raises(SettingsError, match=message):
        ll.build(family, in_shape=in_shape, classes=2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"feature_maps": 32.0}, "`feature_maps` must be a whole number, but got feature_maps=32.0. Did you mean 32?"),
        ({"feature_maps": "32"}, "`feature_maps` must be a whole number, but got feature_maps='32'"),
        ({"feature_maps": True}, "`feature_maps` must be a whole number, but got feature_maps=True"),
        ({"dropout": "0.5"}, "`0 <= dropout <= 1` must hold, but got dropout='0.5'"),
        ({"dropout": float("nan")}, "`0 <= dropout <= 1` must hold, but got dropout=nan"),
        ({"depth": 3.5}, "depth=3.5"),
        ({"depth": "8"}, "depth='8'"),
        ({"remove": ["fc1"]}, "`remove` must name layers, as "),
    ],
    ids=str,
)
def test_a_bad_argument_is_told_with_the_rule_and_the_value(family, architecture, message):
    with pytest.raises(SettingsError) as raised:
        narrow(family, **architecture)
    assert message in str(raised.value)


@pytest.mark.parametrize("family", ["alexnet", "vgg", "googlenet", "resnet", "stages"])
def test_a_stem_that_isnt_there_is_refused(family):
    with pytest.raises(SettingsError, match=r"got stem='smal'\. Did you mean `small`"):
        narrow(family, stem="smal")


# The default space


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


@pytest.mark.parametrize(("family", "names"), [("mlp", ["1", "4", "7"]), ("convnet", ["0", "1", "4", "5", "11"])])
def test_the_weights_of_recorded_studies_are_still_called_as_they_were(family, names):
    network = ll.build(family, in_shape=(1, 28, 28), classes=3, depth=2)
    assert list(dict.fromkeys(name.split(".")[0] for name in network.state_dict())) == names


def test_the_dropout_of_inputs_and_of_maps_stands_where_it_is_asked_for():
    network = ll.build(
        "convnet", in_shape=(1, 8, 8), classes=2, depth=2, input_dropout=0.1, spatial_dropout=0.2, dropout=0.3
    )
    kinds = (nn.Dropout, nn.Dropout2d)
    assert [(type(m), m.p) for m in network if isinstance(m, kinds)] == [
        (nn.Dropout, 0.1),
        (nn.Dropout2d, 0.2),
        (nn.Dropout2d, 0.2),
        (nn.Dropout, 0.3),
    ]
    assert [m.p for m in ll.build("mlp", in_shape=(4,), classes=2, depth=0, input_dropout=0.1)[1:2]] == [0.1]


@pytest.mark.parametrize("family", ["mlp", "convnet"])
def test_maxout_takes_the_greatest_of_two_units_for_each(family):
    plain, maxout = (
        ll.build(family, in_shape=(1, 8, 8), classes=2, depth=1, feature_maps=4, batch_norm=False, activation=name)
        for name in ("relu", "maxout")
    )
    classifier = 4 * 2 + 2
    assert count(maxout) - classifier == 2 * (count(plain) - classifier)


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
        ("transformer9", {}, ["Known: `alexnet`, `convnet`, `googlenet`, `mlp`, `resnet`, `stages`, `vgg`."]),
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
