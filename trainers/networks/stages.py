"""Networks in stages: a search for an architecture, of which plain networks, VGG, ResNet and GoogLeNet are cases.

A stage is a number of equal blocks; from the second stage on the first block halves the maps' sides. What the families
by those names fix is chosen stage by stage: plain blocks of 3x3 convolutions are a VGG, residual blocks a ResNet (He et
al., 2016), bottlenecks the deep ResNets, inception blocks a GoogLeNet (Szegedy et al., 2015).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ...errors import Problem
from ...spaces import Choice, Float, Int, Space
from ...spaces.parameters import Parameter
from .activations import PLAIN
from .blocks import Style, averaged, convolution, halved, inception, named, residual, shortcut
from .checks import STEMS, images, options, parted, rates, removals, require, small, whole
from .layers import Sum

MOST = 5  # stages
BLOCKS = ("plain", "residual", "bottleneck", "inception")
FEWEST = {"bottleneck": 4, "inception": 8}  # feature maps of such a block
KERNELS = (1, 3, 5, 7)


@dataclass(frozen=True)
class Stage:
    """What is chosen for one stage; `maps` are those that its blocks give."""

    number: int
    block: str
    blocks: int
    maps: int
    kernel: int
    skip: bool

    @property
    def name(self) -> str:
        """Its name in the network, which those of its blocks begin with."""
        return f"stage{self.number}"

    @property
    def block_names(self) -> tuple[str, ...]:
        """The names by which its blocks are removed."""
        return tuple(f"{self.name}_block{number}" for number in range(1, self.blocks + 1))

    @property
    def stride(self) -> int:
        """By how much it shrinks the maps' sides."""
        return 1 if self.number == 1 else 2

    def problems(self) -> list[Problem]:
        """Returns the rules that its values break."""
        name = self.name
        return [
            *options(BLOCKS, **{f"{name}_block": self.block}),
            *whole(0, **{f"{name}_blocks": self.blocks}),
            *whole(FEWEST.get(self.block, 1), **{f"{name}_maps": self.maps}),
            *options(KERNELS, **{f"{name}_kernel": self.kernel}),
            *options((False, True), **{f"{name}_skip": self.skip}),
        ]


def stages(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 3,
    feature_maps: int = 16,
    dropout: float = 0.0,
    activation: str = "relu",
    batch_norm: bool = True,
    stem: str = "auto",
    remove: str = "",
    stage1_block: str = "residual",
    stage1_blocks: int = 1,
    stage1_maps: int | None = None,
    stage1_kernel: int = 3,
    stage1_skip: bool = False,
    stage2_block: str = "residual",
    stage2_blocks: int = 1,
    stage2_maps: int | None = None,
    stage2_kernel: int = 3,
    stage2_skip: bool = False,
    stage3_block: str = "residual",
    stage3_blocks: int = 1,
    stage3_maps: int | None = None,
    stage3_kernel: int = 3,
    stage3_skip: bool = False,
    stage4_block: str = "residual",
    stage4_blocks: int = 1,
    stage4_maps: int | None = None,
    stage4_kernel: int = 3,
    stage4_skip: bool = False,
    stage5_block: str = "residual",
    stage5_blocks: int = 1,
    stage5_maps: int | None = None,
    stage5_kernel: int = 3,
    stage5_skip: bool = False,
) -> nn.Sequential:
    """Returns a network of `depth` stages, 1 to 5: (B, C, H, W) -> (B, classes).

    Of each stage: what its blocks are ("plain", "residual", "bottleneck" or "inception"), how many, the maps that they
    give (if left out `feature_maps` in the first stage, then twice those of the stage before), the side of their
    kernels (1, 3, 5 or 7; inception has one of the next size beside it), and whether its input is added to its output.
    What is said of stages beyond `depth` isn't used.

    The `stem` gives `feature_maps` maps: a 7x7 convolution of stride 2 with pooling, or for small images a 3x3
    convolution; there may be "none". The last stage's maps are averaged, dropped out, and read by a linear layer.
    `remove` names stages and blocks to leave out, "stage2,stage3_block1"; the next block of a stage takes its stride.
    Raises SettingsError if a value breaks a rule.
    """
    given = locals()  # of which `_stages` takes what is said of each stage
    require(
        images("stages", in_shape),
        options(range(1, MOST + 1), depth=depth),
        whole(1, feature_maps=feature_maps),
        rates(dropout=dropout),
        options(PLAIN, activation=activation),
        options((*STEMS, "none"), stem=stem),
    )
    chosen = list(_stages(given))
    require(*(stage.problems() for stage in chosen))
    require(removals(remove, _names(chosen), classifier="fc"))
    style, gone = Style(activation, batch_norm), parted(remove)
    layers, channels = _stem(in_shape, feature_maps, stem, style)
    for stage in chosen:
        kept = [name for name in stage.block_names if name not in gone and stage.name not in gone]
        if kept:
            layers.append((stage.name, _built(stage, kept, channels, style)))
            channels = stage.maps
    return named([*layers, *averaged(channels, classes, dropout)])


