from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import optuna
import pytest
from contracts.sampler import Distributions, SamplerContract, X, asked, new_study, parabola, past
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import TrialState

from leadline.errors import SettingsError
from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.gaussian_process import GaussianProcessSampler, _telling
from leadline.search.strategies.regression import Regression
from leadline.spaces import Choice, Float, Int, Space

ARMS = Space(
    net=Choice(["cnn", "mlp"]),
    kernel=Float(0.0, 1.0, when={"net": "cnn"}),
    units=Int(1, 64, log=True, when={"net": "mlp"}),
)


class TestGaussianProcessConforms(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """Optuna's suites for samplers, with a model from the second trial on."""

    scores = "power"

    @pytest.fixture
    def sampler(self) -> Callable[[], optuna.samplers.BaseSampler]:
        return lambda: GaussianProcessSampler(seed=0, n_startup_trials=1, scores=self.scores)


class TestGaussianProcessOfRanksConforms(TestGaussianProcessConforms):
    scores = "ranks"


def proposal(study: optuna.Study, space: Distributions = X, **settings: Any) -> dict[str, Any]:
    """What a fresh sampler with seed 0 proposes; the trial stays running."""
    return asked(GaussianProcessSampler(**{"seed": 0, "n_startup_trials": 1} | settings), study, space)


class TestContract(SamplerContract):
    scores = "auto"

    def make(self, seed: int = 0, n_startup_trials: int = 1) -> GaussianProcessSampler:
        return GaussianProcessSampler(seed=seed, n_startup_trials=n_startup_trials, scores=self.scores)


class TestContractOfPowers(TestContract):
    scores = "power"


class TestContractOfRanks(TestContract):
    scores = "ranks"


def test_the_first_trials_spread_over_the_space() -> None:
    space = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])}
    study = new_study()
    study.sampler = GaussianProcessSampler(seed=0, n_startup_trials=100, space=Space.from_distributions(space))
    trials = [study.ask(space).params for _ in range(8)]
    for choice in "ab":
        gaps = np.diff(sorted(t["x"] for t in trials if t["c"] == choice))
        assert len(gaps) >= 2
        assert gaps.min() > 0.05
    assert trials[0]["x"] == 0.5
    more = [study.ask(space).params["x"] for _ in range(16)]
    assert min(more) < 0.1
    assert max(more) > 0.9


@pytest.mark.parametrize("scores", ["power", "ranks", "auto"])
def test_a_batch_of_64_running_trials_is_spread(scores: str) -> None:
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    rng = np.random.default_rng(0)
    drawn = np.column_stack([rng.random((40, 2)), 0.02 * rng.standard_normal(40)]).tolist()
    history = [past({"x": x, "y": y}, (x - 0.3) ** 2 + (y - 0.6) ** 2 + noise, space) for x, y, noise in drawn]
    study = new_study(*history)
    batch = np.array([list(proposal(study, space, scores=scores).values()) for _ in range(64)])
    distances = np.linalg.norm(batch[:, None] - batch[None], axis=2)
    distances[np.diag_indices(64)] = np.inf
    assert distances.min() > 2e-3
    assert np.median(distances.min(axis=1)) > 0.01
    assert np.median(np.linalg.norm(batch - [0.3, 0.6], axis=1)) < 0.2  # at random it would be 0.4


def test_it_beats_random_search_on_a_quadratic() -> None:
    def best(sampler: optuna.samplers.BaseSampler) -> float:
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda t: (t.suggest_float("x", -5, 5) - 1.3) ** 2 + (t.suggest_float("y", -5, 5) + 2) ** 2, 18)
        return study.best_value

    random = [best(optuna.samplers.RandomSampler(seed)) for seed in range(10)]
    ours = [best(GaussianProcessSampler(seed=seed)) for seed in range(5)]
    assert median(ours) < min(random)
    assert median(ours) < median(random) / 100


def test_a_finite_space_is_searched_without_repeats_and_repeats_when_it_is_used_up() -> None:
    space = {"n": IntDistribution(1, 4), "c": CategoricalDistribution(["a", "b", "c"])}
    study = new_study()
    study.sampler = GaussianProcessSampler(seed=0, n_startup_trials=3, space=Space.from_distributions(space))
    for _ in range(14):
        trial = study.ask(space)
        study.tell(trial, abs(trial.params["n"] - 2.2) + (trial.params["c"] == "a"))
    assert len({tuple(t.params.items()) for t in study.trials[:12]}) == 12


