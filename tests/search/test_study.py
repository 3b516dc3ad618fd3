"""The study as its users meet it: the forms of the API, and what a study promises between two runs."""

from __future__ import annotations

import inspect
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pandas
import pytest
import torch
from torch import Tensor, nn

import leadline as ll
from leadline.search.budget import Budget

Make = Callable[..., ll.Study]


def identity(trial: ll.ActiveTrial) -> float:
    return float(trial.params["x"])


def parabola(trial: ll.ActiveTrial) -> float:
    return (float(trial.params["x"]) - 3) ** 2


def unclocked(study: ll.Study) -> list[dict[str, Any]]:
    clocked = ("seconds", "peak_memory")
    return [{name: v for name, v in trial.as_json().items() if name not in clocked} for trial in study.trials]


class TestTheThreeForms:
    def test_a_family_and_a_data_set_by_name(self, digits: Make) -> None:
        study = digits(strategy="bayes", pruner="asha", patience=1)
        study.run(trials=4, progress=False)
        assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
        best = study.best
        assert best.value == max(trial.value for trial in study.trials if trial.state == "complete")
        assert study.space.contains(best.params)
        assert best.parameters
        assert best.seconds
        assert best.reason

    def test_your_own_module_and_your_own_tensors(self, folder: Path) -> None:
        class Net(nn.Module):
            def __init__(self, width: int, inputs: int, classes: int) -> None:
                super().__init__()
                self.layers = nn.Sequential(
                    nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, classes)
                )

            def forward(self, images: Tensor) -> Tensor:
                return self.layers(images)

        def build(in_shape: tuple[int, ...], classes: int, width: int) -> nn.Module:
            return Net(width, math.prod(in_shape), classes)

        generator = torch.Generator().manual_seed(0)
        images = torch.rand(120, 1, 4, 4, generator=generator)
        labels = (images.mean(dim=(1, 2, 3)) > 0.5).long()
        space = ll.Space(width=ll.Int(4, 16), lr=ll.Float(1e-3, 1e-1, log=True))
        trainer = ll.Trainer(build, data=(images, labels), epochs=3, batch_size=16)
        study = ll.Study("mine", space, trainer, storage=folder, mlflow=None).run(trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "complete"]
        assert 0 <= study.test() <= 1

    def test_your_own_objective(self, plain: Make) -> None:
        study = plain(direction="minimize", strategy="grid").run(parabola, progress=False)
        assert study.best.params == {"x": 3}
        assert study.best.value == 0
        assert study.trials[5].value == 4

    def test_ask_and_tell(self, plain: Make) -> None:
        with plain() as study:
            trial = study.ask()
            assert study.space.contains(trial.params)
            told = study.tell(trial, 0.93)
            assert (told.number, told.state, told.value) == (0, "complete", 0.93)
            other = study.ask()
            other.report(0.5)
            assert not other.should_prune()
            assert study.tell(other, state="pruned").value == 0.5
            assert study.tell(study.ask()).state == "failed"
        assert [trial.state for trial in study.trials] == ["complete", "pruned", "failed"]

    def test_the_built_in_names_appear_in_the_signature_of_the_design(self) -> None:
        order = list(inspect.signature(ll.Study).parameters)
        assert order[:12] == [
            "name", "space", "trainer", "metric", "direction", "strategy",
            "pruner", "seed", "storage", "executor", "devices", "lanes",
        ]  # fmt: skip


