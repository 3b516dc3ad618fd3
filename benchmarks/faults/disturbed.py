"""Studies that are disturbed: started, killed, looked at from outside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import leadline as ll
from leadline import cli
from leadline.trainers import checkpoints

FILE = """\
study: disturbed
data: digits
model: mlp
space:
  depth: {int: [1, 2]}
  feature_maps: {choice: [8, 16, 32]}
  lr: {float: [1e-3, 1e-1], log: true}
  dropout: {float: [0.0, 0.5]}
trainer: {epochs: %d, checkpoint: 0, on_trial_end: "acknowledged:write"}
strategy: tpe
pruner: asha
trials: %d
mlflow: null
"""
ACKNOWLEDGED = """\
import json, os

def write(trial):
    descriptor = os.open("acknowledged.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, json.dumps(trial.as_json()).encode() + b"\\n")
    os.fsync(descriptor)
    os.close(descriptor)
"""
HERE = str(Path(__file__).parent)
CLOCKED = ("seconds", "peak_memory", "faults")


class Disturbed:
    """A study in a folder of its own. `text` is its file; with `marker` in its environment each process is found."""

    def __init__(self, folder: Path, text: str) -> None:
        folder.mkdir(parents=True)
        (folder / "study.yaml").write_text(text)
        (folder / "acknowledged.py").write_text(ACKNOWLEDGED)
        shutil.copy(Path(HERE) / "faulty.py", folder / "network.py")  # a study imports from its own folder
        (folder / "sitecustomize.py").write_text("import hooks\nhooks.install()\n")
        self.folder, self.marker, self.driver = folder, uuid.uuid4().hex, 0

    @property
    def own(self) -> Path:
        """The study's folder of files."""
        return self.folder / "leadline-studies" / "disturbed"

    @property
    def output(self) -> str:
        """All that its runs have printed."""
        return (self.folder / "output").read_text(errors="replace")

    def start(self, environment: Mapping[str, str] | None = None, group: Path | None = None) -> None:
        """Starts `leadline run study.yaml` in a process group of its own: by a fork, to save the imports.

        `group` is the control group that it is put into.
        """
        sys.stdout.flush()
        self.driver = os.fork()
        if self.driver:
            return
        code = 70
        try:
            os.setsid()
            if group is not None:
                (group / "cgroup.procs").write_text(str(os.getpid()))
            os.chdir(self.folder)
            with open("output", "ab") as output:
                for descriptor in (1, 2):
                    os.dup2(output.fileno(), descriptor)
            path = os.pathsep.join([str(self.folder), HERE, os.environ.get("PYTHONPATH", "")])
            marks = {"DISTURBED": self.marker, "FAULT_DRIVER": str(os.getpid()), "PYTHONPATH": path}
            os.environ.update({**marks, **(environment or {})})
            import hooks

            hooks.install()
            sys.argv = ["leadline", "run", "study.yaml"]
            cli.main()
            code = 0
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def wait(self, seconds: float | None = None) -> int | None:
        """Waits for the driver; returns its exit code (minus a signal that killed it), None if the time is up."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.driver, 0 if deadline is None else os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if deadline is not None and time.monotonic() > deadline:
                return None
            time.sleep(0.01)

    def kill(self) -> None:
        """Kills the driver's process group."""
        os.killpg(self.driver, signal.SIGKILL)
        self.wait()

    def finish(self, environment: Mapping[str, str] | None = None, group: Path | None = None) -> int | None:
        """Runs it to its end; returns the exit code."""
        self.start(environment, group)
        return self.wait(600)

    @property
    def trials(self) -> list[ll.Trial]:
        """Its trials; none if it isn't there yet."""
        try:
            return ll.load_study("disturbed", self.folder / "leadline-studies").trials
        except ll.LeadlineError:
            return []

    @property
    def acknowledged(self) -> dict[int, dict[str, Any]]:
        """The ended trials as the study told of them, by number, from a log outside of its storage."""
        log = self.folder / "acknowledged.log"
        told = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return {trial["number"]: trial for trial in told}

    def facts(self) -> list[dict[str, Any]]:
        """Returns all of its trials that doesn't depend on the clock, with hashes of the weights that are kept."""
        return [{**unclocked(trial.as_json()), "weights": self._hashes(trial.number)} for trial in self.trials]

    def _hashes(self, number: int) -> dict[str, str]:
        """Returns the hash of all tensors in each of a trial's files, by the file's name."""
        found = {}
        for file in (self.own / "trials" / f"{number:05d}").glob("*"):
            tensors, _ = checkpoints.read(file) or ({}, None)
            parts = (f"{name} {tensor.dtype} {tensor.tolist()}" for name, tensor in sorted(tensors.items()))
            found[file.name] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return found

    def redone(self) -> int:
        """Returns the most epochs that a trial which is running or paused has reported and will train again."""
        going_on = [trial for trial in self.trials if trial.state in ("running", "paused")]
        return max([max(trial.curve, default=0) - self._kept_epoch(trial.number) for trial in going_on], default=0)

    def _kept_epoch(self, number: int) -> int:
        """Returns the epoch of a trial's last checkpoint; 0 if there is none."""
        found = (checkpoints.read(file) for file in (self.own / "trials" / f"{number:05d}").glob("checkpoint*"))
        return max([kept[1]["epoch"] for kept in found if kept], default=0)

    def processes(self) -> list[int]:
        """Returns the processes of the study that live."""
        mark, found = f"DISTURBED={self.marker}".encode(), []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (place / "environ").read_bytes() and (place / "stat").read_text().split(") ")[1][0] != "Z":
                    found.append(int(place.name))
            except OSError:
                continue  # it has ended meanwhile
        return found

    def orphans(self, seconds: float = 1.0) -> int:
        """Returns how many of its processes still live so long after the driver's end."""
        deadline = time.monotonic() + seconds
        while (left := len(self.processes())) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left


def unclocked(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a trial's JSON doesn't depend on the clock, or on what it went through."""
    return {name: value for name, value in trial.items() if name not in CLOCKED}
