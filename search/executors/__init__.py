"""Where trainers run. An executor keeps workers alive and carries their messages; what is said is the scheduler's.

A new executor is a new file and one line in `EXECUTORS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...trainers.messages import Job
from ..scheduler import Scheduler, Work
from . import inline, processes, ray


class Executor(Protocol):
    """Runs `work` on one worker a job until the scheduler has closed them all, or is interrupted."""

    def __call__(self, work: Work, jobs: Sequence[Job], scheduler: Scheduler) -> None:
        """Returns when all is done. Raises what the scheduler raises; no worker outlives the call.

        What a worker says goes to `scheduler.handle`, that it is gone to `scheduler.lost`; one that is `overdue` is
        killed with all that it has started, and then lost as others are. A fresh one takes its place while the
        scheduler `has_work`.
        """


EXECUTORS: dict[str, Executor] = {"inline": inline.run, "processes": processes.run, "ray": ray.run}
