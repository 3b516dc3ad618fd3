"""What families build their networks from: convolutions with all that belongs to them, residual blocks, inception."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from .activations import activation, pieces
from .layers import Concatenation, StochasticDepth, Subsample, Sum

Size = tuple[int, int]  # of an image or a map: height and width in pixels
SHORTCUTS = ("A", "B", "C")


@dataclass(frozen=True)
class Style:
    """What is one choice for all blocks of a network.

    With `preactivation` norm and activation stand before a convolution (He et al., 2016, "Identity Mappings in Deep
    Residual Networks"). A `shortcut` is the identity; where shapes differ it is A, without weights, or B, a 1x1
    convolution, which under C stands everywhere (He et al., 2016, "Deep Residual Learning", section 4.1).
    """

    activation: str = "relu"
    batch_norm: bool = True
    preactivation: bool = False
    shortcut: str = "B"


def named(layers: Iterable[tuple[str, nn.Module]]) -> nn.Sequential:
    """Returns these layers one after another, by their names."""
    return nn.Sequential(OrderedDict(layers))


def scaled(maps: int, feature_maps: int, base: int) -> int:
    """Returns `maps` of a network whose first layer has `base`, for one whose first layer has `feature_maps`."""
    return max(1, round(maps * feature_maps / base))


def strided(size: Size, kernel: int, stride: int, padding: int) -> Size:
    """Returns the size of the maps that a convolution or pooling makes of maps of that size.

    >>> strided((224, 224), kernel=11, stride=4, padding=2)
    (55, 55)
    """
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    return height, width


def halved() -> nn.MaxPool2d:
    """Returns the pooling (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2)), for maps of any size."""
    return nn.MaxPool2d(3, stride=2, padding=1)


def at_most(size: Size, side: int) -> tuple[list[tuple[str, nn.Module]], int]:
    """Returns the layers that average maps of `size` to `side` pixels a side at most, and flatten them; the pixels."""
    height, width = (min(pixels, side) for pixels in size)
    pooling = [] if (height, width) == size else [("pool", nn.AdaptiveAvgPool2d((height, width)))]
    return [*pooling, ("flatten", nn.Flatten())], height * width


def averaged(features: int, classes: int, dropout: float) -> list[tuple[str, nn.Module]]:
    """Returns the end of a network that averages maps: (B, features, H, W) -> (B, classes)."""
    return [
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("dropout", nn.Dropout(dropout)),
        ("fc", nn.Linear(features, classes)),
    ]


def bare(
    maps_in: int, maps: int, kernel: int, style: Style, *, stride: int = 1, padding: int | None = None, groups: int = 1
) -> nn.Conv2d:
    """Returns a convolution: (B, maps_in, H, W) -> (B, maps, H', W'), where a batch norm is to come without a bias.

    With `padding` left out H' is H / stride, rounded up.
    """
    padding = kernel // 2 if padding is None else padding
    bias = not style.batch_norm
    return nn.Conv2d(maps_in, maps, kernel, stride=stride, padding=padding, groups=groups, bias=bias)


def behind(maps: int, style: Style, activated: bool = True, wide: int | None = None) -> list[tuple[str, nn.Module]]:
    """Returns norm and activation for a convolution of `maps` maps, or `wide` before maxout."""
    norm = [("norm", nn.BatchNorm2d(wide or maps))] if style.batch_norm else []
    return [*norm, *([("activation", activation(style.activation, maps))] if activated else [])]


def convolution(
    maps_in: int,
    maps: int,
    kernel: int,
    style: Style,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    activated: bool = True,
) -> nn.Sequential:
    """Returns a convolution, its batch norm and, if it is `activated`, its activation: see `bare`."""
    wide = maps * pieces(style.activation) if activated else maps
    conv = bare(maps_in, wide, kernel, style, stride=stride, padding=padding, groups=groups)
    return named([("conv", conv), *behind(maps, style, activated, wide)])


def hidden(features: int, units: int, style: Style, dropout: float) -> nn.Sequential:
    """Returns a fully connected layer, its activation and dropout: (B, features) -> (B, units)."""
    linear = nn.Linear(features, units * pieces(style.activation))
    return named(
        [("linear", linear), ("activation", activation(style.activation, units)), ("dropout", nn.Dropout(dropout))]
    )


def hidden_layers(
    names: Iterable[str], features: int, units: int, classes: int, style: Style, dropout: float
) -> list[tuple[str, nn.Module]]:
    """Returns the fully connected layers of these names, then the classifier `fc8`: (B, features) -> (B, classes).

    Each drops out what it gives; if there is none, the classifier's inputs are dropped out.
    """
    layers: list[tuple[str, nn.Module]] = []
    for name in names:
        layers.append((name, hidden(features, units, style, dropout)))
        features = units
    return [*(layers or [("dropout", nn.Dropout(dropout))]), ("fc8", nn.Linear(features, classes))]


def residual(
    maps_in: int,
    maps: int,
    style: Style,
    *,
    kernel: int = 3,
    stride: int = 1,
    bottleneck: bool = False,
    drop: float = 0.0,
) -> nn.Sequential:
    """Returns a residual block (He et al., 2016): (B, maps_in, H, W) -> (B, maps, H / stride, W / stride).

    Its body is two convolutions of `maps` maps; of a bottleneck, a 1x1 convolution to a quarter of the maps, one of
    that many, and a 1x1 convolution back. `drop` is the rate at which examples skip the body (stochastic depth).
    """
    inner = max(1, maps // 4)
    basic = [(maps, kernel, stride), (maps, kernel, 1)]
    plan = [(inner, 1, 1), (inner, kernel, stride), (maps, 1, 1)] if bottleneck else basic
    body = _body(maps_in, plan, style)
    if drop:
        body.append(("drop", StochasticDepth(drop)))
    around = shortcut(maps_in, maps, stride, style)
    if not style.preactivation:
        both = Sum(shortcut=around, body=named(body))
        return named([("sum", both), ("activation", activation(style.activation, maps))])
    if not isinstance(around, nn.Conv2d):
        return named([("sum", Sum(shortcut=around, body=named(behind(maps_in, style) + body)))])
    return named([*behind(maps_in, style), ("sum", Sum(shortcut=around, body=named(body)))])  # both see it activated


def shortcut(maps_in: int, maps: int, stride: int, style: Style) -> nn.Module:
    """Returns what lies beside a body (B, maps_in, H, W) -> (B, maps, H / stride, W / stride)."""
    if style.shortcut != "C" and (maps_in, stride) == (maps, 1):
        return nn.Identity()
    if style.shortcut == "A":
        return Subsample(stride, maps - maps_in)
    if style.preactivation:
        return bare(maps_in, maps, 1, style, stride=stride)
    return convolution(maps_in, maps, 1, style, stride=stride, activated=False)


def inception(
    maps_in: int, maps: tuple[int, int, int, int, int, int], style: Style, kernels: tuple[int, int] = (3, 5)
) -> Concatenation:
    """Returns an inception module (Szegedy et al., 2015): (B, maps_in, H, W) -> (B, M, H, W).

    `maps` are those of its convolutions, as in the paper's table 1: 1x1; 1x1 before the first of `kernels`, and it;
    1x1 before the second, and it; 1x1 after pooling. M is what the first, third, fifth and sixth add up to.
    """
    one, to_middle, middle, to_wide, wide, pooled = maps
    first, second = kernels
    return Concatenation(
        one=convolution(maps_in, one, 1, style),
        middle=_reduced(maps_in, to_middle, middle, first, style),
        wide=_reduced(maps_in, to_wide, wide, second, style),
        pooled=named(
            [("pool", nn.MaxPool2d(3, stride=1, padding=1)), ("conv", convolution(maps_in, pooled, 1, style))]
        ),
    )


def _reduced(maps_in: int, reduced: int, maps: int, kernel: int, style: Style) -> nn.Sequential:
    return named(
        [("reduce", convolution(maps_in, reduced, 1, style)), ("conv", convolution(reduced, maps, kernel, style))]
    )


def _body(maps_in: int, plan: list[tuple[int, int, int]], style: Style) -> list[tuple[str, nn.Module]]:
    """Returns the convolutions of a plan, each (maps, kernel, stride), and what stands between them."""
    layers: list[tuple[str, nn.Module]] = []
    for number, (maps, kernel, stride) in enumerate(plan, 1):
        if not style.preactivation:
            layer = convolution(maps_in, maps, kernel, style, stride=stride, activated=number < len(plan))
        else:
            conv = bare(maps_in, maps, kernel, style, stride=stride)
            layer = named([*(behind(maps_in, style) if number > 1 else []), ("conv", conv)])
        layers.append((f"conv{number}", layer))
        maps_in = maps
    return layers
