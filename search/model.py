"""A trial's network, rebuilt from its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, StudyError
from .folder import Folder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..trainers.trainer import Trainer
    from .study import Study
    from .trial import Trial


def trainer_of(study: Study, wanted: str = "network") -> Trainer:
    """Returns the study's trainer, for what is `wanted` of it.

    Raises SettingsError if the study is of an objective, and StudyError if only its own script knows its trainer.
    """
    if study.trainer is not None:
        return study.trainer
    if study.attribute("settings")["trainer"] is None:
        raise SettingsError(
            f"`{study.name}` is a study of an objective, which has no {wanted}: what is trained and tested is your "
            "objective's own"
        )
    raise StudyError(
        f"what `{study.name}` trains is known to its Python script alone, arrays or functions: call this there, on the "
        "study itself"
    )


def rebuild(
    trainer: Trainer, folder: Folder, trial: Trial, *, refitted: bool = False
) -> tuple[nn.Module, dict[str, Any]]:
    """Returns a complete trial's network at its best epoch, in evaluation mode, and the card kept with the weights.

    `refitted` takes that which was trained again on train and valid rows. Raises StudyError if the weights aren't
    there, or are another trial's.
    """
    from ..trainers import checkpoints

    path = folder.weights(trial.number, refitted=refitted)
    found = checkpoints.read(path)
    if found is None:
        hint = "; running the study to its end trains them" if refitted else ""
        gone = f"in {path} are damaged" if path.exists() else f"aren't in {path}"
        raise StudyError(f"the weights of trial {trial.number} {gone}{hint}")
    tensors, card = found
    if card["params"] != json.loads(json.dumps(trial.params)):
        raise StudyError(f"{path} isn't of trial {trial.number} of this study")
    return network_of(trainer, tensors, card), card


def network_of(trainer: Trainer, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> nn.Module:
    """Returns the network of kept weights and their card, in evaluation mode."""
    import torch

    outputs = len(card["classes"]) if card["classes"] else 1
    with torch.random.fork_rng(devices=[]):  # what it draws is replaced
        network = trainer.build(card["params"], tuple(card["in_shape"]), outputs)
    network.load_state_dict(dict(tensors))
    return network.eval()
