"""An objective: the user's own function of a trial, as something a worker can do."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from ..errors import Pruned
from ..trainers.messages import Channel, Close, Command, Decision, Ended, Job, Ready, Report, Start
from ..trainers.reasons import told
from ..trainers.references import travels
from .trial import ActiveTrial


class Objective:
    """Runs `function(trial) -> value` for each trial; it may report values, and end itself by raising Pruned."""

    def __init__(self, function: Callable[[ActiveTrial], float]) -> None:
        self.function = function

    @property
    def travels(self) -> bool:
        """Whether another process can import the function."""
        return travels(self.function)

    def serve(self, job: Job, channel: Channel) -> None:
        """Runs the trials that the driver sends, until it says Close."""
        channel.send(Ready(lanes=1, device=job.device))
        while True:
            for command in channel.receive(wait=True):
                match command:
                    case Start(number, params):
                        channel.send(self._run(number, dict(params), channel))
                    case Close():
                        return

    def _run(self, number: int, params: dict[str, Any], channel: Channel) -> Ended:
        def report(epoch: int, value: float) -> bool:
            channel.send(Report(number, epoch, value, waits=True))
            return _decision(channel.receive(wait=True))

        trial = ActiveTrial(number, params, report)
        try:
            value = float(self.function(trial))
        except Pruned:
            return Ended(number, "pruned", "the objective raised Pruned", trial.last)
        except Exception as error:  # the objective is the user's: it may raise anything, and the study goes on
            return Ended(number, "failed", told(error), facts={"traceback": traceback.format_exc()})
        return Ended(number, "complete", "the objective returned", value)


def _decision(commands: list[Command]) -> bool:
    return any(isinstance(command, Close) or (isinstance(command, Decision) and command.prune) for command in commands)
