import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import leadline as ll
from leadline import SettingsError
from leadline.spaces import Float, Int
from leadline.trainers.networks.stages import BLOCKS, MOST, default_space, removable, stages


def built(in_shape=(3, 224, 224), classes=1000, **architecture):
    with torch.device("meta"):
        return ll.build("stages", in_shape=in_shape, classes=classes, **architecture)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def stagewise(**lists):
    """Returns the arguments that give each stage its value of each list."""
    return {f"stage{n}_{name}": value for name, values in lists.items() for n, value in enumerate(values, 1)}


def values(parameter):
    if isinstance(parameter, Float):
        return st.floats(parameter.low, parameter.high)
    return (
        st.integers(parameter.low, parameter.high) if isinstance(parameter, Int) else st.sampled_from(parameter.options)
    )


@st.composite
def configurations(draw):
    space, params = default_space(), {}
    for name, parameter in space.parameters.items():
        if space.is_active(name, params):
            params[name] = draw(values(parameter))
    return params


# The space


@settings(deadline=None, max_examples=30)
@given(configurations())
def test_every_point_of_the_default_space_builds_and_runs(params):
    assert default_space().contains(params)
    named = {name: value for name, value in params.items() if name not in ("lr", "weight_decay")}
    network = ll.build("stages", in_shape=(1, 8, 8), classes=3, **named)
    outputs = network(torch.randn(2, 1, 8, 8))
    assert outputs.shape == (2, 3)
    outputs.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@settings(deadline=None, max_examples=30)
@given(configurations(), st.data())
def test_every_point_of_the_default_space_runs_without_any_of_its_blocks(params, data):
    named = {name: value for name, value in params.items() if name not in ("lr", "weight_decay")}
    gone = data.draw(st.sets(st.sampled_from(removable(**params))))
    network = ll.build("stages", in_shape=(1, 8, 8), classes=3, **named, remove=",".join(gone)).eval()
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 3)


def test_a_stages_choices_are_active_where_there_is_such_a_stage():
    space = default_space()
    for depth in range(1, 5):
        active = {name for name in space.parameters if space.is_active(name, {"depth": depth})}
        assert {name for name in active if name.startswith("stage")} == {
            f"stage{number}_{what}"
            for number in range(1, depth + 1)
            for what in ("block", "blocks", "maps", "kernel", "skip")
        }


def test_every_argument_is_named_so_that_a_wrong_one_is_refused_with_a_suggestion():
    parameters = inspect.signature(stages).parameters.values()
    assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
    assert sum(parameter.name.startswith("stage") for parameter in parameters) == 5 * MOST
    with pytest.raises(SettingsError, match=r"no argument `stage2_bloks`\. Did you mean `stage2_blocks`"):
        ll.build("stages", in_shape=(1, 8, 8), classes=2, stage2_bloks=3)


# The networks that are points of it


@pytest.mark.parametrize(
    ("depth", "block", "blocks", "maps"),
    [
        (18, "residual", (2, 2, 2, 2), (64, 128, 256, 512)),
        (34, "residual", (3, 4, 6, 3), (64, 128, 256, 512)),
        (50, "bottleneck", (3, 4, 6, 3), (256, 512, 1024, 2048)),
    ],
)
@pytest.mark.parametrize("in_shape", [(3, 224, 224), (3, 32, 32)])
def test_the_residual_networks_are_points_of_it(depth, block, blocks, maps, in_shape):
    network = built(in_shape, depth=4, feature_maps=64, **stagewise(block=[block] * 4, blocks=blocks, maps=maps))
    with torch.device("meta"):
        resnet = ll.build("resnet", in_shape=in_shape, classes=1000, depth=depth)
    assert [p.shape for p in network.parameters()] == [p.shape for p in resnet.parameters()]


def test_the_convolutions_of_vgg_are_a_point_of_it():
    widths = (64, 128, 256, 512, 512)
    plan = stagewise(block=["plain"] * 5, blocks=(2, 2, 3, 3, 3), maps=widths)
    network = built(depth=5, feature_maps=64, stem="none", batch_norm=False, **plan)
    with torch.device("meta"):
        vgg = ll.build("vgg", in_shape=(3, 224, 224), classes=1000, depth=16)
    theirs = [p.shape for name, p in vgg.named_parameters() if name.startswith("conv")]
    assert [p.shape for name, p in network.named_parameters() if not name.startswith("fc")] == theirs


