"""Losses: what training minimizes, on a batch's outputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SettingsError, suggestion
from .networks.layers import told_apart

Loss = Callable[..., Any]

LOSSES: dict[str, tuple[Loss, str]] = {
    "cross_entropy": (F.cross_entropy, "classification"),
    "squared": (F.mse_loss, "regression"),
    "absolute": (F.l1_loss, "regression"),
    "huber": (F.huber_loss, "regression"),  # with its bend at one deviation of the targets, which are standardized
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
        raise SettingsError(f"`{given}` is a loss for {meant_for}, but this is {task}; take `{'`, `'.join(fitting)}`")
    return function


def lane_losses(loss: Loss, outputs: Tensor, targets: Tensor, options: Mapping[str, Tensor]) -> Tensor:
    """Returns the loss of each of K lanes, (K,), of outputs (K, B, ...) and targets (K, B, ...).

    `options` are the loss's own arguments, by name: `label_smoothing` (K,) (Szegedy et al., 2016), `weight` (K, C).
    """
    if loss is F.cross_entropy and outputs.ndim == 3 and targets.ndim == 2:
        return _cross_entropies(outputs, targets, **options)
    losses: Tensor = torch.vmap(lambda o, t, own: loss(o, t, **own))(outputs, targets, dict(options))
    return losses


def combined(one: Loss, outputs: Any, targets: Tensor, mixed: tuple[Tensor, Any] | None, auxiliary: Any) -> Any:
    """Returns the loss to train on, where `one` gives that of outputs and targets alone.

    Of outputs that are a tuple the first are the network's; to their loss those of the others, of auxiliary heads, are
    added, times `auxiliary` (Szegedy et al., 2015). Where inputs are `mixed`, that is (others' targets, the own share),
    so are the losses (Zhang et al., 2018).
    """

    def loss_of(some: Tensor) -> Any:
        own = one(some, targets)
        if mixed is None:
            return own
        others, share = mixed
        return share * own + (1 - share) * one(some, others)

    main, *heads = told_apart(outputs)
    total = loss_of(main)
    for head in heads:
        total = total + auxiliary * loss_of(head)
    return total


def _cross_entropies(
    outputs: Tensor, targets: Tensor, label_smoothing: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Returns what `F.cross_entropy` gives for each lane's outputs (B, C) and targets (B,), (K,)."""
    # Class-first, for a softmax over few classes that lie side by side is 7 times slower.
    likelihoods = F.log_softmax(outputs.transpose(1, 2).contiguous(), dim=1)
    picked = likelihoods.gather(1, targets.unsqueeze(1)).squeeze(1)
    if weight is None:
        plain = -picked.mean(dim=1)
    else:
        weights = weight.gather(1, targets)
        total = weights.sum(dim=1)
        plain = -(picked * weights).sum(dim=1) / total
        likelihoods = likelihoods * weight.unsqueeze(2)
    if label_smoothing is None:
        return plain
    if weight is None:
        even = -likelihoods.mean(dim=(1, 2))
    else:
        even = -likelihoods.sum(dim=(1, 2)) / total / likelihoods.shape[1]
    return plain + label_smoothing * (even - plain)