class TestAskAndTell:
    def test_only_a_running_trial_can_be_told_and_only_once(self, plain: Make) -> None:
        with plain() as study:
            trial = study.ask()
            study.tell(trial, 1.0)
            with pytest.raises(ll.SettingsError, match="trial 0 isn't running"):
                study.tell(trial, 2.0)
            with pytest.raises(ll.SettingsError, match="trial 7 isn't running"):
                study.tell(7, 2.0)
        assert study.best.value == 1.0

    def test_a_complete_trial_needs_a_value_and_the_state_must_be_one(self, plain: Make) -> None:
        with plain() as study:
            trial = study.ask()
            for state in ("complete", "done"):
                with pytest.raises(ll.SettingsError, match="`state` is"):
                    study.tell(trial, state=state)

    def test_a_value_that_is_no_number_fails_the_trial(self, plain: Make) -> None:
        with plain() as study:
            told = study.tell(study.ask(), math.nan)
        assert (told.state, told.value) == ("failed", None)
        assert "no number" in told.reason

    def test_an_objective_that_returns_no_number_fails_its_trial_with_that_reason(self, plain: Make) -> None:
        study = plain().run(lambda trial: math.nan, trials=1, progress=False)
        assert study.trials[0].state == "failed"
        assert "no number" in study.trials[0].reason

    def test_a_finite_space_ends_with_space_exhausted(self, plain: Make) -> None:
        with plain(space=ll.Space(x=ll.Int(0, 2)), strategy="grid") as study:
            for x in range(3):
                trial = study.ask()
                assert trial.params == {"x": x}
                study.tell(trial, x)
            with pytest.raises(ll.SpaceExhausted):
                study.ask()
        assert len(study.trials) == 3

    @pytest.mark.parametrize("strategy", ["random", "bayes"])
    def test_a_strategy_that_repeats_itself_ends_too_once_every_configuration_has_run(
        self, plain: Make, strategy: str
    ) -> None:
        study = plain(space=ll.Space(x=ll.Int(0, 2)), strategy=strategy).run(identity, trials=500, progress=False)
        assert study.ended_by == "space"
        assert {trial.params["x"] for trial in study.trials} == {0, 1, 2}
        assert len(study.trials) < 500

    def test_a_pruner_answers_reports(self, plain: Make) -> None:
        with plain(pruner=optuna.pruners.ThresholdPruner(lower=0.5)) as study:
            trial = study.ask()
            trial.report(0.6)
            assert not trial.should_prune()
            trial.report(0.4)
            assert trial.should_prune()
            study.tell(trial, state="pruned")

    def test_asking_holds_the_study_until_it_is_closed(self, plain: Make) -> None:
        study = plain()
        study.ask()
        with pytest.raises(ll.SettingsError, match="is being run by process"):
            plain().run(identity, trials=2, progress=False)
        study.close()
        assert len(plain().run(identity, trials=2, progress=False).trials) == 2


