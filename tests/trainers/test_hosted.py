"""The line between a driver and a worker that another process is host to: calls on it may fail, and be made again."""

from __future__ import annotations

import pickle
import socket
import threading
from pathlib import Path
from typing import Any

from leadline.trainers.hosted import HostedWorker, Said
from leadline.trainers.messages import Channel, Close, Decision, Go, Job, Ready, Report

JOB = Job(0, None, maximize=True, study="0" * 32)
PATIENT = 30.0


class Echo:
    """Work that reports the number of each Decision, as long as none is Close."""

    def serve(self, job: Job, channel: Channel) -> None:
        while True:
            for command in channel.receive(wait=True):
                if isinstance(command, Close):
                    return
                if isinstance(command, Decision):
                    channel.send(Report(command.number, 1, 0.0))


class Awake:
    """Work that is ready."""

    def serve(self, job: Job, channel: Channel) -> None:
        channel.send(Ready(1, "cuda", 4711))


class Broken:
    """Work that raises an error."""

    def serve(self, job: Job, channel: Channel) -> None:
        raise ZeroDivisionError("no good")


def hosted(work: Any, job: Job = JOB) -> HostedWorker:
    return HostedWorker([], pickle.dumps((work, job)))


def decisions(*numbers: int) -> list[Decision]:
    return [Decision(number, "go") for number in numbers]


def until(worker: HostedWorker, heard: int, count: int) -> Said:
    """Listens until there are so many events."""
    said = worker.exchange(heard, 0, [], PATIENT)
    while len(said.events) < count and not said.left:
        said = worker.exchange(heard, 0, [], 0.01)
    return said


def numbers(said: Said) -> list[int]:
    return [event.number for event in said.events if isinstance(event, Report)]


def test_commands_that_are_told_again_are_done_once_and_in_order() -> None:
    worker = hosted(Echo())
    worker.exchange(0, 0, decisions(1, 2), 0.0)
    assert worker.exchange(0, 0, decisions(1, 2, 3), 0.0).come == 3
    assert worker.exchange(0, 2, decisions(3, 4), 0.0).come == 4
    assert numbers(until(worker, 0, 4)) == [1, 2, 3, 4]


def test_commands_that_come_before_earlier_ones_wait_until_those_are_told_again() -> None:
    worker = hosted(Echo())
    assert worker.exchange(0, 1, decisions(2), 0.0).come == 0
    assert worker.exchange(0, 0, decisions(1, 2), 0.0).come == 2
    assert numbers(until(worker, 0, 2)) == [1, 2]


def test_events_are_told_until_they_are_acknowledged() -> None:
    worker = hosted(Echo())
    worker.exchange(0, 0, decisions(1, 2, 3), 0.0)
    assert numbers(until(worker, 0, 3)) == [1, 2, 3]
    assert numbers(worker.exchange(0, 3, [], 0.0)) == [1, 2, 3]
    assert worker.exchange(2, 3, [], 0.0) == Said(2, (Report(3, 1, 0.0),), 3)
    assert worker.exchange(0, 3, [], 0.0).first == 2  # a call that was long on its way


def test_who_listens_hears_an_event_when_it_happens() -> None:
    worker, heard = hosted(Echo()), list[Said]()
    listener = threading.Thread(target=lambda: heard.append(worker.exchange(0, 0, [], PATIENT)))
    listener.start()
    worker.exchange(0, 0, [Go(), *decisions(7)], 0.0)
    listener.join()
    assert numbers(heard[0]) == [7]


def test_a_worker_that_is_closed_leaves_and_one_that_fails_says_why() -> None:
    said = hosted(Echo()).exchange(0, 0, [Close()], PATIENT)
    assert (said.left, said.failure) == (True, None)
    said = hosted(Broken()).exchange(0, 0, [], PATIENT)
    assert said.left
    assert (said.failure or "").endswith("ZeroDivisionError: no good\n")


def test_a_device_is_called_by_its_machines_name_too() -> None:
    (event,) = hosted(Awake()).exchange(0, 0, [], PATIENT).events
    assert event == Ready(1, f"{socket.gethostname()}:cuda", None)


def test_a_folder_that_is_not_shared_is_told_before_the_first_trial(tmp_path: Path) -> None:
    here = Job(0, None, maximize=True, study="0" * 32, folder=tmp_path)
    (event,) = hosted(Echo(), here).exchange(0, 0, [], PATIENT).events
    assert f"the study's folder {tmp_path} isn't on" in event.problems[0]
    (tmp_path / "id").write_text("0" * 32 + "\n")
    worker = hosted(Echo(), here)
    worker.exchange(0, 0, decisions(1), 0.0)
    assert numbers(until(worker, 0, 1)) == [1]
