"""The inline executor: the one worker runs in this process. For debugging, and for what can't travel to another one."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import StudyError
from ...trainers.messages import Close, Command, Event, Job, Unfit
from ..scheduler import Scheduler, Work


class InlineChannel:
    """Keeps what the worker says until it asks for commands; then the scheduler answers all of it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._said: list[Event] = []
        self.unfit: Unfit | None = None

    def send(self, event: Event) -> None:
        self._said.append(event)
        if isinstance(event, Unfit):
            self.unfit = event

    def receive(self, *, wait: bool) -> list[Command]:
        commands = self.answers()
        if self._scheduler.interrupted:
            return [Close()]
        assert commands or not wait, "a worker waits, but the scheduler has answered everything"
        return commands

    def answers(self) -> list[Command]:
        """Has the scheduler answer what was said."""
        said, self._said = self._said, []
        return [command for _, command in self._scheduler.handle(0, *said)]


def run(work: Work, jobs: Sequence[Job], scheduler: Scheduler) -> None:
    """Runs the work of the first job here. See `Executor`.

    Limits of time hold at epochs' ends, as nothing can be killed. Raises StudyError if the device fails: there is no
    other process.
    """
    channel = InlineChannel(scheduler)
    work.serve(jobs[0], channel)
    channel.answers()  # last words, to which no answer is awaited
    if channel.unfit is not None:
        raise StudyError(f"{channel.unfit.reason}. The study can be resumed, by another process")