class TestGoingOn:
    def test_trials_counts_the_whole_study(self, plain: Make) -> None:
        plain().run(identity, trials=3, progress=False)
        study = plain().run(identity, trials=5, progress=False)
        assert [trial.number for trial in study.trials] == [0, 1, 2, 3, 4]
        before = unclocked(study)
        assert unclocked(plain().run(identity, trials=5, progress=False)) == before

    def test_a_study_in_two_runs_equals_one_in_one_run(self, plain: Make) -> None:
        space = ll.Space(x=ll.Float(0, 9), y=ll.Choice(["a", "b"]))
        for trials in (6, 14):
            plain("halves", space=space, strategy="bayes").run(identity, trials=trials, progress=False)
        plain("whole", space=space, strategy="bayes").run(identity, trials=14, progress=False)
        assert unclocked(plain("halves", space=space, strategy="bayes")) == unclocked(
            plain("whole", space=space, strategy="bayes")
        )

    def test_the_seed_decides_what_is_proposed(self, plain: Make) -> None:
        space = ll.Space(x=ll.Float(0, 9))
        runs = [
            plain(name, space=space, seed=seed).run(identity, trials=3, progress=False)
            for name, seed in (("a", 0), ("b", 0), ("c", 1))
        ]
        proposed = [[trial.params for trial in study.trials] for study in runs]
        assert proposed[0] == proposed[1] != proposed[2]

    def test_other_settings_are_an_error_that_names_each_difference_and_changes_nothing(self, plain: Make) -> None:
        plain(seed=1).run(identity, trials=1, progress=False)
        with pytest.raises(ll.SettingsError) as caught:
            plain(seed=2, space=ll.Space(x=ll.Int(0, 8))).run(identity, trials=2, progress=False)
        assert "`seed` is 1 there, 2 here" in str(caught.value)
        assert "`space.x.int` is [0, 9] there, [0, 8] here" in str(caught.value)
        assert len(plain(seed=1).trials) == 1

    def test_what_is_no_setting_may_differ_from_run_to_run(self, plain: Make) -> None:
        plain().run(identity, trials=1, progress=False)
        assert len(plain(keep=1, lanes=4).run(identity, trials=2, progress=False).trials) == 2

    def test_data_that_changed_are_an_error(self, digits: Make, tmp_path: Path) -> None:
        table = tmp_path / "table.csv"
        rows = [f"{i % 7},{i % 5},{i % 2}" for i in range(60)]
        table.write_text("\n".join(["a,b,label", *rows]))
        space = ll.Space(depth=1, batch_size=8, lr=ll.Float(0.1, 0.2))

        def make() -> ll.Study:
            return digits(data={"path": str(table), "label": "label"}, epochs=1, space=space)

        make().run(trials=1, progress=False)
        table.write_text("\n".join(["a,b,label", *rows[:-1], "6,4,0"]))
        with pytest.raises(ll.SettingsError, match="data of `digits` have changed"):
            make().run(trials=2, progress=False)

    def test_an_unfinished_trial_is_taken_up_with_its_number_and_its_epochs(self, digits: Make) -> None:
        def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
            epochs.append((trial.number, epoch))
            if epochs[-1] == (1, 2):
                study.stop()

        epochs: list[tuple[int, int]] = []
        study = digits(epochs=3, checkpoint=0, on_epoch=on_epoch)
        study.run(trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "running"]
        study.run(trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "complete"]
        assert epochs == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]

    def test_a_stop_before_a_run_ends_it_before_its_first_trial_and_no_other(self, digits: Make) -> None:
        study = digits()
        study.stop()
        study.run(trials=1, progress=False)
        assert (study.trials, study.ended_by) == ([], "interrupt")
        study.run(trials=1, progress=False)
        assert [trial.state for trial in study.trials] == ["complete"]

    def test_load_study_opens_one_by_its_name_alone(self, digits: Make, folder: Path) -> None:
        made = digits(strategy={"name": "bayes", "startup": 3}, pruner="asha", seed=5).run(trials=2, progress=False)
        loaded = ll.load_study("digits", folder, executor="inline", mlflow=None)
        assert loaded.describe() == made.describe()
        assert loaded.trials == made.trials
        assert len(loaded.run(trials=3, progress=False).trials) == 3

    def test_load_study_of_none_says_so_and_creates_nothing(self, folder: Path) -> None:
        with pytest.raises(ll.SettingsError, match="there is no study `nowhere`"):
            ll.load_study("nowhere", folder)
        assert not folder.exists()

    def test_load_study_lets_one_made_of_functions_be_read(self, plain: Make, folder: Path) -> None:
        made = plain().run(identity, trials=2, progress=False)
        assert ll.load_study("plain", folder).trials == made.trials


class TestEnqueue:
    def test_what_is_enqueued_is_first_in_line_and_completed_by_the_strategy(self, folder: Path) -> None:
        space = ll.Space(x=ll.Int(0, 9), y=ll.Choice(["a", "b"]))
        study = ll.Study("line", space, strategy="random", storage=folder, mlflow=None)
        study.enqueue({"x": 7, "y": "b"}, {"x": 8})
        assert [trial.state for trial in study.trials] == ["waiting", "waiting"]
        study.run(identity, trials=3, progress=False)
        assert study.trials[0].params == {"x": 7, "y": "b"}
        assert study.trials[1].params["x"] == 8
        assert study.trials[1].params["y"] in ("a", "b")
        assert len(study.trials) == 3

    def test_what_is_not_in_the_space_is_told_all_at_once_and_nothing_is_put_in_line(self, plain: Make) -> None:
        study = plain()
        with pytest.raises(ll.SpaceError) as caught:
            study.enqueue({"x": 3}, {"x": 10}, {"X": 1})
        assert len(caught.value.problems) == 2
        assert "the space has no parameter `X`" in str(caught.value)
        assert study.trials == []

    def test_what_the_study_holds_is_left_out(self, plain: Make) -> None:
        study = plain().enqueue({"x": 4}, {"x": 4})
        study.run(identity, trials=1, progress=False)
        study.enqueue({"x": 4})
        assert [trial.params for trial in study.trials] == [{"x": 4}]


