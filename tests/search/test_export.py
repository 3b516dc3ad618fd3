"""A study's networks as they are taken home: each format, reloaded, agrees with the network on the whole test split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from contracts.models import Choosing
from torch import Tensor, nn

import leadline as ll
from leadline.search.refit import judge
from leadline.search.run import devices_of, job_for
from leadline.trainers.models import FORMATS

RANDOM = np.random.default_rng(0)
CLOSE = 1e-5


def people(rows: int = 120) -> pandas.DataFrame:
    """Returns a table of text, numbers with gaps, dates and booleans, with a label and a number to predict."""
    age, job = RANDOM.normal(40, 9, rows).round(1), RANDOM.choice(["clerk", "smith", "12"], rows)
    table = pandas.DataFrame(
        {"age": age, "job": job, "born": pandas.date_range("1970-03-01", periods=rows, freq="31D")}
    )
    table["tall"] = RANDOM.random(rows) < 0.5
    table["income"] = 1e6 * (age + 5 * (job == "smith"))
    table["rich"] = np.where(table["income"] > table["income"].median(), "yes", "no")
    table.loc[RANDOM.random(rows) < 0.2, "age"] = np.nan
    return table


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ll.Study]:
    """Small studies that have been run, by what they are of."""
    folder = tmp_path_factory.mktemp("studies")
    people().drop(columns="income").to_csv(folder / "people.csv", index=False)
    people().drop(columns="rich").to_csv(folder / "income.csv", index=False)
    table, income = ({"path": str(folder / f"{name}.csv")} for name in ("people", "income"))
    of: dict[str, tuple[str, Any, dict[str, Any]]] = {
        "digits": ("convnet", "digits", {}),
        "table": ("mlp", {**table, "label": "rich"}, {}),
        "folds": ("mlp", {**table, "label": "rich"}, {"folds": 3}),
        "regression": ("mlp", {**income, "label": "income"}, {"refit": True}),
    }
    return {name: ran(name, folder, *given) for name, given in of.items()}


def ran(name: str, folder: Path, model: Any, data: Any, options: dict[str, Any]) -> ll.Study:
    space = ll.Space(lr=ll.Float(1e-2, 5e-2, log=True), depth=1)
    trainer = ll.Trainer(model, data, **{"epochs": 3, "batch_size": 16, **options})
    how = {"executor": "inline", "workers": 1, "lanes": 3, "plan": "fused", "mlflow": None, "keep": 2}
    study = ll.Study(name, space, trainer, strategy="random", storage=folder / "kept", **how)
    return study.run(trials=3, progress=False)


def in_test(study: ll.Study) -> tuple[Any, Tensor]:
    """Returns the test rows' inputs as the source has them, and what the best network says of them in its stack."""
    assert study.trainer is not None
    with study._writing() as ledger:
        job = job_for(study, ledger, devices_of(study)[0])
        judged = judge(study.trainer, study.folder, study.best, job, refitted=study.trainer.refit)
    outputs = judged.outputs.softmax(dim=1) if study.trainer.task == "classification" else judged.outputs[:, 0]
    return study.trainer.loaded.rows(study.trainer.split(study.seed).test), outputs


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["digits", "table", "folds", "regression"])
def test_each_format_agrees_with_the_network_on_the_whole_test_split(
    studies: dict[str, ll.Study], tmp_path: Path, name: str, format: str
) -> None:
    if format == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package, reason="no ONNX here: pip install -e '.[onnx]'")
    study = studies[name]
    inputs, right = in_test(study)
    model = ll.load_model(study.export(tmp_path / f"model{FORMATS[format].suffix}"))
    scale = float(right.std()) if model.classes is None else 1.0
    assert len(right) == study.attribute("split")["test"]
    assert np.abs(model.predict(inputs) - right.numpy()).max() <= CLOSE * scale
    assert np.abs(study.predict(inputs) - right.numpy()).max() <= CLOSE * scale


