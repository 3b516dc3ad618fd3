"""The best model in MLflow: logged with flavor, signature and example, and registered where that is asked for."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..export import CARD, PROGRAM, WEIGHTS, model_of, not_exported
from ..model import trainer_of
from .options import Tracking

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

    from ..study import Study
    from ..trial import Trial
    from .runs import Run

NAME = "model"  # of the logged model: `mlflow.pytorch.load_model("runs:/.../model")`
DIGEST = "leadline.digest"  # tag: that of the files of which the model was made
FILES = (CARD, WEIGHTS)  # what goes beside the program, and alone where there is none
EXAMPLES = 2  # torch takes a dimension of one example for a constant


def model_problem(model: Path, options: Tracking) -> str | None:
    """Returns what MLflow lacks of the best model, and why; None if it gets a model that its functions load."""
    reason = not_exported(model)
    if reason is None:
        return None
    unregistered = f", and it isn't registered as `{options.register}`" if options.register else ""
    return f"MLflow gets weights and card of the best network alone{unregistered}: {reason}"


class ModelLogger:
    """Logs the best network that `write_model` wrote to a folder, once, as a model of the study's run.

    A network that torch can't export is logged as plain artifacts, its weights and a card that names its builder, and
    isn't registered: `model_problem` says so.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, run: Run, options: Tracking) -> None:
        self.client, self.experiment_id, self.run, self.options = client, experiment_id, run, options

    def log(self, study: Study, trial: Trial, model: Path) -> str:
        """Logs the model, unless MLflow has it; registers it, unless it is. Returns the digest of its files."""
        digest = hashlib.sha256(b"".join((model / name).read_bytes() for name in FILES)).hexdigest()
        if (model / PROGRAM).exists():
            logged = self._found(digest) or self._logged(study, trial, model, digest)
            if self.options.register is not None:
                self._register(self.options.register, logged)
        elif self.run.tags.get(DIGEST) != digest:
            self.client.log_artifacts(self.run.id, str(model), NAME)
        return digest

    def _found(self, digest: str) -> LoggedModel | None:
        """Returns the model of these files that MLflow holds; deletes what a crash left half logged."""
        found = None
        for model in self.client.search_logged_models([self.experiment_id], f"source_run_id = '{self.run.id}'"):
            if str(model.status) != "READY":
                self.client.delete_logged_model(model.model_id)
            elif model.tags.get(DIGEST) == digest:
                found = model
        return found

    def _logged(self, study: Study, trial: Trial, model: Path, digest: str) -> LoggedModel:
        from mlflow.entities import LoggedModelOutput

        tags = {DIGEST: digest, "leadline.trial": str(trial.number)}
        params = {name: str(value) for name, value in trial.params.items()}
        made = self.client.create_logged_model(
            self.experiment_id, NAME, self.run.id, tags=tags, params=params, model_type=trainer_of(study).task
        )
        with TemporaryDirectory() as place:
            target = Path(place) / NAME
            write_mlflow_model(study, trial, target, made.model_id, self.run.id)
            for name in FILES:
                shutil.copy(model / name, target)
            self.client.log_model_artifacts(made.model_id, str(target))
        self.client.log_outputs(self.run.id, [LoggedModelOutput(made.model_id, step=trial.best_epoch or 0)])
        return self.client.finalize_logged_model(made.model_id, "READY")  # last: it says that the rest is there

    def _register(self, name: str, model: LoggedModel) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        versions = self.client.search_model_versions(f"run_id = '{self.run.id}'")
        version = next((one for one in versions if (one.name, one.source) == (name, model.artifact_location)), None)
        aliases = self.client.get_registered_model(name).aliases
        alias = self.options.alias
        new = version is None
        if version is None:
            version = self.client.create_model_version(
                name, model.artifact_location, self.run.id, model_id=model.model_id, await_creation_for=0
            )
        if alias is not None and (new or alias not in aliases):  # later it may be somebody's will that it is elsewhere
            self.client.set_registered_model_alias(name, alias, version.version)


def write_mlflow_model(study: Study, trial: Trial, target: Path, model_id: str, run_id: str) -> None:
    """Writes a trial's network as a model of MLflow's `pytorch` flavor: a program that takes batches of any size.

    It takes and gives what an exported one does (`trainers.models.Predictor`): inputs as the data's source holds them,
    two of the validation rows being the example, and probabilities (n, classes), or values (n,).
    """
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    trainer, model = trainer_of(study), model_of(study, trial.number)
    rows = trainer.loaded.rows(trainer.split(study.seed).valid[:EXAMPLES])
    examples = torch.from_numpy(model.inputs.cast(model.inputs.taken(rows)))
    with torch.no_grad():
        answers = model.program(examples)
    inputs, returned = (Schema([TensorSpec(one.numpy().dtype, (-1, *one.shape[1:]))]) for one in (examples, answers))
    mlflow.pytorch.save_model(
        model.program,
        str(target),
        mlflow_model=Model(model_id=model_id, run_id=run_id),
        signature=ModelSignature(inputs, returned),
        input_example=examples.numpy(),
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
        serialization_format="pt2",
        metadata={"trial": trial.number, "classes": model.card["classes"], "card": CARD},
    )
