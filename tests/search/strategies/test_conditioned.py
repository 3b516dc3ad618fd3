"""Proposals given part of the configuration: held exactly, and the rest modelled given it."""

from __future__ import annotations

import functools
import math
import random
import warnings
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, ClassVar

import optuna
import pytest
import skopt
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import TrialState

from leadline.errors import SpaceError, SpaceExhausted
from leadline.search.strategies import STRATEGIES, Strategy
from leadline.search.strategies.bayes import gp
from leadline.search.strategies.conditioned import condition, nearest
from leadline.spaces import Choice, Float, Int, Space

MODELS = ["tpe", "gp", "skopt-gp", "skopt-rf"]
MIXED = Space(
    net=Choice(["mlp", "cnn", None]),
    depth=Int(1, 5),
    width=Int(8, 512, log=True),
    decay=Float(1e-6, 1e-1, log=True),
    drop=Float(0, 0.6, step=0.1),
    lr=Float(1e-5, 1e-1, log=True),
)
TWO = Space(net=Choice(["A", "B"]), lr=Float(1e-5, 1e-1, log=True), width=Int(1, 8))
BEST_LR = {"A": -2.0, "B": -4.0}  # log10
CONDITIONAL = Space(
    net=Choice(["cnn", "mlp"]),
    kernel=Choice([3, 5], when={"net": "cnn"}),
    depth=Int(1, 3, when={"net": "mlp"}),
    units2=Int(4, 64, when={"depth": [2, 3]}),
    momentum=Float(0, 1, when={"net": "mlp"}),
    lr=Float(1e-5, 1e-1, log=True),
)


@pytest.fixture(autouse=True)
def cheap_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 trees do as 100 would where only what may be proposed is looked at."""
    monkeypatch.setattr(
        "skopt.optimizer.optimizer.cook_estimator", functools.partial(_cook, skopt.utils.cook_estimator)
    )


def _cook(cook: Callable[..., Any], name: str, **settings: Any) -> Any:
    return cook(name, **({"n_estimators": 30} if name == "RF" else {}), **settings)


class Conformance(BasicSamplerTestCase, RelativeSamplerTestCase):
    """Optuna's suites for samplers."""

    given: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: condition(TPESampler(seed=0, n_startup_trials=0), self.given)


class TestTpeUnderNoConditionConforms(Conformance): ...


class TestTpeUnderAConditionOnAnotherSpaceConforms(Conformance):
    given: ClassVar = {"none_of_theirs": 3}


def structured_history(trials: int = 40, seed: int = 0, worse: float = 0.0) -> optuna.Study:
    """Random trials of both structures in turn, each with its own best learning rate; B's are all `worse`."""
    draw, study = random.Random(seed), optuna.create_study()
    for index in range(trials):
        params = {"net": "AB"[index % 2], "lr": 10 ** draw.uniform(-5, -1), "width": draw.randint(1, 8)}
        loss = abs(math.log10(params["lr"]) - BEST_LR[params["net"]]) + 0.05 * abs(params["width"] - 4)
        loss += worse * (params["net"] == "B")
        study.add_trial(optuna.create_trial(params=params, distributions=TWO.to_distributions(), value=loss))
    return study


def history(space: Space, trials: int = 14) -> optuna.Study:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.optimize(lambda trial: float(len(repr(space.suggest(trial))) % 7), trials)
    return study


def proposal(study: optuna.Study, space: Space, sampler: BaseSampler) -> dict[str, Any]:
    """What is proposed next; the trial stays running."""
    study.sampler = sampler
    trial = study.ask()
    params = space.suggest(trial)
    assert study.trials[trial.number].params == params  # recorded as usual
    return params


def strategy(name: str, space: Space, **options: Any) -> Strategy:
    more = {"points": 3} if name == "grid" else {}
    return Strategy({"name": name, **more, **options}, space)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("trials", [0, 14])
