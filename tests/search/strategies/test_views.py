"""What a model is shown of more trials than it can bear."""

from __future__ import annotations

import math

import optuna
from optuna.trial import FrozenTrial, TrialState

from leadline.search.strategies.views import telling, value_of


def trial(number: int, value: float | None = None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    made = optuna.create_trial(state=state, value=value)
    made.number = number
    return made


def study(direction: str = "minimize") -> optuna.Study:
    return optuna.create_study(direction=direction)


def numbers(trials: list[FrozenTrial]) -> list[int]:
    return [trial.number for trial in trials]


def test_as_many_as_can_be_borne_are_all_shown() -> None:
    trials = [trial(n, float(n)) for n in range(6)] + [trial(6, state=TrialState.RUNNING)]
    assert telling(study(), trials, 6, seed=0) == trials


def test_of_more_the_best_the_newest_and_some_at_random_are_shown_by_number() -> None:
    trials = [trial(n, abs(n - 30.0)) for n in range(90)]
    shown = numbers(telling(study(), trials, 30, seed=0))
    assert shown == sorted(shown)
    assert len(shown) == 30
    assert {*range(26, 35)} <= set(shown)
    assert {*range(80, 90)} <= set(shown)
    assert {0, 89} & set(numbers(telling(study("maximize"), trials, 3, seed=0)))


def test_the_random_ones_stay_while_the_study_grows_and_hang_on_the_seed() -> None:
    trials = [trial(n, float(n)) for n in range(400)]
    early, later = (set(numbers(telling(study(), trials[:n], 60, 0))) for n in (390, 400))
    assert len(early & later) > 40
    assert set(numbers(telling(study(), trials, 60, 1))) != later


def test_running_trials_are_shown_beside_the_ended_ones() -> None:
    trials = [trial(n, float(n)) for n in range(20)] + [trial(n, state=TrialState.RUNNING) for n in range(20, 25)]
    assert {*range(20, 25)} <= set(numbers(telling(study(), trials, 6, seed=0)))


def test_trials_without_a_value_are_never_among_the_best() -> None:
    trials = [trial(n, state=TrialState.FAIL) for n in range(10)] + [trial(n, float(n)) for n in range(10, 40)]
    assert {10, 11} <= set(numbers(telling(study(), trials, 6, seed=0)))


def test_a_pruned_trial_is_worth_its_last_report_and_a_failed_one_nothing() -> None:
    pruned = optuna.create_trial(state=TrialState.PRUNED, intermediate_values={1: 5.0, 7: -2.0, 3: 9.0})
    assert value_of(pruned) == -2.0
    assert value_of(trial(0, 3.0)) == 3.0
    assert math.isnan(value_of(trial(0, state=TrialState.FAIL)))
    assert math.isnan(value_of(optuna.create_trial(state=TrialState.PRUNED)))
