"""CMA-ES without state: rebuilt from the trials, over numbers, lattices and choices."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from leadline.errors import SettingsError
from leadline.search.strategies.cmaes import CmaesSampler, _Search

MIXED: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "x": FloatDistribution(-2, 3),
    "depth": IntDistribution(1, 9),
    "width": IntDistribution(8, 512, log=True),
    "drop": FloatDistribution(0.0, 0.6, step=0.1),
    "on": IntDistribution(0, 1),
    "half": FloatDistribution(0.5, 1.0, step=0.5),
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "fixed": IntDistribution(7, 7),
}


def loss(params: dict[str, Any]) -> float:
    numbers = (math.log10(params["rate"]) + 3) ** 2 + params["x"] ** 2 + (math.log2(params["width"]) - 6) ** 2 / 4
    lattices = (params["depth"] - 4) ** 2 / 4 + (params["drop"] - 0.2) ** 2 * 9 + params["on"] + params["half"]
    return float(numbers + lattices + (params["kind"] != "b") - 0.5)


def searched(sampler: optuna.samplers.BaseSampler, trials: int = 150, direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(sampler=sampler, direction=direction)
    sign = 1 if direction == "minimize" else -1
    for _ in range(trials):
        trial = study.ask(dict(MIXED))
        study.tell(trial, sign * loss(trial.params))
    return study


def test_it_finds_the_optimum_of_numbers_lattices_and_choices_together() -> None:
    found = [searched(CmaesSampler(seed, MIXED)) for seed in range(3)]
    random = [searched(optuna.samplers.RandomSampler(seed)).best_value for seed in range(3)]
    assert max(study.best_value for study in found) < 0.1 < min(random)
    assert {(study.best_params["kind"], study.best_params["depth"]) for study in found} == {("b", 4)}


def test_maximizing_mirrors_minimizing() -> None:
    one, other = searched(CmaesSampler(0, MIXED), 30), searched(CmaesSampler(0, MIXED), 30, "maximize")
    assert [trial.params for trial in one.trials] == [trial.params for trial in other.trials]


def test_trials_that_others_proposed_are_learnt_from() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    study.optimize(lambda t: (t.suggest_float("x", 0, 1) - 0.9) ** 2 + t.suggest_float("y", 0, 1) ** 2, n_trials=60)
    study.sampler = CmaesSampler(0)
    drawn = [study.ask(dict(space)).params for _ in range(20)]
    assert median(params["x"] for params in drawn) > 0.6
    assert median(params["y"] for params in drawn) < 0.45


def test_failed_trials_are_told_as_the_worst() -> None:
    study = optuna.create_study(sampler=CmaesSampler(0, {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}))
    study.optimize(
        lambda t: math.nan if t.suggest_float("x", 0, 1) > 0.5 else 1 - t.params["x"] + t.suggest_float("y", 0, 1),
        n_trials=60,
    )
    late = study.trials[30:]
    assert sum(trial.state == TrialState.FAIL for trial in late) < 18
    assert median(trial.params["x"] for trial in late) > 0.3


def test_a_population_of_nothing_but_failures_moves_nothing() -> None:
    space = {"x": FloatDistribution(0, 1)}
    failed = [optuna.create_trial(params={"x": 0.9}, distributions=space, state=TrialState.FAIL) for _ in range(40)]
    search, untold = _Search(space, 0, None), _Search(space, 0, None)
    search.tell(failed, 1.0)
    assert search.ask(3) == untold.ask(3)


def test_parameters_that_a_condition_switches_off_keep_their_distribution() -> None:
    study = optuna.create_study(
        sampler=CmaesSampler(0, {"kind": CategoricalDistribution("ab"), "x": FloatDistribution(0, 1)})
    )

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1) if trial.suggest_categorical("kind", ["a", "b"]) == "b" else -1.0

    study.optimize(objective, n_trials=40)
    drawn = [_late(study, number)["x"] for number in range(100, 140)]
    assert max(drawn) - min(drawn) > 0.2


def _late(study: optuna.Study, number: int) -> dict[str, Any]:
    trial = optuna.create_trial(state=TrialState.RUNNING)
    trial.number = number
    space = study.sampler.infer_relative_search_space(study, trial)
    return study.sampler.sample_relative(study, trial, space)


def test_thousands_of_trials_are_told_in_blocks_so_that_asking_stays_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(_Search, "tell", lambda self, trials, sign: told.append(len(trials)))
    monkeypatch.setattr("leadline.search.strategies.cmaes._BLOCK", 10)
    study = optuna.create_study(sampler=CmaesSampler(0, {"x": FloatDistribution(0, 1)}))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=45)
    assert told == [*range(20), *range(10, 20), *range(10, 20), *range(10, 15)]


def test_a_population_that_is_none_is_told() -> None:
    with pytest.raises(SettingsError, match="`population >= 4` must hold, but got 3"):
        CmaesSampler(0, population=3)
