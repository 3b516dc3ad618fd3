"""The real optuna-dashboard on a study's storage: what it shows, and that it changes nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pytest

import leadline as ll

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("optuna_dashboard", reason='needs optuna-dashboard: pip install -e ".[test]"')

Make = Callable[..., ll.Study]
START = "from optuna_dashboard._cli import main; main()"


class Dashboard:
    """A dashboard that is running at an address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.address}/api/{path}", timeout=20) as answer:
            return json.load(answer)

    def put(self, path: str, value: Any) -> None:
        request = urllib.request.Request(f"{self.address}/api/{path}", json.dumps(value).encode(), method="PUT")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=20).close()

    @property
    def answers(self) -> bool:
        try:
            return bool(self.get("meta"))
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def dashboard(storage: str, log: Path) -> Iterator[Dashboard]:
    """Starts `optuna-dashboard STORAGE` on 127.0.0.1, as a user does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", START, storage, "--port", str(port), "--server", "wsgiref"]
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    started = Dashboard(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 60
        while not started.answers:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield started
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def conditional() -> ll.Space:
    return ll.Space(
        depth=ll.Int(1, 2),
        feature_maps=ll.Choice([4, 8]),
        optimizer=ll.Choice(["sgd", "adamw"]),
        momentum=ll.Float(0.0, 0.9, when={"optimizer": "sgd"}),
        lr=ll.Float(1e-3, 1e-1, log=True),
    )


def curve(trial: dict[str, Any]) -> dict[int, float]:
    return {point["step"]: point["value"] for point in trial["intermediate_values"]}


def by_name(running: Dashboard) -> dict[str, dict[str, Any]]:
    return {
        study["study_name"]: {**study, **running.get(f"studies/{study['study_id']}")}
        for study in running.get("studies")["study_summaries"]
    }


def test_a_studys_journal_is_opened_as_it_is_and_shows_history_curves_and_importances(
    digits: Make, conditional: ll.Space, tmp_path: Path
) -> None:
    study = digits(space=conditional, epochs=3).run(trials=8, progress=False)
    before = study.folder.journal.read_bytes()
    with dashboard(str(study.folder.journal), tmp_path / "log") as running:
        shown = by_name(running)["digits"]
        assert (shown["directions"], shown["objective_names"]) == (["maximize"], ["accuracy"])
        assert shown["has_intermediate_values"]
        for trial, own in zip(shown["trials"], study.trials, strict=True):
            assert (trial["state"], trial["values"], curve(trial)) == ("Complete", [own.value], own.curve)
            assert {parameter["name"] for parameter in trial["params"]} == set(own.params)
            assert {fact["key"] for fact in trial["user_attrs"]} >= {"epochs", "seconds", "parameters", "reason"}
        assert {parameter["name"] for parameter in shown["union_search_space"]} == set(conditional.names)
        (importances,) = running.get("studies/0/param_importances")["param_importances"]
        assert {"depth", "feature_maps", "optimizer", "lr"} <= {one["name"] for one in importances}
    assert study.folder.journal.read_bytes() == before


def test_a_database_shows_all_its_studies_with_the_names_of_their_objectives(
    digits: Make, plain: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the weights of a study in a database are
    storage = f"sqlite:///{tmp_path}/studies.db"
    front = digits("front", metric=["accuracy", "parameters"], storage=storage).run(trials=4, progress=False)

    def objective(trial: ll.ActiveTrial) -> float:
        trial.report(1.0, 1)
        if trial.number == 1:
            raise ll.Pruned
        if trial.number == 2:
            raise ValueError("no")
        return 1.0

    plain("ended", storage=storage).run(objective, trials=3, progress=False)
    named = {"metric": ["gain", "price"], "direction": ["maximize", "minimize"]}
    with ll.Study("told", ll.Space(x=ll.Int(0, 9)), storage=storage, mlflow=None, **named) as told:
        told.tell(told.ask(), (1.0, 2.0))
    with dashboard(storage, tmp_path / "log") as running:
        shown = by_name(running)
        assert [trial["state"] for trial in shown["ended"]["trials"]] == ["Complete", "Pruned", "Fail"]
        assert shown["told"]["objective_names"] == ["gain", "price"]
        assert shown["front"]["objective_names"] == ["accuracy", "parameters"]
        assert shown["front"]["directions"] == ["maximize", "minimize"]
        assert {trial["number"] for trial in shown["front"]["best_trials"]} == {
            trial.number for trial in front.best_trials
        }


def test_a_study_that_runs_can_be_looked_at_and_a_note_taken_and_nothing_of_either_is_lost(
    plain: Make, tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []
    study = plain()
    study.enqueue({"x": 1})  # so that there is something to open
    with dashboard(str(study.folder.journal), tmp_path / "log") as running:

        def objective(trial: ll.ActiveTrial) -> float:
            trial.report(float(trial.params["x"]), 1)
            before = study.folder.journal.read_bytes()
            if trial.number == 0:  # later it asks its storage every other second at most
                seen.append(running.get("studies/0"))
                assert study.folder.journal.read_bytes() == before
            if trial.number == 2:
                running.put("studies/0/note", {"version": 1, "body": "the third is running"})
            return float(trial.params["x"])

        study.run(objective, trials=4, progress=False)
    assert [trial["state"] for trial in seen[0]["trials"]] == ["Running"]
    ours = {"journal.log", "journal.crc", "id", "lock", "log.jsonl"}
    assert {path.name for path in study.folder.path.iterdir()} <= ours
    backend = optuna.storages.journal.JournalFileBackend(str(study.folder.journal))
    (kept,) = optuna.storages.JournalStorage(backend).get_all_studies()
    assert "the third is running" in json.dumps(kept.system_attrs)
    again = plain().run(lambda trial: 1.0, trials=5, progress=False)
    assert [trial.state for trial in again.trials] == ["complete"] * 5


def test_its_page_shows_the_study_in_a_browser(
    digits: Make, conditional: ll.Space, tmp_path: Path, chromium: Browser, screenshots: Path
) -> None:
    study = digits(space=conditional, epochs=4).run(trials=12, progress=False)
    with dashboard(str(study.folder.journal), tmp_path / "log") as running:
        page = chromium.new_page(viewport={"width": 1400, "height": 2400})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{running.address}/dashboard/studies/0")
        page.wait_for_function(
            "document.querySelectorAll('.js-plotly-plot .trace').length > 12"
        )  # curves, a trial each
        page.screenshot(path=screenshots / "optuna-dashboard.png")
        page.close()
        assert errors == []
