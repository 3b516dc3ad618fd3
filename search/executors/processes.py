"""The process executor: a worker process a job, talking with the driver over a pipe.

Workers are started as `python -c`, not by multiprocessing, which would import the user's main script again: so a script
needs no `if __name__ == "__main__"`. What they run is `leadline.trainers.remote`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from ...errors import StudyError
from ...trainers.messages import Close, Command, Event, Job, Ready
from ..scheduler import Scheduler, Work

# glibc would give each large tensor's memory back to the system at once, and have every page of the next one zeroed.
ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
WORKER = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from leadline.trainers.remote import serve
serve()
"""
TICK = 0.1  # seconds between looks at the clock and at interrupts
GRACE = 2.0  # seconds a worker has to leave once it is told to


class WorkerProcess:
    """A worker process and the driver's end of its pipe."""

    def __init__(self, index: int, work: Work, job: Job) -> None:
        self.index, self.ready = index, False
        ours, theirs = socket.socketpair()
        of_driver = f"{job.driver}-" if job.driver else ""
        self.log = job.folder / f"worker-{of_driver}{index}.log" if job.folder else Path(os.devnull)
        with theirs, open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, json.dumps(sys.path), str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**ALLOCATION, **os.environ},
            )
        self.connection = Connection(ours.detach())
        self.send((work, job))

    def send(self, message: object) -> None:
        """Sends what the worker may no longer be there to hear; its death is noticed when it is next listened to."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def receive(self) -> list[Event]:
        """Returns all that the worker has said, at least one word; raises EOFError if it never will."""
        events: list[Event] = [self.connection.recv()]
        with contextlib.suppress(EOFError, ConnectionResetError):  # noticed when it is next listened to
            while self.connection.poll():
                events.append(self.connection.recv())
        return events

    def last_words(self) -> str:
        """Says how the process ended."""
        code = self.process.wait()
        how = f"killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit status {code}"
        return f"the worker process died: {how}. What it printed is in {self.log}"

    def close(self, grace: float) -> None:
        """Waits `grace` seconds for the process to leave by itself, then ends it."""
        self.connection.close()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(work: Work, jobs: Sequence[Job], scheduler: Scheduler) -> None:
    """Runs one worker process a job. See `Executor`. Raises StudyError if a worker dies twice before it is ready."""
    workers = {index: WorkerProcess(index, work, job) for index, job in enumerate(jobs)}
    stillborn = 0
    try:
        while workers and not scheduler.interrupted:
            for connection in wait([worker.connection for worker in workers.values()], TICK):
                worker = next(worker for worker in workers.values() if worker.connection is connection)
                try:
                    events = worker.receive()
                except (EOFError, ConnectionResetError):
                    del workers[worker.index]
                    last_words = worker.last_words()
                    worker.close(0)
                    if worker.index in scheduler.closed:
                        continue
                    stillborn += not worker.ready
                    if stillborn > 1:
                        raise StudyError(f"a worker can't start: {last_words}") from None
                    _send(workers, scheduler.lost(worker.index, last_words))
                    if scheduler.has_work or not worker.ready:
                        workers[worker.index] = WorkerProcess(worker.index, work, jobs[worker.index])
                else:
                    worker.ready = worker.ready or isinstance(events[0], Ready)
                    _send(workers, scheduler.handle(worker.index, *events))
            _send(workers, scheduler.tick())
        _send(workers, [(index, Close()) for index in workers])
    finally:
        deadline = time.monotonic() + GRACE
        for worker in workers.values():
            worker.close(max(0.0, deadline - time.monotonic()))


def _send(workers: dict[int, WorkerProcess], commands: list[tuple[int, Command]]) -> None:
    for index, command in commands:
        if index in workers:
            workers[index].send(command)
