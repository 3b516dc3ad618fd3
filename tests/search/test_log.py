"""A study's log: what happened, a line of JSON each, whatever the disk does."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.search import log
from leadline.search.budget import Budget
from leadline.search.faults import Faults
from leadline.search.log import Log, read_log
from leadline.search.scheduler import Scheduler
from leadline.trainers.messages import Ready


def events(folder: Path) -> list[str]:
    return [line["event"] for line in read_log(folder)]


def test_a_run_is_told_from_its_beginning_to_its_end(digits: Callable[..., ll.Study]) -> None:
    study = digits().run(trials=2, progress=False)
    lines = list(read_log(study.folder.path))
    of_trials = [line["event"] for line in lines if line.get("trial") == 1]
    assert of_trials == ["trial began", "trial ended"]
    assert [line["event"] for line in lines][:2] == ["run began", "worker ready"]
    assert {line["process"] for line in lines} == {os.getpid()}
    began, ended = lines[0], lines[-1]
    assert (began["budget"], began["taken_up"]) == ({"trials": 2}, [])
    assert (ended["event"], ended["by"]) == ("run ended", "trials")
    told = {line["trial"]: line for line in lines if line["event"] == "trial ended"}
    assert {number: line["value"] for number, line in told.items()} == {t.number: t.value for t in study.trials}
    assert next(line for line in lines if line["event"] == "worker ready")["device"] == "cpu"


def test_why_a_trial_failed_and_what_ended_a_run_are_told(plain: Callable[..., ll.Study]) -> None:
    def fails(trial: Any) -> float:
        raise ZeroDivisionError("of its own")

    study = plain()
    with pytest.raises(ll.StudyFailed):
        study.run(fails, trials=20, progress=False)
    failed = [line for line in read_log(study.folder.path) if line["event"] == "trial ended"]
    assert len(failed) == 8
    assert all("of its own" in line["reason"] for line in failed)
    last = list(read_log(study.folder.path))[-1]
    assert last["event"] == "run failed"
    assert last["reason"].startswith("StudyFailed: ")
    assert study.faults.lines()[0].startswith("8 trials failed: ")


def test_what_another_run_takes_up_is_told(plain: Callable[..., ll.Study]) -> None:
    with plain() as study:
        study.ask()
    plain().run(lambda trial: 1.0, trials=2, progress=False)
    began = next(line for line in read_log(study.folder.path) if line["event"] == "run began")
    assert began["taken_up"] == [0]


def test_numbers_that_json_has_no_word_for_are_null(tmp_path: Path) -> None:
    Log(tmp_path).happened("x", {"a": math.nan, "b": [math.inf, {"c": 1.5}]})
    line = (tmp_path / "log.jsonl").read_text()
    assert json.loads(line, parse_constant=lambda name: pytest.fail(name))["b"] == [None, {"c": 1.5}]


def test_passwords_of_addresses_are_left_out(tmp_path: Path) -> None:
    Log(tmp_path).happened("x", {"why": ["no postgresql://ann:hunter2@host/db"], "at": "http://h/?token=hunter2"})
    assert "hunter2" not in (tmp_path / "log.jsonl").read_text()


def test_what_a_crash_tore_is_left_out(tmp_path: Path) -> None:
    writer = Log(tmp_path)
    writer.happened("one", {})
    with open(writer.path, "ab") as file:
        file.write(b'{"event": "torn\n[1]\n{"event": 3}\n\xff\n' + b"[" * 5000 + b"\n")
    writer.happened("two", {})
    assert events(tmp_path) == ["one", "two"]
    assert list(read_log(tmp_path / "nowhere")) == []


def test_it_takes_no_more_room_than_twice_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LARGEST", 2_000)
    writer = Log(tmp_path)
    for number in range(200):
        writer.happened("x", {"number": number})
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert 1 <= len(sizes) <= 2  # the last line may have filled the first of them
    assert sum(sizes) < 4_200
    numbers = [line["number"] for line in read_log(tmp_path)]
    assert numbers == list(range(numbers[0], 200))


def test_a_log_that_cannot_be_written_stops_nothing(digits: Callable[..., ll.Study]) -> None:
    study = digits()
    (study.folder.path / "log.jsonl").mkdir(parents=True)
    assert len(study.run(trials=1, progress=False).trials) == 1


def test_a_worker_that_is_lost_is_told_and_counted(plain: Callable[..., ll.Study]) -> None:
    study = plain()
    with study._writing() as ledger:
        faults = Faults()
        ledger.listeners += [Log(study.folder.path), faults]
        scheduler = Scheduler(ledger, budget=Budget(trials=3))
        scheduler.handle(0, Ready(lanes=1, device="cpu"))
        scheduler.lost(0, "killed by signal 9")
        lost = next(line for line in read_log(study.folder.path) if line["event"] == "worker lost")
        assert (lost["worker"], lost["reason"], lost["trials"]) == (0, "killed by signal 9", [0])
        assert faults.lines() == ["1 worker lost: killed by signal 9", "1 trial given another go"]
        scheduler.handle(1, Ready(lanes=1, device="cpu"))
        scheduler.lost(1, "killed by signal 9")
        assert (len(faults.lost), faults.retried, list(faults.failed)) == (2, [0], [0])
