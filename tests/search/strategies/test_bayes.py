from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase

from leadline.search.strategies import Strategy
from leadline.search.strategies.bayes import bayes
from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.wrapper import InTurn
from leadline.spaces import Choice, Float, Space

SPACE = Space(net=Choice(["a", "b"]), x=Float(0, 1), y=Float(0, 1, when={"net": "b"}))


class TestBayesConforms(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """Optuna's suites for samplers, with a model from the second trial on and all models in turn."""

    @pytest.fixture
    def sampler(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], optuna.samplers.BaseSampler]:
        monkeypatch.setattr("leadline.search.strategies.bayes._EARLY", 2)
        return lambda: bayes(None, 0, 1)


def objective(trial: optuna.Trial) -> float:
    params = SPACE.suggest(trial)
    return (params["x"] - 0.3) ** 2 + (0.2 if params["net"] == "a" else (params["y"] - 0.6) ** 2)


class Named(optuna.samplers.RandomSampler):
    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(0)
        self.name, self.log = name, log

    def sample_relative(self, *_: object) -> dict[str, object]:
        self.log.append(self.name)
        return {}


def test_samplers_take_turns_by_the_number_of_the_trial() -> None:
    log: list[str] = []
    samplers = {name: Named(name, log) for name in "ab"}
    study = optuna.create_study(sampler=InTurn(samplers, lambda number: "b" if number in (1, 2) else "a"))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    assert log == ["a", "b", "b", "a", "a"]


def test_all_models_propose_once_there_is_something_to_learn_from() -> None:
    sampler = bayes(SPACE, 0)
    study = optuna.create_study()
    turns = [id(sampler._for(study, study.ask()._get_latest_trial())) for _ in range(60)]
    assert len(set(turns[:30])) == 2
    assert turns[:3] * 10 == turns[:30]
    assert len(set(turns[30:34])) == 3


def test_the_same_seed_and_history_give_the_same_proposals_also_after_a_resume() -> None:
    kept, resumed = (optuna.create_study() for _ in range(2))
    kept.sampler = bayes(SPACE, 3, 4)
    for _ in range(40):
        resumed.sampler = bayes(SPACE, 3, 4)
        for study in (kept, resumed):
            study.optimize(objective, n_trials=1)
    assert [t.params for t in kept.trials] == [t.params for t in resumed.trials]


def test_it_finds_the_optimum_of_a_conditional_space() -> None:
    study = optuna.create_study(sampler=Strategy("bayes", SPACE).sampler(0))
    study.optimize(objective, n_trials=40)
    assert study.best_params["net"] == "b"
    assert study.best_value < 1e-3


@pytest.mark.parametrize("number", [32, 33, 34])
def test_what_is_given_is_held_by_every_model(number: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    study.optimize(objective, n_trials=number)
    study.sampler = condition(bayes(SPACE, 0), {"net": "a"})
    params = SPACE.suggest(study.ask())
    assert params["net"] == "a"
    assert 0 <= params["x"] <= 1
