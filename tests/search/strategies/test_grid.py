"""Grid search: every configuration once, also across interruptions, also in plain Optuna."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.trial import TrialState

import leadline as ll
from leadline import Choice, Float, Int, Space
from leadline.errors import SpaceError, SpaceExhausted
from leadline.search.strategies.grid import GridSampler

SIX = Space(depth=Int(1, 3), norm=Choice([True, False]))
CONDITIONAL = Space(
    optimizer=Choice(["sgd", "adam"]),
    momentum=Choice([0.0, 0.5, 0.9], when={"optimizer": "sgd"}),
    depth=Int(1, 2),
    units=8,
)


class TestGridConforms(BasicSamplerTestCase):
    """Optuna's suite for samplers; none of its parameters is in this grid, so they are sampled at random."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: GridSampler(Space(none_of_theirs=Int(0, 999)))


def optimized(space: Space, trials: int | None = None, study: optuna.Study | None = None, **grid: Any) -> optuna.Study:
    """A study in plain Optuna; without `trials` only the grid's own end stops it."""
    study = study or optuna.create_study()
    study.sampler = GridSampler(space, **grid)
    study.optimize(lambda trial: float(len(space.suggest(trial))), n_trials=trials)
    return study


def configurations(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def varying(space: Space, points: Any = None) -> list[dict[str, Any]]:
    return [{name: value for name, value in p.items() if name in space.parameters} for p in space.grid(points)]


def test_every_configuration_runs_once_in_order_and_then_the_study_stops() -> None:
    assert configurations(optimized(SIX)) == varying(SIX)


def test_conditional_parameters_do_not_multiply_dead_branches() -> None:
    ran = configurations(optimized(CONDITIONAL))
    assert len(ran) == len(CONDITIONAL) == 2 * (3 + 1)
    assert ran == varying(CONDITIONAL)
    assert all(("momentum" in params) == (params["optimizer"] == "sgd") for params in ran)


def test_continuous_parameters_get_as_many_points_as_said() -> None:
    space = Space(lr=Float(1e-3, 1e-1, log=True), depth=Int(1, 9))
    ran = configurations(optimized(space, points={"lr": 3, "depth": 2}))
    assert [params["lr"] for params in ran[::2]] == pytest.approx([1e-3, 1e-2, 1e-1])
    assert {params["depth"] for params in ran} == {1, 9}
    assert len(ran) == 6


def test_a_continuous_parameter_without_points_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(SpaceError, match="say how many, or give the parameter a `step`"):
        optimized(Space(lr=Float(0, 1)), trials=1)


@pytest.mark.parametrize("before", range(8))
def test_a_grid_resumed_runs_what_is_missing_and_nothing_twice(before: int) -> None:
    study = optimized(CONDITIONAL, trials=before) if before else optuna.create_study()
    assert configurations(optimized(CONDITIONAL, study=study)) == varying(CONDITIONAL)


def test_failed_and_pruned_trials_count_too_and_so_does_one_still_running() -> None:
    study = optuna.create_study(sampler=GridSampler(SIX))
    for state in (TrialState.FAIL, TrialState.PRUNED):
        trial = study.ask()
        SIX.suggest(trial)
        study.tell(trial, state=state)
    SIX.suggest(study.ask())
    optimized(SIX, study=study)
    assert configurations(study) == varying(SIX)


def test_a_trial_that_is_asked_for_but_has_no_parameters_yet_is_not_given_away() -> None:
    study = optuna.create_study(sampler=GridSampler(SIX))
    first, second = study.ask(), study.ask()
    assert (SIX.suggest(second), SIX.suggest(first)) == tuple(reversed(varying(SIX)[:2]))


def test_what_was_enqueued_counts() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"depth": 2, "norm": False})
    ran = configurations(optimized(SIX, study=study))
    assert ran[0] == {"depth": 2, "norm": False}
    assert sorted(map(str, ran)) == sorted(map(str, varying(SIX)))


def test_what_was_enqueued_off_the_grid_is_one_more() -> None:
    space = Space(x=Float(0, 1))
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.3})
    assert [params["x"] for params in configurations(optimized(space, study=study, points=3))] == [0.3, 0.0, 0.5, 1.0]


@pytest.mark.parametrize("begun", range(6))
def test_a_part_of_a_configuration_is_completed_to_one_that_is_missing(begun: int) -> None:
    study = optuna.create_study()
    if begun:
        optimized(SIX, trials=begun, study=study)
    missing = [params for params in varying(SIX)[begun:] if params["depth"] == varying(SIX)[-1]["depth"]]
    study.enqueue_trial({"depth": missing[0]["depth"]})
    ran = configurations(optimized(SIX, study=study))
    assert ran[begun] == missing[0]
    assert sorted(map(str, ran)) == sorted(map(str, varying(SIX)))


def test_asking_for_more_than_there_is_raises_space_exhausted() -> None:
    study = optimized(SIX)
    with pytest.raises(SpaceExhausted):
        study.ask()


def test_integers_written_as_floats_and_enqueued_in_any_order_are_the_same_configuration(tmp_path: Path) -> None:
    study = ll.Study("grid", SIX, strategy="grid", storage=tmp_path, executor="inline", mlflow=None)
    study.enqueue({"norm": True, "depth": 1}, {"depth": 3.0, "norm": False})
    study.run(lambda trial: 1.0, progress=False)
    assert len(study.trials) == 6


def test_the_sampler_alone_survives_a_reopening_of_the_study(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    for trials in (2, 1, None):
        study = optuna.create_study(study_name="grid", storage=storage, load_if_exists=True)
        optimized(SIX, trials=trials, study=study)
    assert configurations(study) == varying(SIX)
