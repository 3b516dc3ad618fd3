"""Early stopping: end a trial that no longer improves itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Keeps the best epoch, and tells when `patience` epochs have gone by without a better one (None: never).

    Source: Prechelt, "Early Stopping - But When?" (1998), criterion UP.

    >>> from leadline.trainers.early_stopping import EarlyStopping
    >>> stopping = EarlyStopping(maximize=True, patience=2)
    >>> [stopping.update(epoch, value) for epoch, value in enumerate([0.5, 0.7, 0.6, 0.7], start=1)]
    [True, True, False, False]
    >>> stopping.exhausted, stopping.best_epoch, stopping.best
    (True, 2, 0.7)
    """

    maximize: bool
    patience: int | None = None
    best: float | None = None
    best_epoch: int = 0
    epoch: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Takes the value of `epoch`; returns whether it is the best so far. Ties go to the earlier epoch."""
        self.epoch = epoch
        improved = self.best is None or (value > self.best if self.maximize else value < self.best)
        if improved:
            self.best, self.best_epoch = value, epoch
        return improved

    @property
    def exhausted(self) -> bool:
        """Whether the patience is used up."""
        return self.patience is not None and self.epoch - self.best_epoch >= self.patience
