"""What becomes of gradients: L1, clipping, and the optimizer's step, with one value a lane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..optimizers import LaneOptimizer
from ..schedules import learning_rates
from .base import Lane
from .rows import Rows


class Update:
    """The updates of an epoch of `steps` steps to `rows`, whose K lanes are `lanes`."""

    def __init__(self, optimizer: LaneOptimizer, rows: Rows, lanes: Sequence[Lane], steps: int) -> None:
        self.optimizer, self.rows = optimizer, rows
        numbers = []
        for lane in lanes:
            counts = (lane.epoch - 1) * steps + np.arange(1, steps + 1, dtype=np.float64)
            numbers.append((lane.recipe, learning_rates(lane.recipe, lane.epoch, steps), counts))
        self.table = optimizer.table(numbers, rows.weights)
        self.l1 = self._column([lane.recipe.l1 for lane in lanes], none=0.0)
        self.clip_norm = self._column([lane.recipe.clip_norm for lane in lanes], none=torch.inf)

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        """Makes one step, counted from 0, from the gradients in the rows."""
        rows = self.rows
        if self.l1 is not None:
            rows.grads.addcmul_(rows.weights.sign(), rows.penalized * self.l1)
        if self.clip_norm is not None:  # as torch.nn.utils.clip_grad_norm_
            norms = torch.linalg.vector_norm(rows.grads, dim=1, keepdim=True)
            rows.grads.mul_((self.clip_norm / (norms + 1e-6)).clamp(max=1.0))
        now = {name: column[step] for name, column in self.table.items()}
        self.optimizer.update(rows.weights, rows.grads, rows.state, now)

    def _column(self, values: Sequence[float | None], none: float) -> Tensor | None:
        """Returns the values as (K, 1), `none` for those that aren't used; None if no lane uses any."""
        return self.rows.weights.new_tensor([[value or none] for value in values]) if any(values) else None
