"""Strategies by name: each an Optuna sampler, each a function of seed and history alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler

from leadline import Choice, Float, Int, Space
from leadline.errors import SettingsError, SpaceError
from leadline.search.strategies import STRATEGIES, Strategy

SPACE = Space(x=Float(0, 1), depth=Int(1, 5), kind=Choice(["a", "b"]), momentum=Float(0, 1, when={"kind": "a"}))
MODELS = [name for name, entry in STRATEGIES.items() if "startup" in entry.options]


def sampler(name: str, seed: int = 0) -> BaseSampler:
    options: dict[str, Any] = {"points": 3} if name == "grid" else {"startup": 3} if name in MODELS else {}
    return Strategy({"name": name, **options}, SPACE).sampler(seed)


def objective(trial: optuna.Trial) -> float:
    params = SPACE.suggest(trial)
    return (params["x"] - 0.3) ** 2 + params["depth"] + (params["kind"] == "b")


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_name_makes_a_sampler_that_plain_optuna_can_use(name: str) -> None:
    study = optuna.create_study(sampler=sampler(name))
    study.optimize(objective, n_trials=5)
    assert all(SPACE.contains(trial.params) for trial in study.trials)
    assert len(study.trials) == 5


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_seed_and_history_propose_the_same_also_after_reopening(name: str, tmp_path: Path) -> None:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal")))
    study = optuna.create_study(study_name="history", storage=storage, sampler=sampler(name))
    study.optimize(objective, n_trials=5)

    def proposed() -> dict[str, Any]:
        copy = optuna.create_study()
        copy.add_trials(optuna.load_study(study_name="history", storage=storage).trials)
        copy.sampler = sampler(name, seed=7)
        trial = copy.ask()
        SPACE.suggest(trial)
        return trial.params

    assert proposed() == proposed()


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "grid"])
def test_the_seed_decides_the_first_proposals(name: str) -> None:
    def first(seed: int) -> dict[str, Any]:
        study = optuna.create_study(sampler=sampler(name, seed))
        trial = study.ask()
        SPACE.suggest(trial)
        return trial.params

    assert first(1) == first(1) != first(2)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"no strategy is called `byaes`\. Did you mean `bayes`\?"):
        Strategy("byaes", SPACE)


def test_unknown_options_are_told_all_at_once() -> None:
    with pytest.raises(SettingsError, match=r"`bayes` has no option `strtup`\. Did you mean `startup`\?") as caught:
        Strategy({"name": "bayes", "strtup": 3, "points": 3}, SPACE)
    assert [problem.where for problem in caught.value.problems] == [("strtup",), ("points",)]


@pytest.mark.parametrize("given", [None, 3, {}, {"startup": 3}, object(), ["bayes"]])
def test_what_is_neither_a_name_nor_a_sampler_is_told(given: Any) -> None:
    with pytest.raises(SettingsError, match="a strategy is a name or an Optuna sampler"):
        Strategy(given, SPACE)


@pytest.mark.parametrize("startup", [-1, 1.5, "x", None])
@pytest.mark.parametrize("name", ["bayes", "skopt-gp"])
def test_a_number_of_first_trials_that_is_none_is_told(name: str, startup: Any) -> None:
    with pytest.raises(SettingsError, match="startup"):
        Strategy({"name": name, "startup": startup}, SPACE)


@pytest.mark.parametrize("points", [0, -1, 1.5, "x", {"x": 0}, {"y": 3}])
def test_points_that_are_none_are_told(points: Any) -> None:
    with pytest.raises((SettingsError, SpaceError)):
        Strategy({"name": "grid", "points": points}, SPACE)


def test_a_grid_over_a_continuous_parameter_needs_points_and_says_so_at_once() -> None:
    with pytest.raises(SpaceError, match="`points`"):
        Strategy("grid", SPACE)


def test_a_sampler_of_your_own_is_used_as_it_is() -> None:
    own = optuna.samplers.RandomSampler(seed=1)
    strategy = Strategy(own, SPACE)
    assert strategy.sampler(5) is own
    assert strategy.describe() == "<RandomSampler>"


@pytest.mark.parametrize("given", ["bayes", {"name": "skopt-rf", "startup": 4}])
def test_a_description_makes_the_same_strategy_again(given: Any) -> None:
    described = Strategy(given, SPACE).describe()
    assert described == given
    assert Strategy(described, SPACE).describe() == described
