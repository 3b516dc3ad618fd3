"""Proposals that know what came of earlier studies, on the scale of this one, until it has results of its own."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from leadline import Choice, Float, Int, Space
from leadline.search.strategies import STRATEGIES, Strategy
from leadline.search.strategies.fresh import Fresh
from leadline.search.strategies.informed import informed
from leadline.search.strategies.warm import LASTING, WarmSampler, as_own, spread, thinned

MIXED = Space(x=Float(0, 1), depth=Int(1, 5), kind=Choice(["a", "b"]), rate=Float(0, 1, when={"kind": "a"}))
ONE = Space(x=Float(0, 1))
LEARNING = [name for name in STRATEGIES if Strategy(name, Space(x=Int(0, 3))).learns]


def earlier(count: int = 30, best: float = 0.8) -> list[dict[str, Any]]:
    """Trials of a study whose best `x` was `best`; the higher the score the better."""
    return [{"params": {"x": x / count}, "score": -5 * abs(x / count - best) + 1} for x in range(count)]


def mixed(count: int = 20) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    return [{"params": MIXED.suggest(study.ask()), "score": index / 10} for index in range(count)]


def own(x: float, value: float | None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return create_trial(params={"x": x}, distributions=ONE.to_distributions(), value=value, state=state)


def begun(study: optuna.Study) -> FrozenTrial:
    study.ask()
    return study.trials[-1]


def shown(trials: list[FrozenTrial], entries: list[dict[str, Any]]) -> list[float]:
    return [value for _, value in as_own(entries, trials)]


@pytest.mark.parametrize("name", LEARNING)
def test_every_strategy_that_learns_starts_near_what_was_good(name: str) -> None:
    strategy = Strategy(name, ONE)
    strategy.earlier = earlier()
    study = optuna.create_study(direction="maximize", sampler=strategy.sampler(0))
    assert abs(ONE.suggest(study.ask())["x"] - 0.8) < 0.2
    assert len(study.trials) == 1


@pytest.mark.parametrize("name", LEARNING)
def test_earlier_trials_of_other_structures_do_no_harm(name: str) -> None:
    strategy = Strategy(name, MIXED)
    strategy.earlier = mixed()
    study = optuna.create_study(direction="maximize", sampler=strategy.sampler(0))
    study.optimize(lambda trial: MIXED.suggest(trial)["x"], n_trials=5)
    assert all(MIXED.contains(trial.params) for trial in study.trials)


@pytest.mark.parametrize("name", LEARNING)
def test_given_values_are_held(name: str) -> None:
    strategy = Strategy(name, MIXED)
    strategy.earlier = mixed()
    study = optuna.create_study(direction="maximize", sampler=strategy.sampler(0, {"kind": "a", "depth": 2}))
    params = MIXED.suggest(study.ask())
    assert (params["kind"], params["depth"]) == ("a", 2)
    assert MIXED.contains(params)


@pytest.mark.parametrize("name", LEARNING)
def test_the_same_seed_and_history_propose_the_same(name: str) -> None:
    def proposed() -> dict[str, Any]:
        strategy = Strategy(name, MIXED)
        strategy.earlier = mixed()
        study = optuna.create_study(direction="maximize", sampler=strategy.sampler(5))
        return MIXED.suggest(study.ask())

    assert proposed() == proposed()


@pytest.mark.parametrize("name", ["random", "grid"])
def test_what_does_not_learn_does_not_look_at_them(name: str) -> None:
    strategy = Strategy(name, Space(x=Int(0, 3)))
    strategy.earlier = earlier()
    study = optuna.create_study(sampler=strategy.sampler(0))
    untold = optuna.create_study(sampler=Strategy(name, strategy.space).sampler(0))
    assert strategy.space.suggest(study.ask()) == strategy.space.suggest(untold.ask())


def test_priors_and_earlier_trials_go_together() -> None:
    space = Space(x=Float(0, 1, prior=(0.2, 0.5)))
    strategy = Strategy("tpe", space)
    strategy.earlier = earlier()
    proposals = []
    for seed in range(20):
        study = optuna.create_study(direction="maximize", sampler=strategy.sampler(seed))
        study.optimize(lambda trial: space.suggest(trial)["x"], n_trials=3)
        proposals += [trial.params["x"] for trial in study.trials]
    assert proposals[0] == 0.2
    assert sum(abs(x - 0.8) < 0.1 for x in proposals) > len(proposals) / 5


def test_numbers_of_earlier_trials_are_none_of_the_studys() -> None:
    study = optuna.create_study(direction="maximize")
    trial = begun(study)
    numbers = [past.number for past in warm()._shown(study, trial).get_trials(deepcopy=False)]
    assert numbers == [*range(-30, 0), 0]
    assert study.trials[0].number == 0


def test_scores_are_brought_onto_the_studys_own_scale() -> None:
    entries = [{"params": {"x": 0.01 * index}, "score": float(index - 2)} for index in range(5)]
    trials = [own(0.5 + value / 1000, float(value)) for value in (90, 100, 110, 120, 130)]
    values = shown(trials, entries)
    assert values == [110 - 2 * 20, 110 - 20, 110 + 20, 110 + 2 * 20]  # a range of 100 ... 120 between quartiles


def test_what_both_have_run_tells_the_level() -> None:
    entries = [{"params": {"x": 0.01 * index}, "score": float(index - 2)} for index in range(5)]
    values = shown([own(0.04, 100.0), own(0.03, 99.0)], entries)
    assert values == [96.0, 97.0, 99.0, 100.0]


def test_they_are_shown_less_and_less_as_own_trials_end_and_not_at_all_after_some() -> None:
    entries = earlier(30)
    counts = [len(shown([own(0.5, 1.0)] * n, entries)) for n in (0, 10, 20, LASTING, LASTING + 1)]
    assert counts == [30, 20, 10, 0, 0]
    unended = [own(0.5, None, TrialState.FAIL)] * 5
    assert len(shown(unended, entries)) == 30
    pruned = [own(0.5, None, TrialState.PRUNED)] * 10
    assert len(shown(pruned, entries)) == 20


def test_of_a_large_study_a_hundred_trials_are_shown() -> None:
    study = optuna.create_study(direction="maximize")
    trial = begun(study)
    large = WarmSampler(ONE, TPESampler(), earlier(5000), 0)
    scores = [entry["score"] for entry in earlier(5000)]
    values = [past.value for past in large._shown(study, trial).get_trials(deepcopy=False)[:-1]]
    assert len(values) == 100
    assert (min(values), max(values)) == (min(scores), max(scores))


def test_a_sampler_made_anew_for_each_trial_sees_them_too() -> None:
    sampler = informed(Fresh(lambda seed: TPESampler(seed=seed), 0), ONE, earlier(), 0)
    assert isinstance(sampler, Fresh)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    assert abs(ONE.suggest(study.ask())["x"] - 0.8) < 0.2


def test_those_left_stay_in_their_order() -> None:
    entries = [{"score": float(score)} for score in (3, 1, 5, 2, 4)]
    assert [entry["score"] for entry in thinned(entries, 3)] == [3, 1, 5]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (1, [3]), (2, [0, 5]), (3, [0, 2, 5]), (6, [*range(6)]), (9, [*range(6)])]
)
def test_what_is_left_is_spread_evenly(count: int, expected: list[int]) -> None:
    assert spread(range(6), count) == expected


def test_fewer_proposals_see_them_with_every_trial() -> None:
    assert seen([own(0.8, 1.0)] * 10) == pytest.approx(0.5, abs=0.08)


def test_they_are_dropped_where_what_was_good_earlier_is_bad_now() -> None:
    places = [0.0, 0.1, 0.2, 0.3, 0.4, 0.78, 0.79, 0.8, 0.81, 0.82]
    assert seen([own(x, -x) for x in places]) < 0.05
    assert seen([own(x, x) for x in places]) == pytest.approx(0.5, abs=0.08)


def test_with_several_objectives_they_are_not_shown() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    assert warm()._shown(study, begun(study)) is study


def warm(seed: int = 0) -> WarmSampler:
    return WarmSampler(ONE, TPESampler(), earlier(), seed)


def seen(trials: list[FrozenTrial]) -> float:
    """Returns which part of the proposals after `trials` sees earlier ones."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    trial = begun(study)
    return sum(warm(seed)._shown(study, trial) is not study for seed in range(300)) / 300
