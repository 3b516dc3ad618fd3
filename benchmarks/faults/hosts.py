"""Drivers on hosts of their own, whose network goes silent: does each trial run once, and who notices when?

    python benchmarks/faults/hosts.py --rounds 3

Needs root, and iproute2: hosts are network namespaces of this machine, each with a name and an address, on a bridge in
one more, where PostgreSQL listens. A host whose port is taken off the bridge is as behind a switch that died: its link
is up, what it sends arrives nowhere, and no connection is told. Three hosts run `leadline run` on one study of digits
(`mlp`, `random`, slowed to some seconds a trial), and one of them, at random, has each of these in turn:

`short`: it is cut off for less than its lease. `long`: for longer. `away`: for longer than a database is waited for.
`server`: the database is cut off from all of them, for longer than their leases. `killed`: its driver is killed.

Afterwards each driver's exit and the trials are compared with an undisturbed study in a folder, and with what the
study said of its ended trials outside of the database. Prints one JSON object; exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from disturbed import ACKNOWLEDGED
from drivers import wait_for
from postgresql import Server

import leadline as ll
from leadline.search.shared.database import AWAY
from leadline.search.shared.leases import LEASE

NETWORK = "10.83.0"
SWITCH = "leadline-switch"
FILE = """\
study: hosts
data: digits
model: mlp
space:
  depth: {int: [1, 2]}
  feature_maps: {choice: [8, 16, 32]}
  lr: {float: [1e-3, 1e-1], log: true}
trainer: {epochs: 12, checkpoint: 0, on_epoch: "slow:pause", on_trial_end: "acknowledged:write"}
strategy: random
workers: 1
lanes: 1
trials: %d
mlflow: null
"""
SLOW = """\
import os, time

def pause(trial, epoch, metrics):
    time.sleep(float(os.environ.get("PAUSE", "0")))
"""
# What is cut off, of the drivers' hosts or the database's, and for how many seconds
CUTS = {"short": 12.0, "long": LEASE + 15.0, "away": AWAY + 60.0, "server": LEASE + 15.0}
KINDS = [*CUTS, "killed"]


def ip(*arguments: str) -> None:
    """Calls iproute2's `ip`."""
    subprocess.run(["ip", *arguments], check=True)


class Hosts:
    """A switch, at `.1`, and as many hosts as are asked for; a context manager."""

    def __enter__(self) -> Hosts:
        self.names: list[str] = []
        ip("netns", "add", SWITCH)
        ip("-n", SWITCH, "link", "set", "lo", "up")
        ip("-n", SWITCH, "link", "add", "bridge", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "bridge", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*self.names, SWITCH]:
            subprocess.run(f"ip netns pids {name} | xargs -r kill -9", shell=True, check=False)
            ip("netns", "del", name)  # and with it its end of the cable, and so the other one

    def add(self, name: str) -> str:
        """Makes a host, plugged in; returns its address."""
        self.names.append(name)
        address = f"{NETWORK}.{len(self.names)}"
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", SWITCH)
        ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", SWITCH, "link", "set", name, "up")
        self.plug(name)
        return address

    def plug(self, name: str) -> None:
        """Puts a host's port on the bridge."""
        ip("-n", SWITCH, "link", "set", name, "master", "bridge")

    def unplug(self, name: str) -> None:
        """Takes it off: nobody is told."""
        ip("-n", SWITCH, "link", "set", name, "nomaster")

    @staticmethod
    def within(name: str) -> list[str]:
        """Returns the command that runs another one on that host."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]
        return ["nsenter", f"--net=/run/netns/{name}", *named]


class Driver:
    """A `leadline run` on a host."""

    def __init__(self, host: str, folder: Path, url: str, pause: float) -> None:
        self.host, self.output = host, folder / f"{host}.txt"
        command = [*Hosts.within(host), sys.executable, "-m", "leadline", "run", "study.yaml", "--storage", url]
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=output, stderr=output, env={**os.environ, "PAUSE": str(pause)}
            )
        self.ended: float | None = None

    def poll(self) -> int | None:
        """Returns the exit code, once there is one."""
        if self.ended is None and self.process.poll() is not None:
            self.ended = time.monotonic()
        return self.process.returncode

    @property
    def last_line(self) -> str:
        """What it printed last."""
        return self.output.read_text().strip().splitlines()[-1]


class Round:
    """A study that the drivers of three hosts run, in a folder and a database of its own."""

    def __init__(self, server: Server, folder: Path, trials: int, pause: float) -> None:
        folder.mkdir()
        write_study(folder, trials)
        self.trials, self.acknowledged = trials, folder / "acknowledged.log"
        self.database = folder.name
        # By its socket, which knows no network, the database is reached from here
        self.socket = f"host={server.folder} port={server.port} user=ann password={server.password}"
        with psycopg.connect(f"{self.socket} dbname=postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.database}"')
        url = server.url_of(self.database)
        self.url = f"postgresql+psycopg:///{self.database}?{self.socket.replace(' ', '&')}"
        self.drivers = [Driver(f"leadline-{index}", folder, url, pause) for index in (1, 2, 3)]

    def ask(self, query: str) -> list[Any]:
        """Asks the database."""
        with psycopg.connect(f"{self.socket} dbname={self.database}") as connection:
            return connection.execute(query).fetchall()

    def holders(self) -> dict[str, int]:
        """Returns how many trials each host has running, as the others see it."""
        return dict(
            self.ask(
                "SELECT d.host, count(*) FROM trials t JOIN trial_system_attributes a ON a.trial_id = t.trial_id "
                "JOIN leadline_drivers d ON a.value_json = to_json(d.driver)::text "
                "WHERE t.state = 'RUNNING' AND a.key = 'leadline:driver' GROUP BY d.host"
            )
        )

    def wait(self, seconds: float) -> None:
        """Waits until all drivers have ended, or the time is up."""
        deadline = time.monotonic() + seconds
        while None in [driver.poll() for driver in self.drivers] and time.monotonic() < deadline:
            time.sleep(0.1)

    def end(self) -> None:
        """Kills the drivers that go on."""
        for driver in self.drivers:
            driver.process.kill()
            driver.process.wait()

    def wrong(self, undisturbed: dict[int, ll.Trial]) -> Counter[str]:
        """Returns what isn't as in the undisturbed study, or as the drivers told."""
        trials = {trial.number: trial for trial in ll.load_study("hosts", self.url).trials}
        told = [json.loads(line) for line in self.acknowledged.read_text().splitlines()]
        ended = Counter(line["number"] for line in told)
        return Counter(
            misnumbered=sorted(trials) != list(range(self.trials)),
            unlike=sum(as_said(trial) != as_said(undisturbed[number]) for number, trial in trials.items()),
            lost=sum(trials[line["number"]].value != line["value"] for line in told),
            untold=len(trials.keys() - ended.keys()),
            twice=sum(count > 1 for count in ended.values()),
        )


