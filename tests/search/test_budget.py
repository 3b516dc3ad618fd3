"""Budgets: what of them is used up, told from trials alone; and studies that end by each."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest

import leadline as ll
from leadline.search.budget import Budget, Tally
from leadline.search.trial import Trial

Make = Callable[..., ll.Study]


def trial(number: int, value: float | None = None, state: str = "complete", epochs: int = 0, **facts: Any) -> Trial:
    curve = {epoch: 0.5 for epoch in range(1, epochs + 1)}
    return Trial(number, state, {}, value, epochs=epochs, curve=curve, **facts)


def ended_by(found: list[Trial], *, maximize: bool = True, spent: float = 0.0, **budget: Any) -> str | None:
    return Budget(**budget).ended_by(found, maximize=maximize, minutes_spent=spent)


class TestWhatIsUsedUp:
    def test_nothing_is_while_there_is_no_budget(self) -> None:
        assert ended_by([trial(n, 1.0, seconds=1e9, epochs=1000) for n in range(50)], spent=1e9) is None

    def test_trials_count_from_their_beginning(self) -> None:
        begun = [trial(0, 1.0), trial(1, state="running"), trial(2, state="failed"), trial(3, state="waiting")]
        assert ended_by(begun, trials=4) is None
        assert ended_by(begun, trials=3) == "trials"

    def test_minutes_are_those_of_running(self) -> None:
        assert ended_by([], minutes=3, spent=2.9) is None
        assert ended_by([], minutes=3, spent=3.0) == "minutes"

    def test_device_hours_are_all_trials_seconds_together(self) -> None:
        trials = [trial(0, 1.0, seconds=1800.0), trial(1, state="running", seconds=900.0), trial(2, state="failed")]
        assert ended_by(trials, device_hours=0.8) is None
        assert ended_by([*trials, trial(3, state="pruned", seconds=900.0)], device_hours=1) == "device_hours"

    def test_epochs_are_those_of_all_trials(self) -> None:
        trials = [trial(0, 1.0, epochs=20), trial(1, state="running", epochs=7)]
        assert ended_by(trials, total_epochs=28) is None
        assert ended_by(trials, total_epochs=27) == "total_epochs"

    @pytest.mark.parametrize(("maximize", "better"), [(True, 0.96), (False, 0.94)])
    def test_a_target_is_reached_in_the_studys_direction_by_complete_trials(
        self, maximize: bool, better: float
    ) -> None:
        beyond = 0.99 if maximize else 0.01
        short = [trial(0, 1.9 - better), trial(1, beyond, "pruned"), trial(2, beyond, "running")]
        assert ended_by(short, maximize=maximize, target=0.95) is None
        assert ended_by([*short, trial(3, better)], maximize=maximize, target=0.95) == "target"
        assert ended_by([trial(0, 0.95)], maximize=maximize, target=0.95) == "target"

    def test_no_improvement_counts_trials_that_ended_after_the_best(self) -> None:
        values = [0.5, 0.7, 0.6, 0.7, 0.1]
        trials = [trial(number, value) for number, value in enumerate(values)]
        assert ended_by(trials, stall=4) is None
        assert ended_by(trials, stall=3) == "stall"
        assert ended_by(trials, maximize=False, stall=1) is None
        assert ended_by([*trials, trial(5, state="running")], stall=4) is None
        assert ended_by([*trials, trial(5, state="failed")], stall=4) == "stall"
        assert ended_by([*trials, trial(5, 0.71)], stall=1) is None

    def test_where_no_trial_is_complete_none_is_an_improvement(self) -> None:
        assert ended_by([trial(0, 0.4, "pruned"), trial(1, state="failed")], stall=2) == "stall"

    def test_a_target_is_told_before_what_else_is_used_up(self) -> None:
        assert ended_by([trial(0, 1.0, epochs=9)], trials=1, total_epochs=5, target=0.9) == "target"


class TestATally:
    def test_it_comes_to_the_same_however_trials_come_in(self) -> None:
        ends = [trial(2, 0.3, epochs=4, seconds=8.0), trial(0, 0.5, epochs=4, seconds=7.5), trial(1, 0.5, epochs=2)]
        at_once, step_by_step = Tally(ends, maximize=True), Tally(maximize=True)
        for one in ends:
            step_by_step.take(trial(one.number, state="waiting"))
            for epoch in range(1, one.epochs + 1):
                step_by_step.take(trial(one.number, 0.9, "running", epochs=epoch, seconds=2.0 * epoch))
            step_by_step.take(one)
        for tally in (at_once, step_by_step):
            assert (tally.begun, tally.epochs, tally.seconds, tally.since_best) == (3, 10, 15.5, 2)
            assert tally.reaches(0.5)
            assert not tally.reaches(0.51)

    def test_epochs_of_the_trial_that_another_began_from_count_once(self) -> None:
        branch = Trial(1, "running", {}, epochs=6, parent=0, curve={5: 0.1, 6: 0.2})
        assert Tally([trial(0, 0.5, "paused", epochs=4), branch], maximize=True).epochs == 6


class TestRules:
    def test_all_problems_are_told_with_their_paths(self) -> None:
        wrong: list[Any] = [0, -1.0, float("inf"), 2.5, float("nan"), True]
        problems = Budget(*wrong).problems()
        assert [problem.where[0] for problem in problems] == [
            *("trials", "minutes", "device_hours", "total_epochs", "target", "stall")
        ]
        assert "`trials > 0` must hold, but got 0" in problems[0].text
        assert "`total_epochs` must be an integer, but got 2.5" in problems[3].text

    def test_a_target_may_be_any_number(self) -> None:
        assert Budget(target=-3.5).problems() == Budget(target=0).problems() == []

    def test_a_target_alone_may_never_end(self, plain: Make) -> None:
        assert not Budget(target=1.0).bounds
        with pytest.raises(ll.SettingsError, match="a target may never be reached"):
            plain().run(lambda trial: 0.0, target=1.0)


def identity(active: ll.ActiveTrial) -> float:
    return float(active.params["x"])


class TestStudies:
    @pytest.mark.parametrize(
        ("budget", "name", "words"),
        [
            ({"total_epochs": 5}, "total_epochs", "its epochs are used up"),
            ({"device_hours": 1e-5}, "device_hours", "its device hours are used up"),
            ({"minutes": 0.005}, "minutes", "its time is up"),
        ],
    )
    def test_what_runs_when_it_is_used_up_ends_with_its_epoch(
        self, digits: Make, budget: dict[str, float], name: str, words: str
    ) -> None:
        study = digits(epochs=10_000).run(**budget, progress=False)
        assert (study.ended_by, study.attribute("ended_by")) == (name, name)
        (stopped,) = study.trials
        assert (stopped.state, stopped.reason) == ("pruned", f"the study ended: {words}")
        assert stopped.value == max(stopped.curve.values())
        if name == "total_epochs":
            assert len(stopped.curve) in (5, 6)

    def test_a_target_ends_a_study_which_says_so_and_can_be_resumed(self, plain: Make) -> None:
        space = ll.Space(x=ll.Int(0, 9))
        study = plain(strategy="grid", space=space).run(identity, target=6, progress=False)
        assert (study.ended_by, [one.value for one in study.trials]) == ("target", [0, 1, 2, 3, 4, 5, 6])
        again = plain(strategy="grid", space=space).run(identity, target=6, progress=False)
        assert (again.ended_by, len(again.trials)) == ("target", 7)
        further = plain(strategy="grid", space=space).run(identity, target=8, progress=False)
        assert (further.ended_by, len(further.trials)) == ("target", 9)
        assert plain(strategy="grid", space=space).run(identity, progress=False).ended_by == "space"

    def test_a_target_of_a_minimized_metric_is_reached_from_above(self, plain: Make) -> None:
        study = plain(direction="minimize").run(lambda one: 9.0 - one.number, trials=50, target=7, progress=False)
        assert (study.ended_by, len(study.trials)) == ("target", 3)

    def test_no_improvement_ends_it(self, plain: Make) -> None:
        values = [1, 2, 5, 3, 4, 5, 2, 9]
        study = plain().run(lambda one: float(values[one.number]), stall=3, trials=8, progress=False)
        assert (study.ended_by, len(study.trials)) == ("stall", 6)

    def test_epochs_count_over_all_runs(self, digits: Make) -> None:
        assert len(digits().run(total_epochs=4, progress=False).trials) == 2
        study = digits().run(total_epochs=8, progress=False)
        assert (len(study.trials), sum(one.epochs for one in study.trials)) == (4, 8)

    def test_minutes_are_those_of_all_runs(self, plain: Make) -> None:
        plain().run(identity, trials=1, progress=False)
        with plain() as study:
            ledger = study._hold()
            assert 0 < ledger.attribute("seconds") < 60
            ledger.set_attribute("seconds", 120.0)
            ledger.commit()
        assert plain().run(identity, minutes=2, progress=False).ended_by == "minutes"
        study = plain().run(identity, minutes=60, trials=3, progress=False)
        assert (study.ended_by, len(study.trials)) == ("trials", 3)
        assert 120 < study.attribute("seconds") < 180

    def test_a_running_trials_seconds_are_those_of_its_epochs(self, digits: Make) -> None:
        seen: list[tuple[float, float]] = []
        study = digits(epochs=3, on_epoch=lambda one, epoch, metrics: seen.append((one.seconds, metrics["seconds"])))
        study.run(trials=1, progress=False)
        assert [whole for whole, _ in seen] == pytest.approx(list(accumulate(own for _, own in seen)))

    @pytest.mark.parametrize("budget", [{"target": 0.9, "trials": 3}, {"stall": 3}])
    def test_targets_and_improvements_are_of_one_objective(self, plain: Make, budget: dict[str, Any]) -> None:
        with pytest.raises(ll.SettingsError, match="is of one objective, but this study has 2"):
            plain(direction=["maximize", "minimize"]).run(lambda one: (1.0, 2.0), **budget)

    def test_the_budget_is_kept_whole(self, plain: Make) -> None:
        study = plain().run(identity, trials=2, stall=9, progress=False)
        assert Budget(**study.attribute("budget")) == Budget(trials=2, stall=9)
