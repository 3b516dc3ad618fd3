"""Two studies or two trials beside each other, and whether what differs may be noise."""

from dataclasses import replace

import numpy as np
import pytest

import leadline as ll
from leadline.search.analysis import noise
from leadline.search.analysis.comparison import compare, compare_studies, compare_trials, print_comparison, side_of
from leadline.search.analysis.noise import of_studies, of_trials
from leadline.search.analysis.significance import Interval, mcnemar
from leadline.search.predictions import kept_predictions

LOG_LR = ll.Float(1e-5, 1e-1, log=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


def study_of(folder, name, space=None, metric=None, trials=2, seed=0, first=(), **trainer):
    space = space or ll.Space(depth=1, feature_maps=8, lr=LOG_LR)
    trainer = ll.Trainer("mlp", data="digits", **{"epochs": 2, **trainer})
    study = ll.Study(
        name, space, trainer, metric=metric, strategy="random", seed=seed,
        storage=folder, mlflow=None, executor="inline", lanes=1,
    )  # fmt: skip
    return study.enqueue(*first).run(trials=trials, progress=False)


@pytest.fixture(scope="module")
def digits(folder):
    """Two trials, of which the first can't have learned anything, and two as good as each other."""
    first = [{"lr": lr} for lr in (1e-5, 1e-2, 0.0101, 0.0102)]
    return study_of(folder, "digits", trials=4, first=first)


@pytest.fixture(scope="module")
def longer(folder):
    return study_of(folder, "longer", trials=4, first=[{"lr": lr} for lr in (0.01, 0.02, 0.03, 0.04)], epochs=4, seed=1)


def told(pairs):
    return {pair.what: (pair.first, pair.second) for pair in pairs}


class TestTwoTrials:
    def test_only_what_they_were_trained_with_otherwise_is_listed(self, digits, longer):
        found = compare_trials(side_of(digits, "0"), side_of(digits, "1"))
        assert (found.first, found.second) == ("digits:0", "digits:1")
        assert told(found.settings) == {"lr": (1e-5, 1e-2)}
        found = compare_trials(side_of(digits, "1"), side_of(longer, "0"))
        assert told(found.settings) == {"epochs": (2, 4), "seed": (0, 1)}

    def test_a_setting_that_one_study_searches_is_compared_with_what_the_other_trained_with(self, folder, digits):
        space = ll.Space(depth=1, feature_maps=8, optimizer=ll.Choice(["sgd"]), momentum=0.5)
        other = study_of(folder, "sgd", space, trials=1)
        found = told(compare_trials(side_of(digits, "1"), side_of(other, "0")).settings)
        assert found == {"lr": (0.01, 0.001), "optimizer": ("adamw", "sgd"), "momentum": (0.9, 0.5)}

    def test_a_parameter_that_is_not_active_has_no_value(self, folder):
        space = ll.Space(
            depth=1,
            feature_maps=8,
            optimizer=ll.Choice(["sgd", "adamw"]),
            momentum=ll.Float(0, 0.9, when={"optimizer": "sgd"}),
        )
        first = [{"optimizer": "sgd", "momentum": 0.5}, {"optimizer": "adamw"}]
        study = study_of(folder, "conditional", space, first=first)
        found = told(compare_trials(side_of(study, "0"), side_of(study, "1")).settings)
        assert found == {"optimizer": ("sgd", "adamw"), "momentum": (0.5, None)}

    def test_figures_are_the_trials_own_and_those_at_the_epoch_that_both_had(self, digits, longer):
        one, other = digits.trials[1], longer.trials[0]
        found = told(compare_trials(side_of(digits, "1"), side_of(longer, "0")).figures)
        assert found["accuracy"] == (one.value, other.value)
        assert found["epochs"] == (2, 4)
        assert found["best by epoch 2"] == (max(one.curve.values()), max(other.curve[1], other.curve[2]))
        assert found["parameters"] == (one.parameters, other.parameters)
        assert "spread" not in found

    def test_a_great_difference_on_the_same_rows_is_more_than_noise_and_the_test_is_mcnemars(self, digits):
        verdict = of_trials(side_of(digits, "0"), side_of(digits, "1"))
        kept = [kept_predictions(digits, trial) for trial in digits.trials[:2]]
        test = mcnemar(kept[0].right, kept[1].right)
        assert verdict.noise is False
        assert verdict.p == test.p < 0.001
        assert verdict.told.startswith("This is more than noise: of the same ")
        assert f"digits:0 alone has {test.first} right, digits:1 alone {test.second} " in verdict.told

    def test_a_trial_beside_itself_is_told_to_be_the_same(self, digits):
        verdict = of_trials(side_of(digits, "2"), side_of(digits, "2"))
        assert (verdict.noise, verdict.p) == (None, None)
        assert verdict.told == "There is nothing to tell apart: both are trial 2 of `digits`."

    def test_trials_of_two_studies_on_one_split_are_judged_on_the_same_rows(self, folder, digits):
        other = study_of(folder, "same-split", trials=1, first=[{"lr": 1e-5}], epochs=1)
        assert of_trials(side_of(other, "0"), side_of(digits, "1")).test == "McNemar's exact test"

    def test_on_other_rows_it_cannot_be_told(self, digits, longer):
        verdict = of_trials(side_of(digits, "1"), side_of(longer, "0"))
        assert (verdict.noise, verdict.p) == (None, None)
        assert verdict.told == "Whether this is noise can't be told: they were validated on different rows."

    def test_another_metric_is_redrawn_as_the_trainer_computes_it(self, folder):
        study = study_of(folder, "f1", metric="f1", first=[{"lr": 1e-5}, {"lr": 0.01}])
        verdict = of_trials(side_of(study, "0"), side_of(study, "1"))
        low, high = verdict.interval
        assert 0 < low < study.trials[1].value - study.trials[0].value < high
        assert (verdict.noise, verdict.test) == (False, "paired bootstrap")
        assert f"f1 of f1:1 less that of f1:0 is {study.trials[1].value - study.trials[0].value:+.4g}" in verdict.told

    def test_a_regression_is_redrawn_in_its_own_units(self, folder):
        inputs = np.random.default_rng(0).normal(size=(240, 3)).astype(np.float32)
        data = (inputs, 100 + 5 * inputs[:, 0])
        space = ll.Space(depth=1, feature_maps=8, lr=LOG_LR)
        study = ll.Study(
            "numbers", space, ll.Trainer("mlp", data=data, epochs=8), metric="rmse", strategy="random",
            storage=folder, mlflow=None,
        )  # fmt: skip
        study.enqueue({"lr": 1e-5}, {"lr": 0.05}).run(trials=2, progress=False)
        verdict = of_trials(side_of(study, "0"), side_of(study, "1"))
        low, high = verdict.interval
        assert low < study.trials[1].value - study.trials[0].value < high < 0

    def test_a_metric_that_is_no_number_on_some_redraws_tells_nothing(self, folder, monkeypatch):
        study = study_of(folder, "f1", metric="f1", first=[{"lr": 1e-5}, {"lr": 0.01}])
        monkeypatch.setattr(noise, "paired_bootstrap", lambda *_, **__: Interval(0.1, float("nan"), float("nan")))
        verdict = of_trials(side_of(study, "0"), side_of(study, "1"))
        assert verdict.noise is None
        assert "f1 is no number on some redraws" in verdict.told

    def test_replicates_are_told_apart_by_their_spread(self, folder):
        study = study_of(folder, "thrice", first=[{"lr": 1e-5}, {"lr": 0.01}], replicates=3)
        verdict = of_trials(side_of(study, "0"), side_of(study, "1"))
        assert (verdict.noise, verdict.test) == (False, "Welch's t-test")
        (one, other) = study.trials
        assert f"{one.value:.4g} ± {one.spread:.4g} (of 3) and {other.value:.4g} ± {other.spread:.4g}" in verdict.told

    def test_of_what_is_not_complete_or_keeps_nothing_it_cannot_be_told_and_why_is_said(self, tmp_path):
        study = ll.Study("any", ll.Space(x=ll.Int(0, 9)), strategy="random", storage=tmp_path, mlflow=None)

        def objective(trial):
            if trial.number == 0:
                raise ll.Pruned
            return float(trial.number)

        study.run(objective, trials=3, progress=False)
        assert "any:0 isn't complete (pruned)" in of_trials(side_of(study, "0"), side_of(study, "1")).told
        told = of_trials(side_of(study, "1"), side_of(study, "2")).told
        assert told == "Whether this is noise can't be told: nothing is kept of what any:1 says of its validation rows."

    def test_where_the_data_are_gone_the_figures_still_stand(self, tmp_path):
        rows = "".join(f"{place % 7},{place % 2}\n" for place in range(90))
        (tmp_path / "table.csv").write_text("size,label\n" + rows)
        trainer = ll.Trainer("mlp", data={"path": str(tmp_path / "table.csv"), "label": "label"}, epochs=1)
        space = ll.Space(depth=1, feature_maps=4, lr=LOG_LR)
        study = ll.Study("table", space, trainer, strategy="random", storage=tmp_path, mlflow=None)
        study.run(trials=2, progress=False)
        (tmp_path / "table.csv").unlink()
        found = compare("table:0", "table:1", lambda name: ll.load_study(name, tmp_path))
        assert "lr" in told(found.settings)
        assert found.verdicts["trial"].told.startswith("Whether this is noise can't be told: the validation rows can't")


class TestTwoStudies:
    def test_their_settings_and_spaces_are_compared_a_parameter_each(self, digits, longer, folder):
        assert told(compare_studies(digits, longer).settings) == {"trainer.epochs": (2, 4), "seed": (0, 1)}
        space = ll.Space(depth=ll.Int(1, 2), feature_maps=8)
        wider = study_of(folder, "wider", space, metric="f1", trials=1)
        found = told(compare_studies(digits, wider).settings)
        assert found == {
            "space.depth": (1, "int: [1, 2]"),
            "space.lr": ("float: [1e-05, 0.1], log: True", None),
            "metric": ("accuracy", "f1"),
        }

    def test_the_best_so_far_is_compared_at_equal_costs(self, digits, longer):
        found = told(compare_studies(digits, longer).figures)
        assert found["complete"] == (4, 4)
        assert found["best accuracy"] == (digits.best.value, longer.best.value)
        assert found["epochs of all trials"] == (8, 16)
        both = max(trial.value for trial in longer.trials[:2])  # two of four epochs each
        assert found["best accuracy after 8 epochs"] == (digits.best.value, both)
        assert "best accuracy after 4 trials" not in found  # both had four

    def test_values_of_complete_trials_are_told_apart_by_their_ranks(self, folder, digits):
        worse = study_of(folder, "worse", trials=4, first=[{"lr": lr} for lr in (1e-5, 1.1e-5, 1.2e-5, 1.3e-5)])
        better = study_of(folder, "better", trials=4, first=[{"lr": lr} for lr in (0.01, 0.011, 0.012, 0.013)])
        verdict = of_studies(worse, better)
        assert verdict.noise is False
        assert verdict.p == pytest.approx(2 / 70)  # all of four below all of four
        assert "Mann-Whitney's test" in verdict.told
        assert of_studies(digits, digits).noise is True

    def test_too_few_trials_or_another_goal_cannot_be_told_apart(self, folder, digits):
        few = study_of(folder, "few", trials=1)
        assert "4 and 1 complete trials are too few" in of_studies(digits, few).told
        other = study_of(folder, "loss", metric="cross_entropy", trials=4)
        assert "another goal" in of_studies(digits, other).told
        assert compare_studies(digits, other).verdicts["best"].noise is None

    def test_of_other_data_nothing_can_be_told(self, digits, folder):
        data = (np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), np.arange(60) % 2)
        trainer = ll.Trainer("mlp", data=data, epochs=1)
        space = ll.Space(depth=1, feature_maps=4, lr=LOG_LR)
        other = ll.Study("other-data", space, trainer, strategy="random", storage=folder, mlflow=None)
        other.run(trials=4, progress=False)
        assert "their data aren't the same" in of_studies(digits, other).told

    def test_the_best_ones_are_judged_on_the_same_rows(self, digits, folder):
        found = compare_studies(digits, study_of(folder, "beside", trials=1, first=[{"lr": 0.02}]))
        assert found.verdicts["best"].test == "McNemar's exact test"


