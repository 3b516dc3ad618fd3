"""The best network as it is taken elsewhere: weights, card, and a program that knows nothing of leadline."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.models import Choosing
from safetensors.torch import load_file
from torch import Tensor, nn

import leadline as ll
from leadline.search.export import write_model
from leadline.search.model import rebuild
from leadline.trainers import checkpoints
from leadline.trainers.data import Preparation, prepare

Make = Callable[..., ll.Study]


def blobs(shape: tuple[int, ...] = (5,), n: int = 60) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % 3
    return torch.randn(3, *shape, generator=generator)[targets] + torch.randn(n, *shape, generator=generator), targets


def quantities(n: int = 60) -> tuple[Tensor, Tensor]:
    """Returns inputs (n, 5) and targets (n,) around ten million, whose deviation is a million and a half."""
    inputs, _ = blobs(n=n)
    return inputs, 1e7 + 1e6 * (inputs[:, 0] - inputs[:, 1])


@pytest.fixture
def make(folder: Path) -> Make:
    """Makes a study of small networks that has had two trials, all untracked."""

    def made(data: Any, name: str = "small", *, space: Any = None, model: Any = "mlp", **options: Any) -> ll.Study:
        chosen = ll.Space({"lr": ll.Float(1e-3, 1e-2), "depth": 1} if space is None else space)
        trainer = ll.Trainer(model, data, **{"epochs": 2, "batch_size": 20, **options})
        how = {"executor": "inline", "workers": 1, "lanes": 2, "plan": "fused", "mlflow": None}
        study = ll.Study(name, chosen, trainer, strategy="random", storage=folder, **how)
        return study.run(trials=2, progress=False)

    return made


def written(study: ll.Study, *, program: bool = True) -> Path:
    return write_model(study, study.best, program=program)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_model_that_cannot_be_written_is_told_by_its_place_and_written_by_the_next_run(make: Make) -> None:
    study = make(blobs())
    model = study.folder.path / "model"
    for path in model.iterdir():
        path.unlink()
    (model / "weights.safetensors").symlink_to("/dev/full")
    with pytest.raises(ll.StudyError, match=r"small/model can't be written .*: [\d,]+ more bytes are needed"):
        make(blobs())
    (model / "weights.safetensors").unlink()
    make(blobs())
    assert card_of(study)["trial"] == study.best.number


def card_of(study: ll.Study) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((study.folder.path / "model" / "card.json").read_text())
    return found


def program_of(study: ll.Study) -> Any:
    return torch.export.load(study.folder.path / "model" / "model.pt2").module()


def test_a_finished_run_leaves_weights_and_card_and_without_tracking_no_program(make: Make) -> None:
    study = make(blobs())
    assert {path.name for path in (study.folder.path / "model").iterdir()} == {"weights.safetensors", "card.json"}
    tensors, card = checkpoints.read(study.folder.weights(study.best.number)) or ({}, {})
    kept = load_file(study.folder.path / "model" / "weights.safetensors")
    assert kept.keys() == tensors.keys()
    assert all(torch.equal(kept[name], tensors[name]) for name in tensors)
    sha256 = hashlib.sha256((study.folder.path / "model" / "weights.safetensors").read_bytes()).hexdigest()
    own = {"trial": study.best.number, "model": "mlp", "program": False, "sha256": sha256}
    assert card_of(study) == {**own, **card}


def test_the_card_tells_all_that_is_needed_to_use_the_network(make: Make) -> None:
    study = make(blobs())
    assert study.trainer is not None
    card, data = card_of(study), prepare(study.trainer.loaded, study.trainer.split(0))
    assert (card["params"], card["metric"], card["epoch"]) == (study.best.params, "accuracy", study.best.best_epoch)
    assert (card["value"], card["fold_value"]) == (study.best.value, study.best.value)
    assert (card["in_shape"], card["classes"], card["scale"]) == ([5], ["0", "1", "2"], None)
    preparation = Preparation.from_description(card["preparation"])
    inputs, _ = blobs()
    assert torch.equal(preparation.apply(inputs.numpy()), data.preparation.apply(inputs.numpy()))


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("mlp", {"depth": 2, "batch_norm": True, "dropout": 0.3, "activation": "maxout"}),
        ("convnet", {"depth": 2, "spatial_dropout": 0.2}),
        ("alexnet", {"depth": 5, "groups": 2, "local_response_norm": True}),
        ("vgg", {"depth": 11, "hidden_units": 4}),
        ("googlenet", {"depth": 10, "auxiliary": 0.3}),
        ("resnet", {"depth": 8, "stochastic_depth": 0.5, "preactivation": True}),
        ("stages", {"depth": 2, "stage2_block": "inception", "stage2_skip": True, "feature_maps": 8}),
    ],
)
def test_the_program_of_every_family_is_its_network_in_evaluation_for_batches_of_any_size(
    make: Make, model: str, params: dict[str, Any]
) -> None:
    study = make(blobs((1, 8, 8)), model=model, space={"feature_maps": 4, "lr": 0.01, **params})
    written(study)
    assert "not_exported" not in card_of(study)
    assert study.trainer is not None
    network, card = rebuild(study.trainer, study.folder, study.best)
    prepare, program = Preparation.from_description(card["preparation"]).apply, program_of(study)
    for size in (1, 2, 7):
        inputs = torch.randn(size, 1, 8, 8, generator=torch.Generator().manual_seed(size))
        wanted = network(prepare(inputs.numpy())).softmax(dim=1)
        torch.testing.assert_close(program(inputs), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("refit", [False, True])
def test_the_program_of_a_regression_gives_targets_in_their_own_units(make: Make, refit: bool) -> None:
    study = make(quantities(), refit=refit, epochs=30, space={"lr": ll.Float(0.015, 0.025), "depth": 1})
    written(study)
    assert study.trainer is not None
    network, card = rebuild(study.trainer, study.folder, study.best, refitted=refit)
    rows, data = study.trainer.split(0), study.trainer.loaded
    prepared = Preparation.from_description(card["preparation"]).apply(data.rows(rows.test))
    inputs, targets = data.rows(rows.test), torch.from_numpy(data.targets[rows.test])
    assert isinstance(inputs, np.ndarray)
    told = program_of(study)(torch.from_numpy(inputs)).detach()
    scale, standardized = card["scale"], network(prepared).detach().flatten()
    assert scale["deviation"] > 5e5
    torch.testing.assert_close(told, standardized * scale["deviation"] + scale["mean"], rtol=1e-6, atol=2.0)
    error = float((told - targets).square().mean().sqrt())
    assert error < 0.8 * float(targets.std())
    assert error == pytest.approx(_rmse(study), rel=1e-3)


def _rmse(study: ll.Study) -> float:
    """Returns the error on the test rows, found by the study's value: r2."""
    assert study.trainer is not None
    targets = study.trainer.loaded.targets[study.trainer.split(0).test].astype(np.float64)
    return float(np.sqrt((1 - study.test()) * targets.var()))


