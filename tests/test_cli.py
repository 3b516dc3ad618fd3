"""The command line: what it prints, what it leaves behind, and its exit codes."""

from __future__ import annotations

import csv
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from contracts.commands import Leadline, runner
from contracts.cores import one_core

import leadline as ll
from leadline import cli

# mlflow 3.17 with SQLAlchemy 2.1 uses what that deprecates; and MLflow never closes the connections of its store.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
]
STUDY = """\
study: small
data: digits
model: mlp
space:
  depth: {int: [1, 2]}
  feature_maps: {choice: [4, 8]}
  lr: {float: [1.0e-3, 1.0e-1], log: true}
trainer: {epochs: 2}
strategy: random
trials: 3
executor: inline
mlflow: null
"""
FAILING = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes))

    def forward(self, x):
        if self.training:
            raise RuntimeError("it can't be trained")
        return self.layers(x)

def build(in_shape, classes, width):
    return Net(in_shape[0] * in_shape[1] * in_shape[2], classes)
"""
CHOOSING = """\
from torch import nn

class Net(nn.Linear):
    def forward(self, x):
        outputs = super().forward(x.flatten(1))
        return outputs if outputs.sum().item() > 0 else -outputs

def build(in_shape, classes):
    return Net(in_shape[0] * in_shape[1] * in_shape[2], classes)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, one core, and no tracking server of the developer's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with one_core():
        yield tmp_path


@pytest.fixture
def leadline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leadline:
    return runner(monkeypatch, capsys)


@pytest.fixture
def small(here: Path) -> str:
    (here / "study.yaml").write_text(STUDY)
    return "study.yaml"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts}


