"""The best trial's network, rebuilt from its weights, and written so that plain PyTorch loads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StudyError
from .folder import Folder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..trainers.trainer import Trainer
    from .study import Study
    from .trial import Trial


def trainer_of(study: Study) -> Trainer:
    """Returns the study's trainer. Raises StudyError if it has none."""
    if study.trainer is None:
        raise StudyError(
            f"what `{study.name}` trains is known to its Python script alone, an objective, arrays or functions: "
            "call this there, on the study itself"
        )
    return study.trainer


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


def rebuild_whole(trainer: Trainer, folder: Folder, trial: Trial) -> tuple[nn.Module, dict[str, Any]]:
    """Returns the network to be taken home, and its card: trained again if the trainer refits, and if it was.

    That of a regression gives targets in their own units. Raises StudyError as `rebuild` does.
    """
    network, card = rebuild(trainer, folder, trial, refitted=_refitted(trainer, folder, trial))
    return in_units(network, card), card


def in_units(network: nn.Module, card: Mapping[str, Any]) -> nn.Module:
    """Returns a network that gives the targets of a regression in their own units; of classes, the network itself."""
    from torch import nn

    from ..trainers.networks.layers import Rescale

    return nn.Sequential(network, Rescale(**card["scale"])).eval() if card["scale"] else network


def _refitted(trainer: Trainer, folder: Folder, trial: Trial) -> bool:
    return trainer.refit and folder.weights(trial.number, refitted=True).exists()


def write_model(trainer: Trainer, folder: Folder, trial: Trial, *, program: bool) -> Path:
    """Writes the network of `trial`, trained again if the trainer refits, to the study's `model/` folder; returns it.

    `weights.safetensors` and `card.json` (builder, configuration, classes, preparation of inputs, the weights' SHA-256)
    are always there; with `program`, which takes seconds, also `model.pt2` for `torch.export.load(...).module()`,
    taking batches of any size, where torch can export the module; where it can't, the card says why. The program of a
    regression gives targets in their own units, where the network itself gives standardized ones (the card's `scale`).
    """
    import torch
    from safetensors.torch import save_file

    network, card = rebuild(trainer, folder, trial, refitted=_refitted(trainer, folder, trial))
    target = folder.path / "model"
    card = {"trial": trial.number, "model": trainer.describe()["model"], "program": program, **card}
    if _holds(target, card):
        return target
    target.mkdir(exist_ok=True)
    (target / "model.pt2").unlink(missing_ok=True)
    if program:
        whole, examples = in_units(network, card), torch.zeros(2, *card["in_shape"])
        try:
            exported = torch.export.export(whole, (examples,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
            torch.export.save(exported, target / "model.pt2")
        except Exception as error:  # whatever a user's module holds that can't be traced; its weights are kept
            card["not_exported"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    save_file(_contiguous(network.state_dict()), target / "weights.safetensors")
    card["sha256"] = _sha256(target / "weights.safetensors")
    (target / "card.json").write_text(json.dumps(card, indent=2) + "\n")  # last: it says that the rest is there
    return target


def _holds(target: Path, card: Mapping[str, Any]) -> bool:
    """Tells whether a card is there, and is this one, with its weights: the model needn't be written again."""
    try:
        kept = json.loads((target / "card.json").read_text())
        whole = isinstance(kept, dict) and kept.get("sha256") == _sha256(target / "weights.safetensors")
    except (FileNotFoundError, ValueError, RecursionError):  # not there, cut short, or damaged
        return False
    return whole and bool({name: kept.get(name) for name in card} == json.loads(json.dumps(card)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
