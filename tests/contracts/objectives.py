"""Objectives that another process can import. It needs no torch, so a worker for them starts in a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import leadline as ll


def rising(trial: ll.ActiveTrial) -> float:
    """Reports three epochs."""
    for epoch in range(1, 4):
        trial.report(trial.params["x"] * epoch / 3)
    return float(trial.params["x"])


def odd_ones_fail(trial: ll.ActiveTrial) -> float:
    """Can't do with odd numbers."""
    if trial.params["x"] % 2:
        raise ValueError(f"{trial.params['x']} is odd")
    return float(trial.params["x"])


def small_ones_prune_themselves(trial: ll.ActiveTrial) -> float:
    """Gives up on what is below 5."""
    trial.report(trial.params["x"])
    if trial.params["x"] < 5:
        raise ll.Pruned
    return float(trial.params["x"])


def three_kills_its_process(trial: ll.ActiveTrial) -> float:
    """Ends as the kernel ends what takes too much memory."""
    if trial.params["x"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(trial.params["x"])


def process_number(trial: ll.ActiveTrial) -> float:
    """Tells which process it runs in."""
    return float(os.getpid())


def endless(trial: ll.ActiveTrial) -> float:
    """Writes its process number to the file `pid`, and then hears nothing for a very long time."""
    Path(trial.params["pid"]).write_text(str(os.getpid()))
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        time.sleep(0.1)
    return 0.0


def endless_with_a_process_apart(trial: ll.ActiveTrial) -> float:
    """Starts a process apart that writes its number to `pid`, and hangs."""
    subprocess.run(process_apart(trial.params["pid"]), check=True)
    time.sleep(100)
    return 0.0


def dies_beside_a_process_apart(trial: ll.ActiveTrial) -> float:
    """Starts a process apart that writes its number to `pid`, and is killed."""
    subprocess.run(process_apart(trial.params["pid"]), check=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def process_apart(pid: str) -> list[str]:
    """Returns a command that starts one with another session, parent and environment, which writes its number."""
    script = 'sleep 100 & echo $! >"$0.new"; mv "$0.new" "$0"'
    return ["setsid", "env", "-i", f"PATH={os.environ['PATH']}", "sh", "-c", script, pid]


def leaves_slowly(trial: ll.ActiveTrial) -> float:
    """Ends its process with exit status 3, some time after it has hung up."""
    os.close(int(sys.argv[-1]))
    time.sleep(0.3)
    os._exit(3)


def waits_for_the_file_go(trial: ll.ActiveTrial) -> float:
    """Leaves a mark in `folder` that it has begun, and ends once there is a file `go`."""
    folder = Path(trial.params["folder"])
    (folder / f"began-{trial.number}").touch()
    deadline = time.monotonic() + 100
    while not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return float(trial.params["x"])
