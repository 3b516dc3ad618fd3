"""A study on a Ray cluster whose nodes are processes of this machine, and what a driver can feed.

    python benchmarks/cluster.py losses --trials 60 --losses 20 --seconds 12
    python benchmarks/cluster.py scaling --each 4 --seconds 20
    python benchmarks/cluster.py feeding --workers 1000 --epochs 10

`losses`: three nodes, one worker each; again and again one of them is killed, at random, and another one joins. Prints
how the trials ended, and how many events were told twice: by a worker that was lost, or about what had been told.
`scaling`: 1, 2 and 4 nodes with a GPU in name alone, `each` trials a node that sleep; prints trials an hour, from the
first trial's beginning to the last one's end, against what would take no time but the sleep.
`feeding`: the driver, journal and all, answers simulated workers that need no time: ms of its time a trial and a
report, by strategy; and what listening to so many actors takes, by calls of Ray that wait.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import leadline as ll
from leadline.search import executors
from leadline.search.executors import ray as executor
from leadline.search.scheduler import Scheduler
from leadline.trainers.messages import AtRung, Close, Ended, Event, Job, Ready, Report, Start

QUICK = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}


def cluster() -> Any:
    """Returns a cluster that has a head and no resources."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # the latter: on 127.0.0.1
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
    made = Cluster(initialize_head=True, head_node_args=head)
    os.environ["RAY_ADDRESS"] = made.address
    return made


class Heard(Scheduler):
    """A scheduler that counts what it is told twice."""

    ended: ClassVar[Counter[int]] = Counter()
    reports: ClassVar[Counter[tuple[int, int, int]]] = Counter()
    gone: ClassVar[set[int]] = set()
    late = 0

    def handle_all(self, said: Iterable[tuple[int, Sequence[Event]]]) -> list[Any]:
        said = list(said)
        for worker, event in ((worker, event) for worker, events in said for event in events):
            if isinstance(event, Report | Ended):
                Heard.late += worker in self.gone or self.running.get(event.number, (None,))[0] != worker
            if isinstance(event, Report):
                self.reports[worker, event.number, event.epoch] += 1
            if isinstance(event, Ended):
                self.ended[event.number] += 1
        return super().handle_all(said)

    def lost(self, worker: int, *words: Any, **more: Any) -> list[Any]:
        self.gone.add(worker)
        return super().lost(worker, *words, **more)


def losses(trials: int, wanted: int, seconds: float) -> None:
    """Kills nodes under a study."""
    from napping import napping

    from leadline.search import run

    run.Scheduler = Heard  # type: ignore[misc]
    made, chance, lost = cluster(), random.Random(0), 0
    nodes = [made.add_node(num_cpus=1) for _ in range(3)]
    space = ll.Space(x=ll.Float(0, 1), seconds=seconds)
    with tempfile.TemporaryDirectory() as folder:
        study = ll.Study("losses", space, strategy="random", executor="ray", storage=folder, mlflow=None)
        runner = threading.Thread(target=lambda: study.run(napping, trials=trials, progress=False))
        began = time.monotonic()
        runner.start()  # nodes are this thread's: they need the main one
        while runner.is_alive() and lost < wanted:
            runner.join(chance.uniform(0, seconds / 2))
            if runner.is_alive():
                made.remove_node(nodes.pop(chance.randrange(3)), allow_graceful=False)
                lost += 1
                nodes.append(made.add_node(num_cpus=1))
        runner.join()
        ended = Counter(trial.state for trial in study.trials)
    twice = sum(n - 1 for n in (*Heard.ended.values(), *Heard.reports.values()))
    print(
        f"{lost} nodes lost under {trials} trials in {time.monotonic() - began:.0f} s: {dict(ended)}; "
        f"{len(Heard.gone)} workers lost; told twice: {twice}, after it was lost: {Heard.late}; "
        f"trials that ended once: {sum(n == 1 for n in Heard.ended.values())}; reports: {sum(Heard.reports.values())}"
    )
    made.shutdown()


