"""Several drivers on one study in a real PostgreSQL: does each trial run once, whatever happens to them and to it?

    python benchmarks/faults/drivers.py cold --rounds 50 --drivers 16
    python benchmarks/faults/drivers.py faults --terminations 100 --restarts 10
    python benchmarks/faults/drivers.py sleep --rounds 10

`cold`: so many processes, forked once everything is imported, open one new study in an empty database at the same
moment and run it together; 32 trials of a space of 32 configurations, by `grid`, `random` and `tpe` in turn. `faults`:
four drivers, while connections are ended by `pg_terminate_backend` at random and the server is restarted, `fast` and
`immediate` in turn. `sleep`: one of three drivers, with leases of 2 seconds, is stopped by SIGSTOP at a random moment
in which it has a trial, until the others have finished the study without it; then it is continued. Each prints one
JSON object, and exits 1 if anything is lost, doubled, or late. What a trial came to is noted outside the database, once
its driver has gone on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import psycopg
from postgresql import Server

import leadline as ll
from leadline.search.shared import leases

SPACE = ll.Space(width=ll.Choice([8, 16, 32, 64]), depth=ll.Int(1, 4), norm=ll.Choice([True, False]))  # 32
TRIALS = 32
STRATEGIES = ("grid", "random", "tpe")
FORK = multiprocessing.get_context("fork")


def value_of(params: dict[str, Any]) -> float:
    """Returns what a configuration comes to."""
    return params["depth"] / 4 + params["width"] / 1000 + params["norm"] * 1e-4


class Notes:
    """Lines of JSON in a file that many processes append to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def add(self, **noted: Any) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps({"pid": os.getpid(), **noted}) + "\n")

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [note for line in self.path.read_text().splitlines() if (note := json.loads(line))["kind"] == kind]


def drive(url: str, name: str, notes: Notes, go: Any, options: dict[str, Any]) -> None:
    """Runs the study to its end as one of its drivers."""
    sleep, trials, strategy = options["sleep"], options["trials"], options["strategy"]
    before: list[tuple[int, float]] = []

    def objective(trial: ll.ActiveTrial) -> float:
        for number, value in before:  # durable, as this one was begun after it
            notes.add(kind="acknowledged", number=number, value=value)
        notes.add(kind="began", number=trial.number, params=trial.params)
        time.sleep(sleep)
        before[:] = [(trial.number, value_of(trial.params))]
        return before[0][1]

    os.chdir(notes.path.parent)
    go.wait()
    try:
        ll.Study(name, SPACE, strategy=strategy, storage=url, mlflow=None).run(objective, trials=trials, progress=False)
    except BaseException as error:
        notes.add(kind="failed", error=f"{type(error).__name__}: {error}")
        raise SystemExit(1) from error


class Drivers:
    """So many processes that run the study `name`, each started and held back until `go`."""

    def __init__(self, url: str, name: str, folder: Path, count: int, **options: Any) -> None:
        options = {"sleep": 0.0, "trials": TRIALS, "strategy": "random", **options}
        self.url, self.name, self.trials = url, name, options["trials"]
        self.notes = Notes(folder / f"{name}.jsonl")
        self._go = FORK.Event()
        self.processes: list[ForkProcess] = [
            FORK.Process(target=drive, args=(url, name, self.notes, self._go, options)) for _ in range(count)
        ]
        for process in self.processes:
            process.start()

    def go(self) -> None:
        """Has them all begin at once."""
        self._go.set()

    @property
    def alive(self) -> list[ForkProcess]:
        """Those that haven't ended."""
        return [process for process in self.processes if process.is_alive()]

    def join(self, seconds: float) -> None:
        """Waits for all to end, at most so long."""
        deadline = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        """Kills those that are left."""
        for process in self.alive:
            process.kill()
            process.join()

    def wrong(self, *, begun_once: bool = True) -> dict[str, Any]:
        """Returns how many drivers crashed, and what isn't as it must be with the trials, by kind; zeros if all is."""
        trials = ll.load_study(self.name, self.url).trials
        kept = {trial.number: trial for trial in trials}
        runs = Counter(note["number"] for note in self.notes.all("began"))
        told = [note for note in self.notes.all("acknowledged")]
        return {
            "crashed": len(self.notes.all("failed")),
            "missing": self.trials - sum(trial.state == "complete" for trial in trials),
            "too_many": max(0, len(trials) - self.trials),
            "misnumbered": [*kept] != [*range(len(trials))],
            "repeated": len(trials) - len({json.dumps(trial.params, sort_keys=True) for trial in trials}),
            "run_twice": sum(count > 1 for count in runs.values()) if begun_once else 0,
            "wrong_value": sum(trial.value != value_of(trial.params) for trial in trials),
            "lost": sum(note["number"] not in kept or kept[note["number"]].value != note["value"] for note in told),
        }


