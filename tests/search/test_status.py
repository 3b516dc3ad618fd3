"""How a study gets on, as people and programs are told; nothing is written, and nothing of the study's is run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.search.log import Log
from leadline.search.status import Process, Status, follow, lines_of, status_of


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.fixture
def ended(plain: Callable[..., ll.Study]) -> ll.Study:
    def objective(trial: Any) -> float:
        if trial.number == 2:
            raise ValueError("bad luck at 3")
        return float(trial.params["x"])

    return plain().run(objective, trials=4, progress=False)


def test_a_study_that_has_ended_says_so_and_nothing_is_written(ended: ll.Study, folder: Path) -> None:
    before = files(folder)
    status = status_of(ll.load_study("plain", folder))
    assert files(folder) == before
    assert (status.state, status.why, status.goes_on) == ("ended", "all its trials are done", False)
    assert (status.trials, status.of) == ({"complete": 3, "failed": 1}, 4)
    assert status.best is not None
    assert status.best.value == ended.best.value
    head, best, fault = lines_of(status)
    assert head == "plain: ended, all its trials are done; 4 of 4 trials ended: 3 complete, 1 failed"
    assert best.startswith(f"  best: trial {ended.best.number}, value ")
    assert "1 trial failed: ValueError: bad luck at 3" in fault
    assert json.loads(json.dumps(status.as_json()))["faults"]["failed"].keys() == {"2"}


@pytest.fixture
def begun(plain: Callable[..., ll.Study]) -> ll.Study:
    """A study with a complete trial and one that is running; its log is still to be written."""
    with plain() as study:
        study.tell(study.ask(), 3.0)
        study.ask().report(1.5, 2)
    return study


def log_of(study: ll.Study, *events: str, process: int | None = None, host: str | None = None, **facts: Any) -> None:
    log = Log(study.folder.path)
    for event in events:
        log.happened(event, {"host": host or socket.gethostname(), "budget": {}, **facts})
    if process is not None:
        text = log.path.read_text().replace(f'"process": {os.getpid()}', f'"process": {process}')
        log.path.write_text(text)


def test_a_study_whose_process_lives_is_running(begun: ll.Study) -> None:
    log_of(begun, "run began", "worker ready", "trial began", "trial ended", device="cpu", state="complete")
    status = status_of(begun)
    assert (status.state, status.goes_on) == ("running", True)
    assert status.why == f"process {os.getpid()}"
    assert [trial.number for trial in status.running] == [1]
    assert list(status.devices) == ["cpu"]
    assert status.trials_a_minute is not None
    assert status.trials_a_minute > 0
    assert any(line.startswith("  trial 1 at epoch 2 1.5") for line in lines_of(status))


def test_what_is_left_is_told_by_the_budget_that_is_used_up_first(begun: ll.Study) -> None:
    log_of(begun, "run began", "trial ended", state="complete")
    with begun._writing() as ledger:
        ledger.set_attribute("budget", {"trials": 3, "minutes": 60.0})
        ledger.set_attribute("seconds", 3540.0)
        ledger.commit()
    status = status_of(begun)
    assert status.of == 3
    assert status.left is not None
    assert status.left <= 60
    assert any("trials a minute, about " in line for line in lines_of(status))


def test_a_process_that_is_gone_without_a_word_has_died(begun: ll.Study) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    log_of(begun, "run began", process=gone.pid)
    assert status_of(begun).state == "died"
    assert not status_of(begun).goes_on


def test_of_another_machine_nobody_knows(begun: ll.Study) -> None:
    log_of(begun, "run began", host="elsewhere")
    status = status_of(begun)
    assert status.state == "unknown"
    assert "on elsewhere was last heard of 0:00 ago" in status.why


def leased(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Has these hosts' processes of this one's number run the study, which thus is a shared one."""
    processes = [Process(host, os.getpid()) for host in hosts]
    monkeypatch.setattr("leadline.search.status._leases", lambda study: processes)
    monkeypatch.setattr("leadline.search.status.is_shared", lambda storage: True)


def test_of_several_drivers_those_that_have_a_lease_run_the_study_whatever_another_one_told_last(
    begun: ll.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_of(begun, "run began", "worker ready", "trial ended", host="ada", device="cuda:0", trial=0, state="failed")
    log_of(begun, "run began", "worker ready", host="bob", device="cuda:1")
    log_of(begun, "run began", "worker ready", device="cpu")
    log_of(begun, "run ended", by="interrupt")
    leased(monkeypatch, "ada", "bob")
    status = status_of(begun)
    assert status.state == "running"
    assert status.why == f"process {os.getpid()} on ada, process {os.getpid()} on bob"
    assert list(status.devices) == ["cuda:0", "cuda:1"]
    assert status.trials_a_minute is not None
    assert status.faults.failed.keys() == {0}


def test_once_none_has_a_lease_who_was_last_heard_of_tells_how_it_ended(
    begun: ll.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    leased(monkeypatch)
    log_of(begun, "run began", host="ada")
    assert (status_of(begun).state, status_of(begun).why) == ("died", f"process {os.getpid()} on ada is gone")
    log_of(begun, "run began")
    log_of(begun, "run ended", by="space")
    assert status_of(begun).state == "ended"


@pytest.mark.parametrize(
    ("event", "facts", "state"),
    [
        ("run ended", {"by": "interrupt"}, "interrupted"),
        ("run ended", {"by": "space"}, "ended"),
        ("run failed", {"reason": "StudyError: no room"}, "failed"),
    ],
)
def test_how_a_run_ended_is_told(begun: ll.Study, event: str, facts: dict[str, Any], state: str) -> None:
    log_of(begun, "run began")
    log_of(begun, event, **facts)
    assert status_of(begun).state == state


def test_a_study_that_was_never_run_has_a_status_too(plain: Callable[..., ll.Study]) -> None:
    study = plain().enqueue({"x": 3})
    study.close()
    assert lines_of(status_of(study)) == ["plain: new, 0 trials ended: 1 waiting"]


def a_status(state: str, complete: int) -> Status:
    return Status("s", state, "", {"complete": complete}, 3, None, None, None, "value", (), (), _no_faults())


def _no_faults() -> Any:
    from leadline.search.faults import Faults

    return Faults()


@pytest.mark.parametrize("as_json", [False, True])
def test_following_into_a_pipe_prints_what_changes_until_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setattr("leadline.search.status.time.sleep", lambda seconds: None)
    looks = iter([a_status("running", 1), a_status("running", 1), a_status("running", 2), a_status("ended", 3)])
    follow(lambda: next(looks), as_json=as_json)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    if as_json:
        assert [json.loads(line)["trials"]["complete"] for line in lines] == [1, 2, 3]
    else:
        assert lines[-1] == "s: ended, 3 of 3 trials ended: 3 complete"
