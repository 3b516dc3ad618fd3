"""The best network of a study, any trial's whose weights are kept, or the ensemble, as a model to be taken home."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, StudyError
from ..trainers.disk import writing
from .analysis.detail import trial_of
from .model import rebuild, trainer_of

if TYPE_CHECKING:
    from torch import nn

    from ..trainers.models import Model
    from ..trainers.trainer import Trainer
    from .study import Study
    from .trial import Trial

CARD, WEIGHTS, PROGRAM = "card.json", "weights.safetensors", "model.pt2"  # of the best network, in a study's folder


def model_of(study: Study, trial: int | None = None) -> Model:
    """Returns the network of a trial, by default the best, ready to predict; with `refit` that which was trained again.

    Raises UsageError if there is no such complete trial, StudyError if its weights weren't kept or no trial is
    complete, and as `trainer_of` does.
    """
    trainer = trainer_of(study, "network to predict with or to export")
    chosen = study.best if trial is None else _complete(study, trial)
    refitted = _refitted(study, chosen.number)
    if not study.folder.weights(chosen.number, refitted=refitted).exists():
        raise StudyError(_not_kept(study, chosen.number))
    network, card = rebuild(trainer, study.folder, chosen, refitted=refitted)
    complete = sum(one.state == "complete" for one in study.trials)
    how = f"the best of {complete} complete trials" if chosen.number == study.best.number else "chosen by its number"
    how += f" by {card['metric']} on validation rows"
    how += ", trained again on train and validation rows" if refitted else ""
    scores = {"valid": chosen.value, "spread": chosen.spread, "test": _tested(study, chosen.number)}
    return assembled(study, [(network, described(trainer, chosen, card))], scores, how)


def write_model(study: Study, trial: Trial, *, program: bool) -> Path:
    """Writes the network of `trial`, trained again if the trainer refits, to the study's `model/` folder; returns it.

    `weights.safetensors` and `card.json` (builder, configuration, classes, preparation of inputs, the weights' SHA-256)
    are always there; with `program`, which takes seconds, also `model.pt2`, the file that `export` writes, where torch
    can export the module; where it can't, the card says why. Raises WriteError where the disk says no.
    """
    from safetensors.torch import save as packed

    from ..trainers.models import save

    trainer, target = trainer_of(study), study.folder.path / "model"
    network, card = rebuild(trainer, study.folder, trial, refitted=_refitted(study, trial.number))
    card = {"trial": trial.number, "model": trainer.describe()["model"], "program": program, **card}
    if _holds(target, card):
        return target
    weights = packed({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    with writing(target, len(weights)):
        target.mkdir(exist_ok=True)
        (target / PROGRAM).unlink(missing_ok=True)
        if program:
            try:
                save(model_of(study, trial.number), target / PROGRAM)
            except SettingsError as error:  # the weights are kept
                if isinstance(error.__cause__, OSError):  # it is the disk that says no
                    raise error.__cause__ from None
                card["not_exported"] = str(error)
        (target / WEIGHTS).write_bytes(weights)
        card["sha256"] = _sha256(target / WEIGHTS)
        (target / CARD).write_text(json.dumps(card, indent=2) + "\n")  # last: it says that the rest is there
    return target


def not_exported(target: Path) -> str | None:
    """Returns why the model that `write_model` wrote has no program, though it was to have one; None if it has."""
    reason: str | None = json.loads((target / CARD).read_text()).get("not_exported")
    return reason


def assembled(
    study: Study, networks: list[tuple[nn.Module, dict[str, Any]]], scores: Mapping[str, Any], chosen: str
) -> Model:
    """Returns networks, each with what `described` says of it, as one model with a card."""
    import torch

    from ..trainers.models import Model, Predictor
    from ..trainers.models.formats import member_of
    from ..trainers.models.inputs import InputSpec

    trainer, settings = trainer_of(study), study.describe()
    predictor = Predictor([member_of(network, one) for network, one in networks])
    first = member_of(*networks[0])
    card = {
        "study": {"name": study.name, "id": study.attribute("id"), "seed": study.seed, "trainer": settings["trainer"]},
        "search": {name: settings[name] for name in ("space", "strategy", "pruner")} | {"trials": len(study.trials)},
        "data": {**(study.attribute("split") or {}), "read": _reading(trainer)},
        "chosen": chosen,
        "scores": {"metric": study.metric_name, **scores},
        "task": "regression" if networks[0][1]["scale"] else "classification",
        "classes": networks[0][1]["classes"],
        "inputs": InputSpec.of(first.preparation).describe(),
        "networks": [one for _, one in networks],
        "versions": {"leadline": sys.modules["leadline"].__version__, "torch": torch.__version__},
    }
    return Model(predictor, card)


def described(trainer: Trainer, trial: Trial, card: Mapping[str, Any], weight: float = 1.0) -> dict[str, Any]:
    """Returns what a model's card says of one network, by the card that was kept with its weights."""
    return {
        "trial": trial.number,
        "weight": weight,
        "valid": trial.value,
        **{name: card[name] for name in ("fold", "epoch", "params")},
        "refit": bool(card.get("refit")),
        "model": trainer.describe()["model"],
        "arguments": trainer.arguments(card["params"]),
        "outputs": len(card["classes"]) if card["classes"] else 1,
        **{name: card[name] for name in ("classes", "in_shape", "preparation", "scale")},
    }


def _complete(study: Study, number: int) -> Trial:
    trial = trial_of(study, number)
    if trial.state != "complete":
        what = f"trial {number} of `{study.name}` is {trial.state}"
        raise SettingsError(f"only a complete trial has a network, but {what}")
    return trial


def _not_kept(study: Study, number: int) -> str:
    kept = [trial.number for trial in study.trials if study.folder.weights(trial.number).exists()]
    known = ", ".join(map(str, kept)) or "none"
    best = "trial" if study.keep == 1 else f"{study.keep} trials"
    return f"weights are kept of the best {best} (`keep: {study.keep}`), of `{study.name}` {known}, but not of {number}"


def _tested(study: Study, number: int) -> float | None:
    """Returns what the last opening of the test split found of a trial; None if it wasn't opened for it."""
    opened = [one for one in study.attribute("tests") or [] if one["trial"] == number]
    return opened[-1]["value"] if opened else None


def _reading(trainer: Trainer) -> dict[str, Any]:
    """Returns the options by which a table's file is read, as far as they concern all such files."""
    _, options = trainer.source
    return {name: options[name] for name in ("delimiter", "header") if options.get(name) is not None}


def _refitted(study: Study, number: int) -> bool:
    """Tells whether a trial's configuration was trained again on train and validation rows, which then counts."""
    wanted = trainer_of(study).refit and study.attribute("refit_failed") != number
    return wanted and study.folder.weights(number, refitted=True).exists()


def _holds(target: Path, card: Mapping[str, Any]) -> bool:
    """Tells whether a card is there, and is this one, with its weights: the model needn't be written again."""
    try:
        kept = json.loads((target / CARD).read_text())
        whole = isinstance(kept, dict) and kept.get("sha256") == _sha256(target / WEIGHTS)
    except (FileNotFoundError, ValueError, RecursionError):  # not there, cut short, or damaged
        return False
    return whole and bool({name: kept.get(name) for name in card} == json.loads(json.dumps(card)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