class TestWhatEndsARun:
    def test_minutes_end_it_and_what_was_running_keeps_its_value(self, digits: Make) -> None:
        study = digits(epochs=10_000)
        study.run(minutes=0.01, progress=False)
        assert study.ended_by == "minutes"
        assert [trial.state for trial in study.trials] == ["pruned"]
        assert study.trials[0].reason == "the study ended: its time is up"
        assert study.trials[0].value == max(study.trials[0].curve.values())

    def test_trials_end_it_where_minutes_are_left(self, plain: Make) -> None:
        study = plain().run(identity, trials=2, minutes=60, progress=False)
        assert (len(study.trials), study.ended_by) == (2, "trials")

    def test_a_study_that_only_fails_is_given_up(self, plain: Make) -> None:
        def broken(trial: ll.ActiveTrial) -> float:
            raise RuntimeError("it never works")

        study = plain()
        with pytest.raises(ll.StudyFailed, match="it never works"):
            study.run(broken, trials=50, progress=False)
        assert {trial.state for trial in study.trials} == {"failed"}
        assert len(study.trials) < 50

    def test_a_grid_ends_by_itself_and_anything_else_must_be_told_how_long(self, plain: Make, folder: Path) -> None:
        with pytest.raises(ll.SettingsError, match="say how long to search"):
            plain().run(identity)
        assert not folder.exists()
        assert len(plain(strategy="grid").run(identity, progress=False).trials) == 10

    @pytest.mark.parametrize("budget", [{"trials": 0}, {"trials": -3}, {"minutes": 0}])
    def test_a_budget_of_nothing_is_an_error(self, plain: Make, folder: Path, budget: dict[str, float]) -> None:
        with pytest.raises(ll.SettingsError, match="> 0` must hold"):
            plain().run(identity, **budget)
        assert not folder.exists()

    def test_a_study_needs_a_trainer_or_an_objective_and_not_both(self, plain: Make, digits: Make) -> None:
        with pytest.raises(ll.SettingsError, match="no trainer and no objective"):
            plain().run(trials=1)
        with pytest.raises(ll.SettingsError, match="an objective too"):
            digits().run(identity, trials=1)


class TestYourOwnParts:
    def test_callbacks_hear_of_every_epoch_and_every_end(self, digits: Make) -> None:
        heard: list[Any] = []
        study = digits(
            on_epoch=lambda trial, epoch, metrics: heard.append((trial.number, epoch, metrics["valid/accuracy"])),
            on_trial_end=lambda trial: heard.append(trial),
        )
        study.run(trials=1, progress=False)
        curve = study.trials[0].curve
        assert heard[:2] == [(0, 1, curve[1]), (0, 2, curve[2])]
        assert heard[2] == study.trials[0]

    def test_a_metric_of_your_own_is_maximized_or_minimized_as_you_say(self, digits: Make) -> None:
        def errors(outputs: Tensor, targets: Tensor) -> Tensor:
            return (outputs.argmax(dim=1) != targets).sum()

        study = digits(metric=errors, direction="minimize").run(trials=3, progress=False)
        values = [trial.value or 0 for trial in study.trials]
        assert study.best.value == min(values)
        assert all(value == int(value) and value > 0 for value in values)
        assert study.metric_name == "errors"

    def test_a_built_in_metric_knows_its_direction(self, digits: Make) -> None:
        study = digits(metric="cross_entropy").run(trials=2, progress=False)
        assert not study.maximize
        assert study.best.value == min(trial.value or 0 for trial in study.trials)
        with pytest.raises(ll.SettingsError, match="better the lower"):
            digits("other", metric="cross_entropy", direction="maximize")

    def test_a_loss_of_your_own_is_what_is_trained(self, digits: Make) -> None:
        def flat(outputs: Tensor, targets: Tensor) -> Tensor:
            return outputs.sum() * 0.0

        study = digits(loss=flat, epochs=3).run(trials=1, progress=False)
        assert len(set(study.trials[0].curve.values())) == 1, "without a gradient nothing is learned"

    def test_an_optuna_sampler_of_your_own_proposes(self, plain: Make) -> None:
        sampler = optuna.samplers.GridSampler({"x": [2, 4, 6]}, seed=0)
        study = plain(strategy=sampler).run(identity, trials=3, progress=False)
        assert sorted(trial.params["x"] for trial in study.trials) == [2, 4, 6]
        assert study.describe()["strategy"] == "<GridSampler>"

    def test_an_optuna_pruner_of_your_own_is_asked_after_each_epoch(self, digits: Make) -> None:
        study = digits(epochs=3, pruner=optuna.pruners.ThresholdPruner(lower=2.0)).run(trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["pruned", "pruned"]
        assert [trial.epochs for trial in study.trials] == [1, 1]
        assert study.trials[0].value == study.trials[0].curve[1]

    def test_a_network_that_cannot_be_built_for_some_configurations_fails_their_trials(self, digits: Make) -> None:
        def build(in_shape: tuple[int, ...], classes: int, depth: int) -> nn.Module:
            if depth == 2:
                raise ValueError("two layers are too many")
            return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(in_shape), classes))

        study = digits(model=build, space=ll.Space(depth=ll.Int(1, 3)), strategy="grid").run(progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "failed", "complete"]
        assert "two layers are too many" in study.trials[1].reason


