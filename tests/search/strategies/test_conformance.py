"""Optuna's conformance suites, for every strategy by name; `grid` and skopt's models run theirs beside their tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from leadline import Float, Space
from leadline.search.strategies import STRATEGIES, Strategy
from leadline.search.strategies import sampler as by_name
from leadline.search.strategies.bayes import gp
from leadline.search.strategies.fresh import Fresh
from leadline.search.strategies.skopt import SkoptSampler

ELSEWHERE = ("grid", "skopt-gp", "skopt-rf", "skopt-et")  # test_grid, test_skopt
NAMES = [name for name in STRATEGIES if name not in ELSEWHERE]
Make = Callable[[], BaseSampler]


def maker(name: str) -> Make:
    options = {"startup": 1} if "startup" in STRATEGIES[name].options else {}
    if name == "gp":
        return lambda: Fresh(cheap_gp, 0)
    return lambda: by_name(name, seed=0, **options)


def cheap_gp(seed: int) -> BaseSampler:
    """The suites look at hundreds of proposals whether they are valid, not whether they are good."""
    made: Any = gp(seed, startup=1)
    made._n_preliminary_samples, made._n_local_search = 32, 2
    return made  # type: ignore[no-any-return]


class TestEachConforms(BasicSamplerTestCase):
    @pytest.fixture(params=NAMES)
    def sampler(self, request: pytest.FixtureRequest) -> Make:
        return maker(request.param)


class TestThoseWithAModelConform(RelativeSamplerTestCase):
    @pytest.fixture(params=[name for name in NAMES if name not in ("random", "pbt", "nsga2")])
    def sampler(self, request: pytest.FixtureRequest) -> Make:
        return maker(request.param)


class TestThoseForSeveralObjectivesConform(MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=["random", "qmc", "tpe", "gp", "pbt", "nsga2"])
    def sampler(self, request: pytest.FixtureRequest) -> Make:
        return maker(request.param)


class TestThoseForOneObjectiveSayThat(SingleOnlySamplerTestCase):
    @pytest.fixture(params=["cmaes", "skopt-gp", "skopt-rf", "skopt-et"])
    def sampler(self, request: pytest.FixtureRequest) -> Make:
        return maker(request.param)


class TestTheGuardConforms(BasicSamplerTestCase):
    """In a space that has none of the suite's parameters, they are passed on to the strategy."""

    @pytest.fixture(params=["random", "tpe"])
    def sampler(self, request: pytest.FixtureRequest) -> Make:
        return lambda: Strategy(request.param, Space(none_of_theirs=Float(0, 1))).sampler(0)


def test_what_runs_elsewhere_is_made_of_what_conforms_there() -> None:
    made = [Strategy(name, None)._make(0)._make(0) for name in ELSEWHERE[1:]]  # type: ignore[attr-defined]
    assert all(type(inner) is SkoptSampler for inner in made)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "nsga2"])  # which numbers its generations there
def test_the_suites_leave_no_state_in_the_trials(name: str) -> None:
    """Of what is pickled or kept in attributes a resume would depend."""
    space = Space(x=Float(0, 1), y=Float(0, 1))
    options = {"startup": 1} if "startup" in STRATEGIES[name].options else {}
    study = optuna.create_study(sampler=by_name(name, 0, space, **options))
    study.optimize(lambda trial: space.suggest(trial)["x"], n_trials=4)
    assert all(trial.system_attrs == {} for trial in study.trials)
    assert study._storage.get_study_system_attrs(study._study_id) == {}
