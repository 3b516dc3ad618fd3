"""The residual network: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", 2016."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ...errors import Problem
from ...spaces import Choice, Float, Space
from .activations import PLAIN
from .blocks import SHORTCUTS, Style, averaged, bare, behind, convolution, halved, named, residual
from .checks import DEEPEST, STEMS, given, images, options, parted, rates, removals, require, small, whole

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # table 1
BOTTLENECKS = (50, 101, 152)


def resnet(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 20,
    feature_maps: int | None = None,
    dropout: float = 0.0,
    activation: str = "relu",
    batch_norm: bool = True,
    preactivation: bool = False,
    shortcut: str = "auto",
    stochastic_depth: float = 0.0,
    stem: str = "auto",
    remove: str = "",
) -> nn.Sequential:
    """Returns the network of that many layers: (B, C, H, W) -> (B, classes).

    `depth` is 18, 34, 50, 101 or 152, the paper's networks for ImageNet, of four stages, from 50 on with bottlenecks;
    or 6n + 2, those for CIFAR (20, 32, 44, 56, 110, ...), of three. `feature_maps` are those of the first stage's 3x3
    convolutions: 64, and for CIFAR's networks 16, if left out; each stage has twice as many as the one before.

    With `preactivation` norm and activation come before convolutions. `shortcut` is "A", "B" or "C" (`blocks.Style`);
    "auto" is A for CIFAR's networks, B for others. `stochastic_depth` is the rate at which the last block is skipped,
    rates growing linearly up to it (Huang et al., 2016). `dropout` is the classifier's. The `stem` is 7x7 of stride 2
    with pooling, or for small images 3x3 of stride 1. `remove` names blocks to leave out, "conv3_1,conv4_2": the next
    one of the stage takes its stride. Raises SettingsError if a value breaks a rule.
    """
    require(
        images("resnet", in_shape),
        _depths(depth),
        whole(1, **given(feature_maps=feature_maps)),
        rates(dropout=dropout, stochastic_depth=stochastic_depth),
        options(PLAIN, activation=activation),
        options(("auto", *SHORTCUTS), shortcut=shortcut),
        options(STEMS, stem=stem),
    )
    names = removable(depth=depth)
    require(removals(remove, names, classifier="fc"))
    maps = feature_maps or (64 if depth in BLOCKS else 16)
    kind = shortcut if shortcut != "auto" else "B" if depth in BLOCKS else "A"
    style = Style(activation, batch_norm, preactivation, kind)
    kept = [name for name in names if name not in parted(remove)]
    drops = {name: stochastic_depth * place / len(kept) for place, name in enumerate(kept, 1)}
    blocks, channels = _blocks(maps, style, depth, drops)
    stem_layers = _stem(in_shape[0], maps, style, small(stem, in_shape))
    last = behind(channels, style) if preactivation else []
    return named([*stem_layers, *blocks, *last, *averaged(channels, classes, dropout)])


def _stem(channels: int, maps: int, style: Style, tiny: bool) -> list[tuple[str, nn.Module]]:
    kernel, stride = (3, 1) if tiny else (7, 2)
    if style.preactivation:  # the first block begins with norm and activation
        conv: nn.Module = bare(channels, maps, kernel, style, stride=stride)
    else:
        conv = convolution(channels, maps, kernel, style, stride=stride)
    return [("conv1", conv), *([] if tiny else [("pool", halved())])]


def _blocks(maps: int, style: Style, depth: int, drops: Mapping[str, float]) -> tuple[list[tuple[str, nn.Module]], int]:
    """Returns the blocks that are in `drops`, by names, and the channels of what they give."""
    bottleneck = depth in BOTTLENECKS
    channels = maps
    layers: list[tuple[str, nn.Module]] = []
    for stage in range(2, 2 + len(_stages(depth))):
        wide = maps * 2 ** (stage - 2) * (4 if bottleneck else 1)
        stride = 1 if stage == 2 else 2
        for name in (name for name in drops if name.startswith(f"conv{stage}_")):
            block = residual(channels, wide, style, stride=stride, bottleneck=bottleneck, drop=drops[name])
            layers.append((name, block))
            channels, stride = wide, 1
    return layers, channels


def _stages(depth: int) -> tuple[int, ...]:
    """Returns the number of blocks of each stage."""
    return BLOCKS.get(depth) or ((depth - 2) // 6,) * 3


def _depths(depth: object) -> list[Problem]:
    known = (*BLOCKS, *range(8, DEEPEST + 1, 6))
    if type(depth) is int and depth in known:
        return []
    text = f"`depth` is 18, 34, 50, 101, 152 or 6n + 2 from 8 to {known[-1]}, but got depth={depth!r}"
    if type(depth) is not int:
        return [Problem(text, ("depth",))]
    nearest = min(known, key=lambda allowed: abs(allowed - depth))
    return [Problem(f"{text}. Did you mean {nearest}?", ("depth",))]


def removable(depth: int = 20, **architecture: Any) -> tuple[str, ...]:
    """Returns the blocks that can be removed, in order.

    >>> removable(depth=14)
    ('conv2_1', 'conv2_2', 'conv3_1', 'conv3_2', 'conv4_1', 'conv4_2')
    """
    stages = enumerate(_stages(depth), 2)
    return tuple(f"conv{stage}_{number}" for stage, blocks in stages for number in range(1, blocks + 1))


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Choice([8, 14, 20, 32]),
        feature_maps=Choice([8, 16, 32]),
        preactivation=Choice([False, True]),
        stochastic_depth=Choice([0.0, 0.2, 0.5]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.6),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