class TestAStudyFromBeginningToEnd:
    def test_run_prints_the_best_configuration_and_the_next_command_last(self, leadline: Leadline, small: str) -> None:
        said = leadline("run", small)
        assert said.code == 0, said.err
        best = ll.load_study("small").best
        assert "small: done, 3 trials (3 complete)" in said.out
        assert f"Best: trial {best.number}, accuracy {best.value:.4g}" in said.out
        assert f"  depth: {best.params['depth']}\n" in said.out
        assert said.out.rstrip().splitlines()[-2:] == [
            "Picture: leadline report small",
            "Next:    leadline test small",
        ]
        assert len([line for line in said.err.splitlines() if " complete " in line]) == 3

    def test_every_reading_command_tells_people_and_programs_the_same(self, leadline: Leadline, small: str) -> None:
        whole = leadline("run", small, "--json").json
        shown = leadline("show", "small", "--json").json
        assert shown == whole
        assert [trial["number"] for trial in shown["trials"]] == [0, 1, 2]
        for trial in shown["trials"]:
            promised = {"number", "state", "params", "value", "reason", "epochs", "seconds", "parameters"}
            assert promised <= trial.keys()
        assert shown["study"]["name"] == "small"
        best = leadline("best", "small", "--json").json
        assert best == shown["trials"][shown["study"]["best"]]
        assert leadline("ls", "--json").json == [
            {"name": "small", "trials": 3, "ended": 3, "of": 3, "best": best["value"], "running": 0}
        ]
        table = leadline("show", "small").out
        assert all(f"{trial['params']['lr']:.4g}" in table for trial in shown["trials"])
        assert "feature_maps" in table
        assert f"{best['value']:.4g}" in leadline("best", "small").out
        assert "small" in leadline("ls").out

    def test_of_several_objectives_run_and_best_show_the_front(self, leadline: Leadline, small: str) -> None:
        said = leadline("run", small, "--set", "metric=[accuracy, parameters]", "--set", "strategy=nsga2")
        assert said.code == 0, said.err
        study = ll.load_study("small")
        table = said.out[said.out.index("No trial is better than one of these") :].splitlines()
        assert table[1].split() == ["trial", "accuracy", "parameters", "depth", "feature_maps", "lr"]
        shown = [line.split()[0] for line in table[2 : 2 + len(study.best_trials)]]
        assert shown == [str(trial.number) for trial in study.best_trials]
        assert "No trial is better" in leadline("best", "small").out
        best = leadline("best", "small", "--json").json
        assert [trial["number"] for trial in best["best_trials"]] == [trial.number for trial in study.best_trials]
        assert best["values"] == [best["value"], best["parameters"]]
        assert "parameters" in leadline("show", "small").out
        assert leadline("resume", "small", "--trials", "4").code == 0
        assert leadline("test", "small").code == 0

    def test_the_test_split_is_opened_on_request_and_each_opening_counted(self, leadline: Leadline, small: str) -> None:
        leadline("run", small)
        first = leadline("test", "small", "--json").json
        assert first["opened"] == 1
        assert first["metric"] == "accuracy"
        said = leadline("test", "small")
        assert f"accuracy on the test split: {first['value']:.4f}" in said.out
        assert "opened 2 times" in said.out
        assert len(leadline("show", "small", "--json").json["study"]["tests"]) == 2

    def test_resuming_a_finished_study_says_so_and_more_trials_go_on_with_it(
        self, leadline: Leadline, small: str
    ) -> None:
        before = leadline("run", small, "--json").json["trials"]
        said = leadline("resume", "small", "--executor", "inline")
        assert said.code == 0
        assert "was finished already" in said.out
        said = leadline("resume", "small", "--executor", "inline", "--trials", "4", "--json")
        assert said.code == 0, said.err
        assert said.json["trials"][:3] == before
        assert len(said.json["trials"]) == 4

    def test_a_study_says_which_budget_ended_it_and_resumes_with_another(self, leadline: Leadline, small: str) -> None:
        said = leadline("run", small, "--target", "0.01", "--lanes", "1")
        assert "small: the target of 0.01 is reached, 1 trial " in said.out
        shown = leadline("show", "small", "--json").json["study"]
        assert (shown["ended_by"], shown["budget"]["target"]) == ("target", 0.01)
        assert "is reached, 1 trial " in leadline("resume", "small", "--executor", "inline").out
        said = leadline("resume", "small", "--executor", "inline", "--total-epochs", "4")
        assert "small: its epochs are used up, 2 trials" in said.out

    def test_running_the_file_again_goes_on_too(self, leadline: Leadline, small: str) -> None:
        leadline("run", small)
        said = leadline("run", small, "--trials", "4")
        assert (said.code, "4 trials" in said.out) == (0, True)

    def test_a_mistyped_study_is_told_with_the_one_that_may_be_meant(self, leadline: Leadline, small: str) -> None:
        leadline("run", small)
        told = leadline("show", "smal")
        assert (told.code, "Did you mean `small`? `leadline ls` lists them" in told.err) == (2, True)

    def test_earlier_studies_are_learned_from(self, leadline: Leadline, small: str) -> None:
        leadline("run", small)
        told = leadline("run", small, "--study", "next", "--warm-start", "small", "--warm-start", "nowhere")
        assert told.code == 2
        assert "there is no study `nowhere`" in told.err
        best = leadline("best", "small", "--json").json["params"]
        trials = leadline("run", small, "--study", "next", "--warm-start", "small", "--json").json["trials"]
        assert trials[0]["params"] == best

    def test_enqueued_configurations_come_first(self, leadline: Leadline, small: str, here: Path) -> None:
        first = {"depth": 2, "feature_maps": 4, "lr": 0.05}
        (here / "configs.json").write_text(json.dumps([first, {"feature_maps": 8}]))
        trials = leadline("run", small, "--enqueue", "configs.json", "--json").json["trials"]
        assert trials[0]["params"] == first
        assert trials[1]["params"]["feature_maps"] == 8
        assert len(trials) == 3

    def test_options_and_set_override_the_file(self, leadline: Leadline, small: str) -> None:
        said = leadline(
            "run", small, "--study", "other", "--trials", "1", "--strategy", "bayes", "--seed", "3",
            "--set", "trainer.epochs=1", "--set", "space.depth=1", "--set", "pruner=median", "--json",
        )  # fmt: skip
        study, trials = said.json["study"], said.json["trials"]
        assert (study["name"], study["strategy"], study["seed"], study["pruner"]) == ("other", "bayes", 3, "median")
        assert (len(trials), trials[0]["epochs"], trials[0]["params"]["depth"]) == (1, 1, 1)

    def test_a_study_without_tracking_points_to_no_store(self, leadline: Leadline, small: str, here: Path) -> None:
        said = leadline("run", small)
        assert not (here / "leadline-studies/mlflow.db").exists()
        assert "MLflow" not in said.out
        assert "leadline ui" not in said.out

    def test_resuming_a_study_without_tracking_leaves_it_so(self, leadline: Leadline, small: str, here: Path) -> None:
        leadline("run", small, "--trials", "1")
        leadline("resume", "small", "--executor", "inline", "--trials", "2")
        assert not (here / "leadline-studies/mlflow.db").exists()

    def test_another_folder_is_named_in_the_commands_to_try_next(self, leadline: Leadline, small: str) -> None:
        said = leadline("run", small, "--trials", "1", "--storage", "elsewhere")
        assert "leadline test small --storage elsewhere" in said.out
        assert leadline("show", "small", "--storage", "elsewhere").code == 0
        assert leadline("show", "small").code == 2


