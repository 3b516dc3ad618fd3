"""A proposal is a function of seed, number and history: Optuna's tests of seeds and harder ones, for each strategy."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from leadline import Choice, Float, Int, Space
from leadline.search.strategies import STRATEGIES, sampler

# Optuna's own objective of its tests of seeds, and a condition.
SPACE = Space(
    a=Float(1, 9),
    b=Float(1, 9, log=True),
    c=Float(1, 9, step=1),
    d=Int(1, 9),
    e=Int(1, 9, log=True),
    f=Int(1, 9, step=2),
    g=Choice([9, 1, 3]),
    h=Float(0, 1, when={"g": 9}),
)
NAMES = [name for name in STRATEGIES if name != "grid"]
TRIALS = 8


def made(name: str, seed: int = 1, space: Space | None = SPACE) -> BaseSampler:
    """The strategy, its model in use from the fourth trial on."""
    options: dict[str, Any] = {"startup": 3} if "startup" in STRATEGIES[name].options else {}
    return sampler(name, seed, space, **options, **({"population": 4} if name == "cmaes" else {}))


def objective(trial: optuna.Trial) -> float:
    params = SPACE.suggest(trial)
    if trial.number == 2:
        raise optuna.TrialPruned
    return float("nan") if trial.number == 4 else sum(params.values())


def proposed(given: BaseSampler, trials: int = TRIALS, **how: Any) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=given)
    study.optimize(objective, n_trials=trials, **how)
    return [trial.params for trial in study.trials]


@functools.cache
def known(name: str) -> list[dict[str, Any]]:
    return proposed(made(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_proposes_the_same_and_another_seed_otherwise(name: str) -> None:
    assert proposed(made(name)) == known(name)
    assert all(one != other for one, other in zip(known(name), proposed(made(name, seed=2)), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_space_too(name: str) -> None:
    assert proposed(made(name, space=None)) == proposed(made(name, space=None)) != proposed(made(name, 2, None))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", [SPACE, None], ids=["space", "none"])
def test_a_study_resumed_before_each_trial_goes_as_one_never_interrupted(name: str, space: Space | None) -> None:
    study = optuna.create_study()
    for _ in range(TRIALS):
        resumed = optuna.create_study()
        resumed.add_trials(study.trials)
        resumed.sampler = made(name, space=space)
        resumed.optimize(objective, n_trials=1)
        study = resumed
    assert [trial.params for trial in study.trials] == (known(name) if space else proposed(made(name, space=None)))


@pytest.mark.parametrize("name", NAMES)
def test_reseeding_as_parallel_workers_do_changes_nothing(name: str) -> None:
    given = made(name)
    given.reseed_rng()
    assert proposed(given) == known(name)


# Whose models are maximized at one place may come there in two threads at once, neither seeing the other's choice.
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("gp", "bayes", "thaw")])
def test_trials_side_by_side_in_threads_differ(name: str) -> None:
    params = proposed(made(name), trials=6, n_jobs=2)
    assert len({tuple(sorted(p.items())) for p in params}) == 6
    assert all(SPACE.contains(p) for p in params)


@pytest.mark.parametrize("name", NAMES)
def test_a_proposal_does_not_hang_on_other_trials_being_asked_in_between(name: str) -> None:
    """Two trials whose parameters are suggested in turn get what they get one after the other."""
    names = ["a", "d", "x"]

    def suggest(trial: optuna.Trial, parameter: str) -> float:
        return trial.suggest_int("d", 1, 9) if parameter == "d" else trial.suggest_float(parameter, 1, 9)

    def two(in_turn: bool) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=made(name, space=None))
        study.optimize(lambda trial: sum(suggest(trial, p) for p in names), n_trials=4)
        trials = [study.ask(), study.ask()]
        assert all(trial.relative_params is not None for trial in trials)
        for trial, parameter in (
            [(t, p) for p in names for t in trials] if in_turn else [(t, p) for t in trials for p in names]
        ):
            suggest(trial, parameter)
        return [trial.params for trial in trials]

    assert two(in_turn=True) == two(in_turn=False)


def test_another_process_with_other_hashes_proposes_the_same() -> None:
    code = f"""
import json, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_reproducible as t
print(json.dumps({{name: t.proposed(t.made(name), 5) for name in t.NAMES}}))
"""
    answers = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert json.loads(answers[0]) == json.loads(answers[1]) == {name: known(name)[:5] for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_trials_that_wait_with_their_parameters_count_as_running(name: str) -> None:
    """So a proposal doesn't hang on whether the trials before it have begun."""

    def next_one(state: TrialState) -> dict[str, Any]:
        study = optuna.create_study(sampler=made(name))
        study.optimize(objective, n_trials=5)
        waiting = made(name).propose(study)  # type: ignore[attr-defined]
        waiting.state = state
        if state == TrialState.WAITING:
            waiting.datetime_start = None
        study._storage.create_new_trial(study._study_id, waiting)
        return made(name).propose(study).params  # type: ignore[attr-defined]

    assert next_one(TrialState.WAITING) == next_one(TrialState.RUNNING)
