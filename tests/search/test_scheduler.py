"""The scheduler, driven by messages: no worker, no process, no clock but the one it is given."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.study import StudyDirection

import leadline as ll
from leadline.search.budget import Budget
from leadline.search.ledger import Ledger
from leadline.search.pruners import make_pruner
from leadline.search.scheduler import HOPELESS, SHARING, Scheduler
from leadline.search.storage import JournalFile, Mirror
from leadline.search.strategies import Strategy
from leadline.search.watch import Watch
from leadline.trainers.messages import (
    Adopt,
    AtRung,
    AtWork,
    Broken,
    Close,
    Command,
    Decision,
    Ended,
    Go,
    Planned,
    Ready,
    Report,
    Start,
    Stop,
    Unfit,
)
from leadline.trainers.time_limits import TimeLimits

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
        ledger = Ledger(mirror, space, Strategy("grid", space), make_pruner(pruner or "none", None), 0)
        budget = Budget(trials, None if seconds is None else seconds / 60)
        return Scheduler(ledger, lambda number, params: frozenset({2}), budget=budget)

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


def test_only_a_trial_at_a_rung_is_answered_with_the_pruners_word(make: Make) -> None:
    scheduler = make(trials=1, pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    scheduler.handle(0, Ready(1, "cpu"))
    assert scheduler.handle(0, Report(0, 1, 0.1)) == []
    assert scheduler.handle(0, Report(0, 2, 0.9), AtRung({0: 2})) == [(0, Decision(0, "go"))]
    assert scheduler.handle(0, Report(0, 3, 0.1), AtRung({0: 3})) == [(0, Decision(0, "prune"))]


def test_what_an_answer_builds_on_is_durable_before_it_is_given(make: Make) -> None:
    scheduler = make(trials=2)
    scheduler.handle(0, Ready(1, "cpu"))
    scheduler.handle(0, Report(0, 2, 0.9), AtRung({0: 2}))
    assert make(trials=2).ledger.trials[0].curve == {2: 0.9}
    scheduler.handle(0, complete(0))
    assert states(make(trials=2)) == ["complete", "running"]


def test_what_several_workers_say_is_made_durable_together(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler, waits = make(trials=4), list[int]()
    assert started(scheduler.handle_all([(0, [Ready(1, "cpu")]), (1, [Ready(1, "cpu")])])) == [(0, 0), (1, 1)]
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (waits.append(descriptor), fsync(descriptor))[1])
    assert started(scheduler.handle_all([(1, [complete(1)]), (0, [complete(0)])])) == [(1, 2), (0, 3)]
    assert len(waits) == 1
    assert states(make(trials=4)) == ["complete", "complete", "running", "running"]


def test_when_the_time_is_up_every_trial_is_told_once_and_nothing_new_begins(make: Make) -> None:
    scheduler = make(seconds=3600)
    scheduler.handle(0, Ready(1, "cpu"))
    scheduler.handle(1, Ready(1, "cpu"))
    assert scheduler.tick() == []
    scheduler.since -= 3600
    reason = "the study ended: its time is up"
    assert sorted(scheduler.tick(), key=str) == [(0, Stop(0, reason)), (1, Stop(1, reason))]
    assert scheduler.tick() == []
    assert scheduler.handle(0, Ended(0, "stopped", reason, 0.5)) == [(0, Close())]
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


def test_the_trials_of_a_lost_worker_are_taken_up_again_each_by_itself_and_once(make: Make) -> None:
    scheduler = make(trials=4)
    scheduler.handle(0, Ready(2, "cpu"))
    scheduler.handle(1, Ready(1, "cpu"))
    scheduler.lost(0, "the worker process died: killed by signal 9 (SIGKILL)")
    assert states(scheduler) == ["running", "running", "running", "waiting"]
    assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 0)], "by itself, though there is a lane for another"
    assert scheduler.handle(0, complete(0))[0] == (0, Start(1, {"x": 1}, frozenset({2})))
    scheduler.lost(0, "the worker process died: exit status 3")
    assert states(scheduler) == ["complete", "failed", "running", "waiting"]
    failed = scheduler.ledger.trial(1)
    assert failed.reason == "the worker process died: exit status 3"
    assert failed.faults == ("after epoch 0: the worker process died: killed by signal 9 (SIGKILL)",)
    assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 3)], "the one that takes its place goes on"


def test_only_the_trials_that_a_lost_worker_was_at_are_to_blame(make: Make) -> None:
    scheduler = make(trials=3)
    scheduler.handle(0, Ready(3, "cpu"))
    scheduler.handle(0, AtWork([0]), Report(0, 1, 0.5), Ended(0, "complete", "done", 0.5), AtWork([2]))
    scheduler.lost(0, "killed")
    assert [trial.faults for trial in scheduler.ledger.trials] == [(), (), ("after epoch 0: killed",)]
    assert started(scheduler.handle(0, Ready(3, "cpu"))) == [(0, 1)]
    assert scheduler.handle(0, complete(1))[0] == (0, Start(2, {"x": 2}, frozenset({2})))


def test_no_trial_is_to_blame_for_a_machine_that_is_gone(make: Make) -> None:
    scheduler = make(trials=2)
    for _ in range(5):
        assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 0), (0, 1)]
        scheduler.handle(0, AtWork([0, 1]))
        scheduler.lost(0, "its node is gone", blameless=True)
    assert all(not trial.faults for trial in scheduler.ledger.trials)


def test_memory_that_runs_out_is_the_matter_of_all_that_a_worker_holds(make: Make) -> None:
    scheduler = make(trials=2)
    scheduler.handle(0, Ready(2, "cpu"), AtWork([1]))
    scheduler.lost(0, "out of memory: killed", memory=True)
    assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 0)]


def test_a_trial_that_takes_all_memory_by_itself_has_failed(make: Make) -> None:
    scheduler = make(trials=1)
    scheduler.handle(0, Ready(1, "cpu"), AtWork([0]))
    scheduler.lost(0, "out of memory: killed", memory=True)
    assert scheduler.ledger.trial(0).reason == "out of memory: killed"


def test_a_trial_that_found_no_memory_beside_others_is_tried_once_more_without_them(make: Make) -> None:
    scheduler = make(trials=3)
    scheduler.handle(0, Ready(2, "cpu"))
    full = Ended(1, "failed", "out of memory: 2 GB", beside_others=True)
    assert started(scheduler.handle(0, full)) == [], "the other one is still there"
    assert started(scheduler.handle(0, complete(0))) == [(0, 1)]
    scheduler.handle(0, full)
    assert (states(scheduler)[1], scheduler.ledger.trial(1).reason) == ("failed", "out of memory: 2 GB")


def test_a_trial_goes_on_on_another_device_than_the_one_that_failed(make: Make) -> None:
    scheduler = make(trials=9)
    scheduler.handle(0, Ready(1, "cuda:0"))
    scheduler.handle(1, Ready(1, "cuda:1"))
    scheduler.handle(0, AtWork([0]), Unfit("cuda:0 failed: CUDA error"))
    assert started(scheduler.handle(0, Ready(1, "cuda:0"))) == [(0, 2)]
    assert started(scheduler.handle(1, complete(1))) == [(1, 0)]


def test_a_second_chance_that_was_taken_is_not_had_again_after_a_crash_of_the_driver(make: Make) -> None:
    scheduler = make(trials=2)
    scheduler.handle(0, Ready(2, "cpu"), AtWork([0]))
    scheduler.lost(0, "killed")
    again = make(trials=2)
    assert started(again.handle(0, Ready(2, "cpu"))) == [(0, 0)], "by itself"
    again.lost(0, "killed again")
    assert again.ledger.trial(0).reason == "killed again"


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timed(make: Make) -> Callable[..., tuple[Scheduler, Clock]]:
    """Makes a scheduler with limits of time, and the clock that it looks at."""

    def scheduler(**limits: float) -> tuple[Scheduler, Clock]:
        made, clock = make(trials=3), Clock()
        made.watch = Watch(TimeLimits(**limits), clock)
        return made, clock

    return scheduler


Timed = Callable[..., tuple[Scheduler, Clock]]


def test_a_trial_that_does_not_come_back_from_an_epoch_has_failed_and_its_neighbours_go_on(timed: Timed) -> None:
    scheduler, clock = timed(epoch_seconds=60)
    scheduler.handle(0, Ready(2, "cpu"), AtWork([1]))
    clock.now = 59
    assert scheduler.overdue([0]) == []
    clock.now = 61
    assert scheduler.overdue([0]) == [0]
    scheduler.lost(0, "killed by signal 9")
    reason = "time limit: `epoch_seconds <= 60` must hold, but epoch 1 has taken 61 s"
    assert [(trial.state, trial.reason) for trial in scheduler.ledger.trials[:2]] == [
        ("running", ""),
        ("failed", reason),
    ]
    assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 0), (0, 2)], "beside others, as it was"
    assert not scheduler.ledger.trial(0).faults


def test_of_a_stack_that_does_not_come_back_each_trial_is_tried_by_itself(timed: Timed) -> None:
    scheduler, clock = timed(epoch_seconds=60)
    scheduler.handle(0, Ready(2, "cpu"), AtWork([0, 1]))
    clock.now = 100  # 50 s each
    assert scheduler.overdue([0]) == []
    clock.now = 130
    assert scheduler.overdue([0]) == [0]
    scheduler.lost(0, "killed by signal 9")
    assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 0)]
    assert scheduler.ledger.trial(1).faults[0].startswith("after epoch 0: time limit: `epoch_seconds <= 60`")


def test_a_trials_time_is_that_of_its_epochs_and_not_of_its_waiting(timed: Timed) -> None:
    scheduler, clock = timed(seconds=100)
    scheduler.handle(0, Ready(1, "cpu"), AtWork([0]))
    clock.now = 40
    scheduler.handle(0, Report(0, 1, 0.5, {"seconds": 40.0}), AtRung({0: 1}))
    clock.now = 1000
    assert scheduler.overdue([0]) == []
    scheduler.handle(0, AtWork([0]))
    clock.now = 1059
    assert scheduler.overdue([0]) == []
    clock.now = 1061
    assert scheduler.overdue([0]) == [0]
    scheduler.lost(0, "killed")
    reason = "time limit: `seconds <= 100` must hold, but it has trained 101 s"
    assert scheduler.ledger.trial(0).reason == reason


def test_a_trial_taken_up_again_has_no_more_time_than_it_had(timed: Timed) -> None:
    first, _ = timed()
    first.handle(0, Ready(1, "cpu"), AtWork([0]), Report(0, 1, 0.5, {"seconds": 90.0}))
    first.ledger.commit()
    scheduler, clock = timed(seconds=100)
    scheduler.handle(0, Ready(1, "cpu"), AtWork([0]))
    clock.now = 11
    assert scheduler.overdue([0]) == [0]


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


# Structures and groups


WIDE = ll.Space(depth=ll.Int(1, 3), x=ll.Float(0, 1))


@pytest.fixture
def grouping(tmp_path: Path) -> Make:
    """Makes a scheduler of a study whose trials share a stack where `depth` is the same; deeper ones take longer."""

    def scheduler(
        strategy: Any = "random", trials: int | None = None, name: str = "study", space: ll.Space = WIDE
    ) -> Scheduler:
        storage = JournalStorage(JournalFile(tmp_path / f"{name}.log"))
        mirror = Mirror.open(storage, name, [StudyDirection.MAXIMIZE])
        ledger = Ledger(mirror, space, Strategy(strategy, space), make_pruner("none", None), 0)
        return Scheduler(
            ledger,
            structure=lambda params: {"depth": params["depth"]},
            weight=lambda params: int(params["depth"]),
            budget=Budget(trials),
        )

    return scheduler


def starts(commands: list[tuple[int, Command]]) -> list[Start]:
    return [command for _, command in commands if isinstance(command, Start)]


def good(start: Start) -> Ended:
    """A trial that ends better the greater its `x` is."""
    return Ended(start.number, "complete", "done", start.params["x"])


def played(scheduler: Scheduler, lanes: int, end: Callable[[Start], Ended] = good) -> list[Start]:
    """Plays a study with one worker whose trials end in the order they began; returns them in that order."""
    begun = list(starts(scheduler.handle(0, Ready(lanes, "cpu"))))
    for start in begun:  # which grows
        begun += starts(scheduler.handle(0, end(start)))
    return begun


def configurations(scheduler: Scheduler) -> dict[int, dict[str, Any]]:
    return {trial.number: trial.params for trial in scheduler.ledger.trials}


@pytest.mark.parametrize("strategy", ["random", {"name": "grid", "points": 4}], ids=["random", "grid"])
def test_a_strategy_that_does_not_learn_is_grouped_without_changing_which_trials_are_run(
    grouping: Make, strategy: Any
) -> None:
    played(plain := grouping(strategy, trials=12, name="plain"), lanes=1)
    begun = played(grouped := grouping(strategy, trials=12, name="grouped"), lanes=4)
    assert configurations(grouped) == configurations(plain)
    assert sorted(start.number for start in begun) == list(range(12))
    assert [start.number for start in begun] != list(range(12))
    assert states(grouped) == ["complete"] * 12


def test_the_longest_groups_go_first_and_trials_in_each_by_number(grouping: Make) -> None:
    begun = starts(grouping(trials=30).handle(0, Ready(4, "cpu")))
    scheduler = grouping(trials=30, name="again")
    scheduler.handle(0, Ready(4, "cpu"))
    work: dict[int, int] = {}
    for params in configurations(scheduler).values():
        work[params["depth"]] = work.get(params["depth"], 0) + params["depth"]
    longest = max(work, key=lambda depth: work[depth])
    assert {start.params["depth"] for start in begun} == {longest}
    numbers = [start.number for start in begun]
    assert numbers == [n for n, params in configurations(scheduler).items() if params["depth"] == longest][:4]


def test_a_lane_that_is_free_takes_a_trial_of_the_structures_that_are_running(grouping: Make) -> None:
    begun = played(grouping(trials=40), lanes=4)
    depths = [start.params["depth"] for start in begun]
    changes = sum(one != other for one, other in pairwise(depths))
    plain = [params["depth"] for _, params in sorted(configurations(grouping(trials=40)).items())]
    assert changes < sum(one != other for one, other in pairwise(plain)) / 2


THREES = ll.Space(x=ll.Int(0, 29))


def in_threes(make: Make, trials: int) -> Scheduler:
    """A grid whose trials come in structures of three: 0, 1, 2; 3, 4, 5; ..."""
    scheduler = make(trials=trials, space=THREES)
    scheduler.structure = lambda params: {"group": params["x"] // 3}
    return scheduler


def test_a_new_stack_is_begun_only_where_half_of_a_groups_lanes_are_free(make: Make) -> None:
    scheduler = in_threes(make, trials=30)
    assert started(scheduler.handle(0, Ready(4, "cpu"))) == [(0, 0), (0, 1), (0, 2)], "one lane is left"
    assert started(scheduler.handle(0, complete(0))) == [(0, 3), (0, 4)], "two lanes are: half of four"
    assert started(scheduler.handle(0, complete(1))) == [(0, 5)], "one that fits"
    assert started(scheduler.handle(0, complete(2))) == []
    assert started(scheduler.handle(0, complete(3))) == [(0, 6), (0, 7)]


def test_a_worker_with_nothing_to_do_begins_whatever_there_is(make: Make) -> None:
    scheduler = in_threes(make, trials=1)
    assert started(scheduler.handle(0, Ready(64, "cpu"))) == [(0, 0)]


def test_each_worker_has_structures_of_its_own(make: Make) -> None:
    scheduler = in_threes(make, trials=30)
    assert started(scheduler.handle(0, Ready(2, "cpu"))) == [(0, 0), (0, 1)]
    assert started(scheduler.handle(1, Ready(3, "cpu")))[:1] == [(1, 3)]
    assert started(scheduler.handle(0, complete(0))) == [(0, 2)]


def test_a_worker_that_is_ready_again_with_more_lanes_gets_as_many_trials_more(grouping: Make) -> None:
    scheduler = grouping(trials=60)
    (first,) = starts(scheduler.handle(0, Ready(1, "cpu")))
    scheduler.handle(0, Planned("some", "fused", 8, "faster"))
    commands = scheduler.handle(0, Ready(8, "cpu"))
    assert len(starts(commands)) == 7
    assert commands[-1] == (0, Go())
    assert {start.params["depth"] for start in starts(commands)} == {first.params["depth"]}


# What is asked ahead waits


def test_what_was_asked_ahead_is_taken_up_by_the_next_run(grouping: Make) -> None:
    played(undisturbed := grouping(trials=30, name="undisturbed"), lanes=4)
    scheduler = grouping(trials=30)
    running = starts(scheduler.handle(0, Ready(4, "cpu")))
    scheduler.handle(0, good(running[0]))
    scheduler.interrupt()
    assert states(scheduler).count("waiting") > 4
    again = grouping(trials=30)
    assert sorted(start.number for start in played(again, lanes=4)) == [n for n in range(30) if n != running[0].number]
    assert configurations(again) == configurations(undisturbed)
    assert states(again) == ["complete"] * 30


@pytest.mark.parametrize("budgets", [(20, 6), (6, 20), (20, 20), (3, 9, 4, 12)])
def test_what_waits_never_exceeds_the_budget(grouping: Make, budgets: tuple[int, ...]) -> None:
    most = 0
    for budget in budgets:
        scheduler = grouping(trials=budget)
        scheduler.handle(0, Ready(2, "cpu"))
        scheduler.interrupt()  # begun, and with more asked for ahead
        begun = len([state for state in states(scheduler) if state != "waiting"])
        most = max(most, budget)
        assert begun <= most
        played(again := grouping(trials=budget), lanes=2)
        assert states(again).count("complete") == most
        assert not again.has_work


def test_a_smaller_budget_leaves_the_rest_in_line(grouping: Make) -> None:
    scheduler = grouping(trials=30)
    running = starts(scheduler.handle(0, Ready(2, "cpu")))
    scheduler.interrupt()
    played(smaller := grouping(trials=5), lanes=2)
    assert states(smaller).count("complete") == 5
    assert {"complete", "waiting"} == set(states(smaller))
    assert all(smaller.ledger.trial(start.number).state == "complete" for start in running)
    played(whole := grouping(trials=30), lanes=2)
    assert states(whole) == ["complete"] * 30


def test_where_time_is_the_budget_no_more_is_asked_ahead_than_there_are_lanes(grouping: Make) -> None:
    scheduler = grouping()
    scheduler.budget = Budget(minutes=60)
    scheduler.handle(0, Ready(4, "cpu"))
    assert len(states(scheduler)) <= 2 * 4


# A strategy that learns


def in_order(scheduler: Scheduler) -> list[int]:
    return [trial.params["depth"] for trial in scheduler.ledger.trials]


def test_a_strategy_that_learns_is_asked_for_a_structure_and_then_for_more_of_it(grouping: Make) -> None:
    played(scheduler := grouping({"name": "tpe", "startup": 4}, trials=40), lanes=8)
    depths = in_order(scheduler)
    groups = [depths[at : at + SHARING] for at in range(0, 40, SHARING)]
    assert all(len(set(group)) == 1 for group in groups)
    assert len(set(depths)) > 1
    assert len({trial.params["x"] for trial in scheduler.ledger.trials}) == 40


def test_a_group_is_no_larger_than_the_worker(grouping: Make) -> None:
    played(scheduler := grouping({"name": "tpe", "startup": 4}, trials=40), lanes=2)
    depths = in_order(scheduler)
    assert all(depths[at] == depths[at + 1] for at in range(0, 40, 2))
    assert any(depths[at] != depths[at + 2] for at in range(0, 38, 2))


def test_a_strategy_that_learns_is_asked_for_no_more_than_what_begins(grouping: Make) -> None:
    scheduler = grouping("tpe", trials=40)
    scheduler.handle(0, Ready(6, "cpu"))
    assert states(scheduler).count("waiting") == 0


class Recording(optuna.samplers.RandomSampler):
    """Notes, at each proposal, how many trials have ended and how many are running."""

    def __init__(self) -> None:
        super().__init__(0)
        self.seen: list[tuple[int, int]] = []

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        known = study.get_trials(deepcopy=False)
        ended = sum(other.state.is_finished() for other in known)
        running = sum(other.state == optuna.trial.TrialState.RUNNING for other in known) - 1
        self.seen.append((ended, running))


def test_a_strategy_that_learns_sees_what_has_ended_and_what_is_running(grouping: Make) -> None:
    sampler = Recording()
    played(grouping(sampler, trials=6), lanes=2)
    assert sampler.seen == [(0, 0), (0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]


@pytest.mark.parametrize("strategy", ["random", {"name": "tpe", "startup": 4}], ids=["random", "tpe"])
def test_with_one_lane_it_is_the_plain_sequential_study(grouping: Make, strategy: Any) -> None:
    begun = played(scheduler := grouping(strategy, trials=16), lanes=1)
    assert [start.number for start in begun] == list(range(16))
    plain = grouping(strategy, trials=16, name="plain").ledger
    for number in range(16):
        trial = plain.propose()
        plain.end(number, "complete", trial.params["x"])
    assert configurations(scheduler) == {trial.number: trial.params for trial in plain.trials}


def test_the_same_study_played_twice_is_the_same(grouping: Make) -> None:
    strategy = {"name": "tpe", "startup": 4}
    once, twice = (played(grouping(strategy, trials=24, name=name), lanes=8) for name in ("once", "twice"))
    assert once == twice


def test_an_interrupted_study_of_a_strategy_that_learns_has_no_more_trials_than_asked_for(grouping: Make) -> None:
    strategy = {"name": "tpe", "startup": 4}
    scheduler = grouping(strategy, trials=12)
    for start in starts(scheduler.handle(0, Ready(5, "cpu")))[:2]:
        scheduler.handle(0, good(start))
    scheduler.interrupt()
    played(again := grouping(strategy, trials=12), lanes=5)
    assert states(again) == ["complete"] * 12


def complete_one(start: Start) -> Ended:
    return Ended(start.number, "complete", "done", float(start.number))


def test_what_tells_structures_apart_by_its_kind_alone_is_left_to_the_strategy(tmp_path: Path) -> None:
    space = ll.Space(depth=ll.Int(1, 3), mixup=ll.Float(0, 1))
    mirror = Mirror.open(JournalStorage(JournalFile(tmp_path / "log")), "study", [StudyDirection.MAXIMIZE])
    ledger = Ledger(mirror, space, Strategy("tpe", space), make_pruner("none", None), 0)
    scheduler = Scheduler(
        ledger,
        structure=lambda params: {"depth": params["depth"], "mixup": params["mixup"] > 0},
        budget=Budget(8),
    )
    begun = played(scheduler, 4, end=complete_one)
    assert len({start.params["mixup"] for start in begun}) == 8


def test_where_a_structure_is_used_up_others_go_on(tmp_path: Path) -> None:
    space = ll.Space(depth=ll.Int(1, 5), act=ll.Choice(["a", "b"]))
    mirror = Mirror.open(JournalStorage(JournalFile(tmp_path / "log")), "study", [StudyDirection.MAXIMIZE])
    ledger = Ledger(mirror, space, Strategy("tpe", space), make_pruner("none", None), 0)
    scheduler = Scheduler(ledger, structure=lambda params: {"depth": params["depth"]}, budget=Budget(20))
    begun = played(scheduler, 4, end=complete_one)
    assert len(begun) == 10
    assert scheduler.ended_by == "space"


# Questions and answers


def owed(worker: int, commands: list[tuple[int, Command]]) -> list[type]:
    """What a worker is told besides Starts, Stops and Decisions; nobody else is told such a thing."""
    assert not any(isinstance(command, Go | Close) for other, command in commands if other != worker)
    return [type(command) for _, command in commands if isinstance(command, Go | Close)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strategy", ["random", {"name": "tpe", "startup": 2}], ids=["random", "tpe"])
def test_every_question_is_answered_once_and_every_trial_ends(grouping: Make, strategy: Any, seed: int) -> None:
    rng, scheduler = random.Random(seed), grouping(strategy, trials=14)
    lanes = {worker: rng.choice([1, 2, 5]) for worker in range(3)}
    running: dict[int, Start] = {}
    holders: dict[int, int] = {}
    unheard = [(worker, Ready(count, "cpu")) for worker, count in lanes.items()]
    while unheard or running:
        if unheard:
            worker, event = unheard.pop(rng.randrange(len(unheard)))
        else:
            number = rng.choice(sorted(running))
            worker, event = holders[number], good(running.pop(number))
        commands = scheduler.handle(worker, event)
        answer = owed(worker, commands)
        assert len(answer) == 1
        assert isinstance(commands[-1][1], Go | Close), "it is the last word"
        for start in starts(commands):
            running[start.number], holders[start.number] = start, worker
        held = sum(holders[number] == worker for number in running)
        assert held <= lanes[worker]
        assert (answer == [Close]) == (held == 0)
    assert states(scheduler) == ["complete"] * 14
    assert scheduler.closed == {0, 1, 2}


def test_questions_handled_together_are_each_answered(grouping: Make) -> None:
    scheduler = grouping(trials=20)
    running = starts(scheduler.handle(0, Ready(3, "cpu")))
    commands = scheduler.handle(0, *map(good, running))
    assert owed(0, commands) == [Go] * 3


def test_a_plan_is_answered_with_what_the_study_adopts(grouping: Make) -> None:
    scheduler = grouping(trials=4)
    assert scheduler.handle(0, Planned("some", "fused", 4, "faster")) == [(0, Adopt("some", "fused", 4))]
    assert scheduler.handle(1, Planned("some", "looped", 1, "slower")) == [(1, Adopt("some", "fused", 4))]
    assert scheduler.handle(1, Planned("other", "looped", 1, "why")) == [(1, Adopt("other", "looped", 1))]


def test_a_plan_is_durable_before_it_is_answered(grouping: Make) -> None:
    grouping(trials=4).handle(0, Planned("some", "fused", 4, "faster"))
    ledger = grouping(trials=4).ledger
    assert ledger.plans == {"some": ("fused", 4)}
    assert ledger.attribute("plans") == {"some": {"stack": "fused", "lanes": 4, "reason": "faster"}}
    assert grouping(trials=4).handle(0, Planned("some", "looped", 1, "?")) == [(0, Adopt("some", "fused", 4))]
