"""The guard by itself, around scripts of a shell, which start faster than a worker."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts.objectives import process_apart
from contracts.waiting import eventually, lives

from leadline.search.executors.processes import GUARD

Start = Callable[..., "subprocess.Popen[bytes]"]
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has guards that inherit orphans")


def guarded(script: str) -> list[str]:
    """Returns the command of a guard, which gives the script its error output to close."""
    return [sys.executable, "-I", "-S", str(GUARD), "2", "/bin/sh", "-c", script]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a script under a guard."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(guarded(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.communicate(timeout=30)


@pytest.fixture
def pid(tmp_path: Path) -> Path:
    """The file that a script writes the number of a process to."""
    return tmp_path / "pid"


def number(pid: Path) -> int:
    """Returns it, once it's there."""
    assert eventually(pid.exists)
    return int(pid.read_text())


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 255", 255), ("kill -9 $$", -9), ("kill $$", -15)])
def test_it_tells_the_exit_code_of_what_it_guards(start: Start, script: str, code: int) -> None:
    guard = start(script)
    assert int(guard.stdout.read()) == code
    assert guard.wait() == 0


def test_what_it_guards_is_killed_when_standard_input_ends(start: Start) -> None:
    guard = start("sleep 100; exit 3")
    assert guard.communicate(timeout=30) == (b"-9\n", None)


@ON_LINUX
def test_what_it_guards_dies_with_it(start: Start, pid: Path) -> None:
    guard = start(f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 100")
    guarded = number(pid)
    guard.kill()
    assert eventually(lambda: not lives(guarded))


@ON_LINUX
def test_signals_that_every_process_gets_do_not_end_it(start: Start, tmp_path: Path) -> None:
    go, status = tmp_path / "go", "/proc/{}/status"
    guard = start(f"while [ ! -e {go} ]; do sleep 0.02; done; exit 3")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ignored() -> bool:
        lines = dict(line.split(":\t") for line in Path(status.format(guard.pid)).read_text().splitlines())
        return all(int(lines["SigIgn"], 16) >> number - 1 & 1 for number in numbers)

    assert eventually(ignored)
    for number in numbers:
        guard.send_signal(number)
    go.touch()
    assert int(guard.stdout.read()) == 3


@ON_LINUX
class TestAProcessApart:
    """One with another session, parent and environment."""

    @pytest.fixture
    def apart(self, pid: Path) -> str:
        """A script that starts it."""
        return shlex.join(process_apart(str(pid)))

    @pytest.mark.parametrize("end", ["exit 0", "kill -9 $$"])
    def test_it_is_killed_when_what_started_it_ends_however(
        self, start: Start, apart: str, pid: Path, end: str
    ) -> None:
        start(f"{apart}; {end}").wait(30)
        assert eventually(lambda: not lives(number(pid)))

    def test_it_is_killed_when_standard_input_ends(self, start: Start, apart: str, pid: Path) -> None:
        guard = start(f"{apart}; sleep 100")
        assert lives(number(pid))
        guard.communicate(timeout=30)
        assert eventually(lambda: not lives(number(pid)))

    def test_it_is_killed_with_a_guard_within_the_guard(self, start: Start, apart: str, pid: Path) -> None:
        guard = start(f"sleep 100 | {shlex.join(guarded(f'{apart}; sleep 100'))}")
        assert lives(number(pid))
        guard.communicate(timeout=30)
        assert eventually(lambda: not lives(number(pid)))

    def test_it_leaves_no_zombie_when_it_ends_by_itself(self, start: Start, apart: str, pid: Path) -> None:
        guard = start(f"{apart}; sleep 100")
        os.kill(number(pid), signal.SIGTERM)
        assert eventually(lambda: not lives(number(pid)))
        assert guard.poll() is None