class TestWhatProgramsRead:
    def test_every_command_takes_json(self) -> None:
        for command in cli.app.registered_commands:
            assert command.callback is not None
            assert "as_json" in inspect.signature(command.callback).parameters, command.callback.__name__

    def test_nothing_but_one_json_value_is_on_stdout(self, leadline: Leadline, small: str) -> None:
        leadline("run", small, "--set", "space.lr={choice: [0.001, 0.1]}")
        several = (
            ("check", small), ("run", small), ("resume", "small", "--executor", "inline"), ("ls",), ("show", "small"),
            ("best", "small"), ("test", "small"), ("compare", "small", "small"), ("compare", "small:0", "small:best"),
            ("ablate", "small", "--executor", "inline", "--replicates", "2", "--no-switches", "--epochs", "1"),
        )  # fmt: skip
        for arguments in several:
            set_again = ("--set", "space.lr={choice: [0.001, 0.1]}") if small in arguments else ()
            said = leadline(*arguments, *set_again, "--json")
            assert said.code == 0, said.err
            assert isinstance(said.json, dict | list), arguments

    def test_the_best_configuration_is_pasted_into_a_study_file(
        self, leadline: Leadline, small: str, here: Path
    ) -> None:
        best = leadline("run", small, "--json").json["study"]["best"]
        fragment = leadline("best", "small", "--yaml").out
        kept = [line for line in STUDY.splitlines() if not line.startswith(("space:", "  ", "trainer:"))]
        (here / "pasted.yaml").write_text("\n".join(kept).replace("study: small", "study: pasted") + "\n" + fragment)
        assert leadline("check", "pasted.yaml", "--json").json["space"] == "1 configurations"
        trials = leadline("run", "pasted.yaml", "--json").json["trials"]
        assert [trial["params"] for trial in trials] == [leadline("best", "small", "--json").json["params"]]
        assert f"# small, trial {best}: accuracy " in fragment
        assert leadline("best", "small", "--yaml", "--json").code == 2

    def test_compare_prints_what_differs_and_whether_it_may_be_noise(self, leadline: Leadline, small: str) -> None:
        leadline("run", small)
        said = leadline("compare", "small:0", "small:1")
        assert said.code == 0, said.err
        assert "small:0" in said.out.splitlines()[0]
        assert "noise" in said.out.splitlines()[-1]
        assert leadline("compare", "small", "nothing").code == 2
        assert leadline("compare", "small", "small:0").code == 2


class TestOpeningTheTestSplit:
    def test_it_tells_that_the_kept_weights_give_the_recorded_validation_metric_again(
        self, leadline: Leadline, small: str
    ) -> None:
        leadline("run", small)
        found = leadline("test", "small", "--json").json
        best = leadline("best", "small", "--json").json
        assert found["valid"] == found["recorded"] == best["value"]
        assert (found["refit"], found["trial"]) == (False, best["number"])
        said = leadline("test", "small")
        assert (said.code, said.err) == (0, "")
        assert f"(validation {best['value']:.4f}, trial {best['number']})" in said.out
        assert f"give the trial's validation metric again, exactly: {best['value']:.4f}." in said.out
        assert "trained again" not in said.out

    def test_of_a_refit_it_tells_whose_number_it_is(self, leadline: Leadline, small: str) -> None:
        leadline("run", small, "--set", "trainer.refit=true", "--set", "trainer.split_seed=5")
        said = leadline("test", "small")
        assert said.code == 0, said.err
        assert "It is of the network trained again on train and validation rows together." in said.out
        assert "again, exactly" in said.out
        assert leadline("test", "small", "--json").json["refit"] is True

    def test_the_best_configuration_is_trained_again_if_asked_for_to_tell_how_much_was_luck(
        self, leadline: Leadline, small: str
    ) -> None:
        leadline("run", small, "--trials", "1")
        found = leadline("test", "small", "--retrain", "3", "--json").json["retrained"]
        assert found["times"] == 3
        assert found["spread"] > 0
        said = leadline("test", "small", "--retrain", "3")
        assert (
            f"Trained again 3 times, it comes to {found['value']:.4f} ± {found['spread']:.4f} on validation" in said.out
        )
        assert "opened 2 times" in said.out
        assert leadline("test", "small", "--json").json["retrained"] is None

    def test_a_study_without_a_complete_trial_has_nothing_to_judge(self, leadline: Leadline, here: Path) -> None:
        with ll.Study("empty", ll.Space(depth=ll.Int(1, 2)), ll.Trainer("mlp"), mlflow=None) as study:
            study.ask()
        said = leadline("test", "empty")
        assert (said.code, said.out) == (1, "")
        assert "no trial of `empty` is complete" in said.err


