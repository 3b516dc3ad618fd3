"""A worker in a process of its own: the other end of `leadline.search.executors.processes`."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection

from .messages import Command, Event


class PipeChannel:
    """The worker's end of the pipe. A driver that is gone ends the worker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, event: Event) -> None:
        self._connection.send(event)

    def receive(self, *, wait: bool) -> list[Command]:
        commands: list[Command] = []
        while self._connection.poll(None if wait and not commands else 0):
            commands.append(self._connection.recv())
        return commands


def serve() -> None:
    """Serves as a worker on the pipe whose number is the second argument."""
    _, _, descriptor = sys.argv
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # some send it to every process; the driver decides what it means
    connection = Connection(int(descriptor))
    try:
        work, job = connection.recv()
        work.serve(job, PipeChannel(connection))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the driver is gone, and what was acknowledged is on disk
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is said and written; taking torch down in good order would take half a second
