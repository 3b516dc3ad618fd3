"""Strategies for several objectives: Optuna's suites, no state, and what they are shown of pruned trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase
from optuna.trial import FrozenTrial, TrialState, create_trial

from leadline import Choice, Float, Int, Space
from leadline.errors import SettingsError
from leadline.search.goals import Goals
from leadline.search.pareto import front
from leadline.search.strategies import STRATEGIES, Strategy
from leadline.search.strategies.conditioned import condition
from leadline.search.strategies.several import Several, nsga2
from leadline.search.trial import EPOCH, PAUSED

SEVERAL = [name for name, entry in STRATEGIES.items() if entry.several]

SPACE = Space(x=Float(0, 1), y=Float(0, 1), depth=Int(1, 5), kind=Choice(["a", "b"]))
TWO = Goals(None, ("value_1",), (True, False))
X = {"x": FloatDistribution(0, 1)}
MODELS = ["bayes", "tpe", "gp", "nsga2"]


def strategy(name: str) -> Strategy:
    own: dict[str, dict[str, Any]] = {"grid": {"points": 3}, "random": {}, "qmc": {}, "nsga2": {"population": 4}}
    return Strategy({"name": name, **own.get(name, {"startup": 4})}, SPACE, TWO)


def objective(trial: optuna.Trial) -> tuple[float, float]:
    params = SPACE.suggest(trial)
    return params["x"] * params["depth"], params["x"] ** 2 + params["y"] + (params["kind"] == "b")


class TestNsga2Conforms(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Optuna's suites, with parents from the third trial on; a first generation has no relative values."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: nsga2(0, 2)


class TestTpeConforms(MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: strategy("tpe").sampler(0)


@pytest.mark.parametrize("name", SEVERAL)
def test_each_name_proposes_for_two_objectives_in_plain_optuna(name: str) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=strategy(name).sampler(0))
    study.optimize(objective, n_trials=12)
    assert all(SPACE.contains(trial.params) for trial in study.trials)
    assert len(study.trials) == 12


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - set(SEVERAL)))
def test_those_that_cant_say_which_can(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"`{name}` can't do several objectives; `grid`, .*`nsga2` can"):
        Strategy(name, SPACE, TWO)


@pytest.mark.parametrize("name", MODELS)
def test_a_proposal_is_a_function_of_seed_and_history_however_often_samplers_are_made_anew(name: str) -> None:
    def run(interruptions: bool) -> list[dict[str, Any]]:
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=strategy(name).sampler(0))
        for number in range(14):
            if interruptions:
                storage = study._storage
                study = optuna.load_study(
                    study_name=study.study_name, storage=storage, sampler=strategy(name).sampler(number)
                )
            else:
                study.sampler = strategy(name).sampler(number)
            study.optimize(objective, n_trials=1)
        return [trial.params for trial in study.trials]

    assert run(interruptions=False) == run(interruptions=True)


def test_generations_of_nsga2_outlive_their_samplers() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(20):
        study.sampler = nsga2(number, 5)
        study.optimize(objective, n_trials=1)
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in study.trials]
    assert generations == [number // 5 for number in range(20)]


def test_nsga2_does_better_than_chance() -> None:
    def dominated(sampler: BaseSampler) -> int:
        """Counts of random trials how many the study's front dominates."""
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(objective, n_trials=120)
        found = [trial.values for trial in study.best_trials]
        others = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(9))
        others.optimize(objective, n_trials=200)
        points = [*found, *(trial.values for trial in others.trials)]
        return 200 - sum(place >= len(found) for place in front(points, [True, False]))

    assert dominated(nsga2(0, 10)) > dominated(optuna.samplers.RandomSampler(0))


COSTLY = Goals("accuracy", ("parameters", "seconds"), (True, False, False))


def trial(
    values: list[float] | None,
    state: TrialState = TrialState.COMPLETE,
    curve: tuple[float, ...] = (),
    parameters: int | None = None,
    **marks: Any,
) -> FrozenTrial:
    reports = dict(enumerate(curve, 1))
    entries = {f"{EPOCH}{epoch}": {"metrics": {"seconds": 1.0}} for epoch in reports}
    found = create_trial(
        state=TrialState.PRUNED if state == TrialState.RUNNING else state,
        params={"x": 0.5},
        distributions=X,
        values=values,
        intermediate_values=reports,
        system_attrs={**entries, **marks},
        user_attrs={} if parameters is None else {"parameters": parameters},
    )
    found.state = state
    if state == TrialState.RUNNING:
        found.datetime_complete = None
    return found


class Seen(optuna.samplers.RandomSampler):
    """Notes what it is shown."""

    shown: list[tuple[TrialState, list[float] | None]]

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        self.shown = [(past.state, past.values) for past in study.get_trials(deepcopy=False)[:-1]]
        return {}


def shown(*trials: FrozenTrial) -> list[tuple[TrialState, list[float] | None]]:
    sampler = Seen()
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=Several(sampler, COSTLY))
    study.add_trials(trials)
    study.ask(X)
    assert [past.state for past in study.trials[:-1]] == [past.state for past in trials]  # the study stays as it is
    return sampler.shown


