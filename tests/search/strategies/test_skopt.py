from __future__ import annotations

import functools
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, ClassVar

import optuna
import pytest
import skopt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import TrialState

from leadline.errors import SettingsError
from leadline.search.strategies.skopt import SkoptSampler

Space = Mapping[str, BaseDistribution]

ESTIMATORS = ["gp", "rf", "et"]
X = {"x": FloatDistribution(-5.0, 5.0)}
LOG_INT = {"n": IntDistribution(10, 100_000, log=True)}
MIXED = {
    "choice": CategoricalDistribution([None, True, 3, 0.5, "text"]),
    "even": IntDistribution(2, 12, step=2),
    "fixed": IntDistribution(7, 7),
    "lattice": FloatDistribution(-0.3, 0.6, step=0.3),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
}


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


def new_study(*trials: optuna.trial.FrozenTrial, direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def past(params: dict[str, Any], value: float | None = None, space: Space = X, **more: Any) -> optuna.trial.FrozenTrial:
    space = {name: space[name] for name in params}
    return optuna.create_trial(params=params, distributions=space, value=value, **more)


def parabola(sign: float = 1) -> list[optuna.trial.FrozenTrial]:
    return [past({"x": x}, sign * (x - 1) ** 2) for x in (-5.0, -2.5, 0.0, 3.0, 5.0)]


def proposal(study: optuna.Study, space: Space = X, estimator: str = "gp", **settings: Any) -> dict[str, Any]:
    """What a fresh sampler with seed 0 proposes; the trial stays running."""
    study.sampler = SkoptSampler(estimator, **{"seed": 0, "n_startup_trials": 1, "candidates": 200} | settings)
    return study.ask(dict(space)).params


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_fresh_samplers_with_the_same_seed_and_history_propose_the_same(estimator: str) -> None:
    one, two = (proposal(new_study(*parabola()), estimator=estimator) for _ in range(2))
    assert one == two
    assert one != proposal(new_study(*parabola()), estimator=estimator, seed=1)


@pytest.mark.parametrize("n_startup_trials", [0, 3])
def test_a_study_resumed_before_each_trial_goes_as_one_never_interrupted(n_startup_trials: int) -> None:
    kept, resumed = (new_study() for _ in range(2))
    sampler = SkoptSampler("et", seed=4, n_startup_trials=n_startup_trials, candidates=50)
    for _ in range(6):
        for study in (kept, resumed):
            study.sampler = (
                sampler
                if study is kept
                else SkoptSampler("et", seed=4, n_startup_trials=n_startup_trials, candidates=50)
            )
            trial = study.ask()
            study.tell(trial, trial.suggest_float("x", -5, 5) ** 2 + trial.suggest_int("n", 1, 9))
    assert [t.params for t in kept.trials] == [t.params for t in resumed.trials]


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
def test_maximizing_mirrors_minimizing(estimator: str) -> None:
    mirrored = new_study(*parabola(sign=-1), direction="maximize")
    assert proposal(mirrored, estimator=estimator) == proposal(new_study(*parabola()), estimator=estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("best", [10, 1_000, 100_000])
def test_proposals_for_a_log_integer_gather_at_the_best_value_within_its_bounds(estimator: str, best: int) -> None:
    tried = [round(10 ** (1 + 4 * i / 20)) for i in range(21)]
    history = [past({"n": n}, abs(math.log10(n / best)), LOG_INT) for n in tried]
    values = [proposal(new_study(*history), LOG_INT, estimator, seed=seed)["n"] for seed in range(5)]
    assert all(type(n) is int and 10 <= n <= 100_000 for n in values)
    assert median(abs(math.log10(n / best)) for n in values) < 1


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_proposals_are_plain_values_of_their_distributions(estimator: str) -> None:
    study = new_study()
    for number in range(8):
        params = proposal(study, MIXED, estimator)
        study.tell(number, float(params["even"]))
        assert {type(params[name]) for name in ("lattice", "rate")} == {float}
        assert type(params["even"]) is int
        assert any(params["choice"] is choice for choice in MIXED["choice"].choices)
        for name, distribution in MIXED.items():
            assert distribution._contains(distribution.to_internal_repr(params[name]))


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


def test_the_space_has_the_newest_range_and_no_single_values() -> None:
    older, newer = {"x": FloatDistribution(0, 9), "n": IntDistribution(7, 7)}, {"x": FloatDistribution(20, 30)}
    study = new_study(past({"x": 3.0, "n": 7}, 1.0, older), past({"x": 21.0}, 2.0, newer))
    space = SkoptSampler().infer_relative_search_space(study, study.trials[-1])
    assert space == newer
    assert 20 <= proposal(study, space)["x"] <= 30


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_history_without_finite_values_is_survived(estimator: str) -> None:
    odd = [
        past({"x": 4.0}, state=TrialState.FAIL),
        past({}, state=TrialState.FAIL),
        past({"x": 3.5}, state=TrialState.PRUNED),
        past({"x": 3.0}, state=TrialState.PRUNED, intermediate_values={1: math.nan}),
        past({"x": 2.0}, state=TrialState.WAITING, system_attrs={"fixed_params": {"x": 2.0}}),
    ]
    infinite = [past({"x": -x}, value) for x, value in enumerate((math.inf, -math.inf, 1.7e308, -1.7e308))]
    for history in (odd, infinite[:1], infinite[:2], infinite, [*odd, *infinite], [*odd, *infinite, *parabola()]):
        study = new_study(*[trial for trial in history if trial.state != TrialState.WAITING])
        assert -5 <= proposal(study, estimator=estimator)["x"] <= 5
    study.add_trial(odd[-1])
    assert proposal(study, estimator=estimator)["x"] == 2.0


def test_a_diverged_trial_counts_alike_however_bad_its_value() -> None:
    near, far = (proposal(new_study(*parabola(), past({"x": 4.0}, value))) for value in (1e3, math.inf))
    assert near == pytest.approx(far, abs=0.5)
    assert -1 < near["x"] < 3


def test_a_pruned_trial_counts_with_its_last_report() -> None:
    pruned = past({"x": 1.0}, state=TrialState.PRUNED, intermediate_values={0: 9.0, 7: -2.0, 3: 5.0})
    assert proposal(new_study(*parabola(), pruned)) == proposal(new_study(*parabola(), past({"x": 1.0}, -2.0)))


def test_a_configuration_that_fails_is_not_proposed_for_ever() -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        return x if x > 0.3 else math.nan

    study = new_study()
    study.sampler = SkoptSampler("gp", seed=0, n_startup_trials=3, candidates=200)
    study.optimize(objective, n_trials=16)
    assert sum(t.state == TrialState.FAIL for t in study.trials) < 8
    assert study.best_value < 0.5


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