def test_neither_exporting_nor_predicting_opens_the_test_split(
    studies: dict[str, ll.Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*arguments: Any) -> None:
        raise AssertionError("the test split was opened")

    monkeypatch.setattr("leadline.trainers.data.open_test", opened)
    monkeypatch.setattr("leadline.trainers.data.dataset.open_test", opened)
    study = studies["digits"]
    study.export(tmp_path / "model.pt")
    assert study.trainer is not None
    study.predict(study.trainer.loaded.inputs[:3])
    assert study.attribute("tests") is None


def test_the_card_says_what_the_model_is_and_how_it_was_chosen(studies: dict[str, ll.Study], tmp_path: Path) -> None:
    study = studies["table"]
    card = ll.load_model(study.export(tmp_path / "model.safetensors")).card
    best, split = study.best, study.attribute("split")
    (network,) = card["networks"]
    assert (network["trial"], network["params"], network["epoch"]) == (best.number, best.params, best.best_epoch)
    assert card["scores"] == {"metric": "accuracy", "valid": best.value, "spread": None, "test": None}
    assert card["chosen"] == "the best of 3 complete trials by accuracy on validation rows"
    assert (card["classes"], card["task"]) == (["no", "yes"], "classification")
    assert card["data"] == {**split, "read": {}}
    assert card["study"]["trainer"]["epochs"] == 3
    assert [column["name"] for column in card["inputs"]["columns"]] == ["age", "job", "born", "tall"]
    assert json.loads(json.dumps(card)) == card


def test_with_a_refit_the_network_trained_again_is_taken_and_the_card_says_so(studies: dict[str, ll.Study]) -> None:
    card = studies["regression"].model().card
    assert card["networks"][0]["refit"] is True
    assert "trained again on train and validation rows" in card["chosen"]


def test_what_the_test_split_showed_before_is_in_the_card(tmp_path: Path) -> None:
    study = ran("tested", tmp_path, "mlp", "digits", {})
    value = study.test()
    assert study.model().card["scores"]["test"] == value
    other = next(trial for trial in study.trials if trial.number != study.best.number and _kept(study, trial))
    assert study.model(other.number).card["scores"]["test"] is None


def _kept(study: ll.Study, trial: ll.Trial) -> bool:
    return study.folder.weights(trial.number).exists()


def test_another_trial_is_taken_by_its_number_if_its_weights_were_kept(studies: dict[str, ll.Study]) -> None:
    study = studies["digits"]
    kept = [trial for trial in study.trials if _kept(study, trial)]
    (lost,) = [trial for trial in study.trials if not _kept(study, trial)]
    for trial in kept:
        assert study.model(trial.number).card["networks"][0]["params"] == trial.params
    with pytest.raises(ll.StudyError, match=rf"kept of the best 2 trials .* but not of {lost.number}"):
        study.model(lost.number)
    with pytest.raises(ll.UsageError, match="`digits` has no trial 3; it has 0 to 2"):
        study.model(3)


def test_a_trial_that_isnt_complete_has_no_network_and_asking_for_it_is_wrong_input(
    studies: dict[str, ll.Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [replace(trial, state="pruned") for trial in studies["digits"].trials]
    monkeypatch.setattr(ll.Study, "trials", trials)
    with pytest.raises(ll.UsageError, match="a complete trial has a network, but trial 1 of `digits` is pruned"):
        studies["digits"].model(1)


def test_a_study_of_an_objective_has_no_network(folder: Path) -> None:
    study = ll.Study("plain", ll.Space(x=ll.Int(0, 9)), strategy="random", storage=folder, mlflow=None)
    study.run(lambda trial: float(trial.params["x"]), trials=2, progress=False)
    for asked in (study.model, study.ensemble, lambda: study.export("plain.pt2"), lambda: study.predict([1.0])):
        with pytest.raises(ll.SettingsError, match="`plain` is a study of an objective, which has no network"):
            asked()


def test_what_arrays_trained_is_known_to_their_own_script_alone(folder: Path) -> None:
    trainer = ll.Trainer("mlp", (torch.randn(60, 5), torch.arange(60) % 3), epochs=1)
    how = {"executor": "inline", "workers": 1, "mlflow": None, "strategy": "random", "storage": folder}
    ll.Study("own", ll.Space(lr=0.01, depth=1), trainer, **how).run(trials=1, progress=False)
    with pytest.raises(ll.StudyError, match="known to its Python script alone, arrays or functions: call this there"):
        ll.load_study("own", folder).model()


def build(in_shape: tuple[int, ...], classes: int) -> nn.Module:
    return Choosing(in_shape[0], classes)


def test_a_module_that_cant_be_traced_predicts_and_is_exported_as_weights(folder: Path, tmp_path: Path) -> None:
    inputs = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    trainer = ll.Trainer(build, (inputs, torch.arange(60) % 3), epochs=1)
    how = {"executor": "inline", "workers": 1, "mlflow": None, "strategy": "random", "storage": folder}
    study = ll.Study("own", ll.Space(lr=ll.Float(1e-3, 1e-2)), trainer, **how).run(trials=1, progress=False)
    with pytest.raises(
        ll.SettingsError, match=r"can't be exported as `torch-export`.*`torch` and `safetensors` take any"
    ):
        study.export(tmp_path / "model.pt2")
    path = study.export(tmp_path / "model.pt")
    assert np.array_equal(ll.load_model(path, build).predict(inputs), study.predict(inputs))
    with pytest.raises(ll.SettingsError, match=r"In Python give that function, load_model\(.*, build=\.\.\.\)$"):
        ll.load_model(path)