def _stages(given: Mapping[str, Any]) -> Iterator[Stage]:
    """Yields the stages that the builder's arguments tell of."""
    usual = given["feature_maps"]
    for number in range(1, given["depth"] + 1):
        own = {name: given[f"stage{number}_{name}"] for name in ("block", "blocks", "maps", "kernel", "skip")}
        stage = Stage(number, **{**own, "maps": usual if own["maps"] is None else own["maps"]})
        yield stage
        usual = 2 * (usual if whole(1, maps=stage.maps) else stage.maps)


def _names(chosen: list[Stage]) -> tuple[str, ...]:
    return tuple(name for stage in chosen for name in (stage.name, *stage.block_names))


def _stem(
    in_shape: tuple[int, ...], feature_maps: int, stem: str, style: Style
) -> tuple[list[tuple[str, nn.Module]], int]:
    if stem == "none":
        return [], in_shape[0]
    if small(stem, in_shape):
        return [("stem", convolution(in_shape[0], feature_maps, 3, style))], feature_maps
    conv = convolution(in_shape[0], feature_maps, 7, style, stride=2)
    return [("stem", conv), ("pool", halved())], feature_maps


def _built(stage: Stage, names: list[str], maps_in: int, style: Style) -> nn.Module:
    """Returns the blocks of these names: (B, maps_in, H, W) -> (B, stage.maps, H / stride, W / stride)."""
    stride = stage.stride
    channels = maps_in
    layers: list[tuple[str, nn.Module]] = []
    if stage.block in ("plain", "inception") and stride > 1:
        layers.append(("pool", halved()))
        stride = 1
    for name in names:
        layers.append((name.removeprefix(f"{stage.name}_"), _block(stage, channels, stride, style)))
        channels, stride = stage.maps, 1
    if not stage.skip:
        return named(layers)
    return Sum(shortcut=shortcut(maps_in, stage.maps, stage.stride, style), body=named(layers))


def _block(stage: Stage, maps_in: int, stride: int, style: Style) -> nn.Module:
    match stage.block:
        case "plain":
            return convolution(maps_in, stage.maps, stage.kernel, style, stride=stride)
        case "inception":
            kernels = stage.kernel, stage.kernel + 2
            return inception(maps_in, _shares(stage.maps), style, kernels)
    bottleneck = stage.block == "bottleneck"
    return residual(maps_in, stage.maps, style, kernel=stage.kernel, stride=stride, bottleneck=bottleneck)


def _shares(maps: int) -> tuple[int, int, int, int, int, int]:
    """Returns the maps of an inception block's convolutions, in GoogLeNet's shares: its 3a has 256 maps."""
    middle, eighth = maps // 2, maps // 8
    return maps - middle - 2 * eighth, max(1, 3 * maps // 8), middle, max(1, maps // 16), eighth, eighth


def removable(**architecture: Any) -> tuple[str, ...]:
    """Returns the stages and blocks that can be removed, in order.

    >>> removable(depth=2, stage2_blocks=2)
    ('stage1', 'stage2', 'stage2_block1', 'stage2_block2')
    """
    defaults = {parameter.name: parameter.default for parameter in inspect.signature(stages).parameters.values()}
    chosen = list(_stages({**defaults, **architecture}))
    only = {stage.block_names[0] for stage in chosen if stage.blocks == 1}  # removing it is removing the stage
    return tuple(name for name in _names(chosen) if name not in only)


def default_space() -> Space:
    """Returns the space to search when none is given: up to four stages, each with choices of its own."""
    space: dict[str, Parameter] = {"depth": Int(1, 4), "feature_maps": Choice([8, 16, 32])}
    for number in range(1, 5):
        there = {"depth": list(range(number, 5))}
        space |= {
            f"stage{number}_block": Choice(BLOCKS, when=there),
            f"stage{number}_blocks": Int(1, 3, when=there),
            f"stage{number}_maps": Choice([16, 32, 64, 128], when=there),
            f"stage{number}_kernel": Choice([3, 5], when=there),
            f"stage{number}_skip": Choice([False, True], when=there),
        }
    return Space(
        space,
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.6),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