class TestAblate:
    @pytest.fixture
    def run(self, leadline: Leadline, small: str) -> Leadline:
        """Ablates the small study, inline, after it has had a trial."""
        leadline("run", small, "--trials", "1", "--set", "space.depth=2", "--set", "trainer.weight_decay=0.01")
        return lambda *options: leadline("ablate", "small", "--executor", "inline", "--replicates", "2", *options)

    def test_it_prints_a_table_of_what_each_layer_and_regularizer_is_worth(
        self, run: Leadline, leadline: Leadline
    ) -> None:
        told = run("--json").json
        assert told["of"] == "small"
        assert [variant["what"] for variant in told["variants"]] == ["", "fc1", "fc2", "weight decay"]
        whole, *others = told["variants"]
        said = run()
        assert said.code == 0, said.err
        lines = [line.split() for line in said.out.splitlines()]
        assert "small, trial 0, 2 times each: accuracy on validation rows" in said.out
        assert f"The whole network: {whole['value']:.4g} ± {whole['spread']:.4g}, {whole['parameters']:,}" in said.out
        assert ["without", "parameters", "dropped", "accuracy", "change", "standard", "error"] in lines
        for variant in others:
            row = next(line for line in lines if line[: len(variant["what"].split())] == variant["what"].split())
            assert f"{variant['change']:+.4f}" in row
            assert f"{variant['value']:.4f}" in row
            assert f"{variant['error']:.4f}" in row
            assert (f"{variant['dropped']:,}" in row) == (variant["dropped"] > 0)
        assert said.out.splitlines()[-1] == (
            f"The test split was not opened. Each training: leadline show {told['study']}"
        )
        assert len(leadline("show", told["study"], "--json").json["trials"]) == 4
        assert leadline("show", "small", "--json").json["study"]["tests"] == []

    def test_layers_are_named_pairs_asked_for_and_switches_left_out_by_options(self, run: Leadline) -> None:
        told = run("--remove", "fc1,fc2", "--remove", "fc2", "--no-switches", "--epochs", "1", "--json").json
        assert [variant["what"] for variant in told["variants"]] == ["", "fc1, fc2", "fc2"]
        assert {trial.epochs for trial in ll.load_study(told["study"]).trials} == {1}
        told = run("--pairs", "--no-switches", "--epochs", "1", "--json").json
        assert [variant["what"] for variant in told["variants"]] == ["", "fc1", "fc2", "fc1, fc2"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--remove", "fc9"], "the network has no layer `fc9` to remove. Did you mean `fc"),
            (["--replicates", "1"], "greater than or equal to 2"),
            (["--epochs", "0"], "`epochs` must be an integer >= 1, but got 0"),
        ],
    )
    def test_a_mistake_is_exit_code_2_and_trains_nothing(
        self, run: Leadline, here: Path, options: list[str], message: str
    ) -> None:
        before = files(here)
        said = run(*options)
        assert (said.code, said.out) == (2, "")
        assert message in said.err
        assert files(here) == before


class TestCheck:
    def test_it_tells_what_would_be_done_and_creates_nothing(self, leadline: Leadline, small: str, here: Path) -> None:
        before = files(here)
        said = leadline("check", small)
        assert said.code == 0
        assert "digits: 1198 train, 299 valid, 300 test" in said.out or "digits:" in said.out
        assert "nothing was created" in said.out
        facts = leadline("check", small, "--json").json
        assert facts["study"] == "small"
        assert "3 parameters, endlessly many configurations" in facts["space"]
        assert "mlp" in facts["network"]
        assert files(here) == before

    def test_a_finite_space_is_counted(self, leadline: Leadline, small: str) -> None:
        facts = leadline("check", small, "--set", "space.lr=0.01", "--json").json
        assert facts["space"] == "4 configurations"

    def test_the_built_in_study_is_in_order(self, leadline: Leadline, here: Path) -> None:
        assert leadline("check").code == 0
        assert files(here) == set()

    def test_your_own_code_is_resolved_from_the_files_folder(self, leadline: Leadline, small: str, here: Path) -> None:
        (here / "sub").mkdir()
        (here / "sub/failing_network.py").write_text(FAILING)
        (here / "sub/study.yaml").write_text(STUDY.replace("model: mlp", "model: failing_network:build"))
        said = leadline("check", "sub/study.yaml", "--set", "space={width: {int: [1, 2]}}")
        assert said.code == 0, said.err

    @pytest.mark.parametrize(
        ("line", "where", "told"),
        [
            ("model: mine:exits", "study.yaml:3: model", "the code raised SystemExit: 0 (mine.py:2)"),
            ("model: mine:x", "study.yaml:3: model", "`mine:x` must be a function, but is int 3"),
            ("model: gone:build", "study.yaml:3: model", "the code raised SystemExit: 0 (gone.py:1)"),
            ("data: mine:exits", "study.yaml:2: data", "the code raised SystemExit: 0 (mine.py:2)"),
            ("data: mine:raises", "study.yaml:2: data", "ZeroDivisionError: no rows (mine.py:3)"),
            ("trainer: {on_epoch: foo}", "study.yaml:8: trainer.on_epoch", "but got 'foo'"),
        ],
    )
    def test_whatever_your_own_code_does_is_wrong_input_told_with_both_places(
        self, leadline: Leadline, small: str, here: Path, line: str, where: str, told: str
    ) -> None:
        raising = "def raises(): raise ZeroDivisionError('no rows')\n"
        (here / "mine.py").write_text(f"import sys\ndef exits(*given, **named): sys.exit(0)\n{raising}x = 3\n")
        (here / "gone.py").write_text("import sys; sys.exit(0)\n")
        kind = line.partition(":")[0]
        (here / small).write_text(re.sub(f"^{kind}:.*$", line, STUDY, flags=re.MULTILINE))
        said = leadline("check", small)
        assert said.code == 2
        assert said.err.startswith(f"leadline: {where}: ")
        assert said.err.endswith(f"{told}\n")


class TestCheckDeep:
    TABLE = "size,kind,day,label\n" + "".join(
        f"{i % 7 if i % 5 else ''},{'abc'[i % 3]},2024-01-{i % 28 + 1:02},{i % 2}\n" for i in range(90)
    )

    @pytest.fixture
    def gaps(self, here: Path) -> str:
        """A study of a table with gaps, categories and dates."""
        (here / "table.csv").write_text(self.TABLE)
        study = "study: gaps\ndata: {path: table.csv, label: label}\nmodel: mlp\nspace: {depth: 1, lr: 0.01}\n"
        (here / "gaps.yaml").write_text(study + "trainer: {epochs: 2}\ntrials: 3\n")
        return "gaps.yaml"

    def test_check_tells_how_each_column_is_taken(self, leadline: Leadline, gaps: str) -> None:
        columns = leadline("check", gaps, "--json").json["columns"]
        assert columns["size"].startswith("numbers 0 to 6, ")
        assert columns["kind"] == "3 categories: a, b, c"
        assert columns["day"].startswith("dates 2024-01-01 to 2024-01-28")

    def test_deep_tells_of_data_networks_rates_and_costs_and_creates_nothing(
        self, leadline: Leadline, gaps: str, here: Path
    ) -> None:
        before = files(here)
        said = leadline("check", gaps, "--deep", "--json")
        found = said.json["deep"]
        kinds = {check["check"] for check in found["checks"]}
        assert {"inputs", "targets", "duplicates", "activations", "fits", "learning rate", "cost", "study"} <= kinds
        assert said.code == (found["verdict"] == "problem")
        assert files(here) == before

    def test_its_plot_is_written_where_it_is_wanted(self, leadline: Leadline, gaps: str, here: Path) -> None:
        said = leadline("check", gaps, "--deep", "--plot", "rates.svg")
        assert "learning rate" in said.out
        assert "<svg" in (here / "rates.svg").read_text()

    @pytest.mark.parametrize("options", [["--plot", "rates.svg"], ["--deep", "--plot", "rates.txt"]])
    def test_a_plot_that_cannot_be_is_wrong_input(self, leadline: Leadline, gaps: str, options: list[str]) -> None:
        assert leadline("check", gaps, *options).code == 2


class TestWrongInput:
    def test_every_problem_is_told_with_its_line_and_nothing_is_created(
        self, leadline: Leadline, small: str, here: Path
    ) -> None:
        wrong = (
            STUDY.replace("int: [1, 2]", "int: [2, 1]").replace("epochs: 2", "epohcs: 2").replace(": random", ": rndom")
        )
        (here / small).write_text(wrong + "sed: 1\n")
        before = files(here)
        said = leadline("run", small)
        assert said.code == 2
        assert said.out == ""
        for line, told in ((5, "low=2, high=1"), (8, "`epochs`"), (9, "`random`"), (13, "`seed`")):
            assert any(f"study.yaml:{line}: " in text and told in text for text in said.err.splitlines()), said.err
        assert "Traceback" not in said.err
        assert files(here) == before

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["run", "nowhere.yaml"], "nowhere.yaml"),
            (["run", "study.yaml", "--data", "nowhere.csv"], "nowhere.csv"),
            (["run", "study.yaml", "--model", "alexnt"], "alexnt"),
            (["run", "study.yaml", "--trials", "0"], "trials > 0"),
            (["run", "study.yaml", "--minutes", "-1"], "minutes > 0"),
            (["run", "study.yaml", "--stall", "0"], "stall > 0"),
            (["run", "study.yaml", "--device-hours", "-2"], "device_hours > 0"),
            (["run", "study.yaml", "--set", "limits.parameters=3"], "none is within parameters <= 3"),
            (["run", "study.yaml", "--set", "limits.memory=lots"], "--set limits.memory"),
            (["run", "study.yaml", "--lanes", "many"], "lanes"),
            (["run", "study.yaml", "--plan", "fast"], "plan"),
            (["run", "study.yaml", "--device", "tpu"], "tpu"),
            (["run", "study.yaml", "--executor", "clouds"], "clouds"),
            (["run", "study.yaml", "--workers", "0"], "workers"),
            (["run", "study.yaml", "--study", "a/b"], "a study's name"),
            (["run", "study.yaml", "--set", "trainer.epochs"], "--set takes"),
            (["run", "study.yaml", "--set", "trainer.epochs=0"], "epochs"),
            (["run", "study.yaml", "--enqueue", "nowhere.json"], "nowhere.json"),
            (["run", "study.yaml", "--enqueue", "study.yaml"], "not valid JSON"),
            (["show", "nowhere"], "there is no study `nowhere`"),
            (["best", "nowhere"], "there is no study `nowhere`"),
            (["test", "nowhere"], "there is no study `nowhere`"),
            (["resume", "nowhere"], "there is no study `nowhere`"),
            (["show", "../etc"], "a study's name"),
            (["run", "--trails", "3"], "No such option"),
            (["walk"], "No such command"),
        ],
        ids=" ".join,
    )
    def test_a_mistake_is_exit_code_2_one_message_and_nothing_created(
        self, leadline: Leadline, small: str, here: Path, arguments: list[str], told: str
    ) -> None:
        before = files(here)
        said = leadline(*arguments)
        assert said.code == 2, said
        assert told in said.err
        assert "Traceback" not in said.err
        assert said.out == ""
        assert files(here) == before

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('[{"depth": 9}]', "`depth` must be in"),
            ('[{"deep": 1}, {"lr": 5}]', "the space has no parameter `deep`"),
            ("[3]", "a list of configurations must be given"),
            ("3", "a list of configurations must be given"),
            ("\xff", "configs.json"),
        ],
    )
    def test_what_cannot_be_enqueued_creates_nothing(
        self, leadline: Leadline, small: str, here: Path, text: str, told: str
    ) -> None:
        (here / "configs.json").write_bytes(text.encode("latin-1"))
        before = files(here)
        said = leadline("run", small, "--enqueue", "configs.json")
        assert said.code == 2, said
        assert told in said.err
        assert files(here) == before

    def test_debug_shows_where_an_error_came_from(self, leadline: Leadline, here: Path) -> None:
        with pytest.raises(ll.SettingsError):
            leadline("run", "nowhere.yaml", "--debug")

    def test_other_settings_under_a_name_that_exists_are_wrong_input(self, leadline: Leadline, small: str) -> None:
        leadline("run", small, "--trials", "1")
        said = leadline("run", small, "--seed", "9")
        assert said.code == 2
        assert "`seed` is 0 there, 9 here" in said.err

    def test_a_password_is_never_shown(self, leadline: Leadline, small: str) -> None:
        said = leadline("show", "small", "--storage", "postgresql+psycopg://ann:secret@127.0.0.1:1/studies")
        assert said.code == 2
        assert "secret" not in said.err + said.out
        assert "ann:***@127.0.0.1" in said.err


class TestFailure:
    def test_a_study_whose_trials_all_fail_is_exit_code_1_and_show_tells_why(
        self, leadline: Leadline, here: Path
    ) -> None:
        (here / "failing_network.py").write_text(FAILING)
        text = STUDY.replace("model: mlp", "model: failing_network:build").replace("trials: 3", "trials: 2")
        (here / "study.yaml").write_text(text)
        said = leadline("run", "study.yaml", "--set", "space={width: {int: [1, 2]}}")
        assert said.code == 1
        assert "2 failed" in said.out
        assert "it can't be trained" in leadline("show", "small").out
        assert "Traceback" not in said.err

    @pytest.mark.parametrize("executor", ["inline", "processes"])
    def test_a_trial_whose_code_calls_exit_has_failed_and_says_where(
        self, leadline: Leadline, here: Path, executor: str
    ) -> None:
        (here / "exiting_network.py").write_text("import sys\n" + FAILING.replace("raise RuntimeError(", "sys.exit("))
        (here / "study.yaml").write_text(STUDY.replace("model: mlp", "model: exiting_network:build"))
        space = "space={width: {int: [1, 2]}}"
        said = leadline("run", "study.yaml", "--set", space, "--trials", "1", "--executor", executor)
        assert said.code == 1
        told = "1 trial failed: RuntimeError: the code raised SystemExit: it can't be trained (exiting_network.py:11)"
        assert told in said.out

    def test_a_best_network_that_cant_be_exported_isnt_registered_and_the_runs_end_says_so_in_a_line(
        self, leadline: Leadline, here: Path
    ) -> None:
        (here / "choosing_network.py").write_text(CHOOSING)
        (here / "study.yaml").write_text(STUDY.replace("model: mlp", "model: choosing_network:build"))
        tracked = "mlflow={register: digits, report: false}"
        said = leadline("run", "study.yaml", "--set", "space={lr: {float: [0.01, 0.1]}}", "--set", tracked)
        assert said.code == 0, said.err
        *_, last = said.err.splitlines()
        assert last.startswith(
            "MLflow gets weights and card of the best network alone, and it isn't registered as `dig"
        )
        assert "(choosing_network.py:6)" in last
        assert "def forward" not in said.err

    def test_a_reason_is_shown_as_it_is_though_it_looks_like_markup(self, leadline: Leadline) -> None:
        def broken(trial: ll.ActiveTrial) -> float:
            raise ValueError("expected [batch, 3], got [/b]")

        space = ll.Space(kind=ll.Choice(["[/x]", "[red]"]))
        ll.Study("marked", space, strategy="grid", mlflow=None).run(broken, progress=False)
        said = leadline("show", "marked")
        assert said.code == 0
        assert "expected [batch, 3], got [/b]" in said.out
        assert "[/x]" in said.out
        assert "[red]" in said.out

    def test_best_of_a_study_without_a_complete_trial_is_exit_code_1(self, leadline: Leadline, here: Path) -> None:
        with ll.Study("asked", ll.Space(x=ll.Int(0, 9)), mlflow=None) as study:
            study.ask()
        said = leadline("best", "asked")
        assert (said.code, said.out) == (1, "")
        assert "no trial of `asked` is complete" in said.err

    def test_a_study_of_a_script_cannot_be_resumed_here_and_says_so(self, leadline: Leadline) -> None:
        ll.Study("mine", ll.Space(x=ll.Int(0, 9)), mlflow=None).run(lambda t: 1.0, trials=1, progress=False)
        said = leadline("resume", "mine")
        assert said.code == 1
        assert "run that script again" in said.err


