"""SIGKILL of a study's whole process group at random moments: is anything lost, changed, doubled or left running?

    python benchmarks/faults/kill.py --kills 20 --trials 12

Runs a study on the digits undisturbed. Then the same study is killed at random moments of its life and run again until
it is finished, as often as it takes to have killed it so many times; each such study is compared with the undisturbed
one: numbers, states, parameters, values and curves, bit for bit. Every trial that was finished at a kill is compared
with what it is at the end. Prints one JSON object; exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = """\
study: killed
data: digits
model: mlp
space:
  depth: {int: [1, 3]}
  feature_maps: {choice: [32, 64, 128]}
  lr: {float: [1e-4, 1e-1], log: true}
  dropout: {float: [0.0, 0.6]}
trainer: {epochs: %d, checkpoint: 0}
strategy: %s
pruner: %s
trials: %d
"""
LEADLINE = [sys.executable, "-c", "from leadline.cli import main; main()"]
KEPT = ("number", "state", "params", "value", "last", "curve", "epochs")


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Starts `leadline run` as the leader of a process group of its own."""
    log = open(folder / "log.txt", "ab")  # noqa: SIM115 (the process outlives this function)
    return subprocess.Popen(
        [*LEADLINE, "run", "study.yaml"], cwd=folder, stdout=log, stderr=log, start_new_session=True
    )


def trials(folder: Path) -> list[dict[str, Any]]:
    """Returns the study's trials as `leadline show --json` tells them."""
    told = subprocess.run([*LEADLINE, "show", "killed", "--json"], cwd=folder, capture_output=True, text=True)
    if told.returncode:
        return []  # killed before the study was there
    return [{name: trial[name] for name in KEPT} for trial in json.loads(told.stdout)["trials"]]


def finished(found: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Returns the trials that have ended, by number."""
    return {trial["number"]: trial for trial in found if trial["state"] in ("complete", "pruned", "failed")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--strategy", default="bayes")
    parser.add_argument("--pruner", default="asha")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    text = FILE % (args.epochs, args.strategy, args.pruner, args.trials)
    with tempfile.TemporaryDirectory() as name:
        calm, killed = Path(name) / "calm", Path(name) / "killed"
        calm.mkdir()
        killed.mkdir()
        (calm / "study.yaml").write_text(text)
        began = time.monotonic()
        start(calm).wait()
        undisturbed, seconds = trials(calm), time.monotonic() - began
        rounds = []
        while (left := args.kills - sum(len(done["finished at each kill"]) for done in rounds)) > 0:
            folder = killed / str(len(rounds))
            folder.mkdir()
            (folder / "study.yaml").write_text(text)
            rounds.append(survive(folder, left, lambda: moments.uniform(0.1, 1.0) * seconds, undisturbed))
    bad = [done for done in rounds if not done["as undisturbed"] or done["left running"] or done["changed"]]
    print(
        json.dumps(
            {"kills": args.kills, "bad studies": len(bad), "undisturbed_s": round(seconds, 1), "studies": rounds}
        )
    )
    sys.exit(bool(bad))


def survive(folder: Path, kills: int, moment: Callable[[], float], undisturbed: list[dict[str, Any]]) -> dict[str, Any]:
    """Kills the study in `folder` at most so many times, lets it finish, and says what became of it."""
    at_kill = []
    while len(at_kill) < kills:
        process = start(folder)
        try:
            process.wait(moment())
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            at_kill.append(finished(trials(folder)))
    start(folder).wait()
    found = trials(folder)
    end = finished(found)
    return {
        "finished at each kill": [len(before) for before in at_kill],
        "trials": len(found),
        "left running": sum(trial["state"] == "running" for trial in found),
        "changed": sum(end.get(number) != trial for before in at_kill for number, trial in before.items()),
        "as undisturbed": found == undisturbed,
    }


if __name__ == "__main__":
    main()
