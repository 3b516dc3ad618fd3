"""The scheduler, driven by messages: no worker, no process, no clock but the one it is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.study import StudyDirection

import leadline as ll
from leadline.search.ledger import Ledger
from leadline.search.scheduler import HOPELESS, Scheduler
from leadline.search.storage import JournalFile, Mirror
from leadline.search.strategies import Strategy
from leadline.trainers.messages import Broken, Close, Command, Decision, Ended, Go, Ready, Report, Start, Stop

HUNDRED = ll.Space(x=ll.Int(0, 99))
Make = Callable[..., Scheduler]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a scheduler of the same study anew at each call; it asks the pruner after epoch 2."""

    def scheduler(
        trials: int | None = None,
        seconds: float | None = None,
        space: ll.Space = HUNDRED,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> Scheduler:
        storage = JournalStorage(JournalFile(tmp_path / "journal.log"))
        mirror = Mirror.open(storage, "study", [StudyDirection.MAXIMIZE])
        ledger = Ledger(mirror, space, Strategy("grid", space), pruner or optuna.pruners.NopPruner(), 0)
        return Scheduler(ledger, lambda params: frozenset({2}), trials=trials, seconds=seconds)

    return scheduler


def started(commands: list[tuple[int, Command]]) -> list[tuple[int, int]]:
    """The workers and numbers of the trials that are begun."""
    return [(worker, command.number) for worker, command in commands if isinstance(command, Start)]


def states(scheduler: Scheduler) -> list[str]:
    return [trial.state for trial in scheduler.ledger.trials]


def complete(number: int) -> Ended:
    return Ended(number, "complete", "done", 1.0)


def test_a_worker_gets_as_many_trials_as_it_has_lanes_and_one_for_each_that_ends(make: Make) -> None:
    scheduler = make(trials=5)
    assert started(scheduler.handle(0, Ready(3, "cpu"))) == [(0, 0), (0, 1), (0, 2)]
    assert started(scheduler.handle(0, complete(1))) == [(0, 3)]
    assert started(scheduler.handle(0, complete(0))) == [(0, 4)]
    assert scheduler.handle(0, complete(2)) == [(0, Go())]
    assert scheduler.handle(0, complete(4)) == [(0, Go())]
    assert scheduler.handle(0, complete(3)) == [(0, Close())]
    assert (states(scheduler), scheduler.ended_by) == (["complete"] * 5, "trials")


def test_a_trial_is_told_its_configuration_and_its_rungs(make: Make) -> None:
    commands = make(trials=1).handle(0, Ready(1, "cpu"))
    assert commands == [(0, Start(0, {"x": 0}, frozenset({2}))), (0, Go())]


def test_two_workers_share_the_trials_and_each_is_closed_when_it_has_nothing_to_do(make: Make) -> None:
    scheduler = make(trials=3)
    assert started(scheduler.handle(0, Ready(1, "cpu"))) == [(0, 0)]
    assert started(scheduler.handle(1, Ready(1, "cpu"))) == [(1, 1)]
    assert started(scheduler.handle(1, complete(1))) == [(1, 2)]
    assert scheduler.handle(0, complete(0)) == [(0, Close())]
    assert scheduler.handle(1, complete(2)) == [(1, Close())]
    assert scheduler.closed == {0, 1}
    assert not scheduler.has_work


def test_a_worker_that_comes_when_all_is_begun_is_closed_at_once(make: Make) -> None:
    scheduler = make(trials=1)
    scheduler.handle(0, Ready(1, "cpu"))
    assert scheduler.handle(1, Ready(1, "cpu")) == [(1, Close())]


def test_the_study_has_exactly_as_many_trials_as_asked_for_however_often_it_is_run(make: Make) -> None:
    for trials in (2, 2, 5):
        scheduler = make(trials=trials)
        commands = scheduler.handle(0, Ready(2, "cpu"))
        while begun := started(commands):
            commands = [answer for _, number in begun for answer in scheduler.handle(0, complete(number))]
        assert len(scheduler.ledger.trials) == trials


def test_trials_left_running_go_first_with_their_numbers(make: Make) -> None:
    make(trials=6).handle(0, Ready(3, "cpu"))
    again = make(trials=6)
    assert again.has_work
    assert started(again.handle(0, Ready(4, "cpu"))) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert states(again) == ["running"] * 4 + ["waiting"] * 2


def test_trials_left_running_are_finished_even_where_the_study_has_had_all(make: Make) -> None:
    make(trials=2).handle(0, Ready(2, "cpu"))
    again = make(trials=1)
    assert started(again.handle(0, Ready(4, "cpu"))) == [(0, 0), (0, 1)]


def test_only_a_waiting_report_is_answered_with_the_pruners_word(make: Make) -> None:
    scheduler = make(trials=1, pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    scheduler.handle(0, Ready(1, "cpu"))
    assert scheduler.handle(0, Report(0, 1, 0.1)) == []
    assert scheduler.handle(0, Report(0, 2, 0.9, waits=True)) == [(0, Decision(0, prune=False))]
    assert scheduler.handle(0, Report(0, 3, 0.1, waits=True)) == [(0, Decision(0, prune=True))]


def test_what_an_answer_builds_on_is_durable_before_it_is_given(make: Make) -> None:
    scheduler = make(trials=2)
    scheduler.handle(0, Ready(1, "cpu"))
    scheduler.handle(0, Report(0, 2, 0.9, waits=True))
    assert make(trials=2).ledger.trials[0].curve == {2: 0.9}
    scheduler.handle(0, complete(0))
    assert states(make(trials=2)) == ["complete", "running"]


def test_when_the_time_is_up_every_trial_is_told_once_and_nothing_new_begins(make: Make) -> None:
    scheduler = make(seconds=3600)
    scheduler.handle(0, Ready(1, "cpu"))
    scheduler.handle(1, Ready(1, "cpu"))
    assert scheduler.tick() == []
    scheduler.deadline = time.monotonic()
    assert sorted(scheduler.tick(), key=str) == [(0, Stop(0)), (1, Stop(1))]
    assert scheduler.tick() == []
    assert scheduler.handle(0, Ended(0, "stopped", "the study's time was up", 0.5)) == [(0, Close())]
    assert (states(scheduler), scheduler.ended_by) == (["pruned", "running"], "minutes")


def test_the_time_may_be_up_before_the_first_trial(make: Make) -> None:
    scheduler = make(seconds=0)
    scheduler.tick()
    assert scheduler.handle(0, Ready(1, "cpu")) == [(0, Close())]
    assert scheduler.ledger.trials == []


def test_a_space_that_is_used_up_ends_the_study(make: Make) -> None:
    scheduler = make(space=ll.Space(x=ll.Int(0, 1)))
    assert len(started(scheduler.handle(0, Ready(8, "cpu")))) == 2
    assert scheduler.handle(0, complete(0)) == [(0, Go())]
    assert scheduler.handle(0, complete(1)) == [(0, Close())]
    assert scheduler.ended_by == "space"


def test_after_an_interrupt_nothing_new_begins_and_running_trials_stay_so(make: Make) -> None:
    scheduler = make(trials=9)
    scheduler.handle(0, Ready(2, "cpu"))
    scheduler.interrupt()
    assert started(scheduler.handle(0, complete(0))) == []
    assert (states(scheduler)[:2], scheduler.ended_by) == (["complete", "running"], "interrupt")
    assert set(states(scheduler)[2:]) == {"waiting"}
    assert not scheduler.has_work


def test_a_lost_worker_fails_the_trials_it_had_and_no_others(make: Make) -> None:
    scheduler = make(trials=4)
    scheduler.handle(0, Ready(2, "cpu"))
    scheduler.handle(1, Ready(1, "cpu"))
    scheduler.lost(0, "the worker process died: killed by signal 9 (SIGKILL)")
    assert states(scheduler) == ["failed", "failed", "running", "waiting"]
    assert "SIGKILL" in scheduler.ledger.trial(1).reason
    assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 3)], "the one that takes its place goes on"
    assert states(make(trials=4)) == ["failed", "failed", "running", "running"]


