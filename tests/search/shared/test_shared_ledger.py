"""Drivers of one study, here in one process: what each sees of the others, and what none of them does twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

import leadline as ll
from leadline.search.shared import leases
from leadline.search.shared import mirror as shared_mirror
from leadline.search.study import Study

pytestmark = [
    pytest.mark.usefixtures("closed_at_once"),
    pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning"),  # of `optuna.load_study`
    pytest.mark.filterwarnings("ignore:.*BaseConnection.__del__:pytest.PytestUnraisableExceptionWarning"),
]


def value_of(trial: ll.ActiveTrial) -> float:
    return trial.params["width"] + trial.params["depth"] / 10


@pytest.fixture
def make(postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Study]]:
    """Makes drivers of the test's own study, of 12 configurations."""
    monkeypatch.chdir(tmp_path)
    made: list[Study] = []
    name = f"shared-{uuid.uuid4().hex}"

    def study(**options: Any) -> Study:
        space = ll.Space(depth=ll.Int(1, 4), width=ll.Choice([8, 16, 32]))
        options = {"strategy": "random", "storage": postgresql.url, "mlflow": None, **options}
        made.append(Study(name, space, **options))
        return made[-1]

    yield study
    for each in made:
        each.close()


@pytest.fixture
def ask_database(postgresql: Any) -> Callable[..., list[Any]]:
    def ask(question: str, *values: Any) -> list[Any]:
        with psycopg.connect(postgresql.url.replace("+psycopg", ""), autocommit=True) as connection:
            cursor = connection.execute(question, values)
            return cursor.fetchall() if cursor.description else []

    return ask


@pytest.mark.parametrize("strategy", ["random", "grid", "tpe"])
def test_two_drivers_in_turn_have_each_configuration_once_and_numbers_without_gaps(
    make: Callable[..., Study], strategy: str
) -> None:
    drivers = [make(strategy=strategy), make(strategy=strategy)]
    for index in range(12):
        driver = drivers[index % 2]
        trial = driver.ask()
        assert trial.number == index
        driver.tell(trial, value_of(trial))
    with pytest.raises(ll.SpaceExhausted):
        drivers[0].ask()
    assert len({(t.params["depth"], t.params["width"]) for t in make().trials}) == 12


def test_a_driver_knows_what_another_told_when_it_proposes(make: Callable[..., Study]) -> None:
    first, second = make(), make()
    second.ask()
    told = first.tell(first.ask(), 0.5)
    second.ask()
    assert second.trials[told.number].value == 0.5


def test_the_budget_waits_in_optunas_study_and_is_not_among_ours(make: Callable[..., Study], postgresql: Any) -> None:
    study = make()
    with study._writing() as ledger:
        ledger.reserve(5)
        ledger.reserve(5)
        assert study.trials == []
    plain = optuna.load_study(study_name=study.name, storage=postgresql.url)
    assert [trial.state.name for trial in plain.trials] == ["WAITING"] * 5
    assert make().trials == []


def test_no_more_trials_wait_than_a_finite_space_has_configurations(
    make: Callable[..., Study], postgresql: Any
) -> None:
    study = make().run(value_of, trials=20, progress=False)
    assert (len(study.trials), study.ended_by) == (12, "space")
    plain = optuna.load_study(study_name=study.name, storage=postgresql.url)
    assert {trial.state.name for trial in plain.trials} == {"COMPLETE"}


def test_runs_of_two_drivers_share_one_budget(make: Callable[..., Study]) -> None:
    make().run(value_of, trials=4, progress=False)
    study = make().run(value_of, trials=6, progress=False)
    assert [trial.number for trial in study.trials] == [*range(6)]
    assert make().run(value_of, trials=6, progress=False).ended_by == "trials"
    assert len(study.trials) == 6


def test_what_is_put_in_line_comes_before_what_the_budget_has_waiting(make: Callable[..., Study]) -> None:
    make().run(value_of, trials=2, target=0.0, progress=False)
    wanted = {"depth": 4, "width": 32}
    study = make().enqueue(wanted)
    number = len(study.trials) - 1
    study.run(value_of, trials=6, progress=False)
    assert wanted in [trial.params for trial in study.trials[: number + 1]]
    assert len(study.trials) == 6


def test_another_program_that_takes_a_trial_of_the_budget_has_it(make: Callable[..., Study], postgresql: Any) -> None:
    study = make()
    with study._writing() as ledger:
        ledger.reserve(4)
        other = optuna.load_study(study_name=study.name, storage=postgresql.url)
        taken = other.ask()
        other.tell(taken, 1.0)
        assert ledger.propose().number == 1
    assert taken.number == 0


