"""The inline executor: the one worker runs in this process. For debugging, and for what can't travel to another one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ...trainers.messages import Close, Command, Event, Job
from ..scheduler import Scheduler, Work


class InlineChannel:
    """Hands each event straight to the scheduler, and keeps its answers until the worker asks for them."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._inbox: deque[Command] = deque()

    def send(self, event: Event) -> None:
        self._inbox.extend(command for _, command in self._scheduler.handle(0, event))

    def receive(self, *, wait: bool) -> list[Command]:
        if self._scheduler.interrupted:
            return [Close()]
        commands = list(self._inbox)
        self._inbox.clear()
        assert commands or not wait, "a worker waits, but the scheduler has answered everything"
        return commands


def run(work: Work, jobs: Sequence[Job], scheduler: Scheduler) -> None:
    """Runs the work of the first job here. See `Executor`."""
    work.serve(jobs[0], InlineChannel(scheduler))
