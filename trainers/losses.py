"""Losses: what training minimizes, on a batch's outputs and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SettingsError, suggestion

Loss = Callable[..., Any]

LOSSES: dict[str, tuple[Loss, str]] = {
    "cross_entropy": (F.cross_entropy, "classification"),
    "squared": (F.mse_loss, "regression"),
}


def loss_for(given: str | Loss | None, task: str) -> Loss:
    """Returns the loss of that name or function of a batch's (outputs, targets); None means the task's own.

    Raises SettingsError if the name is unknown, or the loss belongs to another task.
    """
    if given is None:
        given = "cross_entropy" if task == "classification" else "squared"
    if not isinstance(given, str):
        return given
    if given not in LOSSES:
        raise SettingsError(f"no loss is called `{given}`. {suggestion(given, LOSSES)}")
    function, meant_for = LOSSES[given]
    if meant_for != task:
        fitting = [name for name, (_, other) in LOSSES.items() if other == task]
        raise SettingsError(f"`{given}` is a loss for {meant_for}, but this is {task}; take one of {fitting}")
    return function


def lane_losses(loss: Loss, outputs: Tensor, targets: Tensor, smoothing: Tensor | None) -> Tensor:
    """Returns the loss of each of K lanes, (K,), of outputs (K, B, ...) and targets (K, B, ...).

    `smoothing` (K,) is the label smoothing (Szegedy et al., 2016), None where no lane has any.
    """
    if loss is F.cross_entropy and outputs.ndim == 3 and targets.ndim == 2:
        # Class-first, for a softmax over few classes that lie side by side is 7 times slower.
        likelihoods = F.log_softmax(outputs.transpose(1, 2).contiguous(), dim=1)
        plain = -likelihoods.gather(1, targets.unsqueeze(1)).mean(dim=(1, 2))
        return plain if smoothing is None else plain + smoothing * (-likelihoods.mean(dim=(1, 2)) - plain)
    if smoothing is None:
        losses: Tensor = torch.vmap(loss)(outputs, targets)
    else:
        losses = torch.vmap(lambda o, t, s: loss(o, t, label_smoothing=s))(outputs, targets, smoothing)
    return losses