@contextmanager
def database(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the one who makes trouble."""
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def cold(server: Server, folder: Path, *, rounds: int, drivers: int) -> dict[str, Any]:
    """Returns what went wrong, added up, where `drivers` processes opened a new study together so many times."""
    wrong: Counter[str] = Counter()
    seconds, errors = [], []
    for strategy in STRATEGIES:  # imports what they need
        study = ll.Study(f"before-{strategy}", SPACE, strategy=strategy, storage=server.url, mlflow=None)
        study.run(lambda trial: value_of(trial.params), trials=2, progress=False)
    for index in range(rounds):
        with database(server) as connection:
            connection.execute(f"CREATE DATABASE cold{index}")
        url, strategy = server.url_of(f"cold{index}"), STRATEGIES[index % len(STRATEGIES)]
        together = Drivers(url, f"cold-{index}", folder, drivers, strategy=strategy)
        began = time.monotonic()
        together.go()
        together.join(300)
        seconds.append(time.monotonic() - began)
        wrong["hung"] += len(together.alive)
        together.end()
        wrong.update(together.wrong())
        errors += [note["error"] for note in together.notes.all("failed")]
    return {"rounds": rounds, "drivers": drivers, "wrong": dict(wrong), "errors": errors, "seconds": spread(seconds)}


def faults(
    server: Server, folder: Path, *, terminations: int, restarts: int, seed: int = 0, drivers: int = 4
) -> dict[str, Any]:
    """Returns what went wrong where connections were ended and the server restarted, as often as is said."""
    moments = random.Random(seed)
    due = ["terminate"] * terminations + ["restart"] * restarts
    moments.shuffle(due)
    wrong: Counter[str] = Counter()
    back: dict[str, list[float]] = {"terminate": [], "restart": []}
    studies, errors = 0, []
    while due:
        together = Drivers(server.url, f"faults-{studies}", folder, drivers, sleep=1.0)
        studies += 1
        together.go()
        wait_for(lambda together=together: len({note["pid"] for note in together.notes.all("began")}) == drivers, 120)
        while due and len(together.alive) == drivers and len(together.notes.all("began")) < TRIALS - drivers:
            time.sleep(moments.uniform(0.0, 0.5))
            kind = due.pop()
            if kind == "restart":
                server.stop(("fast", "immediate")[len(back["restart"]) % 2])
                server.start()
            found = interrupted(server, moments, kind)
            if found is None:
                due.append(kind)  # there was nobody to interrupt
            else:
                back[kind].append(found)
        together.join(300)
        wrong["hung"] += len(together.alive)
        together.end()
        wrong.update(together.wrong())
        errors += [note["error"] for note in together.notes.all("failed")]
    wrong["late"] = sum(seconds > 30 for kind in back.values() for seconds in kind)
    times = {kind: spread(seconds) for kind, seconds in back.items() if seconds}
    return {
        **{kind: len(seconds) for kind, seconds in back.items()},
        "studies": studies,
        "wrong": dict(wrong),
        "errors": errors,
        "seconds_until_back": times,
    }


def interrupted(server: Server, moments: random.Random, kind: str) -> float | None:
    """Ends a driver's connections, unless a restart has; returns the seconds until the last one has written again."""
    began = time.monotonic()
    with database(server) as connection:
        if kind == "terminate":
            backends = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'ann' AND pid <> pg_backend_pid()"
            ).fetchall()
            if not backends:
                return None
            connection.execute("SELECT pg_terminate_backend(%s)", moments.choice(backends))
        first = written(connection)
        while True:
            now = written(connection)  # one that has left has written, too
            if all(now.get(driver) != writing for driver, writing in first.items()):
                return time.monotonic() - began
            if time.monotonic() - began > 60:
                return 60.0
            time.sleep(0.05)