def test_a_conditional_space_is_searched_where_it_is_active() -> None:
    def objective(trial: optuna.Trial) -> float:
        params = ARMS.suggest(trial)
        return 1 + params["kernel"] if params["net"] == "cnn" else abs(params["units"] - 16) / 16

    for space in (ARMS, None):
        study = new_study()
        study.sampler = GaussianProcessSampler(seed=0, n_startup_trials=4, space=space)
        study.optimize(objective, n_trials=16)
        assert study.best_params["net"] == "mlp"
        assert study.best_value < 0.2
        names = study.sampler.infer_relative_search_space(study, study.trials[-1])
        assert list(names) == ["kernel", "net", "units"]


def test_a_space_given_is_proposed_from_from_the_first_trial_on_with_what_is_active() -> None:
    sampler = GaussianProcessSampler(seed=0, space=ARMS)
    study = new_study()
    space = sampler.infer_relative_search_space(study, study.ask()._get_latest_trial())
    for _ in range(6):
        params = sampler.sample_relative(study, study.ask()._get_latest_trial(), space)
        assert set(params) == {"net", "kernel" if params["net"] == "cnn" else "units"}


@pytest.mark.parametrize("scores", ["power", "ranks", "auto"])
@pytest.mark.parametrize("value", [1e3, 1e200, math.inf])
def test_a_diverged_trial_does_not_hide_the_others(scores: str, value: float) -> None:
    history = [past({"x": x}, (x - 1) ** 2 if x < 4 else value) for x in np.linspace(-5, 5, 13).tolist()]
    assert proposal(new_study(*history), scores=scores)["x"] == pytest.approx(1, abs=0.8)


def test_the_retry_of_a_failed_trial_takes_its_place() -> None:
    failed, retry = past({"x": 1.0}, state=TrialState.FAIL), past({"x": 1.0}, -2.0)
    assert proposal(new_study(*parabola(), failed, retry)) == proposal(new_study(*parabola(), past({}, -9.0), retry))


def test_what_is_given_is_held_in_the_acquisition() -> None:
    space = {"net": CategoricalDistribution(["a", "b"]), "x": FloatDistribution(0, 1)}
    history = [
        past({"net": net, "x": x}, (x - best) ** 2, space)
        for net, best in (("a", 0.2), ("b", 0.8))
        for x in np.linspace(0.05, 0.95, 7).tolist()
    ]
    for net, best in (("a", 0.2), ("b", 0.8)):
        study = new_study(*history)
        study.sampler = condition(GaussianProcessSampler(seed=0, n_startup_trials=1), {"net": net})
        params = study.ask(space).params
        assert params["net"] == net
        assert params["x"] == pytest.approx(best, abs=0.1)


def test_after_5000_trials_the_model_has_a_bounded_part_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    told = rng.standard_normal(5_000)
    kept = _telling(told, 300)
    assert len(kept) == len(set(kept.tolist())) == 300
    assert set(np.argsort(told)[:100]) | set(range(4_900, 5_000)) <= set(kept.tolist())
    assert np.abs(np.quantile(told[kept], [0.5, 0.99]) - np.quantile(told, [0.1, 0.99])).max() < 1
    sizes: list[int] = []
    fit = Regression.fit

    def counted(points: np.ndarray, values: np.ndarray, categorical: np.ndarray) -> Regression:
        sizes.append(len(values))
        return fit(points, values, categorical)

    monkeypatch.setattr(Regression, "fit", counted)
    history = [past({"x": x}, (x - 1) ** 2) for x in rng.uniform(-5, 5, 5_000).tolist()]
    assert proposal(new_study(*history), observations=60, scores="power")["x"] == pytest.approx(1, abs=0.5)
    assert sizes == [60]


@pytest.mark.parametrize(("noise", "wanted"), [(0.0, "power"), (5.0, "ranks")])
def test_automatic_scores_are_the_values_where_these_are_smooth_and_ranks_else(noise: float, wanted: str) -> None:
    rng = np.random.default_rng(0)
    history = [past({"x": x}, x * x + noise * rng.standard_normal()) for x in rng.uniform(-5, 5, 30).tolist()]
    assert proposal(new_study(*history)) == proposal(new_study(*history), scores=wanted)
    powered, ranked = (proposal(new_study(*history), scores=scores) for scores in ("power", "ranks"))
    assert powered != ranked


def test_all_wrong_arguments_are_reported_together() -> None:
    with pytest.raises(SettingsError) as error:
        GaussianProcessSampler(seed=-1, n_startup_trials=-1, observations=9, scores="rank")
    assert len(error.value.problems) == 4
    assert "Did you mean `ranks`?" in str(error.value)


def test_importing_the_module_loads_neither_scipy_nor_sklearn() -> None:
    imported = "import sys, leadline.search.strategies.gaussian_process"
    code = f"{imported}; sys.exit(bool({{'scipy', 'sklearn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
