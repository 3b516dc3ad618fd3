"""Networks that the contract of stacks trains: families by name, and modules as users write them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropping(nn.Module):
    """A user's module whose dropout is no module; with `always`, it drops in evaluation too (Monte Carlo dropout)."""

    def __init__(self, features: int, classes: int, dropout: float, always: bool = False) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(features, 8), nn.Linear(8, classes)
        self.dropout, self.always = dropout, always

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.dropout(F.relu(self.first(inputs)), self.dropout, training=self.always or self.training)
        return self.last(hidden)


class Choosing(nn.Module):
    """A user's module whose way depends on its inputs' values, which no tracing can follow."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(features, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(inputs)
        return outputs if float(inputs.sum()) > 0 else -outputs


class Tied(nn.Module):
    """A user's module that uses one weight in two places."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(features, features), nn.Linear(features, features)
        self.second.weight = self.first.weight
        self.last = nn.Linear(features, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(F.relu(self.second(F.relu(self.first(inputs)))))


class Activated(nn.Module):
    """A user's activation: several of torch's together."""

    def forward(self, inputs: Tensor) -> Tensor:
        return F.silu(inputs) + F.softplus(inputs) * torch.sigmoid(inputs) + F.gelu(inputs)


class Shifting(nn.Module):
    """A user's module that changes its inputs in place."""

    def forward(self, inputs: Tensor) -> Tensor:
        inputs -= 1
        return inputs


class Residual(nn.Module):
    """A user's branch beside the identity, with layer norm, batch norm and dropout."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm, self.linear = nn.LayerNorm(width), nn.Linear(width, width)
        self.batch_norm, self.dropout = nn.BatchNorm1d(width), nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.dropout(F.silu(self.batch_norm(self.linear(self.layer_norm(inputs)))))


class Tokens(nn.Module):
    """A user's module that reads its inputs as tokens."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.embedding, self.last = nn.Embedding(5, width), nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = (2 * inputs).round().clamp(-2, 2).long() + 2
        return self.last(F.gelu(self.embedding(tokens).mean(1)))


def dropping(in_shape: tuple[int, ...], classes: int, dropout: float = 0.3) -> nn.Module:
    return Dropping(in_shape[0], classes, dropout)


def always_dropping(in_shape: tuple[int, ...], classes: int, dropout: float = 0.3) -> nn.Module:
    return Dropping(in_shape[0], classes, dropout, always=True)


def tied(in_shape: tuple[int, ...], classes: int) -> nn.Module:
    return Tied(in_shape[0], classes)


def activations(in_shape: tuple[int, ...], classes: int) -> nn.Module:
    activations = [Activated(), nn.Sigmoid(), nn.GELU(), nn.SiLU(), nn.Softplus()]
    widths = [in_shape[0], 7, 30, 7, 7, 30]
    layers: list[nn.Module] = []
    for before, after, activation in zip(widths[:-1], widths[1:], activations, strict=True):
        layers += [nn.Linear(before, after), activation]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def bottleneck(in_shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(in_shape[0], 30), nn.ReLU(), nn.Linear(30, 1), nn.Linear(1, classes))


def biased(in_shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(in_shape[0], 7), nn.BatchNorm1d(7), nn.SiLU(), nn.Linear(7, classes))


def residual(in_shape: tuple[int, ...], classes: int, dropout: float = 0.3, width: int = 16) -> nn.Module:
    branches = (Residual(width, dropout) for _ in range(2))
    return nn.Sequential(nn.Linear(in_shape[0], width), *branches, nn.Linear(width, classes))


def tokens(in_shape: tuple[int, ...], classes: int) -> nn.Module:
    return Tokens(7, classes)


DRAWING = ("functional dropout", "noise in evaluation")  # models that draw random numbers by themselves
MODELS: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {  # the builder, an example's shape, the parameters
    "mlp": ("mlp", (6,), {"depth": 2, "feature_maps": 8, "dropout": 0.3}),
    "mlp with batch norm": ("mlp", (6,), {"depth": 2, "feature_maps": 30, "dropout": 0.3, "batch_norm": True}),
    "convnet": ("convnet", (1, 4, 4), {"depth": 2, "feature_maps": 7, "dropout": 0.3}),
    "convnet for colours": ("convnet", (3, 4, 4), {"depth": 1, "feature_maps": 8, "dropout": 0.3, "batch_norm": False}),
    "functional dropout": (dropping, (6,), {"dropout": 0.3}),
    "noise in evaluation": (always_dropping, (6,), {"dropout": 0.3}),
    "tied weights": (tied, (6,), {}),
    "activations": (activations, (6,), {}),
    "a bottleneck of one unit": (bottleneck, (6,), {}),
    "a bias before batch norm": (biased, (6,), {}),
    "residual branches": (residual, (6,), {"dropout": 0.3}),
    "embedding": (tokens, (6,), {}),
}
# Of each family: an example's shape, the parameters of a small network that has all it may have, and those in which
# another lane of its stack may differ.
FAMILIES: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    "mlp": (
        (1, 3, 3),
        {"depth": 2, "feature_maps": 5, "dropout": 0.3, "input_dropout": 0.2, "activation": "maxout"},
        {"dropout": 0.1, "input_dropout": 0.5},
    ),
    "convnet": (
        (2, 9, 7),
        {"depth": 2, "feature_maps": 3, "dropout": 0.3, "spatial_dropout": 0.2, "activation": "maxout"},
        {"spatial_dropout": 0.5},
    ),
    "alexnet": (
        (1, 12, 12),
        {"feature_maps": 4, "hidden_units": 8, "dropout": 0.3, "local_response_norm": True, "groups": 2},
        {"dropout": 0.6},
    ),
    "vgg": (
        (3, 8, 8),
        {"depth": 11, "feature_maps": 2, "hidden_units": 8, "dropout": 0.3, "batch_norm": True},
        {"dropout": 0.0},
    ),
    "googlenet": (
        (1, 8, 8),
        {"depth": 18, "feature_maps": 4, "dropout": 0.3, "auxiliary": 0.3, "auxiliary_dropout": 0.5},
        {"auxiliary": 0.7, "auxiliary_dropout": 0.2},
    ),
    "resnet": (
        (1, 8, 8),
        {"depth": 8, "feature_maps": 4, "dropout": 0.1, "stochastic_depth": 0.5, "preactivation": True},
        {"stochastic_depth": 0.2},
    ),
    "stages": (
        (3, 8, 8),
        {
            "depth": 4,
            "feature_maps": 8,
            "dropout": 0.2,
            "stage1_block": "residual",
            "stage2_block": "inception",
            "stage2_skip": True,
            "stage3_block": "bottleneck",
            "stage4_block": "plain",
            "stage4_kernel": 5,
        },
        {"dropout": 0.4},
    ),
}
