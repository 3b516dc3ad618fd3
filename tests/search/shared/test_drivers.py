"""Real processes on one study, and a real PostgreSQL that fails them: short forms of `benchmarks/faults/drivers.py`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import leadline as ll
from leadline.search.shared import leases
from leadline.search.status import status_of

pytestmark = [
    pytest.mark.usefixtures("closed_at_once"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),  # what forks trains nothing
    pytest.mark.filterwarnings("ignore:.*BaseConnection.__del__:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def drivers(faults: Any, postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    module: ModuleType = faults("drivers")
    return module


def test_processes_that_open_a_new_study_together_run_each_trial_once(
    drivers: Any, postgresql: Any, tmp_path: Path
) -> None:
    found = drivers.cold(postgresql, tmp_path, rounds=2, drivers=4)
    assert found["errors"] == []
    assert not any(found["wrong"].values()), found


def test_a_server_that_hangs_up_and_restarts_loses_nothing(faults: Any, drivers: Any, tmp_path: Path) -> None:
    with faults("postgresql").Server() as own:  # the others' connections are left alone
        found = drivers.faults(own, tmp_path, terminations=4, restarts=2, drivers=2)
    assert (found["terminate"], found["restart"]) == (4, 2)
    assert not any(found["wrong"].values()), found


def test_a_driver_that_slept_writes_nothing_late(drivers: Any, postgresql: Any, tmp_path: Path) -> None:
    found = drivers.sleep(postgresql, tmp_path, rounds=1)
    assert not any(found["wrong"].values()), found
    assert found["sleeper"] == {"told it was fenced": 1}


def test_the_trials_of_a_driver_that_was_killed_are_run_by_the_others(
    drivers: Any, postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 2.0)
    together = drivers.Drivers(postgresql.url, "killed", tmp_path, 2, sleep=0.3, trials=12)
    together.go()
    drivers.wait_for(lambda: len({note["pid"] for note in together.notes.all("began")}) == 2, 60)
    killed = together.processes[0]
    os.kill(killed.pid, signal.SIGKILL)
    together.join(90)
    assert not together.alive
    wrong = together.wrong(begun_once=False)
    assert not any(wrong.values()), wrong


def test_a_second_driver_stays_until_the_first_one_has_ended_its_last_trial(
    drivers: Any, postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 2.0)
    first = drivers.Drivers(postgresql.url, "last", tmp_path, 1, sleep=10.0, trials=1)
    first.go()
    drivers.wait_for(lambda: first.notes.all("began"), 60)
    others = drivers.Drivers(postgresql.url, "last", tmp_path, 3, trials=1)
    others.go()
    drivers.wait_for(lambda: len(others.alive) == 1, 60)
    os.kill(first.processes[0].pid, signal.SIGKILL)
    others.join(60)
    assert not others.alive
    wrong = others.wrong(begun_once=False)
    assert not any(wrong.values()), wrong


STUDY = """\
study: away
data: digits
model: mlp
space: {lr: {float: [0.001, 0.1]}}
trainer: {epochs: 2000}
strategy: random
mlflow: null
"""


def test_an_interrupted_driver_does_not_wait_for_a_database_that_is_away(
    faults: Any, drivers: Any, tmp_path: Path
) -> None:
    (tmp_path / "away.yaml").write_text(STUDY)
    with faults("postgresql").Server() as own:
        command = [sys.executable, "-c", "from leadline.cli import main; main()", "run", "away.yaml"]
        command += ["--storage", own.url, "--executor", "inline"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        log = tmp_path / "leadline-studies/away/log.jsonl"
        drivers.wait_for(lambda: log.exists() and "trial began" in log.read_text(), 60)
        own.stop("fast")
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=10)
        own.start()
    assert process.returncode == 130, told
    assert "Interrupted. The database has been away for" in told
    assert "Traceback" not in told


def test_a_study_is_running_as_long_as_one_of_its_drivers_is(
    drivers: Any, postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = drivers.Drivers(postgresql.url, "looked", tmp_path, 2, sleep=1.0)
    together.go()
    stays, leaves = together.processes
    try:
        drivers.wait_for(
            lambda: {note["pid"] for note in together.notes.all("acknowledged")} == {stays.pid, leaves.pid}, 60
        )
        os.kill(leaves.pid, signal.SIGINT)
        leaves.join(60)
        status = status_of(ll.load_study("looked", postgresql.url))
        assert (status.state, status.why, status.goes_on) == ("running", f"process {stays.pid}", True)
        assert status.trials_a_minute
        drivers.wait_for(lambda: status_of(ll.load_study("looked", postgresql.url)).running, 10)  # not between two
    finally:
        together.end()
    assert status_of(ll.load_study("looked", postgresql.url)).state == "died"
