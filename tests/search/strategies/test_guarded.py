"""Whole configurations: each once, within hard limits, away from what failed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from leadline import Choice, Float, Int, Space
from leadline.errors import SpaceError, SpaceExhausted, StudyError
from leadline.search.strategies import STRATEGIES, Strategy, sampler
from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.fresh import Fresh
from leadline.search.strategies.guarded import Guarded

NAMES = [name for name in STRATEGIES if name != "grid"]
SMALL = Space(
    optimizer=Choice(["sgd", "adam"]),
    momentum=Choice([0.0, 0.5, 0.9], when={"optimizer": "sgd"}),
    drop=Float(0.1, 0.7, step=0.2),
    depth=Int(1, 2),
    fixed="a",
)
LINE = Space(x=Float(0, 1), y=Float(0, 1))


def guarded(space: Space, seed: int = 0, make: Callable[[int], BaseSampler] = RandomSampler, **how: Any) -> Guarded:
    return Guarded(lambda seed: Fresh(make, seed), space, seed, **how)


def key(params: dict[str, Any]) -> str:
    return repr(sorted((name, round(v, 9) if isinstance(v, float) else v) for name, v in params.items()))


def every(space: Space) -> list[str]:
    return sorted(key({n: v for n, v in p.items() if n in space.parameters}) for p in space.grid())


def proposed(
    study: optuna.Study, trials: int, space: Space, value: Callable[..., float] = lambda **params: 0.0
) -> None:
    """Proposes as a study of ours does, each trial told before the next; a NaN fails it."""
    for _ in range(trials):
        template = study.sampler.propose(study)  # type: ignore[attr-defined]
        trial_id = study._storage.create_new_trial(study._study_id, template)
        result = value(**template.params)
        failed = math.isnan(result)
        study.tell(template.number, None if failed else result, state=TrialState.FAIL if failed else None)
        assert study._storage.get_trial(trial_id).state.is_finished()
        assert space.contains(template.params)


def told(given: BaseSampler) -> optuna.Study:
    return optuna.create_study(sampler=given)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_configuration_is_proposed_once_and_then_space_exhausted_is_raised(name: str) -> None:
    options = {"startup": 3} if "startup" in STRATEGIES[name].options else {}
    study = told(sampler(name, 0, SMALL, **options))
    proposed(study, len(SMALL), SMALL, lambda **params: params["drop"] + params["depth"])
    assert sorted(key(trial.params) for trial in study.trials) == every(SMALL)
    before = len(study.trials)
    with pytest.raises(SpaceExhausted):
        proposed(study, 1, SMALL)
    assert len(study.trials) == before  # found out before there is a trial


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Finite spaces of at most some hundred configurations, some parameters under conditions."""
    parameters: dict[str, Any] = {}
    for index in range(draw(st.integers(1, 4))):
        parents = [name for name, p in parameters.items() if isinstance(p, Choice | Int)]
        when: dict[str, Any] = {}
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            when = {parent: draw(st.sampled_from(parameters[parent].values()))}
        low = draw(st.integers(-3, 3))
        parameters[f"p{index}"] = draw(
            st.sampled_from(
                [
                    Int(low, low + draw(st.integers(0, 3)), when=when),
                    Int(1, 4, log=True, when=when),
                    Choice(["a", None, True, 0.5][: draw(st.integers(1, 4))], when=when),
                    Float(0.1, 0.1 + 0.3 * draw(st.integers(0, 2)), step=0.3, when=when)
                    if draw(st.booleans())
                    else Float(low, low, when=when),
                ]
            )
        )
    return Space(parameters)


@settings(max_examples=30, deadline=None)
@given(spaces(), st.sampled_from(["random", "qmc", "tpe", "cmaes"]), st.integers(0, 99), st.booleans())
def test_in_any_finite_space_each_configuration_is_proposed_exactly_once(
    space: Space, name: str, seed: int, fail: bool
) -> None:
    study = told(sampler(name, seed, space))
    fails = iter(range(10_000))
    proposed(study, len(space), space, lambda **_: math.nan if fail and next(fails) % 3 == 0 else 1.0)
    assert sorted(key(trial.params) for trial in study.trials) == every(space)
    with pytest.raises(SpaceExhausted):
        proposed(study, 1, space)


