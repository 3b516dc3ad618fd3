"""What `leadline ui` says of where a study's trials are; the server itself is tested in `tracking/test_ui.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import leadline as ll
from leadline.search import serving

REMOTE = "http://tracking.example:5000"
Told = Callable[[str], tuple[str, dict[str, str]]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Returns what is told of a study that was logged in the store at `REMOTE`, where the store is at some address."""

    class Process:
        def wait(self) -> int:
            return 0

        def terminate(self) -> None: ...

    def connect(uri: str) -> Any:
        experiment = SimpleNamespace(experiment_id="7", tags={})
        return SimpleNamespace(get_experiment_by_name=lambda name: experiment if uri == REMOTE else None)

    monkeypatch.setattr(serving, "connect", connect)
    monkeypatch.setattr(serving, "subprocess", SimpleNamespace(Popen=lambda *command, **options: Process()))
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    study = ll.Study("plain", ll.Space(x=ll.Int(0, 9)), strategy="random", storage=tmp_path, mlflow=None)
    study.run(lambda trial: float(trial.params["x"]), trials=1, progress=False)

    def of(store: str) -> tuple[str, dict[str, str]]:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
        said: list[tuple[str, dict[str, str]]] = []
        serving.serve_mlflow(study, None, 5000, lambda text, facts: said.append((text, facts)))
        return said[0]

    return of


def test_of_a_server_of_its_own_the_page_of_the_study_s_trials_is_told(told: Told) -> None:
    text, facts = told(REMOTE)
    assert facts["page"].startswith(f"{REMOTE}/#/experiments/7/runs?")
    assert text == f"MLflow has a server of its own: {REMOTE}. The trials, best first:\n{facts['page']}"


@pytest.mark.parametrize("store", ["http://another.example:5000", "postgresql://host/mlflow"])
def test_where_the_store_has_nothing_of_the_study_no_trials_are_promised(told: Told, store: str) -> None:
    text, facts = told(store)
    assert "best first" not in text
    assert "`plain` has nothing logged in this store" in text
    assert facts["page"] == facts["server"]


def test_of_a_server_that_cant_be_reached_its_address_is_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(uri: str) -> None:
        raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr(serving, "connect", refused)
    text, facts = told(REMOTE)
    assert text == f"MLflow has a server of its own, but {REMOTE} can't be reached"
    assert facts["page"] == REMOTE
