"""The ledger over a real journal: what it records, it records once, and tells again after a reopening."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.study import StudyDirection

import leadline as ll
from leadline.search.ledger import Ledger
from leadline.search.listeners import Listener
from leadline.search.pruners import make_pruner
from leadline.search.storage import JournalFile, Mirror
from leadline.search.strategies import Strategy
from leadline.search.trial import Trial

TEN = ll.Space(x=ll.Int(0, 9), fixed="a")
Open = Callable[..., Ledger]


class Heard(Listener):
    """Writes down what the ledger tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def began(self, trial: Trial) -> None:
        self.told.append(("began", trial.number))

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        self.told.append(("reported", trial.number, epoch, dict(metrics)))

    def faulted(self, trial: Trial, what: str) -> None:
        self.told.append(("faulted", trial.number, what))

    def ended(self, trial: Trial) -> None:
        self.told.append(("ended", trial.number, trial.state))


@pytest.fixture
def reopen(tmp_path: Path) -> Open:
    """Opens the ledger of the same journal anew at each call, as a process does that takes over."""

    def open_ledger(
        space: ll.Space = TEN, strategy: Any = "random", pruner: optuna.pruners.BasePruner | None = None, seed: int = 0
    ) -> Ledger:
        storage = JournalStorage(JournalFile(tmp_path / "journal.log"))
        mirror = Mirror.open(storage, "study", [StudyDirection.MAXIMIZE])
        return Ledger(mirror, space, Strategy(strategy, space), make_pruner(pruner or "none", None), seed)

    return open_ledger


def decided(ledger: Ledger, number: int, epoch: int, value: float) -> str:
    """Reports an epoch and asks for the verdict on it."""
    ledger.report(number, epoch, value)
    return ledger.decide({number: epoch})[number]


def test_what_was_committed_is_there_after_a_reopening(reopen: Open) -> None:
    ledger = reopen()
    trial = ledger.propose()
    ledger.report(trial.number, 1, 0.5, {"valid/loss": 2.0})
    ledger.end(trial.number, "complete", 0.7, "done", {"epochs": 1, "parameters": 10})
    ledger.set_attribute("plan", {"stack": "looped"})
    ledger.commit()
    kept = reopen()
    assert kept.trials == ledger.trials
    assert kept.trials[0].params == {"fixed": "a", "x": trial.params["x"]}
    assert (kept.trials[0].value, kept.trials[0].reason, kept.trials[0].parameters) == (0.7, "done", 10)
    assert kept.attribute("plan") == {"stack": "looped"}
    assert kept.attribute("unknown") is None


def test_faults_and_the_last_checkpoint_are_kept_with_a_trial(reopen: Open) -> None:
    ledger = reopen()
    ledger.listeners.append(heard := Heard())
    number = ledger.propose().number
    assert (ledger.saved_epoch(number), ledger.retried(number)) == (None, False)
    ledger.report(number, 1, 0.5)
    ledger.saved(number, 1, "0badcafe")
    ledger.fault(number, "its checkpoint was gone")
    ledger.fault(number, "its worker died", retried=True)
    ledger.commit()
    kept = reopen()
    assert (kept.saved_epoch(number), kept.retried(number)) == (1, True)
    assert kept.trial(number).faults == ("after epoch 1: its checkpoint was gone", "after epoch 1: its worker died")
    assert heard.told[1:] == [("faulted", number, "its checkpoint was gone"), ("faulted", number, "its worker died")]


