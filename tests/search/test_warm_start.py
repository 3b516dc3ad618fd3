"""Studies that start from earlier ones: what is taken, what is refused, and what stays as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.search.warm_start import WarmStart, best_of, fitted, taken

Make = Callable[..., ll.Study]
SPACE = ll.Space(x=ll.Float(0, 1), depth=ll.Int(1, 4))


def peak(trial: ll.ActiveTrial) -> float:
    return -abs(float(trial.params["x"]) - 0.7) * 100 + float(trial.params["depth"])


@pytest.fixture
def study(plain: Make) -> Make:
    """Makes studies of `SPACE`."""

    def make(name: str, **options: Any) -> ll.Study:
        return plain(name, **{"space": SPACE, **options})

    return make


@pytest.fixture
def first(study: Make) -> ll.Study:
    return study("first").run(peak, trials=20, progress=False)


class TestWhatIsTaken:
    def test_the_best_configurations_run_first_and_the_strategy_knows_the_rest(
        self, study: Make, first: ll.Study
    ) -> None:
        second = study("second", strategy="tpe", warm_start=["first"]).run(peak, trials=12, progress=False)
        ranked = sorted(first.trials, key=lambda trial: -(trial.value or 0))
        assert [trial.params for trial in second.trials[:3]] == [trial.params for trial in ranked[:3]]
        cold = study("cold", strategy="tpe").enqueue(*(trial.params for trial in ranked[:3]))
        cold.run(peak, trials=12, progress=False)

        def apart(study: ll.Study) -> float:
            return sum(abs(trial.params["x"] - 0.7) for trial in study.trials[3:])

        assert apart(second) < apart(cold)
        assert len(second.attribute("warm_start")) == 20

    def test_they_are_no_trials_of_the_study(self, study: Make, first: ll.Study) -> None:
        second = study("second", strategy="tpe", warm_start={"from": "first", "first": 0})
        second.run(peak, trials=2, progress=False)
        assert [trial.number for trial in second.trials] == [0, 1]
        assert second.best in second.trials
        assert len(second.optuna.trials) == 2

    def test_a_finite_space_is_not_used_up_by_them(self, plain: Make) -> None:
        plain("first", strategy="grid").run(lambda trial: float(trial.params["x"]), progress=False)
        second = plain("second", strategy="tpe", warm_start=["first"])
        second.run(lambda trial: float(trial.params["x"]), trials=10, progress=False)
        assert [trial.params["x"] for trial in second.trials[:3]] == [9, 8, 7]
        assert len(second.trials) == 10

    def test_a_snapshot_is_kept_so_that_an_earlier_study_may_grow(self, study: Make, first: ll.Study) -> None:
        def proposed(name: str, *, grow: bool) -> list[dict[str, Any]]:
            options = {"strategy": "tpe", "warm_start": {"from": ["first"], "first": 2}}
            study(name, **options).run(peak, trials=4, progress=False)
            if grow:
                study("first").run(peak, trials=30, progress=False)
            return [trial.params for trial in study(name, **options).run(peak, trials=8, progress=False).trials]

        assert proposed("second", grow=False) == proposed("third", grow=True)

    def test_load_study_goes_on_with_it(self, study: Make, first: ll.Study, folder: Path) -> None:
        study("second", strategy="tpe", warm_start=["first"]).run(peak, trials=4, progress=False)
        again = ll.load_study("second", folder, mlflow=None, executor="inline")
        assert again.warm_start == WarmStart(("first",))
        assert len(again.run(peak, trials=6, progress=False).trials) == 6

    def test_an_earlier_study_is_needed_no_more_once_it_has_begun(
        self, study: Make, first: ll.Study, folder: Path
    ) -> None:
        study("second", strategy="tpe", warm_start=["first"]).run(peak, trials=4, progress=False)
        shutil.rmtree(folder / "first")
        again = study("second", strategy="tpe", warm_start=["first"]).run(peak, trials=6, progress=False)
        assert len(again.trials) == 6

    def test_what_is_enqueued_by_hand_comes_after_it(self, study: Make, first: ll.Study) -> None:
        second = study("second", warm_start={"from": "first", "first": 1}).enqueue({"x": 0.5, "depth": 1})
        second.run(peak, trials=2, progress=False)
        assert [trial.params for trial in second.trials] == [first.best.params, {"x": 0.5, "depth": 1}]

    def test_it_is_described_only_where_it_is_given(self, study: Make) -> None:
        assert "warm_start" not in study("second").describe()
        assert study("second", warm_start=["a", "b"]).describe()["warm_start"] == {"from": ["a", "b"], "first": 3}

    def test_another_warm_start_is_another_study(self, study: Make, first: ll.Study) -> None:
        study("second").run(peak, trials=1, progress=False)
        with pytest.raises(ll.SettingsError, match="`warm_start` is None there"):
            study("second", warm_start=["first"]).run(peak, trials=2, progress=False)


class TestWhatIsRefused:
    def test_all_that_is_wrong_is_told_at_once_and_nothing_is_created(
        self, study: Make, plain: Make, first: ll.Study, folder: Path
    ) -> None:
        study("down", direction="minimize").run(peak, trials=1, progress=False)
        plain("other", space=ll.Space(z=ll.Int(0, 9))).run(lambda trial: 1.0, trials=1, progress=False)
        second = study("second", warm_start=["nowhere", "first", "down", "other", "second"])
        with pytest.raises(ll.SettingsError) as raised:
            second.run(peak, trials=3, progress=False)
        told = str(raised.value)
        assert len(raised.value.problems) == 4
        assert "there is no study `nowhere`" in told
        assert "`down` was to minimize" in told
        assert "no trial of `other` fits this space: `x` is missing" in told
        assert "`second` can't start from itself" in told
        assert not (folder / "second").exists()

    def test_ask_refuses_it_too(self, study: Make, folder: Path) -> None:
        with pytest.raises(ll.SettingsError, match="there is no study `nowhere`"):
            study("second", warm_start="nowhere").ask()
        assert not folder.exists()

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ([], r"`warm_start` names studies, as \[digits-1, digits-2\], but got \[\]"),
            ([3], r"`warm_start` names studies, .* got \[3\]"),
            ({"first": 2}, "`warm_start` names studies, .* got None"),
            ({"from": ["a"], "frist": 2}, r"`frist` is no part of it. Did you mean `first`\?"),
            ({"from": ["a"], "first": -1}, "`first` must be an integer >= 0, but got -1"),
        ],
    )
    def test_what_is_no_warm_start(self, study: Make, given: Any, told: str) -> None:
        with pytest.raises(ll.SettingsError, match=told):
            study("second", warm_start=given)


class TestWhatFits:
    space = ll.Space(
        kind=ll.Choice(["sgd", "adam"]),
        momentum=ll.Float(0, 0.9, when={"kind": "sgd"}),
        lr=ll.Float(0, 1),
        depth=ll.Int(1, 4),
        width=8,
    )

    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({"kind": "adam", "lr": 1, "depth": 2.0}, {"kind": "adam", "lr": 1.0, "depth": 2}),
            ({"kind": "adam", "lr": 0.1, "depth": 2, "momentum": 0.5}, {"kind": "adam", "lr": 0.1, "depth": 2}),
            ({"kind": "adam", "lr": 0.1, "depth": 2, "drop": 1}, {"kind": "adam", "lr": 0.1, "depth": 2}),
            ({"kind": "adam", "lr": 0.1, "depth": 2, "width": 8}, {"kind": "adam", "lr": 0.1, "depth": 2}),
            ({"kind": "adam", "lr": 0.1, "depth": 2, "width": 9}, None),
            ({"kind": "adam", "lr": 0.1, "depth": 5}, None),
            ({"kind": "sgd", "lr": 0.1, "depth": 2}, None),
            ({"kind": "rmsprop", "lr": 0.1, "depth": 2}, None),
        ],
    )
    def test_values_are_taken_by_name(self, params: dict[str, Any], expected: dict[str, Any] | None) -> None:
        found = fitted(params, self.space)
        assert found == expected
        if found is not None:
            assert type(found["depth"]) is int

    def test_scores_are_the_same_whatever_the_level_and_the_spread(self, plain: Make) -> None:
        def scores(name: str, scale: float, level: float) -> list[float]:
            done = plain(name).run(lambda trial: scale * trial.params["x"] + level, trials=8, progress=False)
            return [entry["score"] for entry in taken([done], done.space, maximize=True)]

        assert scores("one", 1.0, 0.0) == pytest.approx(scores("two", 1000.0, -7.0))

    def test_a_diverged_trial_says_no_more_than_a_bad_one(self, plain: Make) -> None:
        with plain() as study:
            for value in (1.0, 2.0, 3.0, 4.0, -1e30, float("-inf")):
                study.tell(study.ask(), value)
        entries = taken([study], study.space, maximize=True)
        assert [entry["score"] for entry in entries][-2:] == [-5.0, -5.0]
        assert all(abs(entry["score"]) <= 2 for entry in entries[:4])

    @pytest.mark.parametrize(("maximize", "expected"), [(True, [{"x": 2}, {"x": 1}]), (False, [{"x": 0}, {"x": 1}])])
    def test_the_best_are_different_configurations(self, maximize: bool, expected: list[dict[str, int]]) -> None:
        entries = [{"params": {"x": x}, "score": x} for x in (0, 1, 2, 2, 0)]
        assert best_of(entries, 2, maximize=maximize) == expected