def written(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Returns each driver's last transaction."""
    return dict(
        connection.execute("SELECT driver, xmin::text FROM leadline_drivers WHERE fenced_by IS NULL").fetchall()
    )


def sleep(server: Server, folder: Path, *, rounds: int, seed: int = 0) -> dict[str, Any]:
    """Returns what went wrong where a driver slept for longer than its lease, and woke when the study was finished."""
    moments = random.Random(seed)
    wrong: Counter[str] = Counter()
    said: Counter[str] = Counter()
    kept, leases.LEASE = leases.LEASE, 2.0
    try:
        for index in range(rounds):
            together = Drivers(server.url, f"sleep-{index}", folder, 3, sleep=0.5, trials=24)
            together.go()
            sleeper, *others = together.processes
            wait_for(lambda together=together: len({note["pid"] for note in together.notes.all("began")}) == 3, 120)
            while True:
                time.sleep(moments.uniform(0.0, 0.5))
                os.kill(sleeper.pid or 0, signal.SIGSTOP)
                if running(server, sleeper.pid or 0):
                    break
                os.kill(sleeper.pid or 0, signal.SIGCONT)  # it had nothing that others could take over
            deadline = time.monotonic() + 120
            for process in others:
                process.join(max(0.0, deadline - time.monotonic()))
            wrong["hung"] += sum(process.is_alive() for process in others)
            before = state(server)
            os.kill(sleeper.pid or 0, signal.SIGCONT)
            together.join(60)
            wrong["late"] += state(server) != before
            wrong["hung"] += len(together.alive)
            together.end()
            for note in together.notes.all("failed"):
                said["told it was fenced" if "gave no sign of life" in note["error"] else note["error"]] += 1
            found = together.wrong(begun_once=False)
            wrong.update({**found, "crashed": sum(note["pid"] != sleeper.pid for note in together.notes.all("failed"))})
    finally:
        leases.LEASE = kept
    return {"rounds": rounds, "wrong": dict(wrong), "sleeper": dict(said)}


def running(server: Server, pid: int) -> int:
    """Returns how many trials a process has running, as the others see it."""
    with database(server) as connection:
        found = connection.execute(
            "SELECT count(*) FROM trials t JOIN trial_system_attributes a ON a.trial_id = t.trial_id "
            "JOIN leadline_drivers d ON a.value_json = to_json(d.driver)::text "
            "WHERE t.state = 'RUNNING' AND a.key = 'leadline:driver' AND d.pid = %s",
            (pid,),
        ).fetchone()
    return int(found[0]) if found else 0


def state(server: Server) -> list[Any]:
    """Returns which transaction wrote each row of the trials last."""
    tables = ("trials", "trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes")
    tables += ("trial_intermediate_values", "study_user_attributes")
    with database(server) as connection:
        return [
            connection.execute(f"SELECT count(*), sum(xmin::text::bigint) FROM {table}").fetchone() for table in tables
        ]


def wait_for(happened: Any, seconds: float) -> None:
    """Waits until something has happened. Raises TimeoutError if it doesn't."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {seconds} seconds")
        time.sleep(0.02)


def spread(seconds: list[float]) -> dict[str, float]:
    """Returns the median and the greatest."""
    ordered = sorted(seconds)
    return {"median": round(ordered[len(ordered) // 2], 2), "most": round(ordered[-1], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    of_cold = kinds.add_parser("cold")
    of_cold.add_argument("--rounds", type=int, default=50)
    of_cold.add_argument("--drivers", type=int, default=16)
    of_faults = kinds.add_parser("faults")
    of_faults.add_argument("--terminations", type=int, default=100)
    of_faults.add_argument("--restarts", type=int, default=10)
    of_faults.add_argument("--seed", type=int, default=0)
    of_sleep = kinds.add_parser("sleep")
    of_sleep.add_argument("--rounds", type=int, default=10)
    of_sleep.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    run = {"cold": cold, "faults": faults, "sleep": sleep}[options.pop("kind")]
    with Server() as server, tempfile.TemporaryDirectory() as name, chdir(name):
        found = run(server, Path(name), **options)
    print(json.dumps(found, indent=2))
    sys.exit(any(found["wrong"].values()))


if __name__ == "__main__":
    main()
