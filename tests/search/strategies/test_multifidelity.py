from __future__ import annotations

import math

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from leadline import Float, Space
from leadline.search.strategies import STRATEGIES, Strategy
from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.multifidelity import (
    Multifidelity,
    at_highest_rung,
    beside,
    best_so_far,
    longest_first,
)
from leadline.search.trial import PAUSED


def trial(number: int, state: str, *curve: float, value: float | None = None) -> FrozenTrial:
    frozen = create_trial(
        state=TrialState.RUNNING if state == "PAUSED" else TrialState[state],
        value=value,
        params={"x": number / 10},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=dict(enumerate(curve, start=1)),
        system_attrs={PAUSED: True} if state == "PAUSED" else {},
    )
    frozen.number = number
    return frozen


def values(trials: list[FrozenTrial]) -> dict[int, float | None]:
    return {
        trial.number: trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None
    }


SEVERAL = [
    trial(0, "COMPLETE", 0.1, 0.5, 0.4, 0.3, value=0.5),
    trial(1, "PAUSED", 0.6, 0.2),
    trial(2, "PRUNED", 0.1, value=0.1),
    trial(3, "PAUSED", 0.9),
    trial(4, "RUNNING", 0.2, 0.3, 0.35),
    trial(5, "RUNNING"),
    trial(6, "FAIL", 0.9, 0.9),
    trial(7, "PAUSED", math.nan),
]


def test_each_is_shown_with_its_best_so_far() -> None:
    assert values(best_so_far(SEVERAL, True)) == {0: 0.5, 1: 0.6, 2: 0.1, 3: 0.9, 4: 0.35}
    assert values(best_so_far(SEVERAL, False)) == {0: 0.1, 1: 0.2, 2: 0.1, 3: 0.9, 4: 0.2}


@pytest.mark.parametrize("maximize", [True, False])
def test_complete_ones_are_shown_first_then_the_longer_and_of_these_the_better(maximize: bool) -> None:
    shown = values(longest_first(SEVERAL, maximize))
    order = sorted(shown, key=lambda number: shown[number] or 0.0, reverse=maximize)
    assert order == [0, 4, 1, *((3, 2) if maximize else (2, 3))]


def test_a_complete_trial_that_stopped_early_isnt_shown_as_worse_than_a_paused_one() -> None:
    stopped, paused = trial(0, "COMPLETE", 0.8, value=0.8), trial(1, "PAUSED", 0.3, 0.4)
    assert values(longest_first([stopped, paused], True)) == {0: 0.0, 1: -1.0}


@pytest.mark.parametrize(
    ("least", "wanted"),
    [
        (1, {0: 0.5}),
        (2, {0: 0.5, 4: 0.35}),
        (3, {0: 0.5, 1: 0.6, 4: 0.3}),
        (5, {0: 0.1, 1: 0.6, 2: 0.1, 3: 0.9, 4: 0.2}),
        (50, {0: 0.1, 1: 0.6, 2: 0.1, 3: 0.9, 4: 0.2}),
    ],
)
def test_trials_are_shown_at_the_longest_length_that_enough_have_reached(least: int, wanted: dict[int, float]) -> None:
    assert values(at_highest_rung(least)(SEVERAL, True)) == wanted


def test_what_runs_without_a_value_and_what_failed_is_shown_as_it_is() -> None:
    for showing in (best_so_far, longest_first, at_highest_rung(3)):
        shown = {trial.number: trial for trial in showing(SEVERAL, True)}
        assert [shown[number] for number in (5, 6, 7)] == SEVERAL[5:]


def test_nothing_is_shown_of_nothing() -> None:
    for showing in (best_so_far, longest_first, at_highest_rung(3)):
        assert showing([], True) == []


def test_showing_leaves_the_trials_as_they_were() -> None:
    before = [(trial.state, trial.value) for trial in SEVERAL if trial.state != TrialState.WAITING]
    longest_first(SEVERAL, True)
    assert [(trial.state, trial.value) for trial in SEVERAL] == before


def paused_study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """Returns a study of which the trials, none ended, say that large `x` is good."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for number in range(20):
        study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params={"x": number / 20},
                distributions={"x": FloatDistribution(0, 1)},
                intermediate_values={1: number / 20},
                system_attrs={PAUSED: True},
            )
        )
    return study


def test_bohb_learns_from_trials_of_which_none_has_ended() -> None:
    strategy = Strategy("bohb", Space(x=Float(0, 1)))
    proposed = []
    for seed in range(10):
        study = paused_study(strategy.sampler(seed))
        proposed.append(study.ask({"x": FloatDistribution(0, 1)}).params["x"])
    assert sum(x > 0.7 for x in proposed) >= 8


def test_conditions_reach_the_sampler_within() -> None:
    sampler = condition(Multifidelity(optuna.samplers.TPESampler(seed=0, n_startup_trials=1), best_so_far), {"x": 0.25})
    study = paused_study(sampler)
    asked = study.ask({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    assert asked.params["x"] == 0.25


def test_several_objectives_are_shown_as_they_are() -> None:
    sampler = Multifidelity(optuna.samplers.TPESampler(seed=0), longest_first)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=12)
    assert len(study.trials) == 12


@pytest.mark.parametrize("showing", ["longest", "best"])
def test_beside_a_pruner_that_pauses_a_sampler_learns_from_paused_trials(showing: str) -> None:
    proposed = []
    for seed in range(10):
        study = paused_study(beside(optuna.samplers.TPESampler(seed=seed), showing))
        proposed.append(study.ask({"x": FloatDistribution(0, 1)}).params["x"])
    assert sum(x > 0.7 for x in proposed) >= 8


def test_beside_any_other_pruner_a_sampler_is_as_it_was() -> None:
    sampler = optuna.samplers.TPESampler(seed=0)
    assert beside(sampler, "") is sampler


def test_a_sampler_that_chose_what_it_sees_keeps_to_it() -> None:
    bohb = STRATEGIES["bohb"].make(Space(x=Float(0, 1)), 0)
    assert beside(bohb, "best") is bohb
