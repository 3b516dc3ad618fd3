"""SIGKILL of MLflow's server at random moments of a study: has it every run and metric once, and in order?

    python benchmarks/faults/server.py --kills 5

A study of digits (`mlp`, `random`) is logged to an `mlflow server` on 127.0.0.1, and pauses after each epoch so that it
lasts. The server is killed with all its processes at random moments, left away for a moment, and started again on the
same port and database, until it has been killed so many times. Then what MLflow holds is compared with the study: runs,
curves, states, values, the best model and its version; and the database's rows with the order of the steps. Prints one
JSON object; exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

PAUSE = 0.1  # seconds after each epoch


class Server:
    """MLflow's server on a database in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            self.port = listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", f"{self.folder}/files"]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/health", timeout=5)
                return
            time.sleep(0.2)

    def kill(self) -> None:
        """Kills all its processes."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def problems(study: Any, server: Server) -> list[str]:
    """Returns what MLflow holds otherwise than the study."""
    from mlflow.tracking import MlflowClient

    client, found = MlflowClient(server.address), []
    experiment = client.get_experiment_by_name(study.name)
    runs = client.search_runs([experiment.experiment_id], max_results=5000)
    parents = [run for run in runs if run.data.tags["leadline.kind"] == "study"]
    numbers = [int(run.data.tags["leadline.trial"]) for run in runs if run.data.tags["leadline.kind"] == "trial"]
    if len(parents) != 1 or sorted(numbers) != [trial.number for trial in study.trials]:
        found.append(f"{len(parents)} runs of the study, and of trials {sorted(numbers)}")
    for run in runs:
        if run.data.tags["leadline.kind"] == "trial":
            trial = study.trials[int(run.data.tags["leadline.trial"])]
            points = client.get_metric_history(run.info.run_id, "valid/accuracy")
            if [(point.step, point.value) for point in points] != list(trial.curve.items()):
                found.append(f"trial {trial.number}: another curve, {[point.step for point in points]}")
            if (run.info.status, run.data.metrics["objective"]) != ("FINISHED", trial.value):
                found.append(f"trial {trial.number}: {run.info.status}, {run.data.metrics.get('objective')}")
    versions = client.search_model_versions("name = 'killed'")
    if len(versions) != 1 or parents[0].info.status != "FINISHED":
        found.append(f"{len(versions)} versions of the model, the study's run is {parents[0].info.status}")
    given: dict[tuple[str, str], list[int]] = {}
    with contextlib.closing(sqlite3.connect(server.folder / "server.db")) as database:
        for run_id, name, step in database.execute("select run_uuid, key, step from metrics order by rowid"):
            given.setdefault((run_id, name), []).append(step)
    found += [f"{key}: steps came as {steps}" for key, steps in given.items() if steps != sorted(set(steps))]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import leadline as ll

    draws, killed = random.Random(args.seed), []
    with tempfile.TemporaryDirectory() as place:
        server = Server(Path(place))
        server.start()
        began = time.monotonic()

        def harass() -> None:
            while len(killed) < args.kills:
                time.sleep(draws.uniform(1, 6))
                server.kill()
                killed.append(round(time.monotonic() - began, 1))
                time.sleep(draws.uniform(0, 2))
                server.start()

        def on_epoch(trial: Any, epoch: int, metrics: Any) -> None:
            time.sleep(PAUSE)

        space = ll.Space(depth=ll.Int(1, 2), feature_maps=16, lr=ll.Float(1e-3, 1e-1, log=True))
        trainer = ll.Trainer("mlp", data="digits", epochs=args.epochs, on_epoch=on_epoch)
        tracking = {"uri": server.address, "register": "killed", "report": False, "wait": 120}
        how = {"executor": "inline", "lanes": 1, "storage": Path(place) / "studies", "mlflow": tracking}
        study = ll.Study("killed", space, trainer, strategy="random", **how)
        thread = threading.Thread(target=harass)
        thread.start()
        study.run(trials=args.trials, progress=False)
        seconds = time.monotonic() - began
        thread.join()
        differ = [study.tracking_problem] if study.tracking_problem else problems(study, server)
        server.kill()
    metrics = args.trials * args.epochs * 5
    print(json.dumps({"killed at": killed, "seconds": round(seconds, 1), "metrics": metrics, "differ": differ}))
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
