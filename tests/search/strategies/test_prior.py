"""Proposals from priors: the guess first, fewer with every trial, and none soon where the guess is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from leadline import Choice, Float, Int, Space
from leadline.search.strategies import STRATEGIES, Strategy
from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.fresh import Fresh
from leadline.search.strategies.grid import GridSampler
from leadline.search.strategies.informed import informed
from leadline.search.strategies.prior import PriorSampler

SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True, prior=(1e-3, 0.7)),
    depth=Int(1, 8, prior=(3, 0.5)),
    kind=Choice(["a", "b"], prior=("b", 0.5)),
    momentum=Float(0, 1, when={"kind": "b"}, prior=(0.9, 0.6)),
    drop=Float(0, 0.5),
)
GUESS = {"lr": 1e-3, "depth": 3, "kind": "b", "momentum": 0.9}
ONE = Space(x=Float(0, 1, prior=(0.2, 0.8)))
STARTING = ("tpe", "gp", "skopt-gp", "skopt-rf", "skopt-et")  # at random, for `startup` trials
NAMES = [name for name in STRATEGIES if name != "grid"]


def strategy(name: str, space: Space = SPACE) -> Strategy:
    return Strategy({"name": name, **({"startup": 2} if name in STARTING else {})}, space)


def ended(x: float, value: float | None, state: TrialState = TrialState.COMPLETE, **options: Any) -> FrozenTrial:
    distributions = ONE.to_distributions()
    return create_trial(params={"x": x}, distributions=distributions, value=value, state=state, **options)


def drawn(trials: list[FrozenTrial], sampler: PriorSampler, count: int) -> float:
    """Returns which part of the proposals after `trials` are near the guess of `ONE`, for so many seeds."""
    near = 0
    for seed in range(count):
        study = optuna.create_study(direction="maximize")
        study.add_trials(trials)
        study.sampler = PriorSampler(ONE, RandomSampler(seed), seed)
        near += abs(ONE.suggest(study.ask())["x"] - 0.2) < 0.15
    return near / count


@pytest.mark.parametrize("name", NAMES)
def test_the_first_trial_of_every_strategy_is_the_guess(name: str) -> None:
    study = optuna.create_study(sampler=strategy(name).sampler(0))
    params = SPACE.suggest(study.ask())
    assert GUESS.items() <= params.items()
    assert SPACE.contains(params)


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_proposes_configurations_of_the_space(name: str) -> None:
    study = optuna.create_study(sampler=strategy(name).sampler(0))
    study.optimize(lambda trial: SPACE.suggest(trial)["lr"], n_trials=6)
    assert all(SPACE.contains(trial.params) for trial in study.trials)


def test_a_space_without_priors_is_proposed_as_ever() -> None:
    sampler = TPESampler()
    assert informed(sampler, Space(x=Float(0, 1)), (), 0) is sampler


def test_a_grid_runs_everything_anyway() -> None:
    grid = Strategy("grid", Space(x=Int(1, 3, prior=(2, 0.5))))
    assert isinstance(grid.sampler(0), GridSampler)


def test_what_is_enqueued_comes_before_the_guess() -> None:
    study = optuna.create_study(sampler=strategy("random").sampler(0))
    study.enqueue_trial({"lr": 1e-2, "depth": 1, "kind": "a", "drop": 0.1})
    first, second = SPACE.suggest(study.ask()), SPACE.suggest(study.ask())
    assert first == {"lr": 1e-2, "depth": 1, "kind": "a", "drop": 0.1}
    assert GUESS.items() <= second.items()


def test_what_an_enqueued_configuration_leaves_out_is_the_guess() -> None:
    study = optuna.create_study(sampler=strategy("random").sampler(0))
    study.enqueue_trial({"depth": 1, "kind": "b"})
    params = SPACE.suggest(study.ask())
    assert (params["depth"], params["lr"], params["momentum"]) == (1, 1e-3, 0.9)


def test_fewer_proposals_come_from_the_prior_with_every_trial() -> None:
    sampler = PriorSampler(ONE, RandomSampler(0), 0)
    same = [ended(x / 100, 0.5) for x in range(100)]  # no value is better than another
    early, late = drawn(same[:2], sampler, 300), drawn(same, sampler, 300)
    # 0.3 of the uniform draws are near the guess, and of the prior's 0.8 x 0.866 + 0.2 x 0.3
    assert early == pytest.approx(8 / 10 * 0.753 + 2 / 10 * 0.3, abs=0.08)
    assert late == pytest.approx(8 / 108 * 0.753 + 100 / 108 * 0.3, abs=0.08)


def test_a_guess_that_did_worse_is_dropped_and_one_that_did_better_is_kept() -> None:
    sampler = PriorSampler(ONE, RandomSampler(0), 0)
    places = [0.1, 0.15, 0.2, 0.25, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0]
    wrong = [ended(x, x) for x in places]
    right = [ended(x, -x) for x in places]
    assert drawn(wrong, sampler, 300) == pytest.approx(0.3, abs=0.08)
    assert drawn(right, sampler, 300) == pytest.approx(8 / 18 * 0.753 + 10 / 18 * 0.3, abs=0.08)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_and_history_propose_the_same_also_after_reopening(name: str, tmp_path: Path) -> None:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal")))
    study = optuna.create_study(study_name="history", storage=storage, sampler=strategy(name).sampler(0))
    study.optimize(lambda trial: SPACE.suggest(trial)["lr"], n_trials=5)

    def proposed(seed: int) -> Mapping[str, Any]:
        again = optuna.create_study()
        again.add_trials(optuna.load_study(study_name="history", storage=storage).trials)
        again.sampler = strategy(name).sampler(seed)
        return SPACE.suggest(again.ask())

    assert all(proposed(seed) == proposed(seed) for seed in range(2))


def test_a_sampler_made_anew_for_each_trial_does_too() -> None:
    def run(trials: int, rest: int) -> list[Mapping[str, Any]]:
        study = optuna.create_study()
        for part in (trials, rest):
            study.sampler = Fresh(strategy("tpe").sampler, 3)
            study.optimize(lambda trial: SPACE.suggest(trial)["lr"], n_trials=part)
        return [trial.params for trial in study.trials]

    assert run(10, 0) == run(4, 6)


@pytest.mark.parametrize("name", NAMES)
def test_given_values_are_held_and_the_guess_is_of_the_rest(name: str) -> None:
    study = optuna.create_study()
    for _ in range(5):
        study.sampler = strategy(name).sampler(len(study.trials), {"depth": 8, "kind": "b"})
        params = SPACE.suggest(trial := study.ask())
        assert (params["depth"], params["kind"]) == (8, "b")
        study.tell(trial, params["lr"])
    assert study.trials[0].params["lr"] == 1e-3


def test_the_strategy_proposes_the_rest_in_view_of_what_was_drawn() -> None:
    space = Space(kind=Choice(["a", "b"], prior=("b", 0.99)), x=Float(0, 1))
    study = optuna.create_study()
    study.sampler = RandomSampler(0)
    study.optimize(lambda trial: (space.suggest(trial)["x"] - {"a": 0.1, "b": 0.9}[trial.params["kind"]]) ** 2, 60)
    study.sampler = condition(TPESampler(seed=1), {"kind": "b"})
    near = space.suggest(study.ask())["x"]
    for seed in range(200):
        sampler = PriorSampler(space, TPESampler(seed=1), seed)
        study.sampler = sampler
        params = space.suggest(trial := study.ask())
        study.tell(trial, state=TrialState.FAIL)
        if isinstance(sampler._for(study, study.trials[-1]), type(condition(TPESampler(), {"kind": "b"}))):
            break
    assert params["kind"] == "b"
    assert abs(params["x"] - 0.9) < 0.3
    assert abs(near - 0.9) < 0.3
