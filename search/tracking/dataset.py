"""The data of a study as inputs of an MLflow run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from ...trainers.data import Data
    from ...trainers.trainer import Trainer
    from ..ledger import Ledger
    from ..study import Study

LONGEST_NAME, LONGEST_DIGEST, LONGEST_SCHEMA = 500, 36, 65535  # characters that MLflow takes
CONTEXTS = {"train": "training", "valid": "validation"}  # the test rows are no input of a search


def dataset_inputs(study: Study, ledger: Ledger) -> list[DatasetInput]:
    """Returns the training and the validation rows as inputs of a run; none for a study of an objective.

    A digest is that of data, split and part; the profile has the rows of each part, test rows among them.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    split = ledger.attribute("split")
    if study.trainer is None or split is None:
        return []
    data = study.trainer.loaded
    rows = {part: split[part] for part in ("train", "valid", "test")}
    kind, source = _source(study.trainer)
    inputs = []
    for part, context in CONTEXTS.items():
        digest = hashlib.sha256(f"{split['data']} {split['digest']} {part}".encode()).hexdigest()
        profile = {"num_rows": rows[part], "part": part, "rows": rows, "classes": data.classes and len(data.classes)}
        dataset = Dataset(
            name=data.name[:LONGEST_NAME],
            digest=digest[:LONGEST_DIGEST],
            source_type=kind,
            source=json.dumps(source),
            schema=_schema(data),
            profile=json.dumps(profile),
        )
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    return inputs


def _source(trainer: Trainer) -> tuple[str, dict[str, Any]]:
    """Returns where the data come from: MLflow's name for that kind of source, and what it takes."""
    described = trainer.describe()["data"]
    path = described["path"] if isinstance(described, dict) else described
    place = (trainer.base or Path.cwd()) / path
    if place.exists():
        return "local", {"uri": str(place.absolute())}
    return "code", {"tags": {"mlflow.source.type": "LOCAL", "mlflow.source.name": str(described)}}


def _schema(data: Data) -> str:
    """Returns the schema of examples as they are in their source: a tensor's, or a table's columns."""
    from mlflow.data.schema import TensorDatasetSchema
    from mlflow.types import ColSpec, Schema, TensorSpec

    targets = TensorSpec(data.targets.dtype, (-1,), "targets")
    if isinstance(data.inputs, np.ndarray):
        features = TensorSpec(data.inputs.dtype, (-1, *data.inputs.shape[1:]), "inputs")
        return json.dumps(TensorDatasetSchema(Schema([features]), Schema([targets])).to_dict())
    kinds = {"b": "boolean", "i": "long", "u": "long", "f": "double", "M": "datetime"}
    columns = data.inputs.dtypes.items()
    specs = [ColSpec(kinds.get(getattr(kind, "kind", "O"), "string"), str(name)) for name, kind in columns]
    text = json.dumps({"mlflow_colspec": Schema(specs).to_dict()})
    return text if len(text) <= LONGEST_SCHEMA else json.dumps({"columns": len(specs)})
