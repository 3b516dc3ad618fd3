"""Single steps of training, each on rows and at a learning rate of the caller's choice."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from ..data import Subset
from ..metrics import metric_for
from ..recipe import Recipe
from ..stack import Bench, Epoch, Lane, LoopedStack
from ..streams import Stream


class Steps:
    """Trains a network a few steps at a time, as a trial would.

    Each time is an epoch of a stack of one lane, over data that hold these rows alone: the one loop there is.
    """

    def __init__(self, bench: Bench, network: nn.Module, recipe: Recipe, stream: Stream) -> None:
        task = "regression" if bench.data.classes is None else "classification"
        self.bench, self.recipe = replace(bench, metric=metric_for(None, task)), recipe
        self.lane = Lane(0, {}, recipe, stream)
        self.stack = LoopedStack(self.bench)
        self.stack.add(self.lane, network)

    def take(self, rows: Tensor, lr: float | None = None, steps: int = 1) -> Epoch:
        """Trains so many steps on these training rows (N,), N / steps of them a step; returns what came of it.

        `train/loss` and `train/accuracy` (or `train/r2`) are those before each step. Raises what network or loss raise.
        """
        data, batch = self.bench.data, len(rows) // steps
        (inputs,) = data.train.batches(rows[None])
        train = Subset(inputs, data.train.targets[rows])
        few = Subset(inputs[:2], train.targets[:2])
        self.stack.bench = replace(self.bench, folds=(replace(data, train=train, valid=few),))
        rate = lr or self.recipe.lr
        self.lane.recipe = replace(self.recipe, batch_size=batch, lr=rate, schedule="constant", warmup=0.0)
        (epoch,) = self.stack.train_epoch()
        if epoch.error is not None:
            raise epoch.error
        return epoch
