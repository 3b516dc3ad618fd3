"""Studies of several objectives: what comes of them, what shows, and what survives an interruption."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import leadline as ll
from leadline.search.analysis.overview import print_overview
from leadline.search.budget import Budget
from leadline.search.pareto import front
from leadline.search.printing import print_front, print_outcome, whole

Make = Callable[..., ll.Study]
SMALL = ("accuracy", "parameters")
BOTH = ("maximize", "minimize")


def gain_and_price(trial: ll.ActiveTrial) -> tuple[float, float]:
    """Dominated where `waste` isn't 0."""
    return float(trial.params["x"]), float(trial.params["x"] ** 2 + trial.params["waste"])


@pytest.fixture
def priced(plain: Make) -> Make:
    def make(**options: Any) -> ll.Study:
        space = ll.Space(x=ll.Int(0, 3), waste=ll.Choice([0, 1]))
        return plain(**{"space": space, "direction": BOTH, "strategy": "grid", **options})

    return make


class TestOfATrainer:
    def test_accuracy_and_parameters_of_digits(self, digits: Make) -> None:
        study = digits(metric=SMALL, strategy="bayes").run(trials=8, progress=False)
        trials = study.trials
        assert all(trial.values == (trial.value, trial.parameters) for trial in trials)
        assert study.best.value == max(trial.value for trial in trials)
        points = [trial.values for trial in trials]
        assert {trial.number for trial in study.best_trials} == set(front(points, (True, False)))
        assert study.best_trials[0].value == study.best.value
        assert study.optuna.directions == [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
        assert {trial.number for trial in study.optuna.best_trials} == {trial.number for trial in study.best_trials}
        assert 0 <= study.test() <= 1

    def test_every_cost_and_a_further_metric(self, digits: Make) -> None:
        metric = ["accuracy", "seconds", "latency", "f1"]
        study = digits(metric=metric, patience=1, epochs=4, lanes=2, strategy="random").run(trials=3, progress=False)
        for trial in study.trials:
            value, seconds, latency, f1 = trial.values
            assert (value, seconds) == (trial.value, trial.seconds)
            assert 0 < latency < 1000
            assert f1 == trial.reports[trial.best_epoch or 0]["valid/f1"]
            assert trial.reports[trial.best_epoch or 0]["valid/accuracy"] == value

    @pytest.mark.parametrize("plan", ["fused", "looped"])
    def test_a_further_metric_is_what_it_is_as_the_first(self, digits: Make, plan: str) -> None:
        several = digits(metric=["accuracy", "f1"], plan=plan).run(trials=2, progress=False)
        alone = digits("alone", metric="f1", plan=plan).run(trials=2, progress=False)
        for one, other in zip(several.trials, alone.trials, strict=True):
            assert [reports["valid/f1"] for reports in one.reports.values()] == list(other.curve.values())

    def test_a_further_objective_changes_no_curve(self, digits: Make) -> None:
        several = digits(metric=[*SMALL, "latency"]).run(trials=2, progress=False)
        alone = digits("alone").run(trials=2, progress=False)
        assert [trial.curve for trial in several.trials] == [trial.curve for trial in alone.trials]

    def test_an_interrupted_study_goes_on_as_the_undisturbed_one(self, digits: Make) -> None:
        options = {"metric": SMALL, "strategy": "nsga2", "pruner": "asha", "epochs": 3}
        whole = digits("whole", **options).run(trials=8, progress=False)

        def interrupt(trial: ll.ActiveTrial, epoch: int, metrics: Any) -> None:
            if trial.number == 5:
                parts.stop()

        parts = digits("parts", **options, checkpoint=0.0, on_epoch=interrupt)
        parts.run(trials=8, progress=False)
        assert parts.ended_by == "interrupt"
        resumed = ll.load_study("parts", parts.storage, executor="inline").run(trials=8, progress=False)
        told = [(trial.params, trial.state, trial.values, trial.curve) for trial in resumed.trials]
        assert told == [(trial.params, trial.state, trial.values, trial.curve) for trial in whole.trials]

    def test_a_database_keeps_values_and_curves(
        self, digits: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)  # where weights go
        storage = f"sqlite:///{tmp_path}/studies.db"
        study = digits(metric=SMALL, storage=storage, pruner="asha").run(trials=3, progress=False)
        kept = ll.load_study("digits", storage).trials
        assert kept == study.trials
        assert all(len(trial.values) == 2 and trial.curve for trial in kept)

    def test_worker_processes_measure_too(self, digits: Make) -> None:
        study = digits(metric=["accuracy", "latency", "parameters"], executor="processes", strategy="random")
        study.run(trials=2, progress=False)
        assert [len(trial.values) for trial in study.trials] == [3, 3]

    def test_one_that_doesnt_take_one_example_alone_fails_with_the_reason(self, digits: Make) -> None:
        import torch
        from torch import nn

        class Paired(nn.Module):
            def __init__(self, classes: int) -> None:
                super().__init__()
                self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                if len(images) < 2:
                    raise ValueError("examples come in pairs")
                return self.layers(images)

        space = ll.Space(lr=ll.Float(1e-3, 1e-1))
        study = digits(metric=["accuracy", "latency"], model=lambda in_shape, classes: Paired(classes), space=space)
        with pytest.raises(ll.StudyFailed, match="examples come in pairs"):
            study.run(trials=9, progress=False)


class TestPruning:
    SPACE = ll.Space(depth=1, feature_maps=ll.Choice([4, 32]), lr=ll.Float(1e-6, 1e-1))

    def test_what_is_dominated_at_a_rung_ends_and_a_smaller_network_goes_on(self, digits: Make) -> None:
        pruner = {"name": "asha", "reduction": 2, "first": 4}
        study = digits(metric=SMALL, pruner=pruner, epochs=9, space=self.SPACE)
        study.enqueue(
            {"feature_maps": 32, "lr": 0.01},
            {"feature_maps": 32, "lr": 1e-6},  # as large, and learns nothing
            {"feature_maps": 4, "lr": 0.03},  # learns less, and is small
            {"feature_maps": 4, "lr": 1e-6},  # as small, and learns nothing
        )
        study.run(trials=4, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "pruned", "complete", "pruned"]
        assert [trial.epochs for trial in study.trials] == [9, 4, 9, 4]
        assert study.trials[1].values == (study.trials[1].value, study.trials[1].parameters)
        assert [trial.number for trial in study.best_trials] == [0, 2]

    def test_of_an_objective_the_reports_decide(self, plain: Make) -> None:
        def reporting(trial: ll.ActiveTrial) -> tuple[float, float]:
            trial.report(trial.params["x"])
            if trial.should_prune():
                raise ll.Pruned
            return trial.params["x"], 1.0

        study = plain(direction=BOTH, pruner="asha").enqueue({"x": 5}, {"x": 2}, {"x": 7})
        study.run(reporting, trials=3, progress=False)
        assert [(trial.state, trial.values) for trial in study.trials] == [
            ("complete", (5.0, 1.0)), ("pruned", ()), ("complete", (7.0, 1.0)),
        ]  # fmt: skip
        assert study.trials[1].last == 2


class TestOfAnObjective:
    def test_a_tuple_is_its_values_and_dominated_trials_arent_in_the_front(self, priced: Make) -> None:
        study = priced().run(gain_and_price, progress=False)
        assert [trial.params["x"] for trial in study.best_trials] == [3, 2, 1, 0]
        assert all(trial.params["waste"] == 0 for trial in study.best_trials)
        assert study.best.values == (3.0, 9.0)

    @pytest.mark.parametrize(
        ("returned", "reason"),
        [((1.0, math.nan), "value_1 was no number"), (1.0, "must come to 2 numbers"), ((1.0, "dear"), "ValueError")],
    )
    def test_a_wrong_result_fails_the_trial(self, priced: Make, returned: Any, reason: str) -> None:
        study = priced().run(lambda trial: returned, trials=1, progress=False)
        assert study.trials[0].state == "failed"
        assert reason in study.trials[0].reason
        assert study.best_trials == []

    def test_ask_and_tell(self, priced: Make) -> None:
        with priced(metric=("gain", "price")) as study:
            told = study.tell(study.ask(), (0.5, 2.0))
            assert (told.state, told.value, told.values) == ("complete", 0.5, (0.5, 2.0))
            with pytest.raises(ll.SettingsError, match="`value` must be 2 numbers"):
                study.tell(study.ask(), 0.5)
            assert study.tell(1, (0.5, math.nan)).state == "failed"
            assert study.tell(study.ask(), state="pruned").values == ()

    def test_of_one_objective_the_best_trials_are_those_of_the_best_value(self, plain: Make) -> None:
        study = plain(strategy="grid").run(lambda trial: min(trial.params["x"], 8), progress=False)
        assert [trial.params["x"] for trial in study.best_trials] == [8, 9]
        assert study.trials[3].values == (3.0,)

    def test_a_study_goes_on_only_with_the_same_objectives(self, priced: Make) -> None:
        priced(strategy="random").run(gain_and_price, trials=2, progress=False)
        assert len(priced(strategy="random").run(gain_and_price, trials=3, progress=False).trials) == 3
        with pytest.raises(ll.SettingsError, match=r"`metric` is \[None, 'value_1'\] there, None here; `direction`"):
            priced(strategy="random", direction="maximize").run(lambda trial: 1.0, trials=4, progress=False)


class TestMistakes:
    def test_all_that_cant_do_several_objectives_is_told_at_once(self, digits: Make) -> None:
        with pytest.raises(ll.SettingsError) as caught:
            digits(metric=["accuracy", "sizes"], strategy="skopt-gp", pruner="median")
        told = str(caught.value)
        assert "no cost and no metric is called `sizes`" in told
        assert "strategy: `skopt-gp` can't do several objectives; `grid`" in told
        assert "pruner: `median` can't do several objectives; `none`, `asha` can" in told

    @pytest.mark.parametrize("pruner", ["median", "hyperband", optuna.pruners.MedianPruner()])
    def test_pruners_that_compare_single_values(self, plain: Make, pruner: Any) -> None:
        with pytest.raises(ll.SettingsError, match="can't do several objectives"):
            plain(direction=BOTH, pruner=pruner)

    def test_memory_on_a_cpu_and_a_metric_of_another_task_are_told_before_the_first_trial(self, digits: Make) -> None:
        study = digits(metric=["accuracy", "memory", "rmse"], devices="cpu")
        with pytest.raises(ll.SettingsError) as caught:
            study.run(trials=1)
        assert "`memory` is measured on CUDA alone, but the study trains on cpu" in str(caught.value)
        assert "`rmse` is a metric for regression" in str(caught.value)

    def test_memory_is_of_one_trial_at_a_time(self, digits: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("leadline.search.checks.devices_of", lambda study: ["cuda:0"])
        assert not digits(metric=["accuracy", "memory"]).problems(budget=Budget(trials=1))
        (problem,) = digits(metric=["accuracy", "memory"], lanes=2).problems(budget=Budget(trials=1))
        assert "`lanes` must be 1" in problem.text


class TestWhatShows:
    @pytest.fixture
    def study(self, priced: Make) -> ll.Study:
        return priced(metric=("gain", "price")).run(gain_and_price, progress=False)

    def test_tables_have_a_column_for_each_and_the_front_a_table_of_its_own(
        self, study: ll.Study, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_overview(study)
        header = capsys.readouterr().out.splitlines()[3]
        assert header.split()[:4] == ["trial", "state", "value", "price"]
        print_outcome(study, study.trials, new=8, waiting=0)
        lines = capsys.readouterr().out.splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("No trial is better than one of"))
        assert lines[start + 1].split() == ["trial", "gain", "price", "x", "waste"]
        assert [line.split()[1:] for line in lines[start + 2 : start + 6]] == [
            ["3", "9", "3", "0"], ["2", "4", "2", "0"], ["1", "1", "1", "0"], ["0", "0", "0", "0"],
        ]  # fmt: skip

    def test_of_one_objective_no_front_is_shown(self, plain: Make, capsys: pytest.CaptureFixture[str]) -> None:
        print_front(plain().run(lambda trial: 1.0, trials=1, progress=False))
        assert capsys.readouterr().out == ""

    def test_json_and_the_frame_have_all_values(self, study: ll.Study) -> None:
        told = json.loads(json.dumps(whole(study)))
        assert told["study"]["best_trials"] == [trial.number for trial in study.best_trials]
        assert told["study"]["metric"] == ["gain", "price"]
        assert all(trial["values"][0] == trial["value"] for trial in told["trials"])
        frame = study.dataframe()
        assert list(frame["values_1"]) == [trial.values[1] for trial in study.trials]
        assert "values" not in frame

    def test_settings_of_one_objective_are_described_as_ever(self, plain: Make) -> None:
        described = plain(direction="minimize", metric="loss").describe()
        assert (described["metric"], described["direction"]) == ("loss", "minimize")

    def test_a_study_file_may_name_several(self, folder: Path, tmp_path: Path) -> None:
        from leadline.search.config import read, study_from

        path = tmp_path / "study.yaml"
        path.write_text(
            "study: small\ndata: digits\nmodel: mlp\nmetric: [accuracy, parameters]\n"
            "direction: [maximize, minimize]\nstrategy: nsga2\ntrials: 2\n"
        )
        study, _ = study_from(*read(path))
        assert study.describe()["metric"] == ["accuracy", "parameters"]
        path.write_text("study: small\ndata: digits\nmodel: mlp\nmetric: [accuracy, sizes]\nstrategy: skopt-rf\n")
        with pytest.raises(ll.SettingsError, match=r"(?s)study.yaml:4: .*`sizes`.*study.yaml:5: .*`skopt-rf` can't do"):
            study_from(*read(path))
