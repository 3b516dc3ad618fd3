"""The Ray executor: workers are actors, which Ray places on whatever nodes its cluster has.

It joins a cluster and starts none. Nodes may come and go: workers are started for those that have come, and what those
that have gone were training is the scheduler's to give to others. What an actor runs is `leadline.trainers.hosted`.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ...errors import SettingsError, StudyError
from ...trainers.hosted import HostedWorker, Said
from ...trainers.messages import Close, Command, Event, Job, Ready
from ..objective import Objective
from ..scheduler import Scheduler, Work

logger = logging.getLogger(__name__)
TICK = 0.1  # seconds between looks at the clock and at interrupts
LOOK = 2.0  # seconds between looks at the cluster's nodes
PATIENCE = 30.0  # seconds after which a worker that has nothing to say is asked again
GRACE = 2.0  # seconds a worker has to leave once it is told to
REACH = 5.0  # seconds in which a cluster's address must answer
AT_ONCE = 4  # calls that an actor answers at a time: one waits for events, others bring commands
HOW_TO_START = (
    "Start one, with `ray start --head`, and on other machines `ray start --address HOST:6379`; and run this on a "
    "machine of it"
)


class WorkerActor:
    """An actor with a worker, and what was said to it that it may not have heard yet."""

    def __init__(self, index: int, actor: Any) -> None:
        self.index, self.actor, self.ready = index, actor, False
        self.heard = 0  # events
        self.come = 0  # commands that the worker has for certain
        self.outbox: list[Command] = []  # those after them
        self.untold = False  # whether there are some that no call has brought
        self.call: Any = None  # that waits for events
        self.speak()

    def send(self, command: Command) -> None:
        """Puts a command in line to be told."""
        self.outbox.append(command)
        self.untold = True

    def speak(self) -> None:
        """Tells what is in line, and waits for what the worker says."""
        if self.call is None:
            self.call = self._exchange(PATIENCE)
        elif self.untold:
            self._exchange(0.0)  # if it fails, the next one tells the same
        self.untold = False

    def _exchange(self, patience: float) -> Any:
        return self.actor.exchange.remote(self.heard, self.come, list(self.outbox), patience)

    def take(self, said: Said) -> list[Event]:
        """Returns those of the events that are new."""
        self.call = None
        events = list(said.events[max(0, self.heard - said.first) :])
        self.heard += len(events)
        del self.outbox[: said.come - self.come]
        self.come = said.come
        self.ready = self.ready or bool(events and isinstance(events[0], Ready))
        return events


class Crew:
    """The workers of one run, as many as the cluster has room for, but `most` at the most."""

    def __init__(self, ray: Any, work: Work, job: Job, most: int | None, trials: int | None) -> None:
        self.ray, self.most, self.gpus = ray, most, int(job.device != "cpu")
        self.workers: dict[int, WorkerActor] = {}
        if trials is not None:  # else the first worker that is ready would take more than its share
            job = replace(job, most_lanes=max(1, min(job.most_lanes, trials // max(1, self.wanted))))
        self._sent, self._paths = pickle.dumps((work, job)), [str(Path(path).absolute()) for path in sys.path]
        # A GPU is what is scarce on its node; on a CPU a worker is one thread.
        needs = {"num_gpus": self.gpus, "num_cpus": 1 - self.gpus}
        self._actor = ray.remote(HostedWorker).options(max_concurrency=AT_ONCE, max_restarts=0, **needs)
        self._indices = itertools.count()  # one that is lost is never heard again: its number isn't given anew
        self._looked = 0.0

    @property
    def room(self) -> int:
        """How many workers the nodes that are alive can hold, whatever else they are doing."""
        resource = "GPU" if self.gpus else "CPU"
        return sum(int(node["Resources"].get(resource, 0)) for node in self.ray.nodes() if node["Alive"])

    @property
    def wanted(self) -> int:
        """How many workers there are to be."""
        return self.room if self.most is None else min(self.most, self.room)

    def grow(self) -> None:
        """Starts workers for the nodes that have come."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        wanted = self.wanted
        while len(self.workers) < wanted:
            index = next(self._indices)
            self.workers[index] = WorkerActor(index, self._actor.remote(self._paths, self._sent))

    def send(self, commands: Sequence[tuple[int, Command]]) -> None:
        """Puts commands in line for those workers that are still there."""
        for index, command in commands:
            if index in self.workers:
                self.workers[index].send(command)

    def heard(self, seconds: float) -> Iterator[tuple[WorkerActor, Said | Exception]]:
        """Yields what workers say within that time, or what became of them."""
        for worker in self.workers.values():
            worker.speak()
        calls = {worker.call: worker for worker in self.workers.values()}
        if not calls:
            time.sleep(seconds)
            return
        first, others = self.ray.wait([*calls], num_returns=1, timeout=seconds)
        more = self.ray.wait(others, num_returns=len(others), timeout=0)[0] if first and others else []
        for call in [*first, *more]:
            try:
                yield calls[call], self.ray.get(call)
            except self.ray.exceptions.ActorUnavailableError:
                calls[call].call = None  # it may be there again: the next call tells the same
            except self.ray.exceptions.RayError as error:
                yield calls[call], error

    @property
    def silent(self) -> list[int]:
        """Those who have said nothing since they were last listened to."""
        return [index for index, worker in self.workers.items() if worker.ready and worker.call is not None]

    def remove(self, worker: WorkerActor) -> None:
        """Ends a worker that has left, or is lost."""
        del self.workers[worker.index]
        self.ray.kill(worker.actor)

    def close(self) -> None:
        """Tells all workers to leave, and ends those that haven't in time."""
        self.send([(index, Close()) for index in self.workers])
        deadline = time.monotonic() + GRACE
        while any(worker.ready for worker in self.workers.values()) and time.monotonic() < deadline:
            for worker, said in self.heard(TICK):
                if isinstance(said, Exception) or said.left:
                    self.remove(worker)
                else:
                    worker.take(said)
        for worker in list(self.workers.values()):
            self.remove(worker)


