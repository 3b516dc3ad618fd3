from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import FrozenTrial, TrialState

from leadline.errors import SettingsError
from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.gaussian_process import GaussianProcessSampler, _telling
from leadline.search.strategies.regression import Regression
from leadline.spaces import Choice, Float, Int, Space

Distributions = Mapping[str, BaseDistribution]

X = {"x": FloatDistribution(-5.0, 5.0)}
MIXED = {
    "choice": CategoricalDistribution([None, True, 3, 0.5, "text"]),
    "even": IntDistribution(2, 12, step=2),
    "fixed": IntDistribution(7, 7),
    "lattice": FloatDistribution(-0.3, 0.6, step=0.3),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
}
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


def new_study(*trials: FrozenTrial, direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def past(params: dict[str, Any], value: float | None = None, space: Distributions = X, **more: Any) -> FrozenTrial:
    space = {name: space[name] for name in params}
    return optuna.create_trial(params=params, distributions=space, value=value, **more)


def parabola(sign: float = 1) -> list[FrozenTrial]:
    return [past({"x": x}, sign * (x - 1) ** 2) for x in (-5.0, -2.5, 0.0, 3.0, 5.0)]


def proposal(study: optuna.Study, space: Distributions = X, **settings: Any) -> dict[str, Any]:
    """What a fresh sampler with seed 0 proposes; the trial stays running."""
    study.sampler = GaussianProcessSampler(**{"seed": 0, "n_startup_trials": 1} | settings)
    return study.ask(dict(space)).params


def test_fresh_samplers_with_the_same_seed_and_history_propose_the_same() -> None:
    one, two = (proposal(new_study(*parabola())) for _ in range(2))
    assert one == two
    assert one != proposal(new_study(*parabola()), seed=1)


@pytest.mark.parametrize("n_startup_trials", [0, 3])
def test_a_study_resumed_before_each_trial_goes_as_one_never_interrupted(n_startup_trials: int) -> None:
    kept, resumed = (new_study() for _ in range(2))
    sampler = GaussianProcessSampler(seed=4, n_startup_trials=n_startup_trials)
    for _ in range(8):
        for study in (kept, resumed):
            fresh = GaussianProcessSampler(seed=4, n_startup_trials=n_startup_trials)
            study.sampler = sampler if study is kept else fresh
            trial = study.ask()
            study.tell(trial, trial.suggest_float("x", -5, 5) ** 2 + trial.suggest_int("n", 1, 9))
    assert [t.params for t in kept.trials] == [t.params for t in resumed.trials]


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


def test_maximizing_mirrors_minimizing() -> None:
    mirrored = new_study(*parabola(sign=-1), direction="maximize")
    assert proposal(mirrored) == proposal(new_study(*parabola()))


@pytest.mark.parametrize("best", [10, 1_000, 100_000])
def test_proposals_for_a_log_integer_gather_at_the_best_value_within_its_bounds(best: int) -> None:
    space = {"n": IntDistribution(10, 100_000, log=True)}
    tried = [round(10 ** (1 + 4 * i / 20)) for i in range(21)]
    history = [past({"n": n}, abs(math.log10(n / best)), space) for n in tried]
    values = [proposal(new_study(*history), space, seed=seed)["n"] for seed in range(5)]
    assert all(type(n) is int and 10 <= n <= 100_000 for n in values)
    assert median(abs(math.log10(n / best)) for n in values) < 1


def test_proposals_are_plain_values_of_their_distributions() -> None:
    study = new_study()
    for number in range(12):
        params = proposal(study, MIXED)
        study.tell(number, float(params["even"]))
        assert {type(params[name]) for name in ("lattice", "rate")} == {float}
        assert type(params["even"]) is int
        assert any(params["choice"] is choice for choice in MIXED["choice"].choices)
        for name, distribution in MIXED.items():
            assert distribution._contains(distribution.to_internal_repr(params[name]))


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


def test_the_space_has_the_newest_range_and_no_single_values() -> None:
    older, newer = {"x": FloatDistribution(0, 9), "n": IntDistribution(7, 7)}, {"x": FloatDistribution(20, 30)}
    study = new_study(past({"x": 3.0, "n": 7}, 1.0, older), past({"x": 21.0}, 2.0, newer))
    space = GaussianProcessSampler().infer_relative_search_space(study, study.trials[-1])
    assert space == newer
    assert 20 <= proposal(study, space)["x"] <= 30


@pytest.mark.parametrize("scores", ["power", "ranks", "auto"])
def test_history_without_finite_values_is_survived(scores: str) -> None:
    odd = [
        past({"x": 4.0}, state=TrialState.FAIL),
        past({}, state=TrialState.FAIL),
        past({"x": 3.5}, state=TrialState.PRUNED),
        past({"x": 3.0}, state=TrialState.PRUNED, intermediate_values={1: math.nan}),
    ]
    infinite = [past({"x": -x}, value) for x, value in enumerate((math.inf, -math.inf, 1.7e308, -1.7e308))]
    for history in (odd, infinite[:1], infinite[:2], infinite, [*odd, *infinite], [*odd, *infinite, *parabola()]):
        assert -5 <= proposal(new_study(*history), scores=scores)["x"] <= 5


@pytest.mark.parametrize("scores", ["power", "ranks", "auto"])
@pytest.mark.parametrize("value", [1e3, 1e200, math.inf])
def test_a_diverged_trial_does_not_hide_the_others(scores: str, value: float) -> None:
    history = [past({"x": x}, (x - 1) ** 2 if x < 4 else value) for x in np.linspace(-5, 5, 13).tolist()]
    assert proposal(new_study(*history), scores=scores)["x"] == pytest.approx(1, abs=0.8)


def test_a_pruned_trial_counts_with_its_last_report() -> None:
    pruned = past({"x": 1.0}, state=TrialState.PRUNED, intermediate_values={0: 9.0, 7: -2.0, 3: 5.0})
    assert proposal(new_study(*parabola(), pruned)) == proposal(new_study(*parabola(), past({"x": 1.0}, -2.0)))


def test_a_configuration_that_fails_is_not_proposed_for_ever() -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        return x if x > 0.3 else math.nan

    study = new_study()
    study.sampler = GaussianProcessSampler(seed=0, n_startup_trials=3)
    study.optimize(objective, n_trials=16)
    assert sum(t.state == TrialState.FAIL for t in study.trials) < 8
    assert study.best_value < 0.5


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
