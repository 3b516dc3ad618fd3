"""What stands on the study's own run, and by what trials can be grouped and filtered."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contracts.tracked import WARNINGS, curve, runs_of, store
from mlflow.tracking import MlflowClient

import leadline as ll
from leadline.search.config import read, study_from
from leadline.search.tracking.facts import commit_of

pytestmark = [*WARNINGS, pytest.mark.usefixtures("used")]
Make = Callable[..., ll.Study]


def artifacts(client: MlflowClient, run_id: str, path: str | None = None) -> set[str]:
    found = set()
    for artifact in client.list_artifacts(run_id, path):
        found |= artifacts(client, run_id, artifact.path) if artifact.is_dir else {artifact.path}
    return found


def file_of(client: MlflowClient, run_id: str, name: str) -> Path:
    return Path(client.download_artifacts(run_id, name))


def test_trials_can_be_grouped_and_filtered_by_their_tags(digits: Make, folder: Path) -> None:
    study = digits(mlflow={"report": False}).run(trials=3, progress=False)
    client = MlflowClient(store(folder))
    _, children = runs_of(client, "digits")
    for trial in study.trials:
        tags = children[trial.number].data.tags
        assert tags["architecture"] == f"depth={trial.params['depth']} feature_maps={trial.params['feature_maps']}"
        plain = ("model", "data", "strategy", "pruner", "state", "device", "lanes", "worker")
        assert [tags[name] for name in plain] == ["mlp", "digits", "random", "none", "complete", "cpu", "1", "0"]
        assert tags["reason"] == trial.reason
        assert tags["data_digest"] == study.attribute("split")["data"][:16]
        assert tags["leadline.version"] == ll.__version__
        assert tags["mlflow.source.type"] == "LOCAL"
    experiment = client.get_experiment_by_name("digits").experiment_id
    best = client.search_runs([experiment], "tags.state = 'complete' and tags.architecture LIKE 'depth=%'")
    assert len(best) == 3


def test_every_run_has_the_core_parameters_searched_or_not(digits: Make, folder: Path) -> None:
    space = ll.Space(depth=ll.Int(1, 2), lr=ll.Float(1e-3, 1e-1, log=True))
    digits(space=space, mlflow={"report": False}).run(trials=2, progress=False)
    _, children = runs_of(MlflowClient(store(folder)), "digits")
    for run in children.values():
        params = run.data.params
        names = {"depth", "feature_maps", "dropout", "lr", "log10.lr", "weight_decay", "batch_size", "optimizer"}
        assert names <= params.keys()
        assert (params["dropout"], params["optimizer"], params["batch_size"]) == ("0.0", "adamw", "64")


def test_the_commit_of_the_working_folder_is_a_tag(plain: Make, folder: Path, tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    plain(mlflow="auto").run(lambda trial: 1.0, trials=1, progress=False)
    parent, children = runs_of(MlflowClient(store(folder)), "plain")
    assert commit_of(tmp_path) is not None
    assert {run.data.tags["mlflow.source.git.commit"] for run in (parent, *children.values())} == {commit_of(tmp_path)}


def test_the_studys_run_has_data_note_files_plots_and_report(digits: Make, folder: Path, tmp_path: Path) -> None:
    study = digits(mlflow="auto", executor="auto").run(trials=4, progress=False)
    client = MlflowClient(store(folder))
    parent, _ = runs_of(client, "digits")
    found = artifacts(client, parent.info.run_id)
    assert {"report.html", "study/study.yaml", "study/space.json", "study/environment.json"} <= found
    assert any(name.startswith("plots/") and name.endswith(".svg") for name in found)

    again, file = study_from(*read(file_of(client, parent.info.run_id, "study/study.yaml")))
    assert again.describe() == study.describe()
    assert file.trials == 4
    environment = json.loads(file_of(client, parent.info.run_id, "study/environment.json").read_text())
    assert environment["packages"]["torch"]
    assert environment["cores"] >= 1

    note = parent.data.tags["mlflow.note.content"]
    assert f"**Best: trial {study.best.number}, {study.best.value:.6g}**" in note
    assert "| lr | 0.001 to 0.1, log scale |" in note
    inputs = {one.tags[0].value: one.dataset for one in parent.inputs.dataset_inputs}
    rows = {context: json.loads(dataset.profile)["num_rows"] for context, dataset in inputs.items()}
    split = study.attribute("split")
    assert rows == {"training": split["train"], "validation": split["valid"]}
    assert inputs["training"].name == "digits"
    assert "[-1, 1, 8, 8]" in json.loads(inputs["training"].schema)["mlflow_tensorspec"]["features"]


def test_the_report_is_written_again_when_there_are_more_trials(
    plain: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    monkeypatch.setattr(
        "leadline.search.run.write_report_and_plots",
        lambda study, folder: (folder / f"report-{len(study.trials)}.html").write_text(str(written.append(1))),
    )
    for trials in (2, 2, 3):
        plain(mlflow="auto").run(lambda trial: 1.0, trials=trials, progress=False)
    client = MlflowClient(store(folder))
    parent, _ = runs_of(client, "plain")
    assert len(written) == 2
    assert {"report-2.html", "report-3.html"} <= artifacts(client, parent.info.run_id)


def test_a_report_that_cannot_be_written_is_told_and_everything_else_is_there(
    plain: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(study: ll.Study, folder: Path) -> None:
        raise KeyError("lr")

    monkeypatch.setattr("leadline.search.run.write_report_and_plots", broken)
    study = plain(mlflow="auto").run(lambda trial: 1.0, trials=2, progress=False)
    assert study.tracking_problem == "the report can't be written (KeyError: 'lr')"
    parent, _ = runs_of(MlflowClient(store(folder)), "plain")
    assert parent.info.status == "FINISHED"


def test_the_studys_run_tells_how_far_it_has_come_once_a_step(plain: Make, folder: Path) -> None:
    study = plain(mlflow={"report": False})
    for trials in (2, 2, 5):
        study.run(lambda trial: float(trial.params["x"]), trials=trials, progress=False)
    client = MlflowClient(store(folder))
    parent, _ = runs_of(client, "plain")
    counts = curve(client, parent, "trials/complete")
    assert counts == sorted({step: value for step, value in counts}.items())
    assert all(step == value for step, value in counts)
    assert {2, 5} <= {step for step, _ in counts}
    assert curve(client, parent, "objective")[-1] == (5, study.best.value)


def test_a_study_that_fails_is_shown_as_failed(plain: Make, folder: Path) -> None:
    def broken(trial: ll.ActiveTrial) -> float:
        raise ValueError("always")

    with pytest.raises(ll.StudyFailed):
        plain(mlflow="auto").run(broken, trials=20, progress=False)
    parent, children = runs_of(MlflowClient(store(folder)), "plain")
    assert parent.info.status == "FAILED"
    assert (parent.data.tags["state"], parent.data.tags["reason"]) == ("failed", "error")
    assert {run.info.status for run in children.values()} == {"FAILED"}


def test_two_studies_may_share_an_experiment(plain: Make, folder: Path) -> None:
    for name in ("one", "two"):
        plain(name, mlflow={"experiment": "all", "report": False}).run(lambda trial: 1.0, trials=2, progress=False)
    client = MlflowClient(store(folder))
    runs = client.search_runs([client.get_experiment_by_name("all").experiment_id])
    assert sorted(run.data.tags["leadline.study"] for run in runs) == ["one"] * 3 + ["two"] * 3
    assert client.get_experiment_by_name("one") is None


def test_tags_of_a_best_trial_that_no_longer_is_are_taken_away(plain: Make, folder: Path) -> None:
    space = ll.Space(kind=ll.Choice(["a", "b"]), x=ll.Int(0, 9, when={"kind": "a"}))
    study = plain(space=space, mlflow={"report": False})
    for kind, value in (({"kind": "a", "x": 3}, 1.0), ({"kind": "b"}, 2.0)):
        study.enqueue(kind)
        study.run(lambda trial, value=value: value, trials=len(study.trials), progress=False)
    parent, _ = runs_of(MlflowClient(store(folder)), "plain")
    assert {name: value for name, value in parent.data.tags.items() if name.startswith("best.")} == {
        "best.trial": "1",
        "best.kind": "b",
    }