def run(
    work: Work, jobs: Sequence[Job], scheduler: Scheduler, *, address: str | None = None, most: int | None = None
) -> None:
    """Runs the first of the jobs whose device the cluster has, on up to `most` workers. See `Executor`.

    `address` is the Ray cluster's. Raises SettingsError if there is none, or none of its nodes can hold a worker, and
    StudyError if workers die, though their nodes live, before they are ready.
    """
    if isinstance(work, Objective):
        jobs = [replace(job, folder=None) for job in jobs]  # its workers write nothing, so nothing need be shared
    with _joined(address) as ray:
        crew = next((crew for job in jobs if (crew := Crew(ray, work, job, most, scheduler.trials)).room), None)
        if crew is None:
            devices = " or ".join("a CPU" if job.device == "cpu" else "a GPU" for job in jobs)
            raise SettingsError(f"no node of the Ray cluster has {devices}: add one that has, or take another `device`")
        stillborn = 0
        try:
            while not scheduler.interrupted and (scheduler.has_work or any(w.ready for w in crew.workers.values())):
                if scheduler.has_work:
                    crew.grow()
                heard = list(crew.heard(TICK))
                events = [(worker.index, worker.take(said)) for worker, said in heard if isinstance(said, Said)]
                crew.send(scheduler.handle_all(events))
                for worker, said in heard:
                    stillborn = 0 if worker.ready else stillborn
                    if isinstance(said, Said) and not said.left:
                        continue
                    crew.remove(worker)
                    if worker.index in scheduler.closed:
                        continue
                    words, why = last_words(said)
                    stillborn += not (worker.ready or why == "node")
                    if stillborn > 1:
                        raise StudyError(f"a worker can't start: {words}")
                    crew.send(scheduler.lost(worker.index, words, memory=why == "memory", blameless=why == "node"))
                crew.send(scheduler.tick())
                for index in scheduler.overdue(crew.silent):
                    ray.kill(crew.workers[index].actor)
        finally:
            crew.close()


def last_words(said: Said | Exception) -> tuple[str, Literal["node", "memory", "process"]]:
    """Says how a worker ended, and what gave out: its node, that one's memory, or its process alone."""
    if isinstance(said, Said):
        lines = (said.failure or "it left without being told to").strip().splitlines()
        return f"the worker failed: {lines[-1]}", "process"
    text = str(said)
    address = re.search(r"^\s*ip: (\S+)", text, re.MULTILINE)
    place = f" {address[1]}" if address else ""
    if "node has died" in text or "node failed" in text or "NODE_DIED" in text:
        return f"the worker's node{place} died", "node"
    if "running low on memory" in text or "OUT_OF_MEMORY" in text:
        return f"out of memory: Ray ended the worker, as memory ran low on its node{place}", "memory"
    detail = re.search(r"exit detail: (.*?)(?: Some common causes|$)", text, re.DOTALL)
    how = " ".join((detail[1] if detail else text.strip().splitlines()[-1]).split())
    if "connection error code" in how:
        how = f"killed, or crashed; what it printed is in Ray's logs there ({how.rstrip('.')})"
    return f"the worker's process died on node{place}: {how}", "process"


@contextmanager
def _joined(address: str | None) -> Iterator[Any]:
    """Joins the cluster at `address`, by default the one of RAY_ADDRESS, or that runs here; yields the module `ray`.

    A process that is in a cluster already stays in that one.
    """
    try:
        import ray
    except ImportError:
        raise SettingsError('`executor: ray` needs Ray: pip install "leadline[ray]"') from None
    if ray.is_initialized():
        yield ray
        return
    require_reachable(address)
    here = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)  # Ray puts one of its own in its place, which leaves at once
    own: Any = sys.modules["ray._private.worker"]
    printed = vars(own).get("print_to_stdstream")
    own.print_to_stdstream = lambda data, **_: logger.info("%s", data)  # else a node's end is told amid `--json`
    try:
        ray.init(_place(address), log_to_driver=False, logging_level="ERROR", namespace="leadline")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SettingsError(f"there is no Ray cluster to join ({str(error).splitlines()[0]}). {HOW_TO_START}") from None
    finally:
        if here:
            signal.signal(signal.SIGTERM, handler)
    try:
        yield ray
    finally:
        ray.shutdown()
        own.print_to_stdstream = printed


def require_reachable(address: str | None) -> None:
    """Raises SettingsError if nobody is at HOST:PORT, of which Ray itself would be sure after two minutes."""
    place = _place(address)
    host, colon, port = place.rpartition(":")
    if place == "auto":
        return  # Ray looks for one on this machine
    if not colon or "://" in place:  # "local" would have Ray start one
        raise SettingsError(f"`address` must be HOST:PORT of a Ray cluster, but got {place!r}. {HOW_TO_START}")
    try:
        socket.create_connection((host, int(port)), REACH).close()
    except (OSError, ValueError, OverflowError) as error:
        raise SettingsError(f"there is no Ray cluster at {place} ({error}). {HOW_TO_START}") from None


def _place(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "auto"
