from __future__ import annotations

import functools
import math
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any, ClassVar

import optuna
import pytest
import skopt
from contracts.sampler import Distributions, SamplerContract, X, asked, new_study, parabola, past
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import TrialState

from leadline.errors import SettingsError
from leadline.search.strategies.skopt import SkoptSampler

ESTIMATORS = ["gp", "rf", "et"]


class Conformance(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """Optuna's suites for samplers, with a model from the second trial on."""

    estimator: str
    cheaper: dict[str, int]

    @pytest.fixture
    def sampler(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], optuna.samplers.BaseSampler]:
        # The suites look at 700 proposals whether they are valid, not whether they are good: 10 trees do as 100 would.
        cheap = functools.partial(skopt.utils.cook_estimator, **self.cheaper)
        monkeypatch.setattr("skopt.optimizer.optimizer.cook_estimator", cheap)
        return lambda: SkoptSampler(self.estimator, seed=0, n_startup_trials=1, candidates=100)


class TestGaussianProcessConforms(Conformance):
    estimator = "gp"
    cheaper: ClassVar = {"n_restarts_optimizer": 0}


class TestRandomForestConforms(Conformance):
    estimator = "rf"
    cheaper: ClassVar = {"n_estimators": 10}


class TestExtraTreesConform(Conformance):
    estimator = "et"
    cheaper: ClassVar = {"n_estimators": 10}


class ModelContract(SamplerContract):
    estimator: str

    def make(self, seed: int = 0, n_startup_trials: int = 1) -> SkoptSampler:
        return SkoptSampler(self.estimator, seed=seed, n_startup_trials=n_startup_trials, candidates=200)


class TestGaussianProcess(ModelContract):
    estimator = "gp"


class TestRandomForest(ModelContract):
    estimator = "rf"


class TestExtraTrees(ModelContract):
    estimator = "et"


def proposal(study: optuna.Study, space: Distributions = X, estimator: str = "gp", seed: int = 0) -> dict[str, Any]:
    """What a fresh sampler proposes; the trial stays running."""
    return asked(SkoptSampler(estimator, seed=seed, n_startup_trials=1, candidates=200), study, space)


def test_the_first_trials_are_random_and_differ() -> None:
    study = new_study()
    study.sampler = SkoptSampler("gp", seed=0, n_startup_trials=5)
    study.optimize(lambda trial: trial.suggest_float("x", -5, 5), n_trials=4)
    assert len({t.params["x"] for t in study.trials}) == 4
    trial = study.ask()
    assert study.sampler.sample_relative(study, study.trials[trial.number], dict(X)) == {}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_running_trials_spread_the_proposals(estimator: str) -> None:
    history = [past({"x": float(x)}, (x - 1) ** 2) for x in range(-5, 6) if x not in (1, 2)]
    study = new_study(*history)
    alone = [proposal(new_study(*history), estimator=estimator, seed=seed)["x"] for seed in range(5)]
    together = [proposal(study, estimator=estimator)["x"] for _ in range(5)]
    assert max(together) - min(together) > 2 * (max(alone) - min(alone))


def test_the_gaussian_process_beats_random_search_on_a_quadratic() -> None:
    def best(sampler: optuna.samplers.BaseSampler) -> float:
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda t: (t.suggest_float("x", -5, 5) - 1.3) ** 2 + (t.suggest_float("y", -5, 5) + 2) ** 2, 18)
        return study.best_value

    random = [best(optuna.samplers.RandomSampler(seed)) for seed in range(10)]
    assert max(best(SkoptSampler("gp", seed=seed, n_startup_trials=6)) for seed in range(3)) < min(random)
    assert max(best(SkoptSampler("gp", seed=seed, n_startup_trials=6)) for seed in range(3)) < median(random) / 20


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_space_of_choices_alone_is_searched(estimator: str) -> None:
    space = {name: CategoricalDistribution([None, True, "text"]) for name in ("a", "b")}
    choices = space["a"].choices
    pairs = [(a, b) for a in choices for b in choices]
    history = [past({"a": a, "b": b}, float(a is not True) + float(b is not True), space) for a, b in pairs]
    assert proposal(new_study(*history[:-1]), space, estimator) == {"a": "text", "b": "text"}  # the one left
    history = [trial for trial in history if trial.value] * 3
    assert proposal(new_study(*history), space, estimator) == {"a": True, "b": True}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_rounding_does_not_lead_back_to_configurations_already_tried(estimator: str) -> None:
    study = new_study()
    study.sampler = SkoptSampler(estimator, seed=0, n_startup_trials=3, candidates=200)
    for number in range(14):
        trial = study.ask({"n": IntDistribution(1, 12)} if number > 2 else None)
        study.tell(trial, abs(trial.suggest_int("n", 1, 12) - 7.2))
    assert {t.params["n"] for t in study.trials[3:]} >= set(range(1, 13)) - {t.params["n"] for t in study.trials[:3]}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_conditional_space_is_the_union_of_what_trials_had(estimator: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("net", ["cnn", "mlp"]) == "cnn":
            return 1 + trial.suggest_float("kernel", 0, 1)
        return abs(trial.suggest_int("units", 1, 64, log=True) - 16) / 16

    study = new_study()
    study.sampler = SkoptSampler(estimator, seed=0, n_startup_trials=4, candidates=200)
    study.optimize(objective, n_trials=14)
    space = study.sampler.infer_relative_search_space(study, study.trials[-1])
    assert list(space) == ["kernel", "net", "units"]
    assert list(study.sampler.sample_relative(study, study.ask()._get_latest_trial(), space)) == list(space)
    assert study.best_params["net"] == "mlp"
    assert study.best_value < 0.5


def test_a_diverged_trial_counts_alike_however_bad_its_value() -> None:
    near, far = (proposal(new_study(*parabola(), past({"x": 4.0}, value))) for value in (1e3, math.inf))
    assert near == pytest.approx(far, abs=0.5)
    assert -1 < near["x"] < 3


def test_the_retry_of_a_failed_trial_takes_its_place() -> None:
    failed, retry = past({"x": 1.0}, state=TrialState.FAIL), past({"x": 1.0}, -2.0)
    study, other = new_study(*parabola(), failed, retry), new_study(*parabola(), retry, retry)
    points, values, lies = SkoptSampler()._observations(study, study.ask()._get_latest_trial(), X)
    assert (len(points), values[-1], lies) == (6, -2.0, [])
    assert len(SkoptSampler()._observations(other, other.ask()._get_latest_trial(), X)[0]) == 7


def test_all_wrong_arguments_are_reported_together() -> None:
    with pytest.raises(SettingsError) as error:
        SkoptSampler("gb", seed=-1, n_startup_trials=-1, candidates=0)
    assert len(error.value.problems) == 4
    assert "Known: `et`, `gp`, `rf`." in str(error.value)


def test_importing_the_module_loads_neither_skopt_nor_sklearn() -> None:
    code = "import sys, leadline.search.strategies.skopt; sys.exit(bool({'skopt', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
