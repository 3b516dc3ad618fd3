"""What complete trials say of the validation rows: kept of each, so that it can be looked at and combined later."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..trainers.trainer import Trainer
    from .study import Study
    from .trial import Trial


@dataclass(frozen=True, eq=False)
class Predictions:
    """A trial's `outputs` for its validation `rows`, and the `targets` there.

    `rows` (n,) are ascending indices into the data, those of all folds together: each was predicted by a network that
    hadn't trained on it. `outputs` (n, classes) are float32 logarithms of probabilities, up to a constant a row; of a
    regression (n, 1) in the targets' own units. `targets` (n,) are class indices, or float32. Of replicates `outputs`
    are those of their mean.
    """

    rows: NDArray[np.int64]
    outputs: NDArray[np.float32]
    targets: NDArray[Any]
    classes: tuple[str, ...] | None

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Each class's probability, (n, classes). Of a regression the outputs."""
        return self.outputs if self.classes is None else softmax(self.outputs)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which rows' most probable class is the true one, (n,); for classes alone."""
        return np.asarray(self.outputs.argmax(axis=1) == self.targets)


def kept_predictions(study: Study, trial: Trial) -> Predictions | None:
    """Returns what is kept of a complete trial; None where nothing is.

    That is so for trials of an objective, of an earlier version, and where outputs would be over 16 MiB a trial; and in
    a process that can't get at the trainer's data.
    """
    from ..trainers import checkpoints

    if study.trainer is None or trial.state != "complete":
        return None
    found = checkpoints.read(study.folder.predictions(trial.number))
    if found is None or found[1]["params"] != json.loads(json.dumps(trial.params)):
        return None
    tensors, _ = found
    return _predictions(study.trainer, study.seed, [tensors[str(lane)].numpy() for lane in range(len(tensors))])


def softmax(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the probabilities (n, classes) that outputs (n, classes) stand for."""
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def _predictions(trainer: Trainer, seed: int, lanes: list[NDArray[np.float32]]) -> Predictions:
    """Puts the outputs of a trial's lanes together: its folds', or the mean of its replicates'."""
    from ..trainers.data import folds

    data, split = trainer.loaded, trainer.split(seed)
    parts = [fold.valid for fold in folds(data, split, trainer.folds)] if trainer.folds > 1 else [split.valid]
    if len(lanes) > len(parts):  # replicates
        lanes = [_mean(lanes) if data.classes is None else np.log(_mean([softmax(lane) for lane in lanes]) + TINY)]
    rows = np.concatenate(parts)
    order = np.argsort(rows, kind="stable")
    outputs = np.concatenate(lanes)[order]
    return Predictions(rows[order], outputs, data.targets[rows[order]], data.classes)


TINY = np.float32(1e-30)  # so that the logarithm of a probability of 0 is a number


def _mean(lanes: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray(np.mean(lanes, axis=0, dtype=np.float64), dtype=np.float32)