def scaling(each: int, seconds: float) -> None:
    """Adds nodes, and counts trials an hour."""
    from napping import napping

    made = cluster()
    space = ll.Space(x=ll.Float(0, 1), seconds=seconds)
    for nodes in (1, 2, 4):
        while len(made.worker_nodes) < nodes:
            made.add_node(num_cpus=1, num_gpus=1)
        with tempfile.TemporaryDirectory() as folder:
            study = ll.Study("scaling", space, strategy="random", executor="ray", storage=folder, mlflow=None)
            began = time.monotonic()
            study.run(napping, trials=each * nodes, progress=False)
            whole = time.monotonic() - began
            frozen = study.optuna.trials
        times = [(trial.datetime_start, trial.datetime_complete) for trial in frozen]
        taken = (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()  # type: ignore[type-var,operator]
        ideal = 3600 * nodes / seconds
        hourly = 3600 * each * nodes / taken
        print(
            f"{nodes} nodes: {each * nodes} trials in {taken:.1f} s ({whole:.1f} with joining and starting), "
            f"{hourly:.0f} an hour, {hourly / ideal:.1%} of {ideal:.0f}"
        )
    made.shutdown()


class Simulated:
    """An executor whose workers are numbers, that take no time; `together` of their messages are answered at once."""

    def __init__(self, workers: int, epochs: int, together: int) -> None:
        self.workers, self.epochs, self.together = workers, epochs, together
        self.seconds = 0.0  # of the scheduler
        self.reports = self.trials = 0

    def __call__(self, work: Any, jobs: Sequence[Job], scheduler: Scheduler) -> None:
        at: dict[int, tuple[int, int]] = {}  # worker -> trial, epochs
        told: list[tuple[int, list[Event]]] = [(worker, [Ready(1, "cpu")]) for worker in range(self.workers)]
        while told:
            again: list[tuple[int, list[Event]]] = []
            for place in range(0, len(told), self.together):
                began = time.perf_counter()
                commands = scheduler.handle_all(told[place : place + self.together])
                self.seconds += time.perf_counter() - began
                for worker, command in commands:
                    if isinstance(command, Start):
                        at[worker] = command.number, 0
                    if isinstance(command, Close):
                        at.pop(worker, None)
            for worker, (number, epoch) in list(at.items()):
                if epoch < self.epochs:
                    at[worker] = number, epoch + 1
                    again.append((worker, [Report(number, epoch + 1, float(epoch)), AtRung({number: epoch + 1})]))
                    self.reports += 1
                else:
                    del at[worker]
                    again.append((worker, [Ended(number, "complete", "ended", float(epoch))]))
                    self.trials += 1
            told = again


def feeding(workers: int, epochs: int) -> None:
    """Answers simulated workers."""
    space = ll.Space(depth=ll.Int(1, 5), dropout=ll.Float(0.0, 0.6), lr=ll.Float(1e-4, 1e-1, log=True))
    for strategy, together in (("random", 1), ("random", 100), ("tpe", 100)):
        seconds: dict[int, Simulated] = {}
        for reported in (1, epochs):
            seconds[reported] = executors.EXECUTORS["inline"] = Simulated(workers, reported, together)
            with tempfile.TemporaryDirectory() as folder:
                study = ll.Study("feeding", space, strategy=strategy, executor="inline", storage=folder, mlflow=None)
                study.run(lambda trial: 0.0, trials=workers, progress=False)
        few, many = seconds[1], seconds[epochs]
        report = 1000 * (many.seconds - few.seconds) / (many.reports - few.reports)
        trial = 1000 * few.seconds / few.trials - report
        least = (trial + epochs * report) / 1000 * workers
        print(
            f"{strategy}, {together} messages together: {few.trials} trials, {trial:.2f} ms a trial, {report:.3f} ms a "
            f"report: {workers} workers are fed if a trial of {epochs} epochs takes {least:.1f} s or more",
            flush=True,
        )
    _listen(workers)


def _listen(calls: int) -> None:
    """Measures Ray's own part: looking at so many calls that wait, and one exchange with an actor."""
    made = cluster()
    made.add_node(num_cpus=1)
    with executor._joined(made.address) as ray:
        from napping import Waiter

        from leadline.trainers.hosted import HostedWorker

        actor = (
            ray.remote(HostedWorker)
            .options(max_concurrency=calls + 8, num_cpus=1)
            .remote(sys.path, pickle.dumps((Waiter(), Job(0, None, True))))
        )
        ray.get(actor.exchange.remote(0, 0, [], 0.0))
        waiting = [actor.exchange.remote(0, 0, [], 600.0) for _ in range(calls)]
        looks, exchanges = [], []
        for _ in range(50):
            began = time.perf_counter()
            ray.wait(waiting, num_returns=len(waiting), timeout=0)
            looks.append(time.perf_counter() - began)
        for _ in range(200):
            began = time.perf_counter()
            ray.get(actor.exchange.remote(0, 0, [], 0.0))
            exchanges.append(time.perf_counter() - began)
        looks.sort(), exchanges.sort()
        print(f"Ray: {1000 * looks[25]:.2f} ms to look at {calls} calls, {1000 * exchanges[100]:.2f} ms an exchange")
        ray.kill(actor)
    made.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["losses", "scaling", "feeding"])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--losses", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=12.0, help="that a trial sleeps")
    parser.add_argument("--each", type=int, default=4, help="trials a node")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    if given.part == "losses":
        losses(given.trials, given.losses, given.seconds)
    elif given.part == "scaling":
        scaling(given.each, given.seconds)
    else:
        feeding(given.workers, given.epochs)