@pytest.mark.parametrize(
    "given",
    [{"net": None}, {"depth": 4, "net": "cnn"}, {"drop": 0.3}, {"lr": 1e-3, "width": 64, "decay": 1e-1}],
)
def test_what_is_given_is_held_exactly(name: str, trials: int, given: dict[str, Any]) -> None:
    points = {"points": {"decay": 3, "lr": 3, "width": 4}} if name == "grid" else {}
    space = MIXED
    if name == "grid":  # only what is on the grid can be given
        given = {n: v for n, v in given.items() if n not in ("lr", "width", "decay")}
    params = proposal(history(space, trials), space, strategy(name, space, **points).sampler(3, given))
    assert {name: params[name] for name in given} == given
    assert all(type(params[name]) is type(value) for name, value in given.items())
    assert space.contains(params)


@pytest.mark.parametrize("name", MODELS)
def test_everything_may_be_given(name: str) -> None:
    given = {"net": "cnn", "depth": 2, "width": 9, "decay": 1e-3, "drop": 0.2, "lr": 0.01}
    assert proposal(history(MIXED), MIXED, strategy(name, MIXED).sampler(0, given)) == given


@pytest.mark.parametrize("worse", [0.0, 3.0], ids=["alike", "one_worse"])
@pytest.mark.parametrize("name", MODELS)
def test_each_structure_is_proposed_its_own_best_learning_rate(name: str, worse: float) -> None:
    for net, best in BEST_LR.items():
        proposed = [
            proposal(structured_history(seed=seed, worse=worse), TWO, Strategy(name, TWO).sampler(seed, {"net": net}))
            for seed in range(5)
        ]
        assert median(abs(math.log10(params["lr"]) - best) for params in proposed) < 0.8  # the other best is 2 away


