"""A study's ensemble: its networks are those that were validated, and the test split is opened only if asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import leadline as ll
from leadline.search.ensembles.printing import print_ensemble
from leadline.search.predictions import kept_predictions
from leadline.trainers import checkpoints
from leadline.trainers.metrics import METRICS
from leadline.trainers.models import FORMATS

Make = Callable[..., ll.Study]


def blobs(n: int = 120) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % 3
    return torch.randn(3, 5, generator=generator)[targets] + 1.3 * torch.randn(n, 5, generator=generator), targets


def quantities(n: int = 120) -> tuple[Tensor, Tensor]:
    inputs, _ = blobs(n)
    return inputs, 1e6 * (inputs[:, 0] - inputs[:, 1] * inputs[:, 2])


@pytest.fixture
def make(folder: Path) -> Make:
    """Makes a study of networks of several structures that has had eight trials, of which two keep their weights."""

    def made(data: Any = None, *, plan: str = "fused", run: bool = True, **options: Any) -> ll.Study:
        space = ll.Space(lr=ll.Float(1e-3, 3e-1, log=True), depth=ll.Int(1, 2), dropout=ll.Float(0.0, 0.3))
        own = {name: options.pop(name) for name in ("strategy", "metric", "keep", "name") if name in options}
        trainer = ll.Trainer("mlp", blobs() if data is None else data, **{"epochs": 4, "batch_size": 16, **options})
        how = {"executor": "inline", "workers": 1, "lanes": 4, "plan": plan, "mlflow": None, "keep": 2}
        name = own.pop("name", "small")
        study = ll.Study(name, space, trainer, storage=folder, **{"strategy": "random", **how, **own})
        return study.run(trials=8, progress=False) if run else study

    return made


@pytest.mark.parametrize("plan", ["fused", "looped", "padded"])
@pytest.mark.parametrize("repeats", [{}, {"folds": 3}, {"replicates": 2}], ids=str)
def test_members_trained_again_give_their_validation_outputs_to_the_last_bit(
    make: Make, repeats: dict[str, int], plan: str
) -> None:
    study = make(plan=plan, keep=1, **repeats)
    found = study.ensemble(5)
    assert found.difference == 0.0
    assert any(member.trained for member in found.members)
    assert sum(member.weight for member in found.members) == pytest.approx(1)
    networks = study.model(ensemble=True).card["networks"]
    assert len(networks) == len(found.members) * max(1, *repeats.values(), 1)
    assert sum(network["weight"] for network in networks) == pytest.approx(1)


def test_networks_that_are_other_ones_are_told_by_how_much(make: Make) -> None:
    study = make(metric="cross_entropy")
    path = study.folder.predictions(study.best.number)
    outputs, card = checkpoints.read(path) or ({}, {})
    checkpoints.write(path, {"0": outputs["0"] + 0.25}, card)  # the same for each class: as if another device had been
    assert study.ensemble(1).difference == pytest.approx(0.25)


@pytest.mark.parametrize("data", [None, quantities()], ids=["classes", "regression"])
def test_what_it_is_worth_on_validation_rows_is_that_of_the_averaged_predictions(make: Make, data: Any) -> None:
    study = make(data)
    found = study.ensemble(4)
    kept = {trial.number: kept_predictions(study, trial) for trial in study.trials}
    answers = {number: one.probabilities for number, one in kept.items() if one is not None}
    mean = sum(member.weight * answers[member.trial] for member in found.members)
    targets = torch.from_numpy(kept[study.best.number].targets)
    outputs = torch.from_numpy(np.asarray(mean, dtype=np.float32))
    assert METRICS[found.metric](outputs, targets) == pytest.approx(found.value)
    assert found.value >= found.best_value == pytest.approx(study.best.value)
    assert (found.candidates, found.best, found.test) == (8, study.best.number, None)


@pytest.mark.parametrize(
    ("repeats", "why"),
    [
        ({}, None),
        ({"folds": 2}, "beneath it is what all their rows come to together."),
        ({"replicates": 2}, "beneath it is that of their averaged predictions."),
    ],
    ids=str,
)
def test_why_trials_of_several_networks_have_two_values_is_said(
    make: Make, repeats: dict[str, int], why: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make(**repeats)
    print_ensemble(study, study.ensemble(2))
    said = "A trial's value here is the mean of its networks' values; "
    out = capsys.readouterr().out
    assert said not in out if why is None else f"{said}{why}" in out


def test_all_complete_trials_are_candidates_whether_their_weights_were_kept_or_not(make: Make) -> None:
    study = make(keep=1)
    study.folder.weights(study.best.number).unlink()
    found = study.ensemble(5)
    assert (found.candidates, {member.trained for member in found.members}) == (8, {True})


def test_the_test_split_is_opened_only_if_asked_for_once_for_both_and_recorded(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make()
    study.ensemble(5)
    assert study.attribute("tests") is None
    found = study.ensemble(5, test=True)
    (opened,) = study.attribute("tests")
    assert found.test is not None
    assert (opened["trial"], opened["value"]) == (study.best.number, found.test["best_value"])
    assert opened["ensemble"]["value"] == found.test["value"]
    assert set(opened["ensemble"]["members"]) == {str(member.trial) for member in found.members}
    assert study.test() == found.test["best_value"]
    assert len(study.attribute("tests")) == 2


@pytest.mark.parametrize("repeats", [{}, {"folds": 3}, {"refit": True}], ids=str)
def test_what_the_test_split_shows_is_what_the_exported_model_answers(make: Make, repeats: dict[str, int]) -> None:
    study = make(**repeats)
    found = study.ensemble(4, test=True)
    assert study.trainer is not None
    rows, data = study.trainer.split(study.seed).test, study.trainer.loaded
    together, alone = (
        study.predict(data.rows(rows), ensemble=ensemble).argmax(axis=1) == data.targets[rows]
        for ensemble in (True, False)
    )
    assert found.test is not None
    assert (found.test["value"], found.test["best_value"]) == pytest.approx((together.mean(), alone.mean()))
    assert found.test["ensemble_alone"] == (together & ~alone).sum()
    assert found.test["best_alone"] == (alone & ~together).sum()
    assert 0 <= found.test["p"] <= 1


def test_a_regressions_difference_has_an_interval(make: Make) -> None:
    study = make(quantities(), metric="rmse")
    found = study.ensemble(4, test=True)
    assert found.test is not None
    assert found.test["difference"] == pytest.approx(found.test["value"] - found.test["best_value"])
    assert found.test["low"] <= found.test["difference"] <= found.test["high"]
    assert found.value <= found.best_value


@pytest.mark.parametrize("format", ["torch", "torch-export", "onnx", "safetensors"])
def test_it_is_exported_as_one_model(make: Make, tmp_path: Path, format: str) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript", reason="no ONNX here: pip install -e '.[onnx]'")
    study = make(folds=2)
    study.ensemble(3)
    path = study.export(tmp_path / f"both{FORMATS[format].suffix}", ensemble=True)
    inputs, _ = blobs()
    assert np.abs(ll.load_model(path).predict(inputs) - study.predict(inputs, ensemble=True)).max() <= 1e-5
    assert "Caruana" in ll.load_model(path).card["chosen"]


def test_it_outlasts_the_weights_of_its_members_and_goes_when_another_is_chosen(make: Make) -> None:
    study = make()
    study.ensemble(5)
    inputs, _ = blobs()
    before = study.predict(inputs, ensemble=True)
    shutil.rmtree(study.folder.path / "trials")
    assert np.array_equal(study.predict(inputs, ensemble=True), before)
    files = {path.name for path in (study.folder.path / "ensemble").iterdir()}
    assert files == {f"{one['trial']:05d}-0.safetensors" for one in study.attribute("ensemble")["members"]}


def test_a_smaller_one_takes_its_place(make: Make) -> None:
    study = make(metric="cross_entropy")
    study.ensemble(5)
    (member,) = study.ensemble(1).members
    assert member.trial == study.best.number
    assert [path.name for path in (study.folder.path / "ensemble").iterdir()] == [f"{member.trial:05d}-0.safetensors"]


def test_members_of_a_population_that_began_from_others_are_left_out_unless_they_were_kept(make: Make) -> None:
    study = make(strategy={"name": "pbt", "population": 4, "interval": 2}, name="bred", keep=1)
    branched = {trial.number for trial in study.trials if trial.parent is not None and trial.state == "complete"}
    assert branched
    found = study.ensemble(8)
    complete = {trial.number for trial in study.trials if trial.state == "complete"}
    kept = {number for number in complete if study.folder.weights(number).exists()}
    assert found.candidates == len(complete - branched | (branched & kept))
    assert not {member.trial for member in found.members} & (branched - kept)
    assert found.difference == 0.0


def test_without_predictions_or_an_ensemble_it_says_so(make: Make) -> None:
    study = make()
    with pytest.raises(ll.SettingsError, match="has no ensemble yet: `leadline ensemble small` chooses one"):
        study.predict(blobs()[0], ensemble=True)
    with pytest.raises(ll.SettingsError, match="`size >= 1` must hold, but got 0"):
        study.ensemble(0)
    with pytest.raises(ll.SettingsError, match="either an ensemble or trial 1"):
        study.model(1, ensemble=True)
    for trial in study.trials:
        study.folder.predictions(trial.number).unlink()
    with pytest.raises(ll.StudyError, match="nothing is kept of what the trials of `small` say"):
        study.ensemble()


def test_a_file_of_its_weights_that_is_gone_is_named_and_made_again(make: Make) -> None:
    study = make()
    study.ensemble(3)
    inputs, _ = blobs()
    before = study.predict(inputs, ensemble=True)
    shutil.rmtree(study.folder.path / "ensemble")
    with pytest.raises(
        ll.StudyError, match=r"00\d\d\d-0\.safetensors is gone: `leadline ensemble small` makes it again"
    ):
        study.model(ensemble=True)
    study.ensemble(3)
    assert np.array_equal(study.predict(inputs, ensemble=True), before)
