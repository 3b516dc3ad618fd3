"""Optimizers by name, made from a trial's recipe, and their state as plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .recipe import Recipe

Maker = Callable[[Iterable[nn.Parameter], "Recipe"], torch.optim.Optimizer]

# Weight decay is L2 in the gradient for all but AdamW, where it is decoupled (Loshchilov & Hutter, 2019), as in torch.
OPTIMIZERS: dict[str, Maker] = {
    "sgd": lambda p, r: torch.optim.SGD(p, lr=r.lr, weight_decay=r.weight_decay, momentum=r.momentum),
    "adagrad": lambda p, r: torch.optim.Adagrad(p, lr=r.lr, weight_decay=r.weight_decay),
    "rmsprop": lambda p, r: torch.optim.RMSprop(p, lr=r.lr, weight_decay=r.weight_decay),
    "adam": lambda p, r: torch.optim.Adam(p, lr=r.lr, weight_decay=r.weight_decay),
    "adamw": lambda p, r: torch.optim.AdamW(p, lr=r.lr, weight_decay=r.weight_decay),
}


def state_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns the optimizer's state as `index.name` -> tensor; plain numbers become float64 scalars."""
    return {
        f"{index}.{name}": value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def load_state_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `state_tensors` returned for an optimizer of the same kind over the same parameters."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        whole["state"].setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict(whole)
