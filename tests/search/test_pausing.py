"""Trials that pause and go on: the scheduler with pruners that move them, driven by messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.study import StudyDirection

import leadline as ll
from leadline.search.budget import Budget
from leadline.search.ledger import Ledger
from leadline.search.pruners import Asha, Pruner
from leadline.search.pruners.base import Begin, End, Move, Resume
from leadline.search.scheduler import Scheduler
from leadline.search.storage import JournalFile, Mirror
from leadline.search.strategies import Strategy
from leadline.search.trial import Trial
from leadline.trainers.messages import AtRung, Close, Command, Decision, Ended, Event, Go, Ready, Report, Start

SPACE = ll.Space(x=ll.Int(0, 99))
Make = Callable[..., Scheduler]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a scheduler of the same study anew at each call; a trial's rungs are after epochs 1 and 2 of 4."""

    def scheduler(
        trials: int | None = 9, pruner: Pruner | None = None, leave: Callable[[int, int], None] | None = None
    ) -> Scheduler:
        mirror = Mirror.open(JournalStorage(JournalFile(tmp_path / "log")), "study", [StudyDirection.MAXIMIZE])
        decider = pruner or Asha(4, reduction=2, first=1)
        ledger = Ledger(mirror, SPACE, Strategy("grid", SPACE), decider, 0)
        rungs = lambda number, params: decider.rungs(number, 4)  # noqa: E731
        return Scheduler(ledger, rungs, leave=leave or (lambda parent, child: None), budget=Budget(trials))

    return scheduler


class Workers:
    """Workers of one lane each, whose trials report `x` times `sign` times the epoch, and take four epochs."""

    def __init__(self, scheduler: Scheduler, count: int, sign: float = 1.0) -> None:
        self.scheduler, self.sign = scheduler, sign
        self.epochs: dict[int, int] = {}  # that each trial has had
        self.at: dict[int, Start] = {}  # what each worker trains
        self.waiting: set[int] = set()  # workers to which an answer is owed
        self.closed: set[int] = set()
        self.begun: list[int] = []
        for worker in range(count):
            self.say(worker, Ready(1, "cpu"))

    def say(self, worker: int, *events: Event) -> list[Command]:
        if isinstance(events[-1], Ready | Ended):
            self.waiting.add(worker)
        own = []
        for to, command in self.scheduler.handle(worker, *events):
            match command:
                case Start(number):
                    self.at[to] = command
                    self.begun.append(number)
                case Go():
                    self.waiting.remove(to)
                case Close():
                    self.waiting.discard(to)
                    self.closed.add(to)
            own += [command] if to == worker else []
        return own

    def step(self, worker: int) -> None:
        """Trains an epoch of what the worker has."""
        start = self.at[worker]
        epoch = self.epochs[start.number] = self.epochs.get(start.number, 0) + 1
        report = Report(start.number, epoch, self.sign * start.params["x"] * epoch)
        if epoch == 4:
            del self.at[worker]
            self.say(worker, report)
            self.say(worker, Ended(start.number, "complete", "done", report.value))
        elif epoch in start.rungs:
            (decision,) = self.say(worker, report, AtRung({start.number: epoch}))
            assert isinstance(decision, Decision)
            if decision.verdict == "pause":
                del self.at[worker]
                self.say(worker, Ended(start.number, "paused", "others did better", report.value, {"epochs": epoch}))
        else:
            self.say(worker, report)

    def run(self) -> Workers:
        while self.at:
            for worker in sorted(self.at):
                if worker in self.at:
                    self.step(worker)
        return self


def states(scheduler: Scheduler) -> list[str]:
    return [trial.state for trial in scheduler.ledger.trials]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_promotion_trains_every_epoch_once_and_every_worker_is_closed_in_the_end(make: Make, workers: int) -> None:
    scheduler = make()
    played = Workers(scheduler, workers).run()
    assert played.closed == set(range(workers))
    assert played.waiting == set()
    assert {number: max(trial.curve) for number, trial in enumerate(scheduler.ledger.trials)} == played.epochs
    scheduler.conclude()
    assert set(states(scheduler)) == {"complete", "pruned"}
    assert scheduler.ledger.trials[8].state == "complete"  # the best of all


def test_what_stays_paused_ends_as_pruned_with_its_best_value_and_why(make: Make) -> None:
    scheduler = make()
    Workers(scheduler, 1).run()
    scheduler.conclude()
    first = make().ledger.trials[0]
    assert (first.state, first.value, first.reason) == ("pruned", 0.0, "paused at epoch 1: others did better")
    assert first.epochs == 1


def test_a_promoted_trial_goes_before_a_new_one(make: Make) -> None:
    played = Workers(make(), 1, sign=-1.0)
    for _ in range(2):
        played.step(0)  # trials 0 and 1 pause at their first epoch; now the better of them is among the best half
    assert played.begun == [0, 1, 0]


def test_a_worker_without_a_trial_waits_while_another_may_leave_one_to_it(make: Make) -> None:
    played = Workers(make(trials=2), 2)
    played.step(0)
    assert played.waiting == {0}  # trial 0 paused, nothing new may begin, and trial 1 isn't through
    assert played.closed == set()
    played.step(1)
    assert played.waiting | played.closed == {0}
    played.run()
    assert played.closed == {0, 1}


def test_after_an_interrupt_paused_trials_stay_so_and_the_next_run_has_them_go_on(make: Make) -> None:
    scheduler = make()
    played = Workers(scheduler, 1)
    for _ in range(3):
        played.step(0)
    scheduler.interrupt()
    scheduler.conclude()
    assert "paused" in states(scheduler)
    again = make()
    assert states(again) == states(scheduler)
    resumed = Workers(again, 1)
    resumed.epochs = played.epochs
    resumed.run()
    again.conclude()
    assert set(states(again)) == {"complete", "pruned"}
    assert len(states(again)) == 9