class TestReading:
    def test_a_frame_has_a_row_a_trial_and_a_column_a_parameter(self, digits: Make) -> None:
        study = digits().run(trials=2, progress=False)
        frame = study.dataframe()
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame["number"]) == [0, 1]
        assert {"state", "value", "seconds", "parameters", "params_depth", "params_lr"} <= {*frame.columns}
        assert list(frame["params_lr"]) == [trial.params["lr"] for trial in study.trials]

    def test_a_study_that_has_not_run_has_no_trials_no_best_and_no_files(self, plain: Make, folder: Path) -> None:
        study = plain()
        assert study.trials == []
        assert study.dataframe().empty
        with pytest.raises(ll.StudyError, match="no trial of `plain` is complete"):
            _ = study.best
        with pytest.raises(ll.StudyError, match="there is no study `plain`"):
            _ = study.optuna
        assert not folder.exists()

    def test_it_is_an_optuna_study_underneath(self, plain: Make) -> None:
        study = plain(direction="minimize").run(parabola, trials=3, progress=False)
        assert study.optuna.direction == optuna.study.StudyDirection.MINIMIZE
        assert study.optuna.best_trial.params == study.best.params
        assert [trial.value for trial in study.optuna.trials] == [trial.value for trial in study.trials]

    def test_any_optuna_reads_the_journal(self, plain: Make, folder: Path) -> None:
        study = plain().run(identity, trials=3, progress=False)
        backend = optuna.storages.journal.JournalFileBackend(str(folder / "plain/journal.log"))
        plainly = optuna.load_study(study_name="plain", storage=optuna.storages.JournalStorage(backend))
        assert [trial.params for trial in plainly.trials] == [trial.params for trial in study.trials]

    def test_the_value_is_that_of_the_best_epoch_and_the_last_is_kept_beside_it(self, digits: Make) -> None:
        study = digits(epochs=4, space=ll.Space(depth=1, feature_maps=4, lr=ll.Choice([0.5]))).run(
            trials=1, progress=False
        )
        trial = study.trials[0]
        assert trial.value == max(trial.curve.values()) == trial.curve[trial.best_epoch or 0]
        assert trial.last == trial.curve[4]

    def test_patience_ends_a_trial_that_no_longer_improves(self, digits: Make) -> None:
        fixed = ll.Space(depth=1, feature_maps=4, lr=ll.Choice([1.0]))
        trial = digits(epochs=40, patience=2, space=fixed).run(trials=1, progress=False).trials[0]
        assert trial.epochs == (trial.best_epoch or 0) + 2 < 40
        assert trial.reason == "no better for 2 epochs"


