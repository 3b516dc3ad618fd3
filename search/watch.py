"""The watch: what each worker is at, since when, and which trials' time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..trainers.time_limits import TimeLimits


class Watch:
    """Keeps the time of trials, as their workers say what they are at. `clock` returns seconds.

    Trials of a stack share its time evenly.
    """

    def __init__(self, limits: TimeLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._clock = limits, clock
        self._at: dict[int, tuple[tuple[int, ...], float]] = {}  # worker -> the trials of the stack, since when
        self._spent: dict[int, float] = {}  # trial -> seconds
        self._epochs: dict[int, int] = {}

    def expect(self, number: int, seconds: float, epochs: int) -> None:
        """Takes note of a trial that is begun, or taken up again after so many seconds and epochs."""
        self._spent[number], self._epochs[number] = seconds, epochs

    def begin(self, worker: int, numbers: Sequence[int]) -> None:
        """A worker begins an epoch of a stack of trials, or to build one."""
        self.rest(worker)
        self._at[worker] = tuple(numbers), self._clock()

    def rest(self, worker: int) -> tuple[int, ...]:
        """A worker is done with what it was at, or gone; returns the trials that it was at."""
        numbers, since = self._at.pop(worker, ((), 0.0))
        for number in numbers:
            self._spent[number] = self._spent.get(number, 0.0) + (self._clock() - since) / len(numbers)
        return numbers

    def reported(self, number: int, epoch: int) -> None:
        """A trial has done that epoch."""
        self._epochs[number] = epoch

    def at(self, worker: int) -> tuple[int, ...]:
        """Returns the trials that a worker is at."""
        return self._at.get(worker, ((), 0.0))[0]

    def over(self, worker: int) -> dict[int, str]:
        """Returns the trials whose time is up while a worker is at them, and in words which limit they break."""
        numbers, since = self._at.get(worker, ((), 0.0))
        epoch_seconds = (self._clock() - since) / max(1, len(numbers))
        broken = {
            number: self.limits.broken_by(
                self._spent.get(number, 0.0) + epoch_seconds, epoch_seconds, self._epochs.get(number, 0) + 1
            )
            for number in numbers
        }
        return {number: told for number, told in broken.items() if told}
