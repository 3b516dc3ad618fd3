"""Time limits: how long a trial, or one epoch of it, may train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimeLimits:
    """The most seconds that a trial may train, all its epochs together, and that one epoch may take; None: any time.

    In a stack a trial has its share of the stack's time, as in the `seconds` that it reports.
    """

    seconds: float | None = None
    epoch_seconds: float | None = None

    def broken_by(self, seconds: float, epoch_seconds: float, epoch: int) -> str | None:
        """Returns, in words, the limit that a trial breaks which has trained so long, its `epoch` so long; else None.

        >>> TimeLimits(epoch_seconds=60).broken_by(200, 61.24, 4)
        'time limit: `epoch_seconds <= 60` must hold, but epoch 4 has taken 61.2 s'
        """
        if self.epoch_seconds is not None and epoch_seconds > self.epoch_seconds:
            rule = f"`epoch_seconds <= {self.epoch_seconds:g}` must hold"
            return f"time limit: {rule}, but epoch {epoch} has taken {epoch_seconds:.3g} s"
        if self.seconds is not None and seconds > self.seconds:
            return f"time limit: `seconds <= {self.seconds:g}` must hold, but it has trained {seconds:.3g} s"
        return None


ANY_TIME = TimeLimits()
