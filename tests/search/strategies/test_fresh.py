"""Optuna's samplers, made anew for each trial."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.fresh import Fresh, at_random, entropy


class Noting(RandomSampler):
    """Notes what it is shown and asked; one list for all that are made."""

    def __init__(self, seed: int, notes: list[Any]) -> None:
        super().__init__(seed)
        self.notes, self.seed = notes, seed

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> dict[str, BaseDistribution]:
        self.inferred = trial.number
        return {"x": FloatDistribution(0, 1)}

    def sample_relative(self, study: optuna.Study, trial: Any, search_space: dict[str, BaseDistribution]) -> Any:
        assert self.inferred == trial.number  # the same one that inferred
        self.notes.append((self.seed, [past.number for past in study.get_trials(deepcopy=False)]))
        return {}


def test_each_trial_has_a_sampler_of_its_own_with_a_seed_of_its_own() -> None:
    notes: list[Any] = []
    study = optuna.create_study(sampler=Fresh(lambda seed: Noting(seed, notes), seed=3))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert [seed for seed, _ in notes] == [entropy(3, number) for number in range(3)]


def test_of_many_trials_the_sampler_is_shown_as_many_as_said() -> None:
    notes: list[Any] = []
    study = optuna.create_study(sampler=Fresh(lambda seed: Noting(seed, notes), seed=3, most=6))
    study.optimize(lambda trial: abs(trial.number - 3), n_trials=20)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    (shown,) = [numbers for _, numbers in notes]
    assert {2, 3, 4} - set(shown) <= {2, 4}  # the best
    assert {18, 19} <= set(shown)  # the newest
    assert len(shown) == 7  # and itself, which is running


def test_values_drawn_independently_of_each_other_differ_by_name_and_number() -> None:
    study = optuna.create_study(sampler=Fresh(RandomSampler, seed=0))
    study.optimize(lambda trial: sum(trial.suggest_float(name, 0, 1) for name in "xyz"), n_trials=4)
    values = [value for trial in study.trials for value in trial.params.values()]
    assert len(set(values)) == 12


def test_the_order_in_which_parameters_are_asked_for_does_not_matter() -> None:
    def drawn(names: str) -> dict[str, float]:
        trial = optuna.create_study(sampler=Fresh(RandomSampler, seed=0)).ask()
        return {name: trial.suggest_float(name, 0, 1) for name in names}

    assert drawn("xyz") == drawn("zxy")


def test_conditioning_conditions_what_is_made() -> None:
    def proposed(sampler: BaseSampler) -> dict[str, Any]:
        study = optuna.create_study(sampler=RandomSampler(0))
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("n", 1, 9), n_trials=20)
        study.sampler = sampler
        return study.ask({"x": FloatDistribution(0, 1)}).params

    fresh = Fresh(lambda seed: TPESampler(seed=seed), seed=5)
    alone = condition(TPESampler(seed=entropy(5, 20)), {"n": 2})
    assert proposed(condition(fresh, {"n": 2})) == proposed(alone)
    assert proposed(condition(fresh, {"n": 2})) != proposed(fresh)


def test_a_random_value_is_the_same_for_the_same_seed_number_and_name() -> None:
    study = optuna.create_study()
    trials = [study.ask()._get_latest_trial() for _ in range(2)]
    drawn = [
        at_random(seed, study, trial, name, FloatDistribution(0, 1))
        for seed in (0, 1)
        for trial in trials
        for name in "xy"
    ]
    assert len(set(drawn)) == 8
    assert drawn[0] == at_random(0, study, trials[0], "x", FloatDistribution(0, 1))
