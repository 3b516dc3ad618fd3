"""System metrics: of each worker's process, with the time they were taken."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts.tracked import WARNINGS, curve, runs_of, store
from mlflow.tracking import MlflowClient

import leadline as ll
from leadline.search.tracking.monitor import Monitor
from leadline.trainers.messages import Ready

pytestmark = WARNINGS
Make = Callable[..., ll.Study]


def sampled(monitor: Monitor, times: int) -> None:
    """Has the monitor sample so many times."""
    monitor.start()
    deadline = time.monotonic() + 60
    while sum(metric.key == "system/cpu_percent" for metric in monitor.metrics(0)) < times:
        assert time.monotonic() < deadline
    monitor.stop()


def test_each_worker_is_sampled_with_times_and_steps() -> None:
    began = time.time()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        monitor = Monitor({0: Ready(1, "cpu", busy.pid), 1: Ready(1, "cpu", None)}, 0.2)
        sampled(monitor, 3)
        busy.kill()
    metrics = monitor.metrics(round((began - 100) * 1000))
    names = {metric.key for metric in metrics}
    assert {"system/worker0/cpu_percent", "system/worker0/memory_megabytes", "system/driver/cpu_percent"} <= names
    assert not any("worker1" in name for name in names)  # whose process nobody knows
    assert max(metric.value for metric in metrics if metric.key == "system/worker0/cpu_percent") > 5
    assert all(began * 1000 <= metric.timestamp <= time.time() * 1000 + 1 for metric in metrics)
    assert all(metric.step == int((metric.timestamp - (began - 100) * 1000) / 1000) for metric in metrics)


def test_a_worker_that_has_ended_is_left_out() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monitor = Monitor({0: Ready(1, "cpu", ended.pid)}, 0.01)
    sampled(monitor, 2)
    assert {metric.key for metric in monitor.metrics(0) if "worker0" in metric.key} == set()


def test_what_mlflow_has_is_forgotten() -> None:
    monitor = Monitor({0: Ready(1, "cpu", os.getpid())}, 0.01)
    sampled(monitor, 2)
    every = monitor.metrics(0)
    monitor.forget(3)
    assert monitor.metrics(0) == every[3:]


@pytest.mark.usefixtures("used")
def test_they_are_on_the_studys_run_each_once(digits: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ll.search.tracking.Tracking, "interval", 0.05)
    study = digits(mlflow={"system_metrics": True, "report": False})
    study.run(trials=2, progress=False)
    study.run(trials=3, progress=False)
    client = MlflowClient(store(folder))
    parent, _ = runs_of(client, "digits")
    points = client.get_metric_history(parent.info.run_id, "system/worker0/memory_megabytes")
    assert points
    assert len({point.timestamp for point in points}) == len(points)
    assert curve(client, parent, "system/cpu_percent")
