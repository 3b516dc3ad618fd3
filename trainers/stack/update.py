"""What becomes of gradients: L1, clipping, and the optimizer's step, with one value a lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..optimizers import LaneOptimizer
from ..schedules import learning_rates
from .base import Lane
from .rows import Rows

UNUSED = {"l1": 0.0, "clip_norm": torch.inf}  # what these are for a lane that doesn't use them


class Update:
    """The updates of an epoch of `steps` steps to `rows`, whose K lanes are `lanes`.

    `table` holds, by name, all numbers of it that differ from lane to lane or step to step: (S, K, 1) each.
    """

    def __init__(self, optimizer: LaneOptimizer, rows: Rows, lanes: Sequence[Lane], steps: int) -> None:
        self.optimizer, self.rows = optimizer, rows
        numbers = []
        for lane in lanes:
            counts = (lane.epoch - 1) * steps + np.arange(1, steps + 1, dtype=np.float64)
            numbers.append((lane.recipe, learning_rates(lane.recipe, lane.epoch, steps), counts))
        self.table = optimizer.table(numbers, rows.weights)
        for name, unused in UNUSED.items():
            values = [getattr(lane.recipe, name) for lane in lanes]
            if any(values):
                column = rows.weights.new_tensor([[value or unused] for value in values])
                self.table[name] = column.expand(steps, *column.shape)

    @torch.no_grad()
    def __call__(self, now: Mapping[str, Tensor]) -> None:
        """Makes a step from the gradients in the rows; `now` are the numbers of the table at this step, (K, 1) each."""
        rows = self.rows
        if "l1" in now:
            rows.grads.addcmul_(rows.weights.sign(), rows.penalized * now["l1"])
        if "clip_norm" in now:  # as torch.nn.utils.clip_grad_norm_
            norms = torch.linalg.vector_norm(rows.grads, dim=1, keepdim=True)
            factors = (now["clip_norm"] / (norms + 1e-6)).clamp(max=1.0)
            rows.grads.mul_(factors.nan_to_num(nan=1.0))  # of a lane without clipping whose norm overflows
        self.optimizer.update(rows.weights, rows.grads, rows.state, now)