class TestTheTestSplit:
    def test_it_is_opened_for_the_best_trial_and_each_opening_is_recorded(self, digits: Make) -> None:
        study = digits().run(trials=2, progress=False)
        assert study.attribute("tests") is None
        assert study.test() == study.test()
        opened = study.attribute("tests")
        assert [entry["trial"] for entry in opened] == [study.best.number] * 2
        assert opened[0]["metric"] == "accuracy"
        assert 0.1 < opened[0]["value"] <= 1

    def test_its_rows_take_part_in_no_trial(self, digits: Make) -> None:
        study = digits().run(trials=1, progress=False)
        split = study.attribute("split")
        assert split["train"] + split["valid"] + split["test"] == 1797
        assert split["test"] == pytest.approx(1797 / 6, abs=2)

    def test_an_objective_has_none(self, plain: Make) -> None:
        with pytest.raises(ll.SettingsError, match="a study of an objective, which has no test split"):
            plain().run(identity, trials=1, progress=False).test()

    def test_without_a_complete_trial_there_is_nothing_to_test(self, digits: Make) -> None:
        with pytest.raises(ll.StudyError, match=r"no study|complete"):
            digits().test()


class TestFiles:
    def test_only_the_best_keep_their_weights(self, digits: Make, folder: Path) -> None:
        study = digits(keep=1).run(trials=4, progress=False)
        kept = [path.parent.name for path in folder.glob("digits/trials/*/best.safetensors")]
        assert kept == [f"{study.best.number:05d}"]
        assert not list(folder.glob("digits/trials/*/checkpoint.safetensors"))

    def test_keeping_fewer_later_forgets_the_rest(self, digits: Make, folder: Path) -> None:
        digits(keep=3).run(trials=3, progress=False)
        assert len(list(folder.glob("digits/trials/*/best.safetensors"))) == 3
        digits(keep=1).run(trials=4, progress=False)
        assert len(list(folder.glob("digits/trials/*/best.safetensors"))) == 1

    def test_a_database_keeps_a_study_by_its_url(
        self, plain: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        url = f"sqlite:///{tmp_path}/studies.db"
        plain(storage=url).run(identity, trials=2, progress=False)
        study = plain(storage=url).run(identity, trials=3, progress=False)
        assert [trial.number for trial in study.trials] == [0, 1, 2]
        assert ll.load_study("plain", url).trials == study.trials
        assert len(optuna.load_study(study_name="plain", storage=url).trials) == 3

    def test_an_optuna_storage_in_memory_will_do(
        self, plain: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        storage = optuna.storages.InMemoryStorage()
        study = plain(storage=storage).run(identity, trials=2, progress=False)
        assert len(plain(storage=storage).trials) == len(study.trials) == 2

    def test_a_study_made_but_not_run_creates_nothing(self, digits: Make, folder: Path) -> None:
        study = digits()
        assert study.problems(budget=Budget(trials=3)) == []
        assert repr(study) == "Study('digits')"
        assert not folder.exists()


class TestWrongSettings:
    def test_they_are_told_all_at_once(self, plain: Make, folder: Path) -> None:
        with pytest.raises(ll.SettingsError) as caught:
            plain(
                "no/name", seed=-1, executor="thread", workers=0, keep=0, lanes=0, plan="fast",
                strategy="byaes", pruner="ahsa", direction="up",
            )  # fmt: skip
        places = {problem.where for problem in caught.value.problems}
        assert {("study",), ("seed",), ("executor",), ("workers",), ("keep",), ("lanes",), ("plan",)} <= places
        assert {("strategy",), ("pruner",), ("direction",)} <= places
        assert "Did you mean `bayes`?" in str(caught.value)
        assert "Did you mean `asha`?" in str(caught.value)
        assert not folder.exists()

    def test_on_a_cluster_a_device_is_one_of_each_node(self, plain: Make) -> None:
        with pytest.raises(ll.SettingsError, match=r'"auto", "cpu" or "cuda" with `executor: ray`.*cuda:1') as caught:
            plain(executor="ray", devices="cuda:1", address=6379)
        assert {problem.where for problem in caught.value.problems} == {("device",), ("address",)}

    def test_a_parameter_that_nobody_takes_is_told_before_the_first_trial(self, digits: Make, folder: Path) -> None:
        space = ll.Space(depth=1, dropuot=ll.Float(0, 0.5), epohcs=3)
        with pytest.raises(ll.SettingsError) as caught:
            digits(space=space).run(trials=1)
        assert "neither the network nor the trainer takes `dropuot`. Did you mean `dropout`?" in str(caught.value)
        assert "Did you mean `epochs`?" in str(caught.value)
        assert not folder.exists()


class TestWhoseFilesTheyAre:
    def test_a_folder_of_another_study_of_that_name_is_refused(
        self, plain: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        plain(storage=f"sqlite:///{tmp_path / 'a.db'}").run(identity, trials=1, progress=False)
        with pytest.raises(ll.SettingsError, match="another study called"):
            plain(storage=f"sqlite:///{tmp_path / 'b.db'}").run(identity, trials=1, progress=False)

    def test_a_study_in_a_new_database_is_not_there_and_has_no_trials(self, plain: Make, tmp_path: Path) -> None:
        study = plain(storage=f"sqlite:///{tmp_path / 'new.db'}")
        assert study.trials == []
        assert not (tmp_path / "new.db").exists()

    def test_a_resumed_study_keeps_how_it_was_run(self, digits: Make) -> None:
        study = digits(keep=8, lanes=2, checkpoint=3.0)
        study.run(trials=1, progress=False)
        resumed = ll.load_study("digits", study.storage)
        assert (resumed.keep, resumed.lanes, resumed.trainer.checkpoint) == (8, 2, 3.0)


def test_lanes_of_several_blueprints_in_one_worker_are_pruned_without_a_hitch(digits: Make) -> None:
    study = digits(lanes=3, pruner="asha", strategy="random", epochs=9).run(trials=9, progress=False)
    assert len(study.trials) == 9
    assert {trial.state for trial in study.trials} <= {"complete", "pruned"}


def test_a_study_whose_folder_is_removed_while_it_runs_says_so_and_can_be_begun_again(digits: Make) -> None:
    def remove(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        shutil.rmtree(study.folder.path)

    study = digits(on_epoch=remove)
    with pytest.raises(ll.StudyError, match=r"journal\.log can't be written .* moved or removed while it ran"):
        study.run(trials=2, progress=False)
    assert [trial.state for trial in digits().run(trials=2, progress=False).trials] == ["complete"] * 2


def test_a_grid_runs_each_configuration_once_whatever_the_pruner(plain: Make) -> None:
    space = ll.Space(x=ll.Choice([1, 2, 3]), y=ll.Choice([1, 2, 3]))
    study = plain(space=space, strategy="grid", pruner="hyperband").run(identity, progress=False)
    assert len(study.trials) == 9
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 9


def test_the_rungs_of_searched_epochs_are_those_of_the_longest(digits: Make) -> None:
    space = ll.Space(depth=1, epochs=ll.Choice([4, 81]))
    assert digits(space=space, pruner="asha").epochs == 81


def test_a_study_of_another_version_can_be_shown_but_not_gone_on_with(folder: Path) -> None:
    def study() -> ll.Study:
        trainer = ll.Trainer("mlp", data="digits", epochs=1)
        return ll.Study("old", ll.Space(depth=1), trainer, storage=folder, mlflow=None, strategy="random")

    with study() as made:
        made.run(trials=1, progress=False)
        ledger = made._hold()
        ledger.set_attribute("format", 1)
        ledger.commit()
    assert len(ll.load_study("old", folder).trials) == 1
    for going_on in (lambda: study().run(trials=2, progress=False), lambda: study().test()):
        with pytest.raises(ll.SettingsError, match="made by another version of leadline"):
            going_on()


def test_a_setting_that_came_later_is_as_if_it_had_been_left_out(folder: Path) -> None:
    def study() -> ll.Study:
        trainer = ll.Trainer("mlp", data="digits", epochs=1)
        return ll.Study("old", ll.Space(depth=1), trainer, storage=folder, mlflow=None, strategy="random")

    with study() as made:
        made.run(trials=1, progress=False)
        ledger = made._hold()
        kept = ledger.attribute("settings")
        del kept["trainer"]["flip"]
        ledger.set_attribute("settings", kept)
        ledger.commit()
    assert 0 <= study().test() <= 1
