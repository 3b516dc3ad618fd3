"""The plain convolutional network: 3x3 convolutions, pooling while there is something to pool, one linear layer."""

from __future__ import annotations

from torch import nn

from ...errors import SettingsError
from ...spaces import Choice, Float, Int, Space


def convnet(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 3,
    feature_maps: int = 32,
    dropout: float = 0.0,
    batch_norm: bool = True,
) -> nn.Sequential:
    """Returns `depth` blocks of `feature_maps` maps each: (B, C, H, W) -> (B, classes).

    A block is a 3x3 convolution, batch norm (if asked for), ReLU and, while both sides are at least 4 pixels, 2x2 max
    pooling. The maps are averaged over what is left of the image, dropped out, and read by a linear layer. Raises
    SettingsError if `in_shape` isn't (C, H, W).
    """
    if len(in_shape) != 3:
        raise SettingsError(
            f"`convnet` needs images of shape (channels, height, width), but an example's shape is {tuple(in_shape)}. "
            "Reshape the data, or use `mlp`"
        )
    channels, height, width = in_shape
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(nn.Conv2d(channels, feature_maps, kernel_size=3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(feature_maps))
        layers.append(nn.ReLU())
        if min(height, width) >= 4:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        channels = feature_maps
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, classes)
    )


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Int(1, 5),
        feature_maps=Choice([8, 16, 32, 64]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.6),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