def test_a_verdict_once_given_is_given_again(make: Make) -> None:
    scheduler = make()
    scheduler.handle(0, Ready(1, "cpu"))
    answer = scheduler.handle(0, Report(0, 1, 0.5), AtRung({0: 1}))
    assert answer == [(0, Decision(0, "pause"))]
    again = make()  # killed before the worker said that it had paused
    assert next(command for _, command in again.handle(0, Ready(1, "cpu"))) == Start(0, {"x": 0}, frozenset({1, 2}))
    assert again.handle(0, Report(0, 1, 0.5), AtRung({0: 1})) == answer


class Branching(Pruner):
    """Pauses all after an epoch; then ends the first, and begins another from the second."""

    pauses = True

    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        return frozenset({1})

    def verdicts(self, waiting: Any, trials: Any) -> list[Any]:
        return ["pause" for _ in waiting]

    def moves(self, trials: Any) -> list[Move]:
        if [trial.state for trial in trials] != ["paused", "paused"]:
            return []
        return [End(0, "not needed"), Begin({"x": 77}, parent=1), Resume(1)]

    def takes_new(self, trials: Any) -> bool:
        return len(trials) < 2


def test_a_new_trial_may_begin_from_a_paused_one_whose_state_is_left_to_it_first(make: Make) -> None:
    left: list[tuple[int, int]] = []
    scheduler = make(trials=3, pruner=Branching(), leave=lambda parent, child: left.append((parent, child)))
    played = Workers(scheduler, 1)
    played.step(0)
    played.step(0)
    assert left == [(1, 2)]
    assert played.at[0] == Start(2, {"x": 77}, frozenset({1}), branch=True)
    trials = scheduler.ledger.trials
    assert (trials[0].state, trials[0].reason) == ("pruned", "not needed")
    assert (trials[2].parent, trials[2].params) == (1, {"x": 77})


def test_a_branch_beyond_the_budget_is_not_begun(make: Make) -> None:
    played = Workers(make(trials=2, pruner=Branching()), 1)
    played.step(0)
    played.step(0)
    assert [trial.number for trial in played.scheduler.ledger.trials] == [0, 1]
    assert played.at[0].number == 1


def test_a_branch_that_was_put_in_line_is_begun_by_the_next_run(make: Make) -> None:
    scheduler = make(trials=3, pruner=Branching())
    played = Workers(scheduler, 1)
    played.step(0)
    played.step(0)
    again = make(trials=3, pruner=Branching())
    assert [trial.number for trial in again.ledger.unfinished()] == [1, 2]
    assert played.begun[-1] == 2


class Twins(Branching):
    """As `Branching`, but two begin from the second."""

    def moves(self, trials: Any) -> list[Move]:
        moves = super().moves(trials)
        return [Begin({"x": 78}, parent=1), *moves] if moves else []


def test_every_branch_in_line_is_begun_by_the_next_run_whatever_else_may_be_proposed(make: Make) -> None:
    played = Workers(make(trials=4, pruner=Twins()), 1)
    played.step(0)
    played.step(0)
    again = make(trials=4, pruner=Twins())
    assert {trial.number for trial in again.first} == {1, 2, 3}
    assert again.shelved == []


def test_when_the_last_busy_worker_dies_the_idle_ones_are_seen_to(make: Make) -> None:
    scheduler = make(trials=2)
    played = Workers(scheduler, 2)
    played.step(0)
    assert scheduler.idle == {0}
    commands = scheduler.lost(1, "killed by signal 9")
    assert commands == [(0, Start(1, {"x": 1}, frozenset({1, 2}))), (0, Go())]  # the one that was lost
    assert scheduler.idle == set()


def test_a_dead_worker_is_no_longer_waited_for(make: Make) -> None:
    scheduler = make(trials=2)
    Workers(scheduler, 2).step(0)
    assert scheduler.lost(0, "killed") == []
    assert scheduler.idle == set()
    assert 0 not in scheduler.workers


def test_what_a_crash_left_running_ends_where_the_budget_is_used_up(make: Make) -> None:
    scheduler = make(trials=9)
    scheduler.handle(0, Ready(1, "cpu"))
    scheduler.handle(0, Report(0, 1, 0.5))
    scheduler.ledger.commit()
    again = make(trials=9)
    again.budget, again.over, again.ended_by = Budget(9, minutes=1.0), True, "minutes"
    assert not again.has_work
    again.conclude()
    trial = again.ledger.trials[0]
    assert (trial.state, trial.value, trial.reason) == ("pruned", 0.5, "the study ended: its time is up")


def test_a_trial_that_went_on_is_known_by_its_curve_not_by_its_pause(make: Make) -> None:
    ledger = make().ledger
    ledger.began(ledger.propose())
    ledger.report(0, 1, 0.5, {"seconds": 1.0})
    ledger.pause(0, {"epochs": 1, "last": 0.5, "best_epoch": 1, "seconds": 1.0, "parameters": 10})
    ledger.resume(0)
    ledger.report(0, 2, 0.7, {"seconds": 2.0})
    trial = ledger.trials[0]
    assert (trial.epochs, trial.last, trial.best_epoch, trial.seconds, trial.parameters) == (2, 0.7, None, 3.0, 10)


def test_records_are_made_anew_only_where_something_changed(make: Make) -> None:
    ledger = make().ledger
    for _ in range(2):
        ledger.began(ledger.propose())
    first, second = ledger.trials
    ledger.report(1, 1, 0.5)
    assert ledger.trials[0] is first
    assert ledger.trials[1] is not second
    assert isinstance(first, Trial)
