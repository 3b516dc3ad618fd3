"""The networks of an ensemble's members: those whose weights were kept, and the others trained again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import StudyError
from ..model import network_of
from ..refit import lane_of, stacked

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...trainers.messages import Job
    from ...trainers.stack import Bench, Lane
    from ...trainers.trainer import Trainer
    from ..folder import Folder
    from ..trial import Trial

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Part:
    """A network that takes part in an ensemble, and what it had said of its validation rows.

    `kept` (n, ...) are its outputs in training, in the targets' own units. It was `trained` again, or its weights kept.
    """

    lane: Lane
    network: nn.Module
    kept: Tensor
    trained: bool


def parts_of(
    trainer: Trainer, folder: Folder, trials: Iterable[Trial], bench: Bench, job: Job, tell: Tell
) -> list[Part]:
    """Returns the networks of complete trials, one for each fold or replicate, at the trial's best epoch.

    What isn't among the study's weights, or those of an earlier ensemble, is trained again from its own random streams,
    all such lanes of a kind in one stack, and kept in the study's folder `ensemble/`. Raises StudyError where a
    training fails.
    """
    from ...trainers import checkpoints

    wanted: list[tuple[Lane, dict[str, Any], Tensor]] = []
    for trial in trials:
        outputs, card = checkpoints.read(folder.predictions(trial.number)) or ({}, {})
        for fold in range(trainer.lanes_a_trial):
            wanted.append((lane_of(trainer, trial, job, fold), {**card, "fold": fold}, outputs[str(fold)]))
    missing = [(lane, card) for lane, card, _ in wanted if _kept(folder, lane, card) is None]
    if missing:
        _train(trainer, folder, missing, bench, job, tell)
    lacked = {lane for lane, _ in missing}
    parts = []
    for lane, like, kept in wanted:
        tensors, card = _kept(folder, lane, like) or ({}, {})
        checkpoints.write(folder.ensemble(lane.number, lane.stream.fold), tensors, card)  # the study's own may go
        lane.epoch = card["epoch"]
        parts.append(Part(lane, network_of(trainer, tensors, card), kept, trained=lane in lacked))
    _sweep(folder, parts)
    return parts


def _kept(folder: Folder, lane: Lane, like: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Returns the weights of a lane at its trial's best epoch and their card, from wherever they are kept."""
    from ...trainers import checkpoints

    for path in (folder.ensemble(lane.number, like["fold"]), folder.weights(lane.number)):
        found = checkpoints.read(path)
        if found is not None and all(found[1][name] == like[name] for name in ("study", "params", "fold", "epoch")):
            return found
    return None


def _sweep(folder: Folder, parts: list[Part]) -> None:
    """Removes the weights of an earlier ensemble's members that aren't members any more."""
    own = {folder.ensemble(part.lane.number, part.lane.stream.fold) for part in parts}
    for path in (folder.path / "ensemble").glob("*.safetensors"):
        if path not in own:
            path.unlink()


def _train(
    trainer: Trainer, folder: Folder, missing: list[tuple[Lane, dict[str, Any]]], bench: Bench, job: Job, tell: Tell
) -> None:
    """Trains lanes up to their best epochs, and keeps their weights as each gets there."""
    from ...trainers import checkpoints

    cards = dict(missing)
    numbers = ", ".join(map(str, sorted({lane.number for lane in cards})))
    made = [(lane, trainer.network(lane, bench)) for lane in cards]
    for stack in stacked(trainer, bench, made, job):
        while stack.lanes:
            for epoch in stack.train_epoch():
                lane, card = epoch.lane, cards[epoch.lane]
                if epoch.error is not None or epoch.diverged_at is not None:
                    why = epoch.error or f"the loss was no number at epoch {lane.epoch}, step {epoch.diverged_at}"
                    raise StudyError(f"training trial {lane.number} again failed: {why}")
                tell(f"training {numbers} again: trial {lane.number}, epoch {lane.epoch} of {card['epoch']}")
                if lane.epoch == card["epoch"]:
                    described = {**bench.data_of(lane).describe(), "fold_value": epoch.value}
                    path = folder.ensemble(lane.number, card["fold"])
                    checkpoints.write(path, stack.weights(lane), {**card, **json.loads(json.dumps(described))})
                    stack.remove(lane)


def outputs_of(trainer: Trainer, parts: list[Part], bench: Bench, job: Job, inputs: list[Any]) -> list[Tensor]:
    """Returns each part's outputs (n, ...) for the inputs of its fold, in the targets' own units."""
    found: dict[Lane, Tensor] = {}
    for stack in stacked(trainer, bench, [(part.lane, part.network) for part in parts], job):
        found.update(zip(stack.lanes, stack.predict_all(inputs), strict=True))
    return [bench.data_of(part.lane).in_units(found[part.lane]).cpu() for part in parts]


def furthest(parts: list[Part], outputs: list[Tensor]) -> float:
    """Returns by how much outputs for the validation rows differ at most from those that the trials had in training."""
    return max(float((part.kept - now).abs().max()) for part, now in zip(parts, outputs, strict=True))