def test_with_a_refit_the_model_is_the_network_trained_again(make: Make) -> None:
    study = make(blobs(), refit=True)
    again, card = checkpoints.read(study.folder.weights(study.best.number, refitted=True)) or ({}, {})
    kept = load_file(study.folder.path / "model" / "weights.safetensors")
    assert all(torch.equal(kept[name], again[name]) for name in again)
    found = card_of(study)
    own = {"trial": study.best.number, "model": "mlp", "program": False, "sha256": found["sha256"]}
    assert found == {**own, **card}
    assert card_of(study)["refit"] is True


def test_a_model_that_is_there_isnt_written_again_but_for_the_program_if_it_lacks(make: Make) -> None:
    study = make(blobs())
    weights = study.folder.path / "model" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    written(study, program=False)
    assert weights.stat().st_mtime_ns == before
    written(study)
    program = (study.folder.path / "model" / "model.pt2").stat().st_mtime_ns
    written(study)
    assert (study.folder.path / "model" / "model.pt2").stat().st_mtime_ns == program


def test_a_module_that_cant_be_traced_has_its_weights_and_the_card_says_why_there_is_no_program(make: Make) -> None:
    def build(in_shape: tuple[int, ...], classes: int) -> nn.Module:
        return Choosing(in_shape[0], classes)

    study = make(blobs(), model=build, space={"lr": ll.Float(1e-3, 1e-2)})
    folder = written(study)
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "card.json"}
    assert card_of(study)["not_exported"]


def test_weights_of_another_trial_or_none_are_refused(make: Make) -> None:
    study = make(blobs())
    assert study.trainer is not None
    other = next(trial for trial in study.trials if trial.number != study.best.number)
    shutil.copy(study.folder.weights(study.best.number), study.folder.weights(other.number))
    with pytest.raises(ll.StudyError, match=f"isn't of trial {other.number} of this study"):
        rebuild(study.trainer, study.folder, other)
    with pytest.raises(ll.StudyError, match=r"aren't in .*refit\.safetensors"):
        rebuild(study.trainer, study.folder, study.best, refitted=True)


@pytest.mark.parametrize("name", ["card.json", "weights.safetensors"])
def test_a_model_that_is_damaged_is_written_anew(make: Make, name: str) -> None:
    study = make(blobs())
    assert study.trainer is not None
    folder = study.folder.path / "model"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for content in (before[name][:-9], before[name].replace(before[name][-40:-30], b"0123456789"), b"[" * 5000, b"3"):
        (folder / name).write_bytes(content)
        written(study, program=False)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