@pytest.mark.parametrize("name", NAMES)
def test_what_runs_waits_failed_or_was_pruned_is_not_proposed_again(name: str) -> None:
    options = {"startup": 2} if "startup" in STRATEGIES[name].options else {}
    study = told(sampler(name, 0, SMALL, **options))
    for index in range(len(SMALL)):
        template = study.sampler.propose(study)  # type: ignore[attr-defined]
        study._storage.create_new_trial(study._study_id, template)
        state = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING][
            index % 5
        ]
        if state.is_finished():
            study.tell(template.number, 1.0 if state == TrialState.COMPLETE else None, state=state)
        elif state == TrialState.WAITING:
            study._storage.set_trial_state_values(study.trials[-1]._trial_id, state)
    assert sorted(key(trial.params) for trial in study.trials) == every(SMALL)


def test_plain_optuna_ends_the_study_when_the_space_is_used_up() -> None:
    study = told(sampler("tpe", 0, SMALL, startup=3))
    study.optimize(lambda trial: float(len(SMALL.suggest(trial))))
    assert sorted(key(trial.params) for trial in study.trials) == every(SMALL)
    assert len(study.trials) == len(SMALL)


def test_plain_optuna_and_a_study_of_ours_are_proposed_the_same() -> None:
    ours, plain = told(sampler("tpe", 3, LINE, startup=2)), told(sampler("tpe", 3, LINE, startup=2))
    proposed(ours, 8, LINE, lambda x, y: x + y)
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1), n_trials=8)
    assert [trial.params for trial in ours.trials] == [trial.params for trial in plain.trials]


def test_exactly_those_that_agree_with_what_is_given_are_proposed() -> None:
    study = told(condition(sampler("random", 0, SMALL), {"depth": 2, "momentum": 0.5}))
    wanted = [p for p in SMALL.grid() if p["depth"] == 2 and p.get("momentum", 0.5) == 0.5]
    proposed(study, len(wanted), SMALL)
    assert all(trial.params["depth"] == 2 and trial.params.get("momentum", 0.5) == 0.5 for trial in study.trials)
    with pytest.raises(SpaceExhausted, match=r"with \{'depth': 2, 'momentum': 0.5\}"):
        proposed(study, 1, SMALL)
    study.sampler = sampler("random", 0, SMALL)
    proposed(study, len(SMALL) - len(wanted), SMALL)


def test_a_value_that_can_not_be_given_is_an_error() -> None:
    with pytest.raises(SpaceError, match="`depth` is held at 3"):
        proposed(told(condition(sampler("random", 0, SMALL), {"depth": 3})), 1, SMALL)


def test_of_continuous_parameters_an_exact_repeat_is_avoided() -> None:
    class Same(RandomSampler):
        def sample_independent(self, *args: Any) -> Any:
            return 0.5

    study = told(guarded(LINE, make=Same))
    proposed(study, 10, LINE)
    assert len({key(trial.params) for trial in study.trials}) == 10
    assert all(abs(trial.params["x"] - 0.5) < 0.2 for trial in study.trials[:5])  # the nearest that will do


def test_what_a_strategy_repeats_becomes_an_untried_neighbour() -> None:
    space = Space(n=Int(1, 100), kind=Choice(["a", "b"]))

    class Same(RandomSampler):
        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return 50 if param_name == "n" else "a"

    study = told(guarded(space, make=Same))
    proposed(study, 12, space)
    assert all(abs(trial.params["n"] - 50) < 15 for trial in study.trials)


