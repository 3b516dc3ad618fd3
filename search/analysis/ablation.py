"""Ablation: what each layer, block and regularizer of the best configuration is worth, by training without it."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Problem, SettingsError, StudyError, suggestion
from ..model import trainer_of
from .retraining import trained_again

if TYPE_CHECKING:
    from ...trainers.trainer import Trainer
    from ..study import Study
    from ..trial import Trial

AUGMENTATION = ("flip", "shift", "cutout", "mixup")
DROPOUT = ("dropout", "input_dropout", "spatial_dropout", "stochastic_depth")
# What can be switched off, by name: settings, each with the value that switches it off.
SWITCHES: dict[str, dict[str, Any]] = {
    "dropout": dict.fromkeys(DROPOUT, 0.0),
    "batch norm": {"batch_norm": False},
    "augmentation": dict.fromkeys(AUGMENTATION, 0),
    "weight decay": {"weight_decay": 0.0},
    "L1": {"l1": 0.0},
    "label smoothing": {"label_smoothing": 0.0},
}


@dataclass(frozen=True)
class Variant:
    """A configuration with something removed or switched off (`what`; "" is the whole), and what came of it.

    `value` is the mean over the replicates and `spread` their standard deviation; `change` is the value less the
    whole's, `error` its standard error, and `dropped` how many parameters fewer it has. All are None where training
    failed, for the `reason` given.
    """

    what: str
    parameters: int | None
    dropped: int | None
    value: float | None
    spread: float | None
    change: float | None
    error: float | None
    reason: str


def ablate(
    study: Study,
    *,
    remove: Sequence[str] = (),
    pairs: bool = False,
    switches: bool = True,
    replicates: int = 3,
    epochs: int | None = None,
    **options: Any,
) -> tuple[Study, list[Variant]]:
    """Trains the best configuration of `study` without this and that; returns the ablation's study and its table.

    Each entry of `remove` names layers or blocks to leave out together, as "conv3,conv4"; without any, each that the
    network has is left out in turn, and with `pairs` each two as well. With `switches`, each regularizer in use is
    switched off in turn. Every variant is trained `replicates` times, from other weights and in another order of the
    data, on the study's own split; `epochs` are the trainer's unless given. `options` are those of `Study` that say how
    to run it (devices, lanes, ...).

    The ablation is itself a study, of the name `NAME-ablation-...`: it goes on where it was interrupted, and MLflow has
    it. The test split isn't opened. Raises StudyError if there is nothing to remove, SettingsError for what can't be.
    """
    trainer, best = trainer_of(study, "layers to leave out"), study.best
    named = list(_removals(trainer, best.params, remove, pairs=pairs))
    off = list(_switched_off(trainer, best.params)) if switches else []
    if not named and not off:
        raise StudyError(f"`{trainer.describe()['model']}` names no layers to remove, and no regularizer is in use")
    changes = {"": {}, **dict(named), **dict(off)}
    configurations = _configurations(trainer, best.params, changes)
    ablation, trials = trained_again(
        study, list(configurations.values()), "ablation", replicates=replicates, epochs=epochs, **options
    )
    whole, *_ = trials
    return ablation, [_variant(what, trial, whole, replicates) for what, trial in zip(changes, trials, strict=True)]


def _removals(
    trainer: Trainer, params: Mapping[str, Any], remove: Sequence[str], *, pairs: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    already = _names(params.get("remove", ""))
    known = [name for name in trainer.removable(params) if name not in already]
    sets = [_names(entry) for entry in remove]
    wrong = [name for names in sets for name in names if name not in known]
    problems = [Problem(f"the network has no layer `{name}` to remove. {suggestion(name, known)}") for name in wrong]
    if not all(sets):
        problems.append(Problem("`remove` must name layers, as fc7 or conv3,conv4, but got none"))
    if problems:
        raise SettingsError(problems)
    if not remove:
        sets = [[name] for name in known]
        sets += [list(pair) for pair in itertools.combinations(known, 2)] if pairs else []
    for names in sets:
        yield ", ".join(names), {"remove": ",".join([*already, *names])}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _switched_off(trainer: Trainer, params: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, settings in SWITCHES.items():
        changes = {
            setting: off for setting, off in settings.items() if _current(trainer, params, setting) not in (off, None)
        }
        if changes:
            yield name, changes


def _current(trainer: Trainer, params: Mapping[str, Any], setting: str) -> Any:
    """Returns what a setting is in a configuration, None if neither network nor trainer has it."""
    argument = inspect.signature(trainer.builder).parameters.get(setting)
    default = None if argument is None or argument.default is argument.empty else argument.default
    return params.get(setting, trainer.settings.get(setting, default))


def _configurations(
    trainer: Trainer, params: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Returns each variant's whole configuration: all name the same settings."""
    settings = {name for changed in changes.values() for name in changed}
    own = {name: _current(trainer, params, name) for name in sorted(settings - set(params))}
    return {what: {**params, **own, **changed} for what, changed in changes.items()}


def _variant(what: str, trial: Trial, whole: Trial, replicates: int) -> Variant:
    fewer = None
    if trial.parameters is not None and whole.parameters is not None:
        fewer = whole.parameters - trial.parameters
    change = error = None
    if what and trial.value is not None and whole.value is not None:
        change = trial.value - whole.value
        error = math.sqrt(((trial.spread or 0.0) ** 2 + (whole.spread or 0.0) ** 2) / replicates)
    return Variant(what, trial.parameters, fewer, trial.value, trial.spread, change, error, trial.reason)
