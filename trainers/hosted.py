"""A worker that somebody else's process is host to: the other end of `leadline.search.executors.ray`.

What its driver calls may fail on the way, and be called again. So events and commands are numbered, and each is told
until the other side has said how many it has: each arrives once, and in order.
"""

from __future__ import annotations

import pickle
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .messages import Broken, Command, Event, Job, Ready
from .reasons import traced


@dataclass(frozen=True)
class Said:
    """What a worker has to say: its `events` from the one numbered `first`, and how many commands have `come`.

    `left` if it has nothing more to say, ever; because of a `failure`, a traceback, if it didn't leave in order.
    """

    first: int
    events: Sequence[Event]
    come: int
    left: bool = False
    failure: str | None = None


class HostedWorker:
    """A worker in a thread of this process; itself the worker's `Channel`.

    `paths` are where the driver finds modules, `sent` is its pickled (work, job).
    """

    def __init__(self, paths: Sequence[str], sent: bytes) -> None:
        self._changed = threading.Condition()
        self._commands: list[Command] = []  # that the worker hasn't had
        self._come = 0  # commands, in all
        self._events: list[Event] = []  # that the driver hasn't acknowledged
        self._first = 0  # the number of the first of these
        self._left = False
        self._failure: str | None = None
        sys.path += [path for path in paths if path not in sys.path]
        threading.Thread(target=self._serve, args=(sent,), daemon=True).start()

    def exchange(self, heard: int, first: int, commands: Sequence[Command], patience: float) -> Said:
        """Takes `commands`, numbered from `first`, and returns what is to be said from event number `heard` on.

        Waits for an event for up to `patience` seconds.
        """
        with self._changed:
            if heard > self._first:
                del self._events[: heard - self._first]
                self._first = heard
            new = commands[max(0, self._come - first) :] if first <= self._come else ()
            self._commands += new
            self._come += len(new)
            if new:
                self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self._events) or self._left, patience)
            return Said(self._first, tuple(self._events), self._come, self._left, self._failure)

    # The worker's side

    def send(self, event: Event) -> None:
        if isinstance(event, Ready):  # another machine can do nothing with a process's number, or a device's alone
            event = replace(event, device=f"{socket.gethostname()}:{event.device}", process=None)
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def receive(self, *, wait: bool) -> list[Command]:
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: bool(self._commands))
            commands, self._commands = self._commands, []
            return commands

    def _serve(self, sent: bytes) -> None:
        try:
            work, job = pickle.loads(sent)  # from the driver, as everything that Ray carries
            if problem := _folder_problem(job):
                self.send(Broken([problem]))
            else:
                work.serve(job, self)
        except BaseException as error:  # the driver tells it
            self._failure = traced(error)
        finally:
            with self._changed:
                self._left = True
                self._changed.notify_all()


def _folder_problem(job: Job) -> str | None:
    """Says so if the study's folder isn't here, where this machine's trials could leave weights and checkpoints."""
    if job.folder is None:
        return None
    mark = job.folder / "id"
    if mark.exists() and mark.read_text().strip() == job.study:
        return None
    return (
        f"the study's folder {job.folder} isn't on {socket.gethostname()}: on a Ray cluster workers leave weights and "
        "checkpoints there. Take that node out, or run the study in a folder that all nodes share, or with such a one "
        "as --storage"
    )