def test_ls_without_a_study_says_how_to_make_one_and_creates_nothing(leadline: Leadline, here: Path) -> None:
    said = leadline("ls")
    assert (said.code, said.out) == (0, "There is no study here yet. `leadline run` makes one.\n")
    assert leadline("ls", "--json").json == []
    assert files(here) == set()


def test_help_loads_none_of_the_heavy_libraries() -> None:
    program = "import sys, leadline.cli as cli\ntry: cli.app(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Search hyperparameters" in ran.stdout
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert not loaded & {"torch", "optuna", "mlflow", "skopt", "sklearn", "pandas", "numpy", "pydantic"}


@pytest.mark.parametrize(
    ("number", "executor"), [(signal.SIGINT, "processes"), (signal.SIGTERM, "inline")], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_the_run_within_seconds_and_the_study_resumes(
    leadline: Leadline, small: str, here: Path, number: signal.Signals, executor: str
) -> None:
    program = [sys.executable, "-c", "from leadline.cli import main; main()"]
    command = [*program, "run", small, "--trials", "100000", "--executor", executor]
    with open(here / "errors", "wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
    try:
        journal, deadline = here / "leadline-studies/small/journal.log", time.monotonic() + 60
        while not journal.exists() or b'"state":1' not in journal.read_bytes():  # a trial is complete
            assert process.poll() is None, (here / "errors").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        sent = time.monotonic()
        os.killpg(process.pid, number)  # a terminal sends Ctrl-C to the whole group
        out, _ = process.communicate(timeout=20)
        assert time.monotonic() - sent < 10
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    told = (here / "errors").read_text()
    assert process.returncode == 128 + number, told
    assert "`leadline resume small` goes on where it stopped" in told
    assert "Traceback" not in told
    assert out == b""
    before = leadline("show", "small", "--json").json["trials"]
    more = len(before) + 1
    said = leadline("resume", "small", "--executor", "inline", "--trials", str(more), "--json")
    assert said.code == 0, said.err
    assert len(said.json["trials"]) == more
    assert {trial["state"] for trial in said.json["trials"]} == {"complete"}
    ended = [trial for trial in before if trial["state"] == "complete"]
    assert [trial for trial in said.json["trials"] if trial["number"] in [t["number"] for t in ended]] == ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_while_the_command_line_is_loaded_ends_it_in_order(here: Path, number: signal.Signals) -> None:
    (here / "typer.py").write_text("print('loading', flush=True)\nimport time\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "leadline", "ls"]  # looks for modules here first
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here)
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (128 + number, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_before_the_run_ends_the_command_too(small: str, here: Path, number: signal.Signals) -> None:
    (here / "lately.py").write_text("import time\nprint('building', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-c", "from leadline.cli import main; main()", "run", small, "--model", "lately:build"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here)
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (128 + number, "")
    assert not (here / "leadline-studies").exists()


class TestTakingAModelHome:
    @pytest.fixture
    def run(self, leadline: Leadline, small: str, here: Path) -> Leadline:
        """Runs commands beside a study that has had three trials, of which one keeps its weights, and inputs of it."""
        leadline("run", small, "--set", "keep=1")
        trainer = ll.load_study("small").trainer
        assert trainer is not None
        np.save(here / "digits.npy", trainer.loaded.inputs[:60])
        return leadline

    def test_an_exported_file_predicts_what_the_study_does_and_the_lines_to_use_it_are_told(
        self, run: Leadline, here: Path
    ) -> None:
        said = run("export", "small", "--format", "torch")
        best = ll.load_study("small").best
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(f"small.pt (0.01 MB, torch): trial {best.number} of small, the best of 3 complete")
        assert f"accuracy {best.value:.4f} on validation rows\n" in said.out
        assert "model = ll.load_model('small.pt')\nanswers = model.predict(inputs)" in said.out
        assert run("predict", "small.pt", "digits.npy").out == run("predict", "small", "digits.npy").out
        told = run("export", "small", "--output", "other.safetensors", "--json").json
        assert (told["path"], told["card"]["format"]) == ("other.safetensors", "safetensors")
        assert told["bytes"] == (here / "other.safetensors").stat().st_size

    def test_predictions_are_a_table_json_or_a_file_of_the_same_numbers(self, run: Leadline, here: Path) -> None:
        table = run("predict", "small", "digits.npy")
        assert table.out.splitlines()[0].split() == ["input", "class", "probability", "then"]
        assert len(table.out.splitlines()) == 61
        told = run("predict", "small", "digits.npy", "--json").json
        assert (told[3]["file"], told[3]["row"], len(told)) == ("digits.npy", 3, 60)
        assert sum(told[3]["probabilities"].values()) == pytest.approx(1)
        best = max(told[3]["probabilities"], key=told[3]["probabilities"].__getitem__)
        assert told[3]["class"] == best
        assert f"digits.npy:3   {best}      {told[3]['probabilities'][best]:.4f}" in table.out
        said = run("predict", "small", "digits.npy", "--output", "told.csv")
        assert said.out == "60 predictions: told.csv\n"
        rows = list(csv.DictReader((here / "told.csv").read_text().splitlines()))
        assert float(rows[3][f"p({best})"]) == pytest.approx(told[3]["probabilities"][best])
        assert (rows[3]["class"], rows[3]["row"], len(rows)) == (best, "3", 60)

    def test_a_category_that_training_never_saw_is_told_beside_the_predictions(
        self, leadline: Leadline, here: Path
    ) -> None:
        rows = "".join(f"{place % 7},{'yes' if place % 3 else 'no'},{'ab'[place % 2]}\n" for place in range(60))
        (here / "people.csv").write_text(f"size,loan,label\n{rows}")
        (here / "new.csv").write_text("size,loan\n1,yes\n2,maybe\n")
        (here / "study.yaml").write_text(STUDY.replace("data: digits", "data: people.csv"))
        assert leadline("run", "study.yaml", "--trials", "1").code == 0
        said = leadline("predict", "small", "new.csv", "--json")
        assert said.err == "new.csv: `loan` has 'maybe': not among training's categories, so taken as missing\n"
        assert len(said.json) == 2

    def test_on_a_terminal_the_first_fifty_are_shown_and_how_to_get_all(
        self, run: Leadline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("leadline.search.predicting.sys.stdout.isatty", lambda: True, raising=False)
        said = run("predict", "small", "digits.npy")
        assert "digits.npy:49" in said.out
        assert "digits.npy:50" not in said.out
        assert "these are the first 50" in said.out

    def test_an_ensemble_is_chosen_told_exported_and_predicts(self, run: Leadline) -> None:
        said = run("ensemble", "small", "--size", "3")
        assert said.code == 0, said.err
        assert "held out of the choice" in said.out
        assert "The test split was not opened" in said.out
        assert said.out.rstrip().splitlines()[-1] == "Next: leadline export small --ensemble"
        assert run("show", "small", "--json").json["study"]["tests"] == []
        told = run("ensemble", "small", "--size", "3", "--test", "--json").json
        assert [member["trial"] for member in told["members"]] == [
            one["trial"] for one in ll.load_study("small").attribute("ensemble")["members"]
        ]
        assert len(run("show", "small", "--json").json["study"]["tests"]) == 1
        again = run("ensemble", "small", "--size", "3", "--test")
        assert "(McNemar)" in again.out
        assert run("export", "small", "--ensemble", "--output", "e.pt").code == 0
        assert run("predict", "e.pt", "digits.npy").out == run("predict", "small", "digits.npy", "--ensemble").out

    @pytest.mark.parametrize(
        ("command", "problem"),
        [
            ("export small --format onxx", "no format is called `onxx`. Did you mean `onnx`?"),
            ("export small --output model.bin", "model.bin: a model's ends in one of .pt2 (torch-export)"),
            ("export small --trial 99", "`small` has no trial 99; it has 0 to 2"),
            ("export small --ensemble", "`small` has no ensemble yet: `leadline ensemble small` chooses one"),
            ("export small --trial 2 --ensemble", "either an ensemble or trial 2, not both"),
            ("predict small none.npy", "none.npy: there is no such file or folder."),
            ("predict small digits.npy --output x.csv --json", "--output writes a file, --json prints"),
            ("predict study.yaml digits.npy", "study.yaml: a model's ends in one of"),
            ("predict other digits.npy", "there is no study `other`"),
            ("predict none.pt2 digits.npy", "there is no file none.pt2, and there is no study `none.pt2`"),
        ],
    )
    def test_what_cant_be_is_told_in_a_line_with_exit_code_2(self, run: Leadline, command: str, problem: str) -> None:
        said = run(*command.split())
        assert said.code == 2
        assert problem in said.err
        assert said.out == ""

    @pytest.mark.parametrize(
        ("command", "lacks"),
        [
            ("export plain", "network to predict with or to export"),
            ("export plain --ensemble", "networks to predict with or to export"),
            ("predict plain study.yaml", "network to predict with or to export"),
            ("ensemble plain", "networks to choose from"),
            ("ablate plain", "layers to leave out"),
            ("test plain", "test split"),
            ("test plain --retrain 2", "network to train again"),
        ],
    )
    def test_a_study_of_an_objective_has_none_and_its_script_isnt_asked_for(
        self, leadline: Leadline, command: str, lacks: str
    ) -> None:
        study = ll.Study("plain", ll.Space(x=ll.Int(0, 9)), strategy="random", mlflow=None)
        study.run(lambda trial: float(trial.params["x"]), trials=1, progress=False)
        said = leadline(*command.split())
        assert (said.code, said.out) == (2, "")
        assert f"`plain` is a study of an objective, which has no {lacks}: " in said.err

    def test_a_trial_whose_weights_werent_kept_is_exit_code_1(self, run: Leadline) -> None:
        study = ll.load_study("small")
        other = next(trial.number for trial in study.trials if trial.number != study.best.number)
        said = run("export", "small", "--trial", str(other))
        assert said.code == 1
        assert f"weights are kept of the best trial (`keep: 1`), of `small` {study.best.number}, but not" in said.err