def write_study(folder: Path, trials: int) -> None:
    """Writes the study's file, and the modules that it calls."""
    (folder / "study.yaml").write_text(FILE % trials)
    (folder / "slow.py").write_text(SLOW)
    (folder / "acknowledged.py").write_text(ACKNOWLEDGED)


def as_said(trial: ll.Trial) -> tuple[Any, ...]:
    """Returns what of a trial doesn't depend on who trained it, and when."""
    return trial.state, trial.params, trial.value, trial.curve


def disturb(hosts: Hosts, work: Round, kind: str, host: str) -> dict[str, Any]:
    """Does one kind of harm to a host that has a trial running; returns what came of it."""
    wait_for(lambda: work.acknowledged.exists() and len(work.holders()) == len(work.drivers), 180)
    began = time.monotonic()
    if kind == "killed":
        next(driver for driver in work.drivers if driver.host == host).process.kill()
    else:
        host = "leadline-db" if kind == "server" else host
        hosts.unplug(host)
        work.wait(CUTS[kind])
        hosts.plug(host)
    work.wait(300)
    exits = {driver.host: driver.poll() for driver in work.drivers}
    work.end()
    return {
        "kind": kind,
        "host": host,
        "exits": exits,
        "after": {driver.host: round(driver.ended - began, 1) for driver in work.drivers if driver.ended},
        "told": {driver.host: driver.last_line for driver in work.drivers if exits[driver.host] == 1},
    }


def expected(kind: str, host: str) -> dict[str, int]:
    """Returns how each driver is to end."""
    exits = {f"leadline-{index}": 0 for index in (1, 2, 3)}
    if kind in ("long", "away"):
        exits[host] = 1
    if kind == "killed":
        exits[host] = -signal.SIGKILL
    return exits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--trials", type=int, default=36)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds after each epoch")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance, found, wrong = random.Random(args.seed), [], Counter[str]()
    with tempfile.TemporaryDirectory() as place, Hosts() as hosts:
        folder = Path(place)
        database = hosts.add("leadline-db")
        for index in (1, 2, 3):
            hosts.add(f"leadline-{index}")
        write_study(folder, args.trials)
        command = [sys.executable, "-m", "leadline", "run", "study.yaml"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        undisturbed = {trial.number: trial for trial in ll.load_study("hosts", folder / "leadline-studies").trials}
        with Server(address=database, within=hosts.within("leadline-db")) as server:
            for index in range(args.rounds):
                for kind in args.kinds:
                    work = Round(server, folder / f"{kind}-{index}", args.trials, args.pause)
                    came = disturb(hosts, work, kind, chance.choice(work.drivers).host)
                    differs = work.wrong(undisturbed)
                    differs["exits"] = came["exits"] != expected(kind, came["host"])
                    wrong.update(differs)
                    print(json.dumps({**came, "wrong": +differs}), file=sys.stderr, flush=True)
                    found.append(came)
    print(json.dumps({"rounds": found, "wrong": wrong}, indent=2))
    sys.exit(any(wrong.values()))


if __name__ == "__main__":
    main()
