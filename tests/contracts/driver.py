"""A driver for a worker's tests: a channel made of lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from leadline.trainers.messages import Adopt, AtRung, Close, Command, Ended, Event, Go, Planned, Ready, Report, Start

Answer = Callable[[Event], Iterable[Command]]


class Driver:
    """Hands a worker its commands, answers its events by `answer`, and keeps in `events` all it was told.

    When every trial has ended it says Close; a worker that waits while nothing can come fails the test.
    """

    def __init__(self, *commands: Command, answer: Answer = lambda event: ()) -> None:
        self.inbox: list[Command] = list(commands)
        self.answer = answer
        self.events: list[Event] = []
        self.running: set[int] = set()

    def send(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Ended):
            self.running.remove(event.number)
        self.inbox += self.answer(event)
        if isinstance(event, Planned):
            self.inbox.append(Adopt(event.blueprint, event.stack, event.lanes))
        if isinstance(event, Ready | Ended):
            self.inbox.append(Go())

    def receive(self, *, wait: bool) -> list[Command]:
        commands, self.inbox = self.inbox, []
        self.running |= {command.number for command in commands if isinstance(command, Start)}
        if commands or not wait:
            return commands
        assert not self.running, f"the worker waits, but nobody will answer; running: {self.running}"
        return [Close()]

    def reports(self, number: int) -> list[Report]:
        """Returns what was reported of a trial, in order."""
        return [event for event in self.events if isinstance(event, Report) and event.number == number]

    def waited(self, number: int) -> list[int]:
        """Returns the epochs after which a trial awaited a decision, in order."""
        epoch, found = 0, []
        for event in self.events:
            if isinstance(event, Report) and event.number == number:
                epoch = event.epoch
            elif isinstance(event, AtRung) and number in event.epochs:
                found.append(epoch)
        return found

    def ended(self, number: int) -> Ended:
        """Returns how a trial ended; it has ended once."""
        (ended,) = (event for event in self.events if isinstance(event, Ended) and event.number == number)
        return ended
