"""What trials are judged by: how it is given, what its mistakes are told as, what a trial comes to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import leadline as ll
from leadline.search.goals import Goals, goals_of
from leadline.search.trial import Trial

TRAINER = ll.Trainer("mlp")
BOTH = Goals("accuracy", ("parameters", "seconds", "f1"), (True, False, False, True))


def own(outputs: Any, targets: Any) -> float:
    return 0.0


class TestHowTheyAreGiven:
    @pytest.mark.parametrize(
        ("metric", "direction", "expected"),
        [
            (None, None, Goals()),
            ("cross_entropy", None, Goals("cross_entropy", (), (False,))),
            (["accuracy"], ["maximize"], Goals("accuracy")),
            (["accuracy", "parameters"], None, Goals("accuracy", ("parameters",), (True, False))),
            ((None, "latency", "f1"), None, Goals(None, ("latency", "f1"), (True, False, True))),
            ((own, "seconds"), ("minimize", "minimize"), Goals(own, ("seconds",), (False, False))),
        ],
    )
    def test_of_a_trainer(self, metric: Any, direction: Any, expected: Goals) -> None:
        assert goals_of(TRAINER, metric, direction) == expected

    def test_of_an_objective(self) -> None:
        assert goals_of(None, None, "minimize") == Goals(None, (), (False,))
        assert goals_of(None, None, ("maximize", "minimize")) == Goals(None, ("value_1",), (True, False))
        assert goals_of(None, ("gain", "price"), ("maximize", "minimize")) == Goals("gain", ("price",), (True, False))

    @pytest.mark.parametrize("goals", [Goals("f1"), Goals(None, ("value_1",), (False, True)), BOTH])
    def test_a_description_gives_the_same_again(self, goals: Goals) -> None:
        trainer = TRAINER if "parameters" in goals.further else None
        assert goals_of(trainer, **goals.describe()) == goals

    def test_the_first_is_called_by_the_name_it_goes_by_where_it_was_given_none(self) -> None:
        assert Goals(None, ("value_1",), (False, True)).named("value") == ["value", "value_1"]
        assert Goals().named("accuracy") == "accuracy"
        assert Goals("f1").named("accuracy") == "f1"

    def test_one_objective_is_described_by_plain_words(self) -> None:
        assert Goals("accuracy").describe() == {"metric": "accuracy", "direction": "maximize"}
        assert BOTH.describe()["direction"] == ["maximize", "minimize", "minimize", "maximize"]


class TestMistakes:
    @pytest.mark.parametrize(
        ("metric", "direction", "told"),
        [
            ([], None, "the list is empty"),
            (
                ["accuracy", "parameter"],
                None,
                r"no .* is called `parameter`\. Did you mean `parameters`",
            ),
            (["parameters", "accuracy"], None, "put the cost `parameters` after it"),
            (["accuracy", own], None, "only the first of `metric` may be a function"),
            (["accuracy", "f1", "f1"], None, "names `f1` twice"),
            (["accuracy", "parameters"], "maximize", r"a list with one for each of the 2 objectives.*got \'maximize\'"),
            (["accuracy", "parameters"], ["maximize"], "one for each of the 2 objectives"),
            (["accuracy", "parameters"], ["maximize", "maximize"], "`parameters` is a cost"),
            (["accuracy", "f1"], ["minimize", "maximize"], "`accuracy` is better the higher"),
            (["accuracy", "f1"], ["maximize", "up"], "`direction` must be"),
        ],
    )
    def test_of_a_trainer_are_told(self, metric: Any, direction: Any, told: str) -> None:
        with pytest.raises(ll.SettingsError, match=told):
            goals_of(TRAINER, metric, direction)

    def test_objectives_of_your_own_need_directions(self) -> None:
        with pytest.raises(ll.SettingsError, match="one for each of the 2 objectives"):
            goals_of(None, ("gain", "price"), None)

    def test_are_told_all_at_once(self) -> None:
        with pytest.raises(ll.SettingsError) as caught:
            goals_of(TRAINER, ["accuracy", "latency", "sizes", "f1"], ["minimize", "maximize", "minimize", "maximize"])
        assert [problem.where for problem in caught.value.problems] == [("metric",), ("direction",), ("direction",)]


class TestWhatATrialComesTo:
    def test_one_value_is_as_it_was(self) -> None:
        assert Goals().judged("complete", 0.5, {}, {}) == ("complete", [0.5], "")
        assert Goals().judged("pruned", None, {}, {}) == ("pruned", None, "")
        assert Goals().judged("failed", 0.5, {}, {}) == ("failed", None, "")
        assert Goals().judged("complete", math.nan, {}, {}) == ("failed", None, "its value was no number")

    def test_facts_and_the_best_epochs_metrics_are_the_others(self) -> None:
        facts, metrics = {"parameters": 10, "seconds": 2.5}, {"valid/f1": 0.7, "valid/loss": 1.0}
        assert BOTH.judged("complete", 0.5, facts, metrics) == ("complete", [0.5, 10.0, 2.5, 0.7], "")
        assert BOTH.judged("pruned", 0.5, facts, {}) == ("pruned", None, "")

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ((0.5, math.nan), "its value_1 was no number"),
            ((0.5,), "must come to 2 numbers, but got 1"),
            (0.5, "must come to 2 numbers, but got 1"),
            ((0.5, 1.0, 2.0), "must come to 2 numbers, but got 3"),
        ],
    )
    def test_a_wrong_value_among_several_fails_it(self, value: Any, reason: str) -> None:
        outcome, values, why = Goals(None, ("value_1",), (True, False)).judged("complete", value, {}, {})
        assert (outcome, values) == ("failed", None)
        assert reason in why


def reported(number: int, *curve: float, parameters: int | None = None, seconds: float = 1.0) -> Trial:
    epochs = range(1, len(curve) + 1)
    reports = {epoch: {"seconds": seconds, "valid/f1": curve[epoch - 1] / 2} for epoch in epochs}
    return Trial(
        number, "running", {}, parameters=parameters, curve=dict(zip(epochs, curve, strict=True)), reports=reports
    )


class TestStandings:
    goals = Goals("accuracy", ("parameters", "latency"), (True, False, False))

    def test_small_ones_stand_beside_accurate_ones_and_dominated_ones_behind(self) -> None:
        trials = [
            reported(0, 0.1, 0.9, parameters=100),
            reported(1, 0.1, 0.5, parameters=10),
            reported(2, 0.9, 0.4, parameters=50),
            reported(3, 1.0, parameters=1),  # hasn't come so far
        ]
        assert self.goals.order(trials, 2) == [0, 1, 2]
        assert {number: rank for number, (rank, _) in self.goals.standings(trials, 2).items()} == {0: 0, 1: 0, 2: 1}

    def test_what_isnt_known_of_all_of_them_doesnt_count(self) -> None:
        trials = [reported(0, 0.5, parameters=100), reported(1, 0.6), reported(2, 0.7, parameters=200)]
        assert self.goals.order(trials, 1) == [2, 1, 0]

    def test_seconds_are_those_up_to_the_epoch_and_metrics_those_of_it(self) -> None:
        trials = [reported(0, 0.5, 0.5, 0.9, seconds=1.0), reported(1, 0.5, 0.5, seconds=2.0)]
        assert [rank for rank, _ in Goals("accuracy", ("seconds",), (True, False)).standings(trials, 2).values()] == [
            0,
            1,
        ]
        trials = [reported(0, 0.6, 0.5), reported(1, 0.5, 0.5)]
        for epoch, expected in ((1, [1, 0]), (2, [0, 0])):
            standings = Goals("x", ("f1",), (False, False)).standings(trials, epoch)
            assert [rank for rank, _ in standings.values()] == expected

    def test_of_one_objective_the_order_is_that_of_the_values(self) -> None:
        trials = [reported(0, 0.5), reported(1, 0.7), reported(2, 0.5)]
        assert Goals().order(trials, 1) == [1, 0, 2]
        assert Goals(maximize=(False,)).order(trials, 1) == [0, 2, 1]

    def test_without_reports_there_is_nobody_to_order(self) -> None:
        assert self.goals.order([reported(0), reported(1)], 1) == []


@pytest.fixture
def ended() -> Callable[..., Trial]:
    return lambda number, *values, state="complete": Trial(number, state, {}, value=values[0], values=values)


def test_the_front_holds_complete_trials_alone_the_best_by_the_first_objective_first(
    ended: Callable[..., Trial],
) -> None:
    goals = Goals(None, ("value_1",), (True, False))
    trials = [ended(0, 0.5, 1.0), ended(1, 0.9, 9.0), ended(2, 0.4, 1.0), ended(3, 0.99, 1.0, state="pruned")]
    assert [trial.number for trial in goals.front(trials)] == [1, 0]
    assert goals.front([]) == []
