"""The plain convolutional network: 3x3 convolutions, pooling while there is something to pool, one linear layer."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...spaces import Choice, Float, Int, Space
from .activations import ACTIVATIONS, pieces
from .activations import activation as activated
from .checks import depths, images, options, parted, rates, removals, require, whole


def convnet(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 3,
    feature_maps: int = 32,
    dropout: float = 0.0,
    batch_norm: bool = True,
    activation: str = "relu",
    input_dropout: float = 0.0,
    spatial_dropout: float = 0.0,
    remove: str = "",
) -> nn.Sequential:
    """Returns `depth` blocks of `feature_maps` maps each: (B, C, H, W) -> (B, classes).

    A block is a 3x3 convolution, batch norm (if asked for), activation and, while both sides are at least 4 pixels, 2x2
    max pooling. The maps are averaged over what is left of the image, dropped out, and read by a linear layer.
    `input_dropout` is the rate at which pixels are dropped, `spatial_dropout` that at which whole maps are, after each
    block (Tompson et al., 2015). `remove` names convolutions to leave out, "conv2,conv3"; their poolings stay. Raises
    SettingsError if `in_shape` isn't (C, H, W) or a value breaks a rule.
    """
    require(
        images("convnet", in_shape),
        depths(depth),
        whole(1, feature_maps=feature_maps),
        rates(dropout=dropout, input_dropout=input_dropout, spatial_dropout=spatial_dropout),
        options(ACTIVATIONS, activation=activation),
    )
    require(removals(remove, removable(depth=depth), classifier="fc"))
    channels, height, width = in_shape
    layers: list[nn.Module] = [nn.Dropout(input_dropout)] if input_dropout else []
    wide = feature_maps * pieces(activation)
    for name in removable(depth=depth):
        if name not in parted(remove):
            layers.append(nn.Conv2d(channels, wide, kernel_size=3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(activated(activation, feature_maps))
            channels = feature_maps
        if min(height, width) >= 4:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        if spatial_dropout:
            layers.append(nn.Dropout2d(spatial_dropout))
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, classes)
    )


def removable(depth: int = 3, **architecture: Any) -> tuple[str, ...]:
    """Returns the layers that can be removed, in order.

    >>> removable(depth=2)
    ('conv1', 'conv2')
    """
    return tuple(f"conv{number}" for number in range(1, depth + 1))


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Int(1, 5),
        feature_maps=Choice([8, 16, 32, 64]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.6),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