class TestWhatIsShownOfTrialsThatEndedEarly:
    best, worst = trial([0.9, 500.0, 5.0]), trial([0.4, 900.0, 3.0])

    def test_they_are_complete_with_what_they_came_to_but_the_worst_seconds_as_they_would_have_had_more(self) -> None:
        pruned = trial([0.2, 300.0, 1.0], TrialState.PRUNED)
        assert shown(self.best, self.worst, pruned)[2] == (TrialState.COMPLETE, [0.2, 300.0, 5.0])

    def test_without_values_their_best_report_and_what_else_is_known_count(self) -> None:
        reporting = trial(None, TrialState.PRUNED, curve=(0.3, 0.25), parameters=20)
        silent = trial(None, TrialState.PRUNED)
        assert shown(self.best, self.worst, reporting, silent)[2:] == [
            (TrialState.COMPLETE, [0.3, 20.0, 5.0]),
            (TrialState.COMPLETE, [0.3, 900.0, 5.0]),
        ]

    def test_paused_ones_are_seen_as_they_stand_and_running_and_failed_ones_as_they_are(self) -> None:
        paused = trial(None, TrialState.RUNNING, curve=(0.3,), parameters=20, **{PAUSED: True})
        running = trial(None, TrialState.RUNNING, curve=(0.3,), **{PAUSED: False})
        assert shown(self.best, paused, running, trial(None, TrialState.FAIL))[1:] == [
            (TrialState.COMPLETE, [0.3, 20.0, 5.0]),
            (TrialState.RUNNING, None),
            (TrialState.FAIL, None),
        ]

    def test_before_anything_is_complete_what_nobody_knows_is_the_same_for_all(self) -> None:
        early = [trial(None, TrialState.PRUNED, curve=(x,), parameters=10) for x in (0.3, 0.2)]
        assert [values for _, values in shown(*early)] == [[0.3, 10.0, 0.0], [0.2, 10.0, 0.0]]

    @pytest.mark.parametrize("name", MODELS)
    def test_every_strategy_can_take_them(self, name: str) -> None:
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=strategy(name).sampler(0))
        space = SPACE.suggest(study.ask())
        assert space
        for number in range(10):
            asked = study.ask()
            SPACE.suggest(asked)
            if number % 2:
                study._storage.set_trial_intermediate_value(asked._trial_id, 1, 0.5)
                study._storage.set_trial_state_values(asked._trial_id, TrialState.PRUNED, None)
            else:
                study.tell(asked, (0.1 * number, 1.0))
        SPACE.suggest(study.ask())


@pytest.mark.parametrize("name", MODELS)
def test_proposals_given_part_of_the_configuration_hold_it(name: str) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=strategy(name).sampler(0))
    study.optimize(objective, n_trials=8)
    study.sampler = condition(strategy(name).sampler(1), {"depth": 3})
    study.optimize(objective, n_trials=3)
    assert [past.params["depth"] for past in study.trials[8:]] == [3, 3, 3]


class TestBayes:
    """A Gaussian process first, and TPE when there are many trials: told by what they propose after equal histories."""

    def proposed(self, name: str, space: Space, trials: int, goals: Goals = TWO) -> dict[str, Any]:
        study = optuna.create_study(
            directions=["maximize" if more else "minimize" for more in goals.maximize],
            sampler=optuna.samplers.RandomSampler(0),
        )
        study.optimize(lambda trial: (*objective(trial), 0.0, 0.0)[: len(goals)], n_trials=trials)
        study.sampler = Strategy({"name": name, "startup": 2}, space, goals).sampler(1)
        return space.suggest(study.ask())

    def test_it_is_the_process_until_there_are_many_trials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("leadline.search.strategies.several.MODELLED_TRIALS", 6)
        assert self.proposed("bayes", SPACE, 5) == self.proposed("gp", SPACE, 5) != self.proposed("tpe", SPACE, 5)
        assert self.proposed("bayes", SPACE, 6) == self.proposed("tpe", SPACE, 6) != self.proposed("gp", SPACE, 6)

    def test_it_is_tpe_in_a_conditional_space_and_for_many_objectives(self) -> None:
        conditional = Space(**SPACE.parameters, momentum=Float(0, 1, when={"kind": "a"}))
        assert self.proposed("bayes", conditional, 5) == self.proposed("tpe", conditional, 5)
        many = Goals(None, ("b", "c", "d"), (True, False, True, True))
        assert self.proposed("bayes", SPACE, 5, many) == self.proposed("tpe", SPACE, 5, many)


@pytest.mark.parametrize("population", [3, 0, 2.5, "x", True])
def test_a_population_that_is_none_is_told(population: Any) -> None:
    with pytest.raises(SettingsError, match="`population` must be an integer >= 4"):
        Strategy({"name": "nsga2", "population": population}, SPACE, TWO)
