"""The benchmarks of faults, in short: each compares studies that were disturbed with one that was left in peace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent.parent / "benchmarks" / "faults"
SMALL = ("--trials", "8", "--epochs", "3")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="the processes are found in Linux's /proc"
)


def counts(command, *arguments):
    """Returns what a benchmark prints; it exits with 1 if anything is wrong."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(FAULTS / command), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_study_killed_at_random_and_in_the_midst_of_its_writing_loses_nothing():
    found = counts("kill.py", "--kills", "1", "--only", "checkpoint: before the rename", *SMALL)
    assert (found["kills"], found["unlike the undisturbed"]) == (2, 0)


def test_an_interrupted_study_ends_in_time_and_goes_on():
    found = counts("interrupt.py", "--each", "1", *SMALL)
    assert (found["SIGINT"], found["SIGTERM"], found["tracebacks"]) == (1, 1, 0)


def test_trials_that_go_wrong_say_how_and_harm_nobody():
    found = counts("trials.py", "--few")
    assert (found["of them failed"], found["wrong reason"], found["orphans"]) == (4, [], 0)


def test_a_full_disk_is_told_in_a_line_and_gone_on_from():
    found = counts("full.py", "--every", "5", "--sizes", "1", *SMALL)
    assert found["gave up"] == 1 + found["sizes"]
