"""What MLflow must hold of a study that was tracked: everything once, read back with MLflow's own client."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import mlflow.pytorch
import pytest
import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

import leadline as ll

# mlflow 3.17 with SQLAlchemy 2.1 uses what that deprecates; and MLflow never closes the connections of its store.
WARNINGS = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),  # of MLflow's own classes
]
TRIALS = 5
HOPELESS = 1e18  # a learning rate that ends in NaN
RATES = ll.Space(depth=ll.Int(1, 2), feature_maps=8, lr=ll.Float(1e-3, HOPELESS, log=True))


def enqueued(study: ll.Study) -> ll.Study:
    """Puts five in line: good ones, one that fails, and one that `asha` prunes."""
    rates = (1e-2, HOPELESS, 2e-2, 3e-2, 1e-3)
    return study.enqueue(*({"depth": 1 + index % 2, "lr": rate} for index, rate in enumerate(rates)))


def store(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def runs_of(client: MlflowClient, name: str) -> tuple[Run, dict[int, Run]]:
    """Returns the parent run and the children by trial number; there is one of each and nothing else."""
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert {run.data.tags["mlflow.parentRunId"] for run in children} <= {parents[0].info.run_id}
    numbers = [int(run.data.tags["leadline.trial"]) for run in children]
    assert len(set(numbers)) == len(numbers), "two runs for one trial"
    return parents[0], dict(zip(numbers, children, strict=True))


def curve(client: MlflowClient, run: Run, metric: str) -> list[tuple[int, float]]:
    """Returns a metric's steps and values, in the order of its steps, repetitions included."""
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric))


def assert_in_order(database: Path) -> None:
    """Checks that MLflow's database was given each metric of each run once a step, and in the order of the steps."""
    given: dict[tuple[str, str], list[int]] = {}
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for run, name, step in connection.execute("select run_uuid, key, step from metrics order by rowid"):
            given.setdefault((run, name), []).append(step)
    assert given
    for (run, name), steps in given.items():
        assert steps == sorted(set(steps)), (run, name)


def assert_mlflow_holds(study: ll.Study, uri: str) -> None:
    """Compares everything that MLflow holds with what the study holds."""
    client = MlflowClient(uri)
    parent, children = runs_of(client, study.name)
    trials = {trial.number: trial for trial in study.trials}
    assert children.keys() == trials.keys()
    for number, run in children.items():
        trial, data = trials[number], run.data
        assert {name: data.params[name] for name in trial.params} == {n: str(v) for n, v in trial.params.items()}
        assert float(data.params["log10.lr"]) == pytest.approx(math.log10(trial.params["lr"]))
        assert data.tags["state"] == trial.state
        assert data.tags["reason"] == trial.reason
        assert run.info.status == {"failed": "FAILED"}.get(trial.state, "FINISHED")
        if trial.seconds is not None:
            assert data.metrics["duration"] == pytest.approx(trial.seconds)
            assert data.metrics["parameters"] == trial.parameters
        epochs = list(trial.curve)
        assert epochs == list(range(1, len(epochs) + 1))
        if not epochs:
            continue
        assert curve(client, run, "valid/accuracy") == list(trial.curve.items())
        for metric in ("train/loss", "train/accuracy", "valid/loss"):
            points = curve(client, run, metric)
            assert [step for step, _ in points] == epochs, metric
            assert all(math.isfinite(value) for _, value in points)
        if trial.state != "failed":
            assert curve(client, run, "objective") == [(trial.best_epoch, trial.value)]
    assert parent.data.tags["best.trial"] == str(study.best.number)
    assert parent.data.metrics["objective"] == study.best.value
    for state in ("complete", "pruned", "failed"):
        assert parent.data.metrics[f"trials/{state}"] == sum(trial.state == state for trial in study.trials)
    assert parent.info.status == "FINISHED"


def assert_the_model_there_is_the_best(study: ll.Study, uri: str) -> None:
    """Loads it as somebody who has never heard of leadline would."""
    parent, _ = runs_of(MlflowClient(uri), study.name)
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pytorch.load_model(f"runs:/{parent.info.run_id}/model")
    finally:
        mlflow.set_tracking_uri(None)
    model = study.model()
    for size in (1, 2, 7):
        inputs = torch.rand(size, *model.inputs.shape, generator=torch.Generator().manual_seed(size))
        torch.testing.assert_close(loaded(inputs), model.program(inputs), rtol=0, atol=1e-6)


class Server:
    """A real `mlflow server` on 127.0.0.1, that can be killed and started again on its store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", store(self.folder)]
        command += ["--artifacts-destination", str(self.folder / "server-artifacts")]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self.address, self.process, self.folder / "server.log")

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to all its processes."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kills all its processes, whatever they are doing."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until MLflow's server answers; fails with its log where it ends first, or takes longer than 90 seconds."""
    deadline = time.monotonic() + 90
    while not healthy(address):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