def test_what_is_not_allowed_is_never_proposed_and_costs_no_trial() -> None:
    strategy = Strategy({"name": "tpe", "startup": 3}, SMALL, allowed=lambda p: p["depth"] == 1 and p["fixed"] == "a")
    study = told(strategy.sampler(0))
    proposed(study, len(SMALL) // 2, SMALL, lambda **params: -params["depth"])
    assert {trial.params["depth"] for trial in study.trials} == {1}
    with pytest.raises(SpaceExhausted):
        proposed(study, 1, SMALL)


def test_the_grid_leaves_out_what_is_not_allowed() -> None:
    study = told(Strategy("grid", SMALL, allowed=lambda params: params["depth"] == 1).sampler(0))
    proposed(study, len(SMALL) // 2, SMALL)
    with pytest.raises(SpaceExhausted):
        proposed(study, 1, SMALL)


def test_a_narrow_limit_is_found_and_an_impossible_one_is_told() -> None:
    narrow = Strategy("random", LINE, allowed=lambda params: params["x"] + params["y"] < 0.1)
    study = told(narrow.sampler(0))
    proposed(study, 5, LINE)
    assert all(trial.params["x"] + trial.params["y"] < 0.1 for trial in study.trials)
    with pytest.raises(StudyError, match="none of 10000 configurations keeps within the limits"):
        proposed(told(Strategy("random", LINE, allowed=lambda params: False).sampler(0)), 1, LINE)


def test_an_enqueued_trial_keeps_its_values_and_the_rest_is_proposed_given_them() -> None:
    study = told(sampler("tpe", 0, SMALL, startup=2))
    study.enqueue_trial({"depth": 2, "optimizer": "sgd"})
    study.enqueue_trial({"optimizer": "adam", "drop": 0.3, "depth": 1})
    study.enqueue_trial({"optimizer": "adam", "drop": 0.3, "depth": 1})
    study.optimize(lambda trial: float(len(SMALL.suggest(trial))), n_trials=3)
    assert study.trials[0].params.items() >= {"depth": 2, "optimizer": "sgd"}.items()
    assert "momentum" in study.trials[0].params
    assert study.trials[1].params == study.trials[2].params  # what the user wants twice runs twice


def test_a_partly_enqueued_trial_runs_also_if_all_that_agree_have() -> None:
    space = Space(a=Int(1, 2), b=Int(1, 2))
    study = told(sampler("random", 0, space))
    proposed(study, 4, space)
    study.enqueue_trial({"a": 1})
    study.optimize(lambda trial: float(len(space.suggest(trial))), n_trials=1)
    assert study.trials[-1].params["a"] == 1


def test_a_whole_configuration_in_line_is_not_proposed_before_its_turn() -> None:
    space = Space(a=Int(1, 3))
    study = told(sampler("random", 0, space))
    study.enqueue_trial({"a": 2})
    proposed(study, 2, space)
    assert {trial.params["a"] for trial in study.trials[1:]} == {1, 3}


def fails_for_want_of_memory(x: float, y: float) -> float:
    """Fails in a third of the space; the best is at the limit."""
    return math.nan if x + y > 1.18 else -x - y


@pytest.mark.parametrize("name", ["tpe", "cmaes", "skopt-et"])
def test_a_strategy_does_not_go_back_to_what_failed(name: str) -> None:
    study = told(sampler(name, 0, LINE))
    proposed(study, 60, LINE, fails_for_want_of_memory)
    lost = [trial.number for trial in study.trials if trial.state == TrialState.FAIL]
    assert len(lost) <= 12
    assert study.best_value < -1.1


def test_the_tree_structured_estimator_alone_goes_back_and_back() -> None:
    """Should this fail, Optuna learns from failures by itself."""
    study = told(TPESampler(seed=0))
    study.optimize(lambda t: fails_for_want_of_memory(t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1)), 60)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials) > 18


def test_accidents_do_not_wall_the_optimum_off() -> None:
    """A tenth of the trials fail wherever they are, and the first there fails at the optimum."""
    study = told(sampler("tpe", 0, LINE))
    study.add_trial(
        optuna.create_trial(params={"x": 0.7, "y": 0.3}, distributions=LINE.to_distributions(), state=TrialState.FAIL)
    )
    draws = iter(range(1, 1000))
    proposed(study, 70, LINE, lambda x, y: math.nan if next(draws) % 10 == 0 else (x - 0.7) ** 2 + (y - 0.3) ** 2)
    assert study.best_value < 0.005


def test_proposals_of_strategies_that_do_not_learn_do_not_hang_on_failures() -> None:
    for name in ("random", "qmc"):
        one, other = told(sampler(name, 0, LINE)), told(sampler(name, 0, LINE))
        proposed(one, 12, LINE)
        proposed(other, 12, LINE, lambda x, y: math.nan if x > 0.5 else 0.0)
        assert [trial.params for trial in one.trials] == [trial.params for trial in other.trials]


def test_a_space_of_fixed_values_has_one_configuration() -> None:
    space = Space(a=1, b="x")
    study = told(sampler("random", 0, space))
    proposed(study, 1, space)
    with pytest.raises(SpaceExhausted):
        proposed(study, 1, space)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optunas_sampler_that_fixes_values_may_be_around_it():
    fixing = optuna.samplers.PartialFixedSampler({"x": 0.25}, guarded(LINE))
    study = optuna.create_study(sampler=fixing)
    study.optimize(lambda trial: LINE.suggest(trial)["y"], n_trials=4)
    assert [trial.params["x"] for trial in study.trials] == [0.25] * 4
    assert len({trial.params["y"] for trial in study.trials}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_with_a_single_value_is_not_asked_for(name):
    space = Space(x=Float(0, 0), y=Int(1, 4, log=True))
    study = optuna.create_study(
        sampler=sampler(name, 0, space, **({"startup": 1} if "startup" in STRATEGIES[name].options else {}))
    )
    proposed(study, 4, space, lambda x, y: float(y))
    assert {trial.params["y"] for trial in study.trials} == {1, 2, 3, 4}
