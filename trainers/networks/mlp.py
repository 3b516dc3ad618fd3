"""The multilayer perceptron: fully connected layers over flattened examples."""

from __future__ import annotations

from math import prod

from torch import nn

from ...spaces import Choice, Float, Int, Space


def mlp(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 2,
    feature_maps: int = 64,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Returns `depth` hidden layers of `feature_maps` units each: (B, *in_shape) -> (B, classes).

    A layer is linear, batch norm (if asked for), ReLU, dropout. `depth` 0 is a linear model.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    features = prod(in_shape)
    for _ in range(depth):
        layers.append(nn.Linear(features, feature_maps, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(feature_maps))
        layers += [nn.ReLU(), nn.Dropout(dropout)]
        features = feature_maps
    return nn.Sequential(*layers, nn.Linear(features, classes))


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Int(1, 5),
        feature_maps=Choice([32, 64, 128, 256]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.6),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