def test_an_inception_block_of_256_maps_has_the_shape_of_googlenets_first():
    network = built(depth=1, feature_maps=192, stage1_block="inception", stage1_maps=256)
    with torch.device("meta"):
        googlenet = ll.build("googlenet", in_shape=(3, 224, 224), classes=1000)
    theirs = [p.shape for p in googlenet.inception3a.parameters()]
    assert [p.shape for p in network.stage1.block1.parameters()] == theirs


def test_a_plain_convnet_is_a_point_of_it():
    network = built(
        (1, 28, 28), 10, depth=3, feature_maps=32, stem="none", **stagewise(block=["plain"] * 3, maps=[32] * 3)
    )
    with torch.device("meta"):
        convnet = ll.build("convnet", in_shape=(1, 28, 28), classes=10)
    assert [p.numel() for p in network.parameters()] == [p.numel() for p in convnet.parameters()]


# A stage


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("side", [1, 7, 8])
def test_stages_halve_the_maps_from_the_second_on(block, skip, side):
    network = ll.build(
        "stages", in_shape=(1, side, side), classes=2, feature_maps=8, **stagewise(block=[block] * 3, skip=[skip] * 3)
    ).eval()
    maps, sizes = torch.randn(1, 1, side, side), []
    for name in ("stem", "stage1", "stage2", "stage3"):
        maps = network.get_submodule(name)(maps)
        sizes.append(tuple(maps.shape[1:]))
    half = (side + 1) // 2
    quarter = (half + 1) // 2
    assert sizes == [(8, side, side), (8, side, side), (16, half, half), (32, quarter, quarter)]


@pytest.mark.parametrize(("maps", "around"), [(8, nn.Identity), (16, nn.Sequential)])
def test_a_stage_that_passes_its_input_through_adds_it_to_its_output(maps, around):
    network = ll.build(
        "stages", in_shape=(1, 8, 8), classes=2, depth=1, feature_maps=8, stage1_maps=maps, stage1_skip=True
    )
    stage, inputs = network.eval().stage1, torch.randn(2, 8, 8, 8)
    assert type(stage.shortcut) is around
    assert torch.equal(stage(inputs), stage.shortcut(inputs) + stage.body(inputs))


def test_maps_that_arent_told_are_twice_those_of_the_stage_before():
    network = built((1, 8, 8), 2, depth=4, feature_maps=8, stage2_maps=24)
    widths = [
        module.sum.body.conv2.conv.out_channels for name, module in network.named_modules() if name[-6:] == "block1"
    ]
    assert widths == [8, 24, 48, 96]


def test_the_next_block_of_a_stage_takes_the_stride_and_the_channels_of_one_that_is_removed():
    network = built((1, 8, 8), 2, depth=2, feature_maps=8, stage2_blocks=3, remove="stage2_block1,stage2_block3")
    assert list(dict(network.stage2.named_children())) == ["block2"]
    convolution = network.stage2.block2.sum.body.conv1.conv
    assert (convolution.stride, convolution.in_channels) == ((2, 2), 8)


def test_without_all_its_blocks_a_stage_is_gone_with_its_shortcut():
    gone = built((1, 8, 8), 2, depth=2, stage2_skip=True, remove="stage2_block1")
    without = built((1, 8, 8), 2, depth=2, stage2_skip=True, remove="stage2")
    assert str(gone) == str(without)
    assert "stage2" not in dict(gone.named_children())


# Wrong arguments


def test_all_that_is_wrong_with_stages_is_told_at_once():
    with pytest.raises(SettingsError) as raised:
        built(stage1_block="plian", stage1_kernel=4, stage2_maps=0, stage2_blocks=-1, stage3_skip="yes")
    told = [problem.text for problem in raised.value.problems]
    assert len(told) == 5
    assert told[0].endswith("but got stage1_block='plian'. Did you mean `plain`?")
    assert told[1] == "`stage1_kernel` is one of `1`, `3`, `5`, `7`, but got stage1_kernel=4"
    assert told[4] == "`stage3_skip` is one of `False`, `True`, but got stage3_skip='yes'"


def test_an_inception_block_needs_maps_for_all_its_branches():
    with pytest.raises(SettingsError, match="`stage1_maps >= 8` must hold, but got stage1_maps=7"):
        built(stage1_block="inception", stage1_maps=7)


def test_what_is_said_of_stages_beyond_the_last_isnt_used():
    assert count(built(depth=1)) == count(built(depth=1, stage2_block="inception", stage2_maps=1, stage4_skip=True))
