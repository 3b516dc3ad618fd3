"""An objective of the user's own, driven by messages as a worker is."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from contracts.driver import Driver
from contracts.objectives import rising

import leadline as ll
from leadline.search.objective import Objective
from leadline.trainers.messages import AtRung, Close, Command, Decision, Ended, Event, Job, Ready, Report, Start, Stop

JOB = Job(seed=0, metric=None, maximize=True, device="cpu")


def ran(function: Callable[[ll.ActiveTrial], Any], x: float = 3.0, prune_at: int | None = None) -> Driver:
    """Runs one trial, pruning it after that epoch."""

    def answer(event: Event) -> list[Command]:
        match event:
            case Ready():
                return [Start(0, {"x": x})]
            case AtRung(epochs):
                return [Decision(number, "prune" if epoch == prune_at else "go") for number, epoch in epochs.items()]
            case _:
                return []

    driver = Driver(answer=answer)
    Objective(function).serve(JOB, driver)
    return driver


def test_it_takes_one_trial_at_a_time() -> None:
    assert ran(lambda trial: 1.0).events[0] == Ready(1, "cpu", os.getpid())


def test_what_it_returns_is_the_value() -> None:
    ended = ran(lambda trial: trial.params["x"] * 2).ended(0)
    assert (ended.outcome, ended.reason, ended.value) == ("complete", "the objective returned", 6.0)


def test_its_seconds_are_without_those_that_proposing_the_next_one_takes(plain: Callable[..., ll.Study]) -> None:
    study = plain()
    study.run(rising, trials=2, progress=False)
    for trial, frozen in zip(study.trials, study.optuna.trials, strict=True):
        assert trial.seconds == frozen.user_attrs["seconds"]
        assert frozen.duration is not None
        assert 0 < trial.seconds < frozen.duration.total_seconds()


def test_its_reports_wait_for_a_decision_and_count_their_epochs() -> None:
    driver = ran(rising)
    assert [(report.epoch, report.value) for report in driver.reports(0)] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert driver.waited(0) == [1, 2, 3]


def test_it_may_number_its_epochs_itself() -> None:
    def sparse(trial: ll.ActiveTrial) -> float:
        trial.report(1.0, epoch=10)
        trial.report(2.0)
        return 0.0

    assert [report.epoch for report in ran(sparse).reports(0)] == [10, 11]


def test_it_learns_that_it_should_be_pruned_and_ends_so_with_its_last_value() -> None:
    def careful(trial: ll.ActiveTrial) -> float:
        for value in (0.5, 0.4, 0.3):
            trial.report(value)
            if trial.should_prune():
                raise ll.Pruned
        return 1.0

    ended = ran(careful, prune_at=2).ended(0)
    assert (ended.outcome, ended.value) == ("pruned", 0.4)


def test_it_may_go_on_though_it_should_be_pruned() -> None:
    assert ran(rising, prune_at=1).ended(0).outcome == "complete"


@pytest.mark.parametrize("returned", [None, "text", [1.0], {}])
def test_what_is_no_number_fails_the_trial(returned: Any) -> None:
    ended = ran(lambda trial: returned).ended(0)
    assert (ended.outcome, ended.value) == ("failed", None)
    assert "float()" in ended.reason or "could not convert" in ended.reason


def test_what_it_raises_fails_the_trial_with_the_place_and_the_traceback() -> None:
    def broken(trial: ll.ActiveTrial) -> float:
        return 1 / 0

    ended = ran(broken).ended(0)
    assert ended.outcome == "failed"
    assert ended.reason.startswith("ZeroDivisionError: division by zero (test_objective.py:")
    assert "return 1 / 0" in ended.facts["traceback"]


@pytest.mark.parametrize("raised", [SystemExit, BaseException])
def test_what_would_end_the_process_fails_the_trial_with_the_place(raised: type[BaseException]) -> None:
    def ending(trial: ll.ActiveTrial) -> float:
        raise raised("of its own")

    ended = ran(ending).ended(0)
    assert ended.outcome == "failed"
    assert ended.reason.startswith(f"RuntimeError: the code raised {raised.__name__}: of its own (test_objective.py:")
    assert "in ending" in ended.facts["traceback"]


def test_it_cannot_change_what_the_study_holds_of_its_configuration() -> None:
    params = {"x": 3.0}

    def careless(trial: ll.ActiveTrial) -> float:
        trial.params["x"] = -1.0
        return 0.0

    Objective(careless).serve(JOB, Driver(Start(0, params)))
    assert params == {"x": 3.0}


def test_it_ends_when_the_driver_closes() -> None:
    driver = Driver(Close())
    Objective(rising).serve(JOB, driver)
    assert driver.events == [Ready(1, "cpu", os.getpid())]


def test_a_driver_that_closes_in_the_midst_of_a_trial_hears_of_no_end_so_that_it_stays_running() -> None:
    def careful(trial: ll.ActiveTrial) -> float:
        trial.report(0.5)
        raise AssertionError("the objective goes on")

    driver = Driver(Start(0, {}), answer=lambda event: [Close()] if isinstance(event, Report) else [])
    Objective(careful).serve(JOB, driver)
    assert not [event for event in driver.events if isinstance(event, Ended)]


def test_a_stop_that_comes_before_the_decision_ends_the_trial_at_its_report_and_no_answer_is_lost() -> None:
    told: list[bool] = []

    def careful(trial: ll.ActiveTrial) -> float:
        trial.report(0.5)
        told.append(trial.should_prune())
        raise ll.Pruned

    answer = [Stop(0), Decision(0, "go")]
    driver = Driver(Start(0, {}), answer=lambda event: list(answer) if isinstance(event, Report) else [])
    Objective(careful).serve(JOB, driver)
    assert told == [True]
    assert [event.outcome for event in driver.events if isinstance(event, Ended)] == ["stopped"]


def test_only_what_another_process_can_import_travels() -> None:
    assert Objective(rising).travels
    assert not Objective(lambda trial: 1.0).travels
    assert pickle.loads(pickle.dumps(Objective(rising))).function is rising