def fail(scheduler: Scheduler, commands: list[tuple[int, Command]]) -> int:
    """Fails every trial that is begun, until the scheduler has had enough; returns how many that were."""
    failed = 0
    while begun := started(commands):
        commands = []
        for worker, number in begun:
            failed += 1
            commands += scheduler.handle(worker, Ended(number, "failed", f"reason {number}"))
    return failed


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_study_whose_first_trials_all_fail_is_given_up_and_all_of_them_are_recorded(make: Make, lanes: int) -> None:
    scheduler = make(trials=50)
    with pytest.raises(ll.StudyFailed, match=f"the first {HOPELESS} trials all failed; the last one: reason"):
        fail(scheduler, scheduler.handle(0, Ready(lanes, "cpu")))
    assert states(make(trials=50)).count("failed") == HOPELESS


def test_one_complete_trial_is_hope_enough(make: Make) -> None:
    scheduler = make(trials=20)
    commands = scheduler.handle(0, Ready(1, "cpu"))
    assert fail(scheduler, scheduler.handle(0, complete(started(commands)[0][1]))) == 19


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_worker_that_dies_with_all_its_trials_again_and_again_is_given_up_too(make: Make, lanes: int) -> None:
    scheduler = make(trials=90)

    def die_often() -> None:
        for _ in range(30):
            scheduler.handle(0, Ready(lanes, "cpu"))
            scheduler.lost(0, "killed")

    with pytest.raises(ll.StudyFailed):
        die_often()


def test_a_worker_that_cannot_work_stops_the_study_with_its_problems(make: Make) -> None:
    scheduler = make(trials=2)
    with pytest.raises(ll.SettingsError, match="no data") as caught:
        scheduler.handle(0, Broken(["no data", "no model"]))
    assert len(caught.value.problems) == 2


def test_what_waits_in_line_counts_once_it_is_begun(make: Make) -> None:
    scheduler = make(trials=2)
    given: list[dict[str, Any]] = [{"x": 50}, {"x": 51}, {"x": 52}]
    scheduler.ledger.enqueue(given)
    commands = scheduler.handle(0, Ready(8, "cpu"))
    assert [command.params["x"] for _, command in commands if isinstance(command, Start)] == [50, 51]
    assert states(scheduler) == ["running", "running", "waiting"]