def test_with_partial_fixed_sampler_the_structure_makes_no_difference() -> None:
    """Should this fail, Optuna conditions by itself."""

    def proposed(net: str, seed: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.PartialFixedSampler({"net": net}, TPESampler(seed=seed))
        return float(proposal(structured_history(seed=seed), TWO, sampler)["lr"])

    assert all(proposed("A", seed) == proposed("B", seed) for seed in range(5))


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_with_one_structure_does_not_bunch(name: str) -> None:
    """Measured on two seeds, mean distance to the nearest other of the batch: random 0.14-0.16; told of the running
    trials tpe 0.18, skopt-rf 0.09, skopt-gp 0.08, gp 0.05-0.06; told of none, all of them 0.00-0.02."""

    def spread(name: str) -> float:
        study = structured_history(30)
        sampled = [proposal(study, TWO, Strategy(name, TWO).sampler(number, {"net": "A"})) for number in range(16)]
        points = [((math.log10(params["lr"]) + 5) / 4, (params["width"] - 1) / 7) for params in sampled]
        return sum(min(math.dist(p, q) for q in points[:i] + points[i + 1 :]) for i, p in enumerate(points)) / 16

    assert spread(name) > 0.2 * spread("random")


@pytest.mark.parametrize("name", MODELS)
def test_a_fresh_sampler_proposes_the_same_from_the_same_seed_and_history(name: str) -> None:
    def proposed(seed: int, net: str) -> dict[str, Any]:
        return proposal(structured_history(), TWO, Strategy(name, TWO).sampler(seed, {"net": net}))

    assert proposed(1, "A") == proposed(1, "A")
    assert proposed(1, "A") != proposed(2, "A")


@pytest.mark.parametrize("name", ["tpe", "gp", "skopt-rf"])
def test_a_sampler_kept_over_conditions_goes_by_the_present_one(name: str) -> None:
    study, own = history(CONDITIONAL, 30), Strategy(name, CONDITIONAL).sampler(0)
    for given in ({"net": "cnn", "kernel": 5}, {"net": "mlp", "depth": 3}, {"net": "cnn"}, {"net": "mlp", "units2": 9}):
        params = proposal(study, CONDITIONAL, condition(own, given))
        assert given.items() - params.items() <= {("units2", 9)}
        assert CONDITIONAL.contains(params)
    assert CONDITIONAL.contains(proposal(study, CONDITIONAL, own))


@pytest.mark.parametrize("name", MODELS)
def test_the_first_trials_stay_random(name: str) -> None:
    study = structured_history(9)
    random_ones = {
        proposal(study, TWO, Strategy({"name": name, "startup": 30}, TWO).sampler(seed, {"net": "A"}))["lr"]
        for seed in range(12)
    }
    assert len(random_ones) == 12
    assert min(random_ones) < 1e-3 < 1e-2 < max(random_ones)


@pytest.mark.parametrize("name", [*STRATEGIES])
@pytest.mark.parametrize("trials", [0, 20])
@pytest.mark.parametrize(
    "given",
    [
        {"net": "cnn"},
        {"net": "mlp"},
        {"net": "cnn", "kernel": 5},
        {"net": "mlp", "depth": 1},
        {"net": "mlp", "depth": 3, "units2": 64},
        {"net": "cnn", "units2": 64},  # never active
    ],
)
def test_what_is_given_switches_other_parameters_on_and_off(name: str, trials: int, given: dict[str, Any]) -> None:
    options = {"points": {"lr": 2, "momentum": 2, "units2": 2}} if name == "grid" else {}
    params = proposal(
        history(CONDITIONAL, trials), CONDITIONAL, strategy(name, CONDITIONAL, **options).sampler(0, given)
    )
    assert CONDITIONAL.contains(params)
    assert all(params[name] == value for name, value in given.items() if name in params)
    assert given.keys() - params.keys() <= {"units2"}


@pytest.mark.parametrize("name", ["tpe", "gp", "skopt-gp"])
def test_a_parameter_switched_on_by_the_structure_is_modelled(name: str) -> None:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.optimize(
        lambda trial: abs((p := CONDITIONAL.suggest(trial)).get("momentum", 0) - 0.1 * p.get("depth", 9)), n_trials=60
    )
    given = {"net": "mlp", "depth": 3}
    proposed = [
        proposal(_copied(study), CONDITIONAL, Strategy(name, CONDITIONAL).sampler(seed, given))["momentum"]
        for seed in range(5)
    ]
    assert median(abs(momentum - 0.3) for momentum in proposed) < 0.2


def _copied(study: optuna.Study) -> optuna.Study:
    other = optuna.create_study()
    other.add_trials(study.trials)
    return other


def test_a_grid_takes_what_agrees_and_then_says_that_nothing_is_left() -> None:
    space = Space(depth=Int(1, 2), norm=Choice([True, False]), momentum=Choice([0.0, 0.9], when={"norm": False}))
    study, grid = optuna.create_study(), Strategy("grid", space)
    proposed = [proposal(study, space, grid.sampler(0, {"depth": 2})) for _ in range(3)]
    assert proposed == [params for params in space.grid() if params["depth"] == 2]
    sampler = grid.sampler(0, {"depth": 2})
    assert sampler.missing(study) is None  # type: ignore[attr-defined]
    with pytest.raises(SpaceExhausted, match=r"with \{'depth': 2\}"):
        proposal(study, space, sampler)
    assert proposal(study, space, grid.sampler(0))["depth"] == 1


def test_a_grid_stops_the_study_when_all_of_it_has_run_not_when_one_structure_has() -> None:
    space = Space(depth=Int(1, 2), norm=Choice([True, False]))
    study = optuna.create_study(sampler=Strategy("grid", space).sampler(0, {"depth": 2}))
    study.optimize(lambda trial: float(len(space.suggest(trial))), n_trials=2)
    study.sampler = Strategy("grid", space).sampler(0, {"depth": 1})
    study.optimize(lambda trial: float(len(space.suggest(trial))))
    assert len(study.trials) == 4


def test_a_sampler_of_your_own_holds_the_values_and_proposes_the_rest_as_ever() -> None:
    class Middle(BaseSampler):
        def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> dict[str, Any]:
            return {"lr": FloatDistribution(1e-5, 1e-1, log=True), "width": IntDistribution(1, 8)}

        def sample_relative(self, study: optuna.Study, trial: Any, search_space: Mapping[str, Any]) -> dict[str, Any]:
            return {name: {"lr": 1e-3, "width": 4}[name] for name in search_space}

        def sample_independent(self, study: optuna.Study, trial: Any, param_name: str, distribution: Any) -> Any:
            return distribution.choices[-1]

    own = Middle()
    sampler = Strategy(own, TWO).sampler(0, {"width": 7})
    assert proposal(optuna.create_study(), TWO, sampler) == {"net": "B", "lr": 1e-3, "width": 7}
    assert Strategy(own, TWO).sampler(0, {}) is own


def test_what_can_not_be_held_is_an_error_that_says_so() -> None:
    for given in ({"width": 9}, {"net": "C"}, {"lr": "fast"}):
        with pytest.raises(SpaceError, match=f"`{next(iter(given))}` is held at "):
            proposal(optuna.create_study(), TWO, condition(RandomSampler(), given))


@pytest.mark.parametrize("name", MODELS)
def test_a_value_that_no_trial_could_have_had_before_is_held(name: str) -> None:
    wider = Space(net=Choice(["A", "B"]), lr=Float(1e-5, 1e-1, log=True), width=Int(1, 99))
    assert proposal(structured_history(), wider, Strategy(name, wider).sampler(0, {"width": 77}))["width"] == 77


@pytest.mark.parametrize("name", MODELS)
def test_a_sampler_is_left_as_it_was(name: str) -> None:
    study, used, unused = history(CONDITIONAL), *(Strategy(name, CONDITIONAL).sampler(0) for _ in range(2))
    before = set(vars(used))
    condition(used, {"net": "cnn"})
    assert set(vars(used)) == before
    assert proposal(_copied(study), CONDITIONAL, used) == proposal(_copied(study), CONDITIONAL, unused)


def test_optuna_still_asks_the_gaussian_process_where_its_acquisition_is_greatest() -> None:
    """The private hook that fixes the given columns; without it they would be free, and silently."""
    assert callable(GPSampler._optimize_acqf)
    study, sampler = structured_history(), condition(gp(seed=0), {"net": "A"})
    seen: list[Any] = []
    inner: Any = sampler._sampler  # type: ignore[attr-defined]
    optimize = inner._optimize_acqf
    inner._optimize_acqf = lambda acqf, best: seen.append(optimize(acqf, best)) or seen[-1]
    proposal(study, TWO, sampler)
    column = sorted(TWO.parameters).index("net")
    assert [point[column] for point in seen] == [0.0]


def test_the_nearest_trials_are_those_that_agree_then_the_nearest_then_the_newest() -> None:
    def trial(number: int, depth: int, width: int, **more: Any) -> optuna.trial.FrozenTrial:
        spaces = {"depth": IntDistribution(1, 5), "width": IntDistribution(1, 8)}
        made = optuna.create_trial(params={"depth": depth, "width": width}, distributions=spaces, **more)
        made.number = number
        return made

    trials = [
        trial(0, 3, 1, value=0.0),
        trial(1, 4, 1, value=0.0),
        trial(2, 4, 1, state=TrialState.PRUNED),
        trial(3, 1, 1, value=0.0),
        trial(4, 1, 1, state=TrialState.RUNNING),
        trial(5, 3, 8, state=TrialState.RUNNING),
    ]
    assert [t.number for t in nearest(trials, {"depth": 3}, least=1)] == [0, 5]
    assert [t.number for t in nearest(trials, {"depth": 3}, least=2)] == [0, 2, 5]
    assert [t.number for t in nearest(trials, {"depth": 3}, least=9)] == [0, 1, 2, 3, 4, 5]
    assert [t.number for t in nearest(trials, {"depth": 3, "other": "x"}, least=1)] == [0, 4, 5]
