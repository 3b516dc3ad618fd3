"""The best model in MLflow: loaded with MLflow's own functions, at any batch size, registered once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
import numpy as np
import pytest
import torch
from contracts.tracked import WARNINGS, runs_of, store
from mlflow.tracking import MlflowClient
from torch import nn

import leadline as ll

pytestmark = [*WARNINGS, pytest.mark.usefixtures("used")]
Make = Callable[..., ll.Study]


@pytest.fixture
def uri(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store, as MLflow's own functions know it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store(folder))
    return store(folder)


def tracked(**options: Any) -> dict[str, Any]:
    return {"mlflow": {"report": False, "register": "digits", "alias": "champion", **options}}


def test_the_registered_model_has_signature_example_and_card_and_takes_any_batch(digits: Make, uri: str) -> None:
    study = digits(**tracked()).run(trials=2, progress=False)
    assert (study.tracking_problem, study.model_problem) == (None, None)
    program = study.model().program
    loaded = mlflow.pytorch.load_model("models:/digits@champion")
    for size in (1, 2, 7):
        inputs = torch.rand(size, 1, 8, 8, generator=torch.Generator().manual_seed(size))
        torch.testing.assert_close(loaded(inputs), program(inputs), rtol=0, atol=1e-6)
    model = mlflow.pyfunc.load_model("models:/digits@champion")
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    assert model.metadata.signature.outputs.inputs[0].shape == (-1, 10)
    example = model.input_example
    assert example.shape == (2, 1, 8, 8)
    assert np.ptp(example) > 0  # of the data, no zeros
    np.testing.assert_allclose(model.predict(example), program(torch.from_numpy(example)).detach(), atol=1e-6)
    client = MlflowClient(uri)
    parent, _ = runs_of(client, "digits")
    kept = json.loads(Path(client.download_artifacts(parent.info.run_id, "model/card.json")).read_text())
    assert kept["classes"] == [str(number) for number in range(10)]
    assert kept["params"] == study.best.params


def test_a_version_is_registered_for_each_new_best_and_the_alias_moves_with_it(digits: Make, uri: str) -> None:
    study = digits(**tracked())
    study.enqueue({"depth": 1, "feature_maps": 4, "lr": 0.001}).run(trials=1, progress=False)
    study.run(trials=1, progress=False)
    study.enqueue({"depth": 1, "feature_maps": 8, "lr": 0.05}).run(trials=2, progress=False)
    study.run(trials=2, progress=False)
    assert study.best.number == 1
    client = MlflowClient(uri)
    assert sorted(int(version.version) for version in client.search_model_versions("name = 'digits'")) == [1, 2]
    assert int(client.get_model_version_by_alias("digits", "champion").version) == 2


def test_an_alias_that_somebody_moved_stays_where_it_is(digits: Make, uri: str) -> None:
    study = digits(**tracked())
    study.enqueue({"depth": 1, "feature_maps": 4, "lr": 0.001}).run(trials=1, progress=False)
    study.enqueue({"depth": 1, "feature_maps": 8, "lr": 0.05}).run(trials=2, progress=False)
    client = MlflowClient(uri)
    client.set_registered_model_alias("digits", "champion", "1")
    study.run(trials=2, progress=False)
    assert int(client.get_model_version_by_alias("digits", "champion").version) == 1


def test_a_regressions_model_gives_targets_in_their_own_units(folder: Path, uri: str) -> None:
    inputs = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    targets = (1000 + 50 * inputs[:, 0]).astype(np.float32)
    space = ll.Space(depth=1, feature_maps=4, lr=ll.Float(1e-3, 1e-1, log=True))
    trainer = ll.Trainer("mlp", data=(inputs, targets), epochs=2)
    study = ll.Study("line", space, trainer, strategy="random", storage=folder, executor="inline", **tracked())
    study.run(trials=1, progress=False)
    loaded = mlflow.pytorch.load_model("models:/digits@champion")
    assert 800 < loaded(torch.zeros(5, 3)).mean() < 1200


class Moody(nn.Module):
    """A network that torch can't export: what it does hangs on its inputs' values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, width), nn.Linear(width, 10)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.first(inputs.flatten(1))
        return self.last(hidden if hidden.sum().item() > 0 else -hidden)


def test_what_cannot_be_exported_is_there_as_weights_and_the_builders_name(digits: Make, uri: str) -> None:
    def moody(in_shape: tuple[int, ...], classes: int, width: int = 4) -> nn.Module:
        return Moody(width)

    space = ll.Space(width=ll.Int(2, 8), lr=0.01)
    study = digits(model=moody, space=space, plan="looped", **tracked()).run(trials=1, progress=False)
    assert study.tracking_problem is None
    client = MlflowClient(uri)
    parent, _ = runs_of(client, "digits")
    found = {artifact.path for artifact in client.list_artifacts(parent.info.run_id, "model")}
    assert found == {"model/card.json", "model/weights.safetensors"}
    card = json.loads(Path(client.download_artifacts(parent.info.run_id, "model/card.json")).read_text())
    assert card["not_exported"]
    assert "moody" in card["model"]
    assert client.search_model_versions("") == []
    lacks = (
        "MLflow gets weights and card of the best network alone, and it isn't registered as `digits`: the network can't"
    )
    assert study.model_problem is not None
    assert study.model_problem.startswith(lacks)
    assert "test_models.py" in study.model_problem
    assert f"{study.model_problem}." in parent.data.tags["mlflow.note.content"]
    again = study.run(trials=1, progress=False)
    assert again.model_problem == study.model_problem
