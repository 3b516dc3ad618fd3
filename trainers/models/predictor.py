"""From inputs as their source holds them to probabilities, or values in the targets' own units: one module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Preparation
from ..data.dataset import Scale


@dataclass(frozen=True, eq=False)
class Member:
    """A trained network, how its inputs are prepared and a regression's targets scaled, and its share of the answer."""

    network: nn.Module
    preparation: Preparation
    scale: Scale | None = None
    weight: float = 1.0


class Predictor(nn.Module):
    """The weighted mean of what its members say of inputs (n, ...): probabilities (n, classes), or values (n,).

    Inputs are of the shape and dtype that the data's source has; of a table they are its encoded columns, float64, NaN
    where a number or a date is missing. They are prepared in float64 as in training, to the last bit. All members are
    of one task, trained on the same data.

    >>> import numpy as np
    >>> preparation = Preparation.fit(np.array([[0.0], [2.0]]))
    >>> Predictor([Member(nn.Linear(1, 2), preparation)])(torch.tensor([[1.0]], dtype=torch.float64)).sum().item()
    1.0
    """

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        self.members = nn.ModuleList(_Answer(member) for member in members)
        self.weights = tuple(member.weight for member in members)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (n, classes) or (n,), float32."""
        first, *others = self.members
        if not others:
            answer: Tensor = first(inputs)
            return answer
        total: Tensor = self.weights[0] * first(inputs)
        for weight, member in zip(self.weights[1:], others, strict=True):
            total = total + weight * member(inputs)
        return total

    def prepared(self, inputs: Tensor) -> list[Tensor]:
        """Returns inputs (n, ...) as each member's network takes them, float32 (n, *in_shape)."""
        return [answer.prepared(inputs) for answer in self.members if isinstance(answer, _Answer)]

    @property
    def networks(self) -> list[nn.Module]:
        """The members' networks alone."""
        return [answer.network for answer in self.members if isinstance(answer, _Answer)]


class _Answer(nn.Module):
    """What one member says of inputs (n, ...)."""

    mean: Tensor
    deviation: Tensor
    fills: Tensor | None

    def __init__(self, member: Member) -> None:
        super().__init__()
        prepared = member.preparation
        self.network, self.scale = member.network, member.scale
        self.gains_channel = len(prepared.raw_shape or prepared.in_shape) < len(prepared.in_shape)
        along = (-1, *(1,) * (len(prepared.in_shape) - 1))
        fills = [fill for column in prepared.columns for fill in column.fills] if prepared.columns else None
        self._keep("mean", torch.tensor(prepared.mean, dtype=torch.float64).view(along))
        self._keep("deviation", torch.tensor(prepared.scale, dtype=torch.float64).view(along))
        self._keep("fills", None if fills is None else torch.tensor(fills, dtype=torch.float64))

    def _keep(self, name: str, values: Any) -> None:
        self.register_buffer(name, values, persistent=False)  # the card has them: state dicts are the networks' own

    def prepared(self, inputs: Tensor) -> Tensor:
        """Returns inputs (n, ...) as the network takes them, float32 (n, *in_shape)."""
        numbers = inputs.double()
        if self.gains_channel:
            numbers = numbers.unsqueeze(1)
        if self.fills is not None:
            numbers = torch.where(numbers.isnan(), self.fills, numbers)
        return ((numbers - self.mean) / self.deviation).float()

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (n, classes) or (n,), float32."""
        outputs: Tensor = self.network(self.prepared(inputs)).float()
        if self.scale is None:
            return outputs.softmax(dim=1)
        return self.scale.undo(outputs).flatten()
