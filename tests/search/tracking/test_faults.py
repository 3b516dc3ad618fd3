"""Whatever happens to MLflow's server, or on the way to it: every run once, every metric once, in order."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from contracts.tracked import (
    RATES,
    TRIALS,
    WARNINGS,
    Server,
    assert_in_order,
    assert_mlflow_holds,
    assert_the_model_there_is_the_best,
    enqueued,
    store,
)
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import leadline as ll

pytestmark = WARNINGS
Make = Callable[..., ll.Study]
TRACKER = "leadline.search.tracking.tracker"
REGISTERED = {"register": "best-digits", "alias": "champion"}
KILLS = 2  # benchmarks/faults/server.py has five and more
CALLS = (
    *("create_experiment", "create_run", "log_batch", "log_inputs", "log_text", "set_terminated", "log_artifacts"),
    *("create_logged_model", "log_model_artifacts", "log_outputs", "finalize_logged_model", "get_experiment_by_name"),
    *("create_registered_model", "create_model_version", "set_registered_model_alias", "search_runs"),
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the tracker send each epoch by itself, and try again at once."""
    for name in ("PAUSE", "REST", "RETRY", "LONGEST"):
        monkeypatch.setattr(f"{TRACKER}.{name}", 0.01)


def assert_registered_once(uri: str) -> None:
    client = MlflowClient(uri)
    assert [int(version.version) for version in client.search_model_versions("name = 'best-digits'")] == [1]
    assert int(client.get_model_version_by_alias("best-digits", "champion").version) == 1
    experiment = client.get_experiment_by_name("digits")
    assert [model.status for model in client.search_logged_models([experiment.experiment_id])] == ["READY"]


@pytest.mark.usefixtures("used")
def test_answers_that_are_lost_leave_nothing_twice(digits: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: Counter[str] = Counter()

    def losing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            lost[name] += 1
            if lost[name] in (1, 3):
                raise MlflowException(f"the answer to {name} was lost")
            return answer

        return call

    for name in CALLS:
        monkeypatch.setattr(MlflowClient, name, losing(name, getattr(MlflowClient, name)))
    tracking = {"wait": 60, "report": False, **REGISTERED}
    study = enqueued(digits(space=RATES, epochs=3, pruner="asha", mlflow=tracking)).run(trials=TRIALS, progress=False)
    monkeypatch.undo()
    assert study.tracking_problem is None
    assert {name for name in CALLS if not lost[name]} == {"log_artifacts"}  # of a model that can't be exported
    assert_mlflow_holds(study, store(folder))
    assert_in_order(folder / "mlflow.db")
    assert_the_model_there_is_the_best(study, store(folder))
    assert_registered_once(store(folder))


def test_a_server_that_is_killed_again_and_again_gets_all_of_it_once_and_in_order(
    digits: Make, server: Server, tmp_path: Path
) -> None:
    killed: list[int] = []

    def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == 2 and trial.number in (0, 2) and trial.number not in killed:
            server.kill()
            killed.append(trial.number)
        if epoch == 3 and killed and server.process is None:
            server.start()

    tracking = {"uri": server.address, "wait": 60, "report": False, **REGISTERED}
    study = digits(space=RATES, epochs=4, mlflow=tracking, on_epoch=on_epoch)
    enqueued(study).run(trials=TRIALS, progress=False)
    assert len(killed) == KILLS
    assert study.tracking_problem is None
    assert_mlflow_holds(study, server.address)
    assert_in_order(tmp_path / "mlflow.db")
    assert_registered_once(server.address)


def test_a_server_that_stops_answering_is_not_waited_for_and_what_it_does_later_leaves_nothing_twice(
    digits: Make, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    stopped: list[int] = []

    def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        if (trial.number, epoch) == (2, 1):
            server.signal(signal.SIGSTOP)  # what is asked of it now, it does when it goes on
            stopped.append(trial.number)

    tracking = {"uri": server.address, "wait": 0, "report": False}
    study = enqueued(digits(space=RATES, epochs=3, mlflow=tracking, on_epoch=on_epoch))
    study.run(trials=TRIALS, progress=False)
    assert stopped
    assert study.tracking_problem is not None
    assert "127.0.0.1" in study.tracking_problem
    server.signal(signal.SIGCONT)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    study.run(trials=TRIALS, progress=False)
    assert study.tracking_problem is None
    assert_mlflow_holds(study, server.address)
    assert_in_order(tmp_path / "mlflow.db")


class Lossy(BaseHTTPRequestHandler):
    """Passes requests on to the server at `target`, and loses the answer to the first of each kind that isn't a GET."""

    target = ""
    lost: set[str] = set()  # noqa: RUF012 (a class for each test)
    protocol_version = "HTTP/1.1"

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        request = urllib.request.Request(self.target + self.path, body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content, kind = answer.status, answer.read(), answer.headers.get("Content-Type")
        except urllib.error.HTTPError as error:
            status, content, kind = error.code, error.read(), error.headers.get("Content-Type")
        if self.command != "GET" and self.path not in self.lost:
            self.lost.add(self.path)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing."""


@pytest.fixture
def lossy(server: Server) -> Iterator[str]:
    """The address of a proxy before the server that loses answers."""
    handler = type("LossyHere", (Lossy,), {"target": server.address, "lost": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        proxy.shutdown()


def test_requests_that_mlflows_client_repeats_by_itself_leave_nothing_twice_either(
    digits: Make, lossy: str, server: Server, tmp_path: Path
) -> None:
    tracking = {"uri": lossy, "wait": 60, "report": False}
    study = enqueued(digits(space=RATES, epochs=3, pruner="asha", mlflow=tracking)).run(trials=TRIALS, progress=False)
    assert study.tracking_problem is None
    assert_mlflow_holds(study, server.address)
    assert_in_order(tmp_path / "mlflow.db")


@pytest.mark.usefixtures("used")
def test_a_server_that_is_away_is_waited_for_as_long_as_the_study_says(
    digits: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()

    def refuse(client: MlflowClient, name: str) -> None:
        calls["refused"] += 1
        raise MlflowException("the store is away")

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", refuse)
    study = digits(mlflow={"wait": 0}).run(trials=1, progress=False)
    assert study.tracking_problem == "MlflowException: the store is away"
    assert calls["refused"] >= 1
    monkeypatch.undo()
    study.run(trials=1, progress=False)
    assert study.tracking_problem is None
