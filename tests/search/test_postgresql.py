"""A study in a real PostgreSQL, which the test starts for itself."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

import leadline as ll
from leadline.search.folder import study_names
from leadline.search.study import Study

pytestmark = [
    pytest.mark.usefixtures("closed_at_once"),
    # Optuna's own functions (`optuna.load_study`, ...) leave the connections of a URL to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*BaseConnection.__del__:pytest.PytestUnraisableExceptionWarning"),
]


PASSWORD = "s3cr3t-of-ann"


@pytest.fixture
def server(postgresql: Any) -> str:
    """The address of a database that `ann` opens with a password."""
    assert PASSWORD in postgresql.url
    return str(postgresql.url)


@pytest.fixture
def make(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Study]]:
    monkeypatch.chdir(tmp_path)

    def study(name: str, pruner: str = "asha") -> Study:
        space = ll.Space(
            depth=ll.Int(1, 2), lr=ll.Float(1e-3, 1e-1, log=True), kind=ll.Choice([None, True, 3, 0.5, "a"])
        )
        return Study(name, space, pruner=pruner, strategy="bayes", storage=server, mlflow=None)

    yield study
    gc.collect()  # what was left open is closed within this test


def objective(trial: ll.ActiveTrial) -> float:
    for epoch in range(1, 4):
        trial.report(trial.params["lr"] * epoch)
        if trial.should_prune():
            raise ll.Pruned
    return float(trial.params["lr"])


def test_a_study_runs_and_goes_on_there(make: Callable[..., Study], server: str) -> None:
    first = make("there").run(objective, trials=8, progress=False).trials
    study = make("there").run(objective, trials=14, progress=False)
    assert study.trials[:8] == first
    assert [trial.number for trial in study.trials] == list(range(14))
    assert {trial.state for trial in study.trials} == {"complete", "pruned"}
    assert ll.load_study("there", server).trials == study.trials
    assert "there" in study_names(server)
    plain = optuna.load_study(study_name="there", storage=server)
    assert [trial.value for trial in plain.trials] == [trial.value for trial in study.trials]


def test_a_trial_left_running_is_taken_up_and_the_study_is_that_of_a_journal(
    make: Callable[..., Study], tmp_path: Path
) -> None:
    with make("left") as study:
        study.tell(study.ask(), 0.5)
        left = study.ask()
    done = make("left").run(objective, trials=4, progress=False)
    assert [trial.number for trial in done.trials] == [0, 1, 2, 3]
    assert done.trials[1].params == left.params
    assert all(trial.state in ("complete", "pruned") for trial in done.trials)
    kept = Study("left", done.space, pruner="asha", strategy="bayes", storage=tmp_path / "journal", mlflow=None)
    assert kept.run(objective, trials=1, progress=False).trials[0].params == done.trials[0].params


def test_infinite_values_and_long_tracebacks_are_kept(make: Callable[..., Study]) -> None:
    def odd(trial: ll.ActiveTrial) -> float:
        if trial.number == 1:
            raise ValueError("x" * 10_000)
        return float("inf")

    study = make("odd", pruner="none").run(odd, trials=2, progress=False)
    assert study.trials[0].value == float("inf")
    assert "x" * 10_000 in study.trials[1].traceback


def test_its_password_is_never_printed(
    make: Callable[..., Study], server: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study = make("secret").run(objective, trials=2)
    wrong = server.replace(PASSWORD, "wr0ng-password")
    with pytest.raises(ll.SettingsError, match="can't be opened") as caught:
        Study("secret", study.space, storage=wrong, mlflow=None).run(objective, trials=3)
    out, err = capfd.readouterr()
    everywhere = out + err + repr(study) + str(caught.value) + str(study.describe())
    for path in tmp_path.rglob("*"):
        everywhere += path.read_text(errors="replace") if path.is_file() else ""
    assert PASSWORD not in everywhere
    assert "wr0ng-password" not in everywhere


def test_reading_and_running_leave_no_connection_open(make: Callable[..., Study], server: str) -> None:
    import psycopg

    def connections() -> int:
        with psycopg.connect(server.replace("+psycopg", "")) as connection:
            count = "select count(*) from pg_stat_activity where usename = 'ann' and pid <> pg_backend_pid()"
            row = connection.execute(count).fetchone()
        return int(row[0]) if row else 0

    study = make("closed")
    before = connections()
    study.run(objective, trials=2, progress=False)
    for _ in range(5):
        assert len(study.trials) == 2
    assert connections() <= before
