"""What MLflow holds of a study, read back with MLflow's own client."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from contracts.tracked import (
    RATES,
    TRIALS,
    WARNINGS,
    Server,
    assert_mlflow_holds,
    assert_the_model_there_is_the_best,
    curve,
    enqueued,
    free_port,
    runs_of,
    store,
)
from mlflow.tracking import MlflowClient

import leadline as ll
from leadline.search.ledger import Ledger
from leadline.search.tracking import connect

pytestmark = WARNINGS
Make = Callable[..., ll.Study]


def test_every_trial_is_there_with_its_parameters_curves_state_and_cost(digits: Make, folder: Path) -> None:
    study = enqueued(digits(space=RATES, epochs=3, pruner="asha", mlflow="auto"))
    study.run(trials=TRIALS, progress=False)
    assert study.tracking_problem is None
    assert {trial.state for trial in study.trials} == {"complete", "failed", "pruned"}
    assert_mlflow_holds(study, store(folder))
    assert_the_model_there_is_the_best(study, store(folder))


@pytest.mark.usefixtures("used")
def test_an_interrupted_study_shows_as_killed_and_a_resumed_one_has_nothing_twice(digits: Make, folder: Path) -> None:
    current: list[ll.Study] = []

    def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        if (trial.number, epoch) in ((0, 1), (3, 1)):
            current[-1].stop()

    def again() -> ll.Study:
        current.append(digits(space=RATES, epochs=3, pruner="asha", mlflow="auto", checkpoint=0, on_epoch=on_epoch))
        return current[-1]

    enqueued(again()).run(trials=TRIALS, progress=False)
    parent, children = runs_of(client := MlflowClient(store(folder)), "digits")
    assert parent.info.status == "KILLED"
    assert [run.info.status for run in children.values()] == ["RUNNING"]
    assert len(curve(client, children[0], "valid/accuracy")) == 1
    for _ in range(2):
        study = again()
        study.run(trials=TRIALS, progress=False)
    assert_mlflow_holds(study, store(folder))
    again().run(trials=TRIALS + 1, progress=False)
    assert_mlflow_holds(again(), store(folder))
    assert_the_model_there_is_the_best(again(), store(folder))


KILLED = """
import sys
import leadline as ll
space = ll.Space(depth=ll.Int(1, 2), feature_maps=8, lr=ll.Float(1e-3, 1e18, log=True))
trainer = ll.Trainer("mlp", epochs=3, checkpoint=0)
ll.Study("digits", space, trainer, strategy="random", pruner="asha", storage=sys.argv[1]).run(trials=1000)
"""


@pytest.mark.usefixtures("used")
def test_after_a_kill_mlflow_is_brought_up_to_date_with_nothing_twice(digits: Make, folder: Path) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not tracked_metrics(folder):
            assert victim.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
    study = digits(space=RATES, epochs=3, pruner="asha", mlflow="auto", checkpoint=0)
    begun = len(study.trials)
    study.run(trials=begun + 1, progress=False)
    assert len(study.trials) == begun + 1
    assert_mlflow_holds(study, store(folder))


@pytest.mark.usefixtures("used")
def test_a_kill_between_two_calls_to_mlflow_leaves_nothing_twice_either(digits: Make, folder: Path) -> None:
    study = enqueued(digits(space=RATES, epochs=3, pruner="asha", mlflow="auto"))
    study.run(trials=TRIALS - 1, progress=False)
    client = MlflowClient(store(folder))
    for run in runs_of(client, "digits")[1].values():
        client.update_run(run.info.run_id, status="RUNNING")  # all was sent but the last call, which ends the run
    study.run(trials=TRIALS, progress=False)
    assert_mlflow_holds(study, store(folder))


def tracked_metrics(folder: Path) -> int:
    """Counts what MLflow has been sent, without making a database where there is none."""
    import sqlite3

    with contextlib.suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"file:{folder}/mlflow.db?mode=ro", uri=True)
        with contextlib.closing(connection):
            return int(connection.execute("select count(*) from metrics").fetchone()[0])
    return 0


@pytest.mark.usefixtures("used")
def test_an_objectives_reports_are_its_curve(plain: Make, folder: Path) -> None:
    def objective(trial: ll.ActiveTrial) -> float:
        for epoch in range(1, 4):
            trial.report(epoch * trial.params["x"])
        return float(trial.params["x"])

    study = plain(mlflow="auto", direction="minimize").run(objective, trials=2, progress=False)
    client = MlflowClient(store(folder))
    parent, children = runs_of(client, "plain")
    for trial in study.trials:
        run = children[trial.number]
        assert curve(client, run, "reported") == [(epoch, epoch * trial.params["x"]) for epoch in (1, 2, 3)]
        assert run.data.metrics["objective"] == trial.value
    assert parent.data.metrics["objective"] == min(trial.value or 0 for trial in study.trials)


@pytest.mark.usefixtures("used")
def test_of_several_objectives_each_is_a_metric_and_the_front_is_tagged_anew_at_each_end(
    plain: Make, folder: Path
) -> None:
    def gain_and_price(trial: ll.ActiveTrial) -> tuple[float, float]:
        return trial.params["x"] % 5, trial.params["x"]

    study = plain(mlflow="auto", metric=("gain", "price"), direction=("maximize", "minimize"))
    for xs, front in (((9, 5, 8), ["true", "true", "true"]), ((3, 4), ["false"] * 3 + ["true"] * 2)):
        study.enqueue(*({"x": x} for x in xs)).run(gain_and_price, trials=len(front), progress=False)
        _, children = runs_of(MlflowClient(store(folder)), "plain")
        tags = [children[number].data.tags.get("pareto", "false") for number in range(len(front))]
        assert tags == front
        assert tags == [str(trial in study.best_trials).lower() for trial in study.trials]
    for trial in study.trials:
        metrics = children[trial.number].data.metrics
        assert (metrics["objective"], metrics["objective.price"]) == trial.values


@pytest.mark.usefixtures("used")
def test_an_infinite_value_is_sent_as_the_largest_that_mlflow_keeps(plain: Make, folder: Path) -> None:
    study = plain(mlflow="auto").run(lambda trial: math.inf, trials=1, progress=False)
    assert study.tracking_problem is None
    _, children = runs_of(MlflowClient(store(folder)), "plain")
    assert children[0].data.metrics["objective"] > 1e308


@pytest.mark.usefixtures("used")
def test_an_experiment_that_was_deleted_in_the_ui_comes_back_with_the_next_run(plain: Make, folder: Path) -> None:
    plain(mlflow="auto").run(lambda trial: 1.0, trials=1, progress=False)
    client = MlflowClient(store(folder))
    client.delete_experiment(client.get_experiment_by_name("plain").experiment_id)
    study = plain(mlflow="auto").run(lambda trial: 1.0, trials=2, progress=False)
    assert study.tracking_problem is None
    assert client.get_experiment_by_name("plain").lifecycle_stage == "active"


@pytest.mark.usefixtures("used")
def test_two_studies_of_one_folder_share_its_store_and_keep_apart(plain: Make, folder: Path) -> None:
    for name in ("one", "two"):
        plain(name, mlflow="auto").run(lambda trial: 1.0, trials=2, progress=False)
    for name in ("one", "two"):
        _, children = runs_of(MlflowClient(store(folder)), name)
        assert sorted(children) == [0, 1]


def test_a_tracking_server_gets_the_same_by_its_address_in_the_environment(
    digits: Make, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    study = enqueued(digits(space=RATES, epochs=3, pruner="asha", mlflow="auto"))
    study.run(trials=3, progress=False)
    assert study.tracking_problem is None
    assert not (folder / "mlflow.db").exists()
    study.run(trials=TRIALS, progress=False)
    assert_mlflow_holds(study, server.address)
    assert_the_model_there_is_the_best(study, server.address)


@pytest.mark.usefixtures("used")
def test_a_server_that_is_not_there_costs_the_study_nothing_but_a_word_and_is_caught_up_with_later(
    digits: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    study = enqueued(digits(space=RATES, epochs=3, pruner="asha", mlflow="auto"))
    study.run(trials=TRIALS, progress=False)
    assert len(study.trials) == TRIALS
    assert study.best.value
    assert study.tracking_problem is not None
    assert "127.0.0.1" in study.tracking_problem
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    study.run(trials=TRIALS, progress=False)
    assert study.tracking_problem is None
    assert_mlflow_holds(study, store(folder))


@pytest.mark.usefixtures("used")
def test_what_another_driver_has_taken_over_is_left_to_it(
    plain: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "holds", lambda ledger: False)  # its lease ran out
        study = plain(mlflow="auto")
        study.run(lambda trial: 1.0, trials=1, progress=False)
        assert study.tracking_problem is not None
        assert "another driver goes on" in study.tracking_problem
        assert MlflowClient(store(folder)).get_experiment_by_name("plain") is None
    study.run(lambda trial: 1.0, trials=1, progress=False)
    assert len(runs_of(MlflowClient(store(folder)), "plain")[1]) == 1


def test_tracking_can_be_switched_off(plain: Make, folder: Path) -> None:
    plain(mlflow=None).run(lambda trial: 1.0, trials=1, progress=False)
    assert not (folder / "mlflow.db").exists()


@pytest.mark.usefixtures("used")
def test_nothing_of_leadline_is_needed_to_read_the_store(plain: Make, folder: Path) -> None:
    plain(mlflow="auto").run(lambda trial: 1.0, trials=1, progress=False)
    parent, children = runs_of(MlflowClient(store(folder)), "plain")
    described: dict[str, Any] = {**parent.data.tags, **children[0].data.tags}
    assert described["strategy"] == "random"
    assert parent.data.params["space.x"] == "{'int': [0, 9]}"


def test_a_database_that_a_crash_left_half_made_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*paths: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "mlflow.db"
    with monkeypatch.context() as patch:
        patch.setattr("os.link", crash)  # the last moment before the whole database is where it belongs
        with pytest.raises(KeyboardInterrupt):
            connect(f"sqlite:///{path}")
    assert not path.exists()
    half = tmp_path / f".{socket.gethostname()}.999999999-mlflow.db"  # of a process that is no more
    elsewhere = tmp_path / ".another-machine.999999999-mlflow.db"  # which may live
    for path_of_half in (half, elsewhere):
        path_of_half.write_bytes(b"half")
    assert connect(f"sqlite:///{path}").create_experiment("mine")
    assert not half.exists()
    assert elsewhere.exists()
