"""An objective: the user's own function of a trial, as something a worker can do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import Pruned
from ..trainers.memory import memory_told
from ..trainers.messages import AtRung, AtWork, Channel, Close, Decision, Ended, Job, Ready, Report, Start, Stop
from ..trainers.reasons import Interruption, out_of_memory, told, traced, users_code
from ..trainers.references import travels
from ..trainers.time_limits import TimeLimits
from .trial import ActiveTrial


class Objective:
    """Runs `function(trial) -> value` for each trial; it may report values, and end itself by raising Pruned.

    For several objectives it returns a tuple, and reports the first.
    """

    def __init__(self, function: Callable[[ActiveTrial], float | Sequence[float]]) -> None:
        self.function = function
        self._stopped = ""  # why, where the study ended meanwhile

    @property
    def travels(self) -> bool:
        """Whether another process can import the function."""
        return travels(self.function)

    def structure(self, params: Mapping[str, Any], *, padded: bool) -> Mapping[str, Any]:
        """Returns nothing: an objective's trials have a worker each."""
        return {}

    def weight(self, params: Mapping[str, Any]) -> int:
        """Returns 1: nothing is known of the work."""
        return 1

    def serve(self, job: Job, channel: Channel) -> None:
        """Runs the trials that the driver sends, until it says Close."""
        channel.send(Ready(lanes=1, device=job.device, process=os.getpid()))
        while True:
            for command in channel.receive(wait=True):
                match command:
                    case Start(number, params):
                        began = time.monotonic()
                        try:
                            ended = self._run(number, dict(params), channel, job.limits, several=job.objectives > 1)
                        except _Closed:
                            return  # the trial stays running, for the next run to take up
                        # The storage dates its end later: once the next trial has been proposed
                        seconds = time.monotonic() - began
                        channel.send(replace(ended, facts={**ended.facts, "seconds": seconds}))
                    case Close():
                        return

    def _run(
        self, number: int, params: dict[str, Any], channel: Channel, limits: TimeLimits, *, several: bool
    ) -> Ended:
        began = reported = time.monotonic()

        def report(epoch: int, value: float) -> bool:
            nonlocal reported
            now = time.monotonic()
            channel.send(Report(number, epoch, value))
            if broken := limits.broken_by(now - began, now - reported, epoch):
                raise _TimeUp(broken)
            channel.send(AtRung({number: epoch}))
            while True:
                for command in channel.receive(wait=True):
                    match command:
                        case Decision(of, verdict) if of == number:
                            reported = time.monotonic()
                            channel.send(AtWork([number]))
                            return verdict == "prune" or bool(self._stopped)
                        case Stop(of, reason) if of == number:
                            self._stopped = reason
                        case Close():
                            raise _Closed

        self._stopped = ""
        channel.send(AtWork([number]))
        trial = ActiveTrial(number, params, report)
        try:
            with users_code():
                value = _numbers(self.function(trial), several)
        except Pruned:
            if self._stopped:
                return Ended(number, "stopped", self._stopped, trial.last)
            return Ended(number, "pruned", "the objective raised Pruned", trial.last)
        except _TimeUp as error:
            return Ended(number, "failed", str(error))
        except Exception as error:  # the objective is the user's: it may raise anything, and the study goes on
            reason = f"{told(error)}; {memory_told()}" if out_of_memory(error) else told(error)
            return Ended(number, "failed", reason, facts={"traceback": traced(error)})
        return Ended(number, "complete", "the objective returned", value)


def _numbers(returned: Any, several: bool) -> float | tuple[float, ...]:
    return tuple(map(float, returned)) if several and isinstance(returned, tuple | list) else float(returned)


class _TimeUp(Interruption):
    """The trial breaks a limit of time."""


class _Closed(Interruption):
    """The study was interrupted in the middle of a trial."""
