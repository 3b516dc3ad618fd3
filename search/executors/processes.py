"""The process executor: a worker process a job, talking with the driver over a pipe.

Workers are started as `python -c`, not by multiprocessing, which would import the user's main script again: so a script
needs no `if __name__ == "__main__"`. What they run is `leadline.trainers.remote`.

A worker is run by a guard, which takes down the worker, and whatever it has started, when the driver says so or is
killed, and when the worker ends. It needs nothing of a worker that may hang. See `guard`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from ...errors import StudyError
from ...trainers.disk import writing
from ...trainers.memory import MemoryKills, bytes_told, memory_limit
from ...trainers.messages import Close, Command, Event, Job, Ready
from ..scheduler import Scheduler, Work

# glibc would give each large tensor's memory back to the system at once, and have every page of the next one zeroed.
ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
WORKER = """
import sys
sys.path[:] = filter(None, sys.path)  # without the working folder, where any file may be called json.py
import json
sys.path[:] = json.loads(sys.argv[1])
from leadline.trainers.remote import serve
serve()
"""
GUARD = Path(__file__).with_name("guard.py")
TICK = 0.1  # seconds between looks at the clock and at interrupts
GRACE = 2.0  # seconds a worker has to leave once it is told to
LEAVING = 1.0  # seconds a worker that has hung up has to leave by itself, so that it can be told how it ended


class WorkerProcess:
    """A worker process with its guard, and the driver's ends of their pipes."""

    def __init__(self, index: int, work: Work, job: Job) -> None:
        self.index, self.ready = index, False
        self.hangs = False  # whether it had to be ended
        self.told = b""  # by the guard at the end: the process's exit code
        of_driver = f"{job.driver}-" if job.driver else ""
        self.log = job.folder / f"worker-{of_driver}{index}.log" if job.folder else Path(os.devnull)
        with writing(self.log):
            log = open(self.log, "ab")  # noqa: SIM115 (closed below)
        ours, theirs = socket.socketpair()
        self.leash, of_guard = socket.socketpair()
        with theirs, of_guard, log:
            worker = [sys.executable, "-c", WORKER, json.dumps(sys.path)]
            self.guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(theirs.fileno()), *worker],
                pass_fds=[theirs.fileno()],
                stdin=of_guard.fileno(),
                stdout=subprocess.PIPE,
                stderr=log,
                env={**ALLOCATION, **os.environ},
                process_group=0,
            )
        self.memory_kills, self.memory_limit = MemoryKills(self.guard.pid), memory_limit(self.guard.pid)
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

    @property
    def is_silent(self) -> bool:
        """Whether the process has said nothing that is unheard."""
        return not self.connection.poll()

    @property
    def has_died(self) -> bool:
        """Whether the process is gone, and nothing is unheard; a child of it may hold its end of the pipe open."""
        return self.guard.poll() is not None and self.is_silent

    def kill(self) -> None:
        """Has the process killed, and all else that it has started."""
        self.leash.close()

    def last_words(self) -> tuple[str, bool]:
        """Says how the process, which is closed, ended, and whether it was for want of memory."""
        code = int(self.told or self.guard.returncode)  # a guard that told nothing has failed or was killed itself
        if code == -signal.SIGKILL and self.memory_kills.happened:
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of the largest so far
            how = f"peak {bytes_told(peak)}, limit {bytes_told(self.memory_limit)}"
            return f"out of memory: the kernel killed the worker process (signal 9, SIGKILL); {how}", True
        if self.hangs:
            return f"the worker process hung up and didn't end. What it printed is in {self.log}", False
        how = f"killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit status {code}"
        return f"the worker process died: {how}. What it printed is in {self.log}", False

    def close(self, grace: float) -> None:
        """Waits `grace` seconds for the process to leave by itself, then ends it, and whatever it has started."""
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.guard.wait(grace)
        self.hangs = self.guard.poll() is None
        self.kill()
        self.told, _ = self.guard.communicate()


def run(work: Work, jobs: Sequence[Job], scheduler: Scheduler) -> None:
    """Runs one worker process a job. See `Executor`. Raises StudyError if a worker dies twice before it is ready."""
    workers: dict[int, WorkerProcess] = {}
    stillborn = 0
    try:
        for index, job in enumerate(jobs):
            workers[index] = WorkerProcess(index, work, job)
        while workers and not scheduler.interrupted:
            spoken = wait([worker.connection for worker in workers.values()], TICK)
            for worker in [worker for worker in workers.values() if worker.connection in spoken or worker.has_died]:
                try:
                    events = worker.receive() if worker.connection in spoken else []
                except (EOFError, ConnectionResetError):
                    events = []
                if events:
                    worker.ready = worker.ready or isinstance(events[0], Ready)
                    _send(workers, scheduler.handle(worker.index, *events))
                    continue
                del workers[worker.index]
                worker.close(LEAVING)
                last_words, for_memory = worker.last_words()
                if worker.index in scheduler.closed:
                    continue
                stillborn += not worker.ready
                if stillborn > 1:
                    raise StudyError(f"a worker can't start: {last_words}")
                _send(workers, scheduler.lost(worker.index, last_words, memory=for_memory))
                if scheduler.has_work or not worker.ready:
                    workers[worker.index] = WorkerProcess(worker.index, work, jobs[worker.index])
            _send(workers, scheduler.tick())
            for index in scheduler.overdue([index for index, worker in workers.items() if worker.is_silent]):
                workers[index].kill()
        _send(workers, [(index, Close()) for index in workers])
    finally:
        deadline = time.monotonic() + GRACE
        for worker in workers.values():
            worker.close(max(0.0, deadline - time.monotonic()))


def _send(workers: dict[int, WorkerProcess], commands: list[tuple[int, Command]]) -> None:
    for index, command in commands:
        if index in workers:
            workers[index].send(command)