def test_a_driver_whose_lease_ran_out_is_told_and_has_written_nothing(
    make: Callable[..., Study], ask_database: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper, other = make(), make()
    trial = sleeper.ask()
    with sleeper._writing() as asleep:
        assert asleep.holds()
    with other._writing() as ledger:
        ledger.refresh(now=True)
        assert not ledger.orphaned
        with monkeypatch.context() as patch:
            patch.setattr(leases, "LEASE", 0.0)  # else it holds on, as the server has just been started
            ask_database("UPDATE leadline_drivers SET expires = now() - interval '1 hour'")
            ledger.refresh(now=True)
        assert [taken.number for taken in ledger.take_up()] == [trial.number]
        assert not asleep.holds()
        with pytest.raises(ll.StudyError, match=r"gave no sign of life .* so process \d+ on .* took its trials over"):
            sleeper.tell(trial, 99.0)
        ledger.refresh(now=True)
        assert ledger.trial(trial.number).state == "running"
        ledger.end(trial.number, "complete", 1.0)
        ledger.commit()
    assert make().trials[trial.number].value == 1.0


def test_leases_outlive_a_server_that_was_away(
    make: Callable[..., Study], ask_database: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(), make()
    trial = first.ask()
    with second._writing() as ledger, monkeypatch.context() as patch:
        patch.setattr(leases, "LEASE", 86_400.0)  # the server was started later than so long ago
        ask_database("UPDATE leadline_drivers SET expires = now() - interval '1 hour'")
        ledger.refresh(now=True)
        assert not ledger.orphaned
    first.tell(trial, 1.0)


def test_a_driver_that_was_away_itself_takes_nobody_for_dead_at_once(
    make: Callable[..., Study], ask_database: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(leases, "time", clock)
    first, second = make(), make()
    first.ask()
    with second._writing() as ledger:
        monkeypatch.setattr(leases, "LEASE", 1e-3)  # else it holds on, as the server has just been started
        ask_database("UPDATE leadline_drivers SET expires = now() - interval '1 hour'")
        clock.now += 60.0
        ledger.refresh(now=True)
        assert not ledger.orphaned
        for _ in range(2):
            clock.now += 0.6e-3
            ledger.refresh(now=True)
        assert ledger.orphaned


def test_a_driver_that_leaves_gives_its_running_trials_away_at_once(make: Callable[..., Study]) -> None:
    leaving = make()
    left = leaving.ask()
    leaving.close()
    study = make().run(value_of, trials=3, progress=False)
    assert [trial.state for trial in study.trials] == ["complete"] * 3
    assert study.trials[left.number].params == left.params


@contextmanager
def answers_lost(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Has the answer to each transaction's commit be lost once."""
    real, lost = shared_mirror.transaction, [0]

    @contextmanager
    def transaction(*arguments: Any) -> Iterator[Any]:
        with real(*arguments) as connection:
            yield connection
        lost[0] += 1
        if lost[0] % 2:
            raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    with monkeypatch.context() as patch:
        patch.setattr(shared_mirror, "transaction", transaction)
        yield lost


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    make: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make()
    study.tell(study.ask(), 0.0)
    with answers_lost(monkeypatch) as lost:
        for _ in range(3):
            trial = study.ask()
            study.tell(trial, value_of(trial))
    assert lost[0] >= 6
    assert [trial.number for trial in make().trials] == [0, 1, 2, 3]
    assert {trial.state for trial in make().trials} == {"complete"}


def test_a_connection_that_is_ended_is_made_again(
    make: Callable[..., Study], ask_database: Callable[..., list[Any]]
) -> None:
    study = make()
    for _ in range(3):
        trial = study.ask()
        ask_database(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann' AND pid <> pg_backend_pid()"
        )
        study.tell(trial, value_of(trial))
    assert [trial.state for trial in make().trials] == ["complete"] * 3


def test_one_driver_leads_and_the_next_does_when_it_has_left(make: Callable[..., Study]) -> None:
    first, second = make(), make()
    leading: list[str] = []
    with second._writing():
        pass
    with first._writing() as one:
        one.refresh(now=True)
        with second._writing() as two:
            two.when_leading(lambda: leading.append("second"))
            two.refresh(now=True)
            assert (one.leads, two.leads, leading) == (True, False, [])
            first.close()
            two.refresh(now=True)
            assert (two.leads, leading) == (True, ["second"])


def test_two_drivers_with_paused_trials_do_not_wait_for_each_other(make: Callable[..., Study]) -> None:
    first, second = make(), make()
    trials = [first.ask(), second.ask()]
    with first._writing() as one, second._writing() as two:
        assert one.stays()
        assert two.stays()
        for ledger, trial in zip((one, two), trials, strict=True):
            ledger.pause(trial.number, {})
            ledger.commit()
        assert one.stays(), "the one that leads takes up what the other leaves paused"
        two.stays()  # sees when the first one gave a sign of life
        one.refresh(now=True)
        assert not two.stays()
        second.close()
        assert not one.stays()
        assert [trial.number for trial in one.paused] == [0, 1]


def test_a_population_has_one_driver(make: Callable[..., Study]) -> None:
    trainer = ll.Trainer("mlp", data="digits", epochs=16)
    with make(trainer=trainer, strategy="pbt")._writing():
        second = make(trainer=trainer, strategy="pbt")
        with pytest.raises(ll.SettingsError, match=r"is being run by process \d+ on .*, and `pbt` needs one driver"):
            second.enqueue({"depth": 1, "width": 8})


def test_a_driver_with_other_settings_is_refused(make: Callable[..., Study]) -> None:
    with make()._writing():
        second = make(seed=1)
        with pytest.raises(ll.SettingsError, match="exists with other settings: `seed` is 0 there, 1 here"):
            second.ask()
