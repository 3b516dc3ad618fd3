"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .layers import Maxout

PIECES = 2  # of maxout: channels before it for each after it

ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {  # each made for a number of channels
    "relu": lambda channels: nn.ReLU(),
    "prelu": lambda channels: nn.PReLU(channels),  # a slope a channel, as in He et al. (2015)
    "leaky_relu": lambda channels: nn.LeakyReLU(0.1),
    "gelu": lambda channels: nn.GELU(),
    "silu": lambda channels: nn.SiLU(),
    "tanh": lambda channels: nn.Tanh(),
    "sigmoid": lambda channels: nn.Sigmoid(),
    "maxout": lambda channels: Maxout(PIECES),
}
PLAIN = tuple(name for name in ACTIVATIONS if name != "maxout")  # those that leave the number of channels as it is


def activation(name: str, channels: int) -> nn.Module:
    """Returns the activation of that name: (B, channels * pieces(name), ...) -> (B, channels, ...).

    >>> activation("maxout", 8)
    Maxout(pieces=2)
    """
    return ACTIVATIONS[name](channels)


def pieces(name: str | None) -> int:
    """Returns how many channels the activation takes for each it gives."""
    return PIECES if name == "maxout" else 1