def test_a_report_is_recorded_once_and_its_decision_repeated_after_a_reopening(reopen: Open) -> None:
    ledger = reopen(pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    number = ledger.propose().number
    assert decided(ledger, number, 1, 0.6) == "go"
    assert decided(ledger, number, 2, 0.4) == "prune"
    ledger.commit()
    again = reopen()  # whose pruner would decide otherwise
    again.listeners.append(heard := Heard())
    assert decided(again, number, 1, 0.1) == "go"
    assert decided(again, number, 2, 0.9) == "prune"
    assert again.trial(number).curve == {1: 0.6, 2: 0.4}
    assert heard.told == []


def test_listeners_hear_everything_in_order(reopen: Open) -> None:
    ledger = reopen()
    ledger.listeners.append(heard := Heard())
    ledger.began(ledger.propose())
    ledger.report(0, 1, 0.5, {"valid/loss": 2.0})
    ledger.end(0, "pruned", 0.5)
    assert heard.told == [("began", 0), ("reported", 0, 1, {"valid/loss": 2.0})]
    ledger.commit()  # an end is told when it is durable
    assert heard.told[2:] == [("ended", 0, "pruned")]


@pytest.mark.parametrize(
    ("outcome", "value", "state", "kept"),
    [
        ("complete", 0.5, "complete", 0.5),
        ("complete", math.inf, "complete", math.inf),
        ("pruned", 0.5, "pruned", 0.5),
        ("pruned", None, "pruned", None),
        ("stopped", 0.5, "pruned", 0.5),
        ("failed", None, "failed", None),
        ("failed", 0.5, "failed", None),
        ("complete", math.nan, "failed", None),
    ],
)
def test_a_trial_ends_as_said_and_one_without_a_number_fails(
    reopen: Open, outcome: str, value: float | None, state: str, kept: float | None
) -> None:
    ledger = reopen()
    trial = ledger.end(ledger.propose().number, outcome, value)
    ledger.commit()
    assert (trial.state, trial.value) == (state, kept)
    assert reopen().trials == [trial]


def test_a_value_that_is_no_number_is_the_reason_whatever_else_was_said(reopen: Open) -> None:
    ledger = reopen()
    assert "no number" in ledger.end(ledger.propose().number, "complete", math.nan, "the objective returned").reason


def test_what_waits_in_line_comes_first_and_counts_as_begun_only_then(reopen: Open) -> None:
    ledger = reopen()
    ledger.enqueue([{"x": 7}, {"x": 8, "fixed": "a"}])
    ledger.commit()
    ledger = reopen()
    assert (ledger.begun, [trial.state for trial in ledger.trials]) == (0, ["waiting"] * 2)
    assert [ledger.propose().params["x"] for _ in range(2)] == [7, 8]
    assert ledger.begun == 2
    assert ledger.propose().number == 2


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"x": 10}, "`x` must be in"),
        ({"y": 1}, "the space has no parameter `y`"),
        ({"fixed": "b"}, "`fixed` is fixed to 'a'"),
        ({"x": "3"}, "`x` must be in"),
    ],
)
def test_what_cannot_be_proposed_is_not_put_in_line(reopen: Open, params: dict[str, Any], told: str) -> None:
    ledger = reopen()
    with pytest.raises(ll.SpaceError, match=told):
        ledger.enqueue([{"x": 1}, params])
    assert ledger.trials == []


@pytest.mark.parametrize("strategy", ["grid", "random", "bayes"])
def test_a_space_that_is_used_up_is_said_so_and_proposes_nothing(reopen: Open, strategy: str) -> None:
    space = ll.Space(x=ll.Choice([1, 2]))
    ledger = reopen(space, strategy)

    def run_all() -> None:
        for _ in range(200):
            ledger.end(ledger.propose().number, "complete", 1.0)

    with pytest.raises(ll.SpaceExhausted):
        run_all()
    assert {trial.params["x"] for trial in ledger.trials} == {1, 2}
    assert {trial.state for trial in ledger.trials} == {"complete"}


def test_trials_left_running_are_told_after_a_reopening(reopen: Open) -> None:
    ledger = reopen()
    ledger.end(ledger.propose().number, "complete", 1.0)
    left = ledger.propose()
    ledger.commit()
    assert reopen().unfinished() == [left]


@pytest.mark.parametrize("strategy", ["random", "bayes", "gp", "skopt-rf"])
def test_a_proposal_depends_on_seed_number_and_history_alone(reopen: Open, strategy: str) -> None:
    space = ll.Space(x=ll.Float(0, 9), y=ll.Choice(["a", "b"]))
    given = {"name": strategy, **({} if strategy == "random" else {"startup": 2})}
    ledger = reopen(space, given)
    for _ in range(4):
        trial = ledger.propose()
        ledger.end(trial.number, "complete", trial.params["x"])
    ledger.commit()
    proposed = [reopen(space, given).propose().params for _ in range(2)]  # not committed, so never there for the other
    assert proposed[0] == proposed[1] == ledger.propose().params


def test_another_seed_proposes_otherwise(reopen: Open) -> None:
    space = ll.Space(x=ll.Float(0, 9))
    assert reopen(space, seed=0).propose().params != reopen(space, seed=1).propose().params


def test_a_conditional_parameter_is_set_where_it_is_active(reopen: Open) -> None:
    space = ll.Space(optimizer=ll.Choice(["sgd", "adam"]), momentum=ll.Float(0, 0.9, when={"optimizer": "sgd"}))
    ledger = reopen(space)
    for _ in range(8):
        trial = ledger.propose()
        assert space.contains(trial.params)
        ledger.end(trial.number, "complete", 1.0)
    assert {"momentum" in trial.params for trial in ledger.trials} == {True, False}
