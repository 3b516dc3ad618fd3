"""VGG: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...spaces import Choice, Float, Space
from .activations import ACTIVATIONS
from .blocks import Style, at_most, convolution, hidden_layers, named, scaled
from .checks import STEMS, given, images, options, parted, rates, removals, require, small, whole

GROUPS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # table 1: A, B, D, E
MAPS = (1, 2, 4, 8, 8)  # of each group, in maps of the first
HIDDEN = ("fc6", "fc7")


def vgg(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 16,
    feature_maps: int = 64,
    dropout: float = 0.5,
    hidden_units: int | None = None,
    activation: str = "relu",
    batch_norm: bool = False,
    stem: str = "auto",
    remove: str = "",
) -> nn.Sequential:
    """Returns the network of 11, 13, 16 or 19 layers: (B, C, H, W) -> (B, classes).

    Five groups of 3x3 convolutions have 1, 2, 4, 8 and 8 times `feature_maps` maps; 2x2 max pooling ends each while
    both sides have 2 pixels. Two hidden layers read what is left, 7x7 pixels at most: `hidden_units` each, 64 a feature
    map if left out, or 8 for small images (`stem`). `remove` names layers to leave out: "fc7", "conv3_1,conv3_2"; their
    poolings stay. Raises SettingsError if a value breaks a rule.
    """
    require(
        images("vgg", in_shape),
        options(GROUPS, depth=depth),
        whole(1, feature_maps=feature_maps, **given(hidden_units=hidden_units)),
        rates(dropout=dropout),
        options(ACTIVATIONS, activation=activation),
        options(STEMS, stem=stem),
    )
    require(removals(remove, removable(depth=depth), classifier="fc8"))
    style, gone = Style(activation, batch_norm), parted(remove)
    channels, *sides = in_shape
    size = (sides[0], sides[1])
    layers: list[tuple[str, nn.Module]] = []
    for group, times in enumerate(MAPS, 1):
        for name in (name for name in _convolutions(depth, group) if name not in gone):
            layers.append((name, convolution(channels, times * feature_maps, 3, style)))
            channels = times * feature_maps
        if min(size) >= 2:
            layers.append((f"pool{group}", nn.MaxPool2d(2)))
            size = (size[0] // 2, size[1] // 2)
    flat, pixels = at_most(size, 7)
    units = hidden_units or scaled(512 if small(stem, in_shape) else 4096, feature_maps, 64)
    hidden = [name for name in HIDDEN if name not in gone]
    return named([*layers, *flat, *hidden_layers(hidden, channels * pixels, units, classes, style, dropout)])


def removable(depth: int = 16, **architecture: Any) -> tuple[str, ...]:
    """Returns the layers that can be removed, in order.

    >>> removable(depth=11)
    ('conv1_1', 'conv2_1', 'conv3_1', 'conv3_2', 'conv4_1', 'conv4_2', 'conv5_1', 'conv5_2', 'fc6', 'fc7')
    """
    return (*(name for group in range(1, 6) for name in _convolutions(depth, group)), *HIDDEN)


def _convolutions(depth: int, group: int) -> list[str]:
    return [f"conv{group}_{number}" for number in range(1, GROUPS[depth][group - 1] + 1)]


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Choice([11, 13, 16, 19]),
        feature_maps=Choice([8, 16, 32, 64]),
        batch_norm=Choice([False, True]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.7),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