class TestWhatIsAskedFor:
    def test_a_name_is_a_study_and_a_number_or_best_behind_it_a_trial(self, digits, longer):
        load = {"digits": digits, "longer": longer}.__getitem__
        assert set(compare("digits", "longer", load).verdicts) == {"trials", "best"}
        found = compare("digits:best", "longer:0", load)
        assert (found.first, found.second) == (f"digits:{digits.best.number}", "longer:0")

    @pytest.mark.parametrize(
        ("first", "second", "message"),
        [
            ("digits", "longer:1", "two studies, or two trials as `NAME:12`"),
            ("digits:1", "digits:4", "`digits` has trials 0 to 3, and a `best` one, but got `4`"),
            ("digits:x", "digits:1", "but got `x`"),
            ("digits:-1", "digits:1", "but got `-1`"),
        ],
    )
    def test_what_is_not_there_is_wrong_input(self, digits, longer, first, second, message):
        with pytest.raises(ll.UsageError, match=message):
            compare(first, second, {"digits": digits, "longer": longer}.__getitem__)


def test_it_is_printed_as_tables_and_a_sentence(digits, longer, capsys):
    print_comparison(compare_trials(side_of(digits, "0"), side_of(digits, "1")))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [["digits:0", "digits:1"], ["lr", "1e-05", "0.01"]]
    assert ["epochs", "2", "2", "+0"] in lines
    assert lines[-1][:5] == ["This", "is", "more", "than", "noise:"]
    print_comparison(compare_studies(digits, digits))
    assert capsys.readouterr().out.startswith("Their settings are the same.\n")


