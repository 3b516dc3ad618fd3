"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

With one tower its widths are those of A. Krizhevsky, "One Weird Trick for Parallelizing Convolutional Neural
Networks", 2014; with groups, those of 2012.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from ...errors import Problem
from ...spaces import Choice, Float, Int, Space
from .activations import ACTIVATIONS
from .blocks import Size, Style, at_most, convolution, hidden_layers, named, scaled, strided
from .checks import STEMS, given, images, options, parted, rates, removals, require, small, whole


class Layer(NamedTuple):
    """A convolution: its kernel, padding and stride for large images, whether it is grouped, and what follows it."""

    kernel: int
    padding: int
    stride: int = 1
    grouped: bool = False
    normalized: bool = False
    pooled: bool = False


LAYERS = {
    "conv1": Layer(11, padding=2, stride=4, normalized=True, pooled=True),
    "conv2": Layer(5, padding=2, grouped=True, normalized=True, pooled=True),
    "conv3": Layer(3, padding=1),
    "conv4": Layer(3, padding=1, grouped=True),
    "conv5": Layer(3, padding=1, grouped=True, pooled=True),
}
SMALL_CONV1 = Layer(3, padding=1, normalized=True, pooled=True)
HIDDEN = ("fc6", "fc7")
ONE_TOWER = {"conv1": 64, "conv2": 192, "conv3": 384, "conv4": 256, "conv5": 256}
GROUPED = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256}
LEFT_OUT = ("fc7", "conv4", "conv3", "fc6", "conv5")  # by a network that is less deep: the first ones of these


def alexnet(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 8,
    feature_maps: int | None = None,
    dropout: float = 0.5,
    hidden_units: int | None = None,
    activation: str = "relu",
    batch_norm: bool = False,
    local_response_norm: bool = False,
    groups: int = 1,
    stem: str = "auto",
    remove: str = "",
) -> nn.Sequential:
    """Returns the network of eight layers: (B, C, H, W) -> (B, classes).

    `feature_maps` are those of `conv1`: 64, or 96 with groups, if left out; all other layers keep their ratio to it.
    `hidden_units` are those of `fc6` and `fc7`: 4096, and for small images 512, in the same ratio. `depth` from 8 down
    to 3 leaves out fc7, conv4, conv3, fc6, conv5, in this order; `remove` names layers to leave out, "fc7" or
    "conv3,conv4". Poolings stay, and a stride goes to the next convolution. With `groups` the convolutions 2, 4 and 5
    are grouped, but for one whose input can't be divided. The small `stem` is a 3x3 convolution of stride 1 rather than
    11x11 of stride 4. Raises SettingsError if a value breaks a rule.
    """
    require(
        images("alexnet", in_shape),
        whole(1, groups=groups),
        whole(1, **given(feature_maps=feature_maps, hidden_units=hidden_units)),
        options(range(3, 9), depth=depth),
        rates(dropout=dropout),
        options(ACTIVATIONS, activation=activation),
        options(STEMS, stem=stem),
    )
    base = GROUPED if groups > 1 else ONE_TOWER
    maps = base["conv1"] if feature_maps is None else feature_maps
    names, tiny = removable(depth=depth), small(stem, in_shape)
    require(removals(remove, names, classifier="fc8"), _divisible(maps, groups), _large_enough(in_shape, tiny))
    style = Style(activation, batch_norm)
    widths = {name: groups * scaled(width, maps, base["conv1"] * groups) for name, width in base.items()}
    kept = [name for name in names if name not in parted(remove)]
    layers, channels, size = _convolutions(in_shape, widths, kept, style, groups, tiny, local_response_norm)
    flat, pixels = at_most(size, 6)
    units = hidden_units or scaled(512 if tiny else 4096, maps, base["conv1"])
    hidden = [name for name in HIDDEN if name in kept]
    return named([*layers, *flat, *hidden_layers(hidden, channels * pixels, units, classes, style, dropout)])


def _convolutions(
    in_shape: tuple[int, ...],
    widths: dict[str, int],
    kept: list[str],
    style: Style,
    groups: int,
    tiny: bool,
    local_response_norm: bool,
) -> tuple[list[tuple[str, nn.Module]], int, Size]:
    """Returns the convolutions that are kept, with their poolings, and the channels and size of what they give."""
    channels, *sides = in_shape
    size = (sides[0], sides[1])
    layers: list[tuple[str, nn.Module]] = []
    stride = 1  # of a layer that was left out
    for name, layer in {**LAYERS, **({"conv1": SMALL_CONV1} if tiny else {})}.items():
        stride *= layer.stride
        if name in kept:
            grouped = groups if layer.grouped and channels % groups == 0 else 1
            conv = convolution(
                channels, widths[name], layer.kernel, style, stride=stride, padding=layer.padding, groups=grouped
            )
            channels, size, stride = widths[name], strided(size, layer.kernel, stride, layer.padding), 1
            layers.append((name, conv))
            if local_response_norm and layer.normalized:  # torch divides alpha by size, the paper (section 3.3) doesn't
                layers.append((f"norm{name[-1]}", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)))
        if layer.pooled and min(size) >= 3:
            layers.append((f"pool{name[-1]}", nn.MaxPool2d(3, stride=2)))
            size = strided(size, 3, stride=2, padding=0)
    return layers, channels, size


def _divisible(maps: int, groups: int) -> list[Problem]:
    if maps % groups == 0:
        return []
    text = f"`feature_maps % groups == 0` must hold, but got feature_maps={maps}, groups={groups}"
    return [Problem(f"{text}. Did you mean feature_maps={-(-maps // groups) * groups}?", ("feature_maps",))]


def _large_enough(in_shape: tuple[int, ...], tiny: bool) -> list[Problem]:
    if tiny or min(in_shape[1:]) >= 7:  # the first kernel, less the padding
        return []
    text = f"`stem='imagenet'` needs images of at least 7x7 pixels, but got {in_shape[1]}x{in_shape[2]}"
    return [Problem(f"{text}. Use stem='small'", ("stem",))]


def removable(depth: int = 8, **architecture: Any) -> tuple[str, ...]:
    """Returns the layers that can be removed, in order.

    >>> removable()
    ('conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'fc6', 'fc7')
    """
    return tuple(name for name in (*LAYERS, *HIDDEN) if name not in LEFT_OUT[: 8 - depth])


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Int(4, 8),
        feature_maps=Choice([16, 32, 64]),
        batch_norm=Choice([False, True]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.7),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
