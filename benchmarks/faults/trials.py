"""Trials that go wrong in each way: is the study completed, the reason right, nothing left behind, nobody else harmed?

    python benchmarks/faults/trials.py            # lanes: 1
    python benchmarks/faults/trials.py --lanes 4

A study of trials without a fault and with one of each kind: no number in each of its epochs, an error, a worker that is
killed once or always, memory that runs out by an address-space limit or in a control group (where this user may make
one), and workers that hang asleep, busy, deaf to SIGTERM, or with children of their own. The trials without a fault are
compared with those of a study that has no others, bit for bit. Prints one JSON object; exits 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from disturbed import Disturbed
from faulty import HANGS

EPOCHS = 6
REASONS = {
    **{f"nan-{epoch}": f"the loss was no number at epoch {epoch}, step 2" for epoch in range(1, EPOCHS + 1)},
    "raise": "ValueError: the network's own error (network.py:",
    "kill": "the worker process died: killed by signal 9 (SIGKILL)",
    "rlimit": "out of memory: ",
    "cgroup": "out of memory: the kernel killed the worker process (signal 9, SIGKILL); peak ",
    **{hang: "time limit: `epoch_seconds <= 8` must hold, but epoch 2 has taken " for hang in HANGS},
}
FILE = """\
study: disturbed
data: digits
model: network:build
space:
  fault: {choice: [%s]}
  steps: %d
  lr: 0.01
trainer: {epochs: %d, checkpoint: 0}
strategy: grid
limits: {epoch_seconds: 8}
keep: 1000
lanes: %d
workers: 1
plan: looped
mlflow: null
"""
STEPS = 1198 // 64  # of an epoch: training rows of the digits by the batch size
GROUPS = Path("/sys/fs/cgroup/memory") if Path("/sys/fs/cgroup/memory").is_dir() else Path("/sys/fs/cgroup")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--few", action="store_true", help="a fault of each sort only")
    args = parser.parse_args()
    group = control_group()
    faults = [fault for fault in REASONS if fault != "cgroup" or group]
    if args.few:
        faults = [fault for fault in faults if fault in ("nan-3", "raise", "rlimit", "hang-fork")]
    try:
        found = tried(args.lanes, faults, group)
    finally:
        if group:
            group.rmdir()
    print(json.dumps({"lanes": args.lanes, "control groups": group is not None, **found}))
    sys.exit(bool(found["wrong reason"] or found["orphans"] or found["harmed"] or found["exit code"]))


def tried(lanes: int, faults: list[str], group: Path | None) -> dict[str, Any]:
    """Runs the study with and without its faults; returns what is wrong."""
    text = FILE % (", ".join(mixed(faults)), STEPS, EPOCHS, lanes)
    with tempfile.TemporaryDirectory() as name:
        calm, study = (Disturbed(Path(name) / which, text) for which in ("calm", "study"))
        assert calm.finish({"FAULTLESS": "1"}) == 0, calm.output
        code = study.finish(group=group)
        orphans, wanted, trials = study.orphans(), calm.facts(), study.trials
        harmed = [
            trial.number
            for trial, found in zip(trials, study.facts(), strict=True)
            if trial.params["fault"] not in faults and found != wanted[trial.number]
        ]
    for trial in trials:
        print(trial.params["fault"], trial.state, trial.reason, *trial.faults, sep="; ", file=sys.stderr)
    by_fault = {trial.params["fault"]: trial for trial in trials}
    wrong = [fault for fault in faults if not by_fault[fault].reason.startswith(REASONS[fault])]
    counts = {"trials": len(trials), "of them failed": sum(trial.state == "failed" for trial in trials)}
    return {**counts, "exit code": code, "wrong reason": wrong, "orphans": orphans, "harmed": harmed}


def mixed(faults: list[str]) -> list[str]:
    """Returns the faults with what is no fault, or one that is made good, between each two of them."""
    good = ["kill-once", *(f"none-{number}" for number in range(len(faults)))]
    return [fault for pair in zip(good, faults, strict=False) for fault in pair]


def control_group() -> Path | None:
    """Returns a new control group of 1 GB, None where none can be made."""
    group = GROUPS / f"leadline-{os.getpid()}"
    try:
        group.mkdir()
        limit = next(name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
        (group / limit).write_text(str(2**30))
    except (OSError, StopIteration):
        if group.is_dir():
            group.rmdir()
        return None
    return group


if __name__ == "__main__":
    main()
