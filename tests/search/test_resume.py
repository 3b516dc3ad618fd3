"""A study that is killed, again and again, ends as one that never was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.search.trial import ENDED

TRIALS = 12
STUDY = f"""\
study: digits
data: digits
model: mlp
space:
  depth: {{int: [1, 2]}}
  feature_maps: {{choice: [4, 8]}}
  lr: {{float: [1.0e-3, 1.0e-1], log: true}}
  dropout: {{float: [0.0, 0.3]}}
trainer: {{epochs: 6, checkpoint: 0}}
strategy: {{name: bayes, startup: 4}}
pruner: asha
trials: {TRIALS}
mlflow: null
"""
UNPRUNED = STUDY.replace("pruner: asha\n", "")  # so that its worker trains from beginning to end
WORKER = "from leadline.trainers.remote import serve"  # in a worker's command line
MOMENTS = (0.02, 0.3, 0.6, 0.9)  # of the undisturbed journal: hardly begun, two in mid-study, nearly done


def start(folder: Path, study: str = STUDY) -> subprocess.Popen[bytes]:
    """Starts `leadline run` in `folder`, with all its processes in a group of their own."""
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(study)
    command = [sys.executable, "-c", "from leadline.cli import main; main()", "run", "study.yaml"]
    with open(folder / "output", "ab") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)


def finish(folder: Path, study: str = STUDY) -> None:
    process = start(folder, study)
    assert process.wait(100) == 0, (folder / "output").read_text()


def lines(folder: Path) -> int:
    journal = folder / "leadline-studies/digits/journal.log"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def trials(folder: Path) -> list[ll.Trial]:
    return ll.load_study("digits", folder / "leadline-studies").trials


def ended(folder: Path) -> dict[int, dict[str, Any]]:
    return {trial.number: trial.as_json() for trial in trials(folder) if trial.state in ENDED}


def unclocked(folder: Path) -> list[dict[str, Any]]:
    clocked = ("seconds", "peak_memory", "faults")
    return [{name: v for name, v in trial.as_json().items() if name not in clocked} for trial in trials(folder)]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")
def test_a_study_killed_at_four_moments_ends_with_the_trials_of_one_that_was_left_alone(tmp_path: Path) -> None:
    alone, disturbed = tmp_path / "alone", tmp_path / "disturbed"
    finish(alone)
    known: dict[int, dict[str, Any]] = {}
    running = 0
    for moment in MOMENTS:
        process = start(disturbed)
        deadline = time.monotonic() + 60
        while lines(disturbed) < moment * lines(alone):
            assert process.poll() is None, (disturbed / "output").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if lines(disturbed) > 1:  # the study and its settings are there
            now = ended(disturbed)
            assert {number: now[number] for number in known} == known, "a finished trial was changed"
            running += len(trials(disturbed)) - len(now)
            known = now
    finish(disturbed)
    assert {number: ended(disturbed)[number] for number in known} == known, "a finished trial was changed"
    assert [trial.number for trial in trials(disturbed)] == list(range(TRIALS))
    assert {trial.state for trial in trials(disturbed)} <= {"complete", "pruned"}
    assert unclocked(disturbed) == unclocked(alone)
    assert running, "no kill met a trial under way: the moments are badly chosen"
    assert not list(disturbed.glob("leadline-studies/digits/trials/*/checkpoint*")), "a checkpoint was left behind"


def worker_of(driver: int) -> int | None:
    """Returns the process of a driver's worker, a child of its guard; None while there is none."""
    for child in children(driver):
        for worker in children(child):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if WORKER in Path(f"/proc/{worker}/cmdline").read_text():
                    return worker
    return None


def children(process: int) -> list[int]:
    """Returns the children of a process; none if it has ended."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="workers are found in /proc")
def test_a_study_whose_worker_is_killed_comes_out_as_one_that_was_left_alone(tmp_path: Path) -> None:
    alone, disturbed = tmp_path / "alone", tmp_path / "disturbed"
    finish(alone, UNPRUNED)
    process = start(disturbed, UNPRUNED)
    try:
        for moment in MOMENTS[1:3]:
            deadline = time.monotonic() + 60
            while (worker := worker_of(process.pid)) is None or lines(disturbed) < moment * lines(alone):
                assert process.poll() is None, (disturbed / "output").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.002)
            os.kill(worker, signal.SIGKILL)
        assert process.wait(100) == 0, (disturbed / "output").read_text()
    finally:
        process.kill()
        process.wait()
    assert unclocked(disturbed) == unclocked(alone)
    assert any("SIGKILL" in fault for trial in trials(disturbed) for fault in trial.faults)
