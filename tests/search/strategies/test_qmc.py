"""Scrambled Sobol points: evenly spread, by the trials' numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.qmc import QmcSampler

SPACE: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(["a", "b", "c", "d"]),
    "n": IntDistribution(1, 8),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "x": FloatDistribution(0, 1),
}


def proposed(trials: int, sampler: Any = None, space: Any = SPACE) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=sampler or QmcSampler(0, SPACE))
    return [study.ask(space).params for _ in range(trials)]


def test_a_power_of_two_of_trials_has_each_value_equally_often() -> None:
    trials = proposed(64)
    for name, values in (("kind", "abcd"), ("n", range(1, 9))):
        counts = [sum(params[name] == value for params in trials) for value in values]
        assert max(counts) == min(counts) == 64 / len(counts)
    rates = np.log10([params["rate"] for params in trials])
    assert np.histogram(rates, 8, (-4, -1))[0].tolist() == [8] * 8
    pairs = np.histogram2d([p["x"] for p in trials], rates, 4, [(0, 1), (-4, -1)])[0]
    assert pairs.min() >= 2  # of 4 each: random ones leave gaps


def test_another_seed_scrambles_otherwise_and_one_seed_alike() -> None:
    assert proposed(4) == proposed(4, QmcSampler(0, SPACE)) != proposed(4, QmcSampler(1, SPACE))


def test_the_point_is_that_of_the_number_whoever_ran_before() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler())
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    study.sampler = QmcSampler(0, SPACE)
    assert study.ask(SPACE).params == proposed(6)[5]


def test_without_a_space_it_takes_the_parameters_of_the_earliest_trial() -> None:
    study = optuna.create_study(sampler=QmcSampler(0))
    for _ in range(9):
        trial = study.ask(SPACE)
        study.tell(trial, 0.0)
    assert [trial.params for trial in study.trials[1:]] == proposed(9)[1:]


def test_a_parameter_keeps_its_coordinate_where_others_are_held() -> None:
    held = proposed(8, condition(QmcSampler(0, SPACE), {"n": 3}))
    assert [{**params, "n": 3} for params in proposed(8)] == held


def test_what_is_asked_for_beside_the_space_is_random() -> None:
    trials = proposed(8, space={"y": FloatDistribution(0, 1), "x": SPACE["x"]})
    assert len({params["y"] for params in trials}) == 8
    assert [params["x"] for params in trials] == [params["x"] for params in proposed(8)]


@pytest.mark.parametrize("number", [4999, 100_000])
def test_late_points_are_found_too(number: int) -> None:
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    trial.number = number
    params = QmcSampler(0, SPACE).sample_relative(optuna.create_study(), trial, SPACE)
    assert all(SPACE[name]._contains(SPACE[name].to_internal_repr(value)) for name, value in params.items())
