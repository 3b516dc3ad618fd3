"""GoogLeNet: C. Szegedy et al., "Going Deeper with Convolutions", 2015."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...spaces import Choice, Float, Int, Space
from .activations import PLAIN
from .blocks import Size, Style, at_most, averaged, convolution, halved, hidden, inception, named, scaled, strided
from .checks import STEMS, amounts, images, options, parted, rates, removals, require, small, whole
from .layers import Auxiliary

MODULES = {  # maps of the convolutions of each inception module (table 1)
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
POOLED = ("inception4a", "inception5a")  # before these stands a pooling
HEADED = ("inception4b", "inception4e")  # before these may stand an auxiliary head
LEFT_OUT = ("4d", "4c", "4b", "4a", "3a", "5a")  # by a network that is less deep: the first ones of these
DEEPEST = 22


def googlenet(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = DEEPEST,
    feature_maps: int = 64,
    dropout: float = 0.4,
    activation: str = "relu",
    batch_norm: bool = True,
    wide_kernel: int = 5,
    auxiliary: float = 0.0,
    auxiliary_dropout: float = 0.7,
    stem: str = "auto",
    remove: str = "",
) -> nn.Sequential:
    """Returns the network of 22 layers, nine inception modules among them: (B, C, H, W) -> (B, classes).

    `feature_maps` are those of the first convolution; all others keep their ratio to it. A `depth` of 20, 18, 16, 14,
    12 or 10 leaves out the modules 4d, 4c, 4b, 4a, 3a, 5a, in this order; `remove` names modules to leave out,
    "inception4b,inception4c"; poolings stay. `wide_kernel` is 5 as in the paper, or 3 as in torchvision. With
    `auxiliary` above 0, or true, classifiers sit on the inputs of 4b and 4e, in training only (see `layers.Auxiliary`);
    it is by the same name that the trainer weighs their losses. The `stem` for small images is of stride 1 and has no
    pooling. Raises SettingsError if a value breaks a rule.
    """
    require(
        images("googlenet", in_shape),
        options(range(10, DEEPEST + 1, 2), depth=depth),
        whole(1, feature_maps=feature_maps),
        rates(dropout=dropout, auxiliary_dropout=auxiliary_dropout),
        amounts(auxiliary=auxiliary),
        options(PLAIN, activation=activation),
        options((3, 5), wide_kernel=wide_kernel),
        options(STEMS, stem=stem),
    )
    names = removable(depth=depth)
    require(removals(remove, names, classifier="fc"))
    style, gone = Style(activation, batch_norm), parted(remove)
    layers, channels, size = _stem(in_shape, feature_maps, style, small(stem, in_shape))
    heads: list[tuple[int, nn.Module]] = []  # each with its place among the layers
    for name, table in MODULES.items():
        if name in POOLED:
            layers.append((f"pool{name[-2]}", halved()))
            size = strided(size, 3, stride=2, padding=1)
        if auxiliary and name in HEADED and len(layers) not in dict(heads):
            heads.append((len(layers), _head(channels, size, classes, feature_maps, style, auxiliary_dropout)))
        if name in names and name not in gone:
            one, to_middle, middle, to_wide, wide, pooled = (scaled(maps, feature_maps, 64) for maps in table)
            widths = (one, to_middle, middle, to_wide, wide, pooled)
            layers.append((name, inception(channels, widths, style, (3, wide_kernel))))
            channels = one + middle + wide + pooled
    return _headed([*layers, *averaged(channels, classes, dropout)], heads)


def _stem(
    in_shape: tuple[int, ...], feature_maps: int, style: Style, tiny: bool
) -> tuple[list[tuple[str, nn.Module]], int, Size]:
    """Returns the layers before the first module, and the channels and size of what they give."""
    channels, *sides = in_shape
    size, maps = (sides[0], sides[1]), scaled(192, feature_maps, 64)
    kernel, stride = (3, 1) if tiny else (7, 2)
    first = convolution(channels, feature_maps, kernel, style, stride=stride)
    reduce, second = convolution(feature_maps, feature_maps, 1, style), convolution(feature_maps, maps, 3, style)
    if tiny:
        return [("conv1", first), ("conv2_reduce", reduce), ("conv2", second)], maps, size
    for _ in range(3):
        size = strided(size, 3, stride=2, padding=1)
    layers = [("conv1", first), ("pool1", halved()), ("conv2_reduce", reduce), ("conv2", second), ("pool2", halved())]
    return layers, maps, size


def _head(channels: int, size: Size, classes: int, feature_maps: int, style: Style, dropout: float) -> nn.Sequential:
    """Returns an auxiliary classifier (section 5): (B, channels, *size) -> (B, classes)."""
    maps, units = scaled(128, feature_maps, 64), scaled(1024, feature_maps, 64)
    layers, pixels = at_most(size, 4)
    *pooling, flatten = layers
    conv, fc1 = convolution(channels, maps, 1, style), hidden(maps * pixels, units, style, dropout)
    return named([*pooling, ("conv", conv), flatten, ("fc1", fc1), ("fc2", nn.Linear(units, classes))])


def _headed(layers: list[tuple[str, nn.Module]], heads: list[tuple[int, nn.Module]]) -> nn.Sequential:
    """Returns the layers one after another, with heads before the layers at these places."""
    for number, (place, head) in reversed(list(enumerate(heads, 1))):
        layers = [*layers[:place], (f"auxiliary{number}", Auxiliary(named(layers[place:]), head))]
    return named(layers)


def removable(depth: int = DEEPEST, **architecture: Any) -> tuple[str, ...]:
    """Returns the inception modules that can be removed, in order.

    >>> removable(depth=12)
    ('inception3b', 'inception4e', 'inception5a', 'inception5b')
    """
    left_out = LEFT_OUT[: (DEEPEST - depth) // 2]
    return tuple(name for name in MODULES if not name.endswith(left_out or ("-",)))


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Int(10, DEEPEST, step=2),
        feature_maps=Choice([8, 16, 32, 64]),
        wide_kernel=Choice([3, 5]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.6),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