def test_as_json_it_has_the_same(digits):
    found = compare_trials(side_of(digits, "0"), side_of(digits, "1"))
    plain = found.as_json()
    assert plain["settings"] == {"lr": [1e-5, 0.01]}
    assert plain["figures"]["accuracy"] == [digits.trials[0].value, digits.trials[1].value]
    assert plain["noise"]["trial"]["p"] == found.verdicts["trial"].p


def test_replicates_that_do_not_differ_at_all_tell_nothing(digits, monkeypatch):
    monkeypatch.setattr(noise, "_replicates", lambda side: 3)
    sides = [side_of(digits, "0"), side_of(digits, "1")]
    told = of_trials(*(replace(side, trial=replace(side.trial, spread=0.0)) for side in sides)).told
    assert "their replicates don't differ at all" in told


class TestObjectives:
    """Studies of the user's own objectives, of which nobody but the user knows what they measure."""

    @pytest.fixture
    def minimized(self, plain):
        return plain("minimized", direction="minimize", strategy="grid").run(lambda trial: trial.params["x"] / 10)

    @pytest.fixture
    def several(self, plain):
        study = plain("several", direction=["minimize", "maximize"], strategy="grid")
        return study.run(lambda trial: (float(trial.params["x"]), -float(trial.params["x"])))

    def test_values_of_another_goal_are_not_subtracted(self, digits, minimized):
        figures = told(compare_studies(minimized, digits).figures)
        assert not [name for name in figures if name.startswith("best ")]
        assert figures["complete"] == (10, 4)
        figures = told(compare_trials(side_of(minimized, "1"), side_of(digits, "1")).figures)
        assert set(figures) <= {"state", "best epoch", "epochs", "seconds", "parameters", "peak memory"}

    def test_a_trainer_beside_none_is_compared_setting_by_setting(self, digits, minimized):
        settings = told(compare_studies(minimized, digits).settings)
        assert settings["trainer.model"] == (None, "mlp")
        assert settings["trainer.epochs"] == (None, 2)
        assert "trainer" not in settings

    def test_of_two_objectives_there_is_no_verdict_and_why_is_said(self, several, minimized):
        found = compare_studies(several, minimized)
        assert [verdict.noise for verdict in found.verdicts.values()] == [None, None]
        for verdict in found.verdicts.values():
            assert "can't know that the objectives of `several` and `minimized` measure the same thing" in verdict.told

    def test_the_metric_that_was_given_no_name_is_called_by_its_own(self, several, minimized):
        assert told(compare_studies(several, minimized).settings)["metric"] == (["value", "value_1"], "value")
