"""The multilayer perceptron: fully connected layers over flattened examples."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import nn

from ...spaces import Choice, Float, Int, Space
from .activations import ACTIVATIONS, pieces
from .activations import activation as activated
from .checks import depths, options, parted, rates, removals, require, whole


def mlp(
    in_shape: tuple[int, ...],
    classes: int,
    depth: int = 2,
    feature_maps: int = 64,
    dropout: float = 0.0,
    batch_norm: bool = False,
    activation: str = "relu",
    input_dropout: float = 0.0,
    remove: str = "",
) -> nn.Sequential:
    """Returns `depth` hidden layers of `feature_maps` units each: (B, *in_shape) -> (B, classes).

    A layer is linear, batch norm (if asked for), activation, dropout. `depth` 0 is a linear model. `input_dropout` is
    the rate at which numbers of the example itself are dropped. `remove` names hidden layers to leave out: "fc1,fc3".
    Raises SettingsError if a value breaks a rule.
    """
    require(
        depths(depth),
        whole(1, feature_maps=feature_maps),
        rates(dropout=dropout, input_dropout=input_dropout),
        options(ACTIVATIONS, activation=activation),
    )
    names = removable(depth=depth)
    require(removals(remove, names, classifier=f"fc{depth + 1}"))
    layers: list[nn.Module] = [nn.Flatten(), *([nn.Dropout(input_dropout)] if input_dropout else [])]
    features = prod(in_shape)
    wide = feature_maps * pieces(activation)
    for _ in (name for name in names if name not in parted(remove)):
        layers.append(nn.Linear(features, wide, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(wide))
        layers += [activated(activation, feature_maps), nn.Dropout(dropout)]
        features = feature_maps
    return nn.Sequential(*layers, nn.Linear(features, classes))


def removable(depth: int = 2, **architecture: Any) -> tuple[str, ...]:
    """Returns the layers that can be removed, in order.

    >>> removable(depth=3)
    ('fc1', 'fc2', 'fc3')
    """
    return tuple(f"fc{number}" for number in range(1, depth + 1))


def default_space() -> Space:
    """Returns the space to search when none is given."""
    return Space(
        depth=Int(1, 5),
        feature_maps=Choice([32, 64, 128, 256]),
        lr=Float(1e-4, 1e-1, log=True),
        dropout=Float(0.0, 0.6),
        weight_decay=Float(1e-6, 1e-2, log=True),
    )
