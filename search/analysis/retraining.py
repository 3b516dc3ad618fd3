"""Configurations of a study trained again, several times each: a study beside it, on the same split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import Problem, SettingsError
from ...spaces import Choice, Space
from ..folder import LONGEST_NAME
from ..model import trainer_of

if TYPE_CHECKING:
    from ..study import Study
    from ..trial import Trial

WAYS_TO_RUN = ("executor", "address", "devices", "workers", "lanes", "plan")
Configuration = Mapping[str, Any]


def trained_again(
    study: Study,
    configurations: Sequence[Configuration],
    what: str,
    *,
    replicates: int,
    epochs: int | None = None,
    **options: Any,
) -> tuple[Study, list[Trial]]:
    """Trains each of `configurations`, which name the same parameters, `replicates` times; returns study and trials.

    It is a study of the name `NAME-WHAT-...`, with the split of the one given, its metric and its trainer, but for the
    `epochs` if given: it goes on where it was interrupted, and trains nothing twice. It is run as that study is, unless
    `options` of `Study` (devices, lanes, ...) say otherwise. Raises as `trainer_of` does.
    """
    from ..study import Study

    own = trainer_of(study, "network to train again")
    study.confirm()
    if replicates < 2:
        raise SettingsError([Problem(f"`replicates >= 2` must hold, for a spread, but got {replicates}")])
    split_seed = study.seed if own.split_seed is None else own.split_seed
    changed: dict[str, Any] = {"folds": 1, "replicates": replicates, "split_seed": split_seed, "refit": False}
    if epochs is not None:
        changed["epochs"] = epochs
        configurations = [{**params, **({"epochs": epochs} if "epochs" in params else {})} for params in configurations]
    mark = hashlib.sha256(json.dumps([list(map(dict, configurations)), changed], sort_keys=True).encode())
    suffix = f"-{what}-{mark.hexdigest()[:6]}"
    again = Study(
        study.name[: LONGEST_NAME - len(suffix)] + suffix,
        _space_of(configurations),
        own.changed(**changed, on_epoch=None, on_trial_end=None),
        metric=study.metric,
        direction="maximize" if study.maximize else "minimize",
        strategy="random",
        seed=study.seed + 1,  # weights and orders are others than those of the study's own trials
        storage=study.storage,
        **{name: getattr(study, name) for name in WAYS_TO_RUN}
        | {"keep": 1, "mlflow": study.tracking and replace(study.tracking, register=None, alias=None, report=False)}
        | options,
    )
    again.enqueue(*configurations)
    again.run(trials=len(configurations))
    trials = again.trials
    return again, [next(trial for trial in trials if trial.params == params) for params in configurations]


def retrain(study: Study, *, replicates: int = 5, **options: Any) -> Trial:
    """Trains the best configuration again, `replicates` times; returns the trial: its value is the mean.

    Says how much of the best value was luck: it is the greatest of many, and of one training each.
    """
    _, (trial,) = trained_again(study, [study.best.params], "retrained", replicates=replicates, **options)
    return trial


def _space_of(configurations: Sequence[Configuration]) -> Space:
    """Returns the smallest space that has these configurations."""
    found: dict[str, Any] = {}
    for name in configurations[0]:
        values = list(dict.fromkeys(params[name] for params in configurations))
        found[name] = values[0] if len(values) == 1 else Choice(values)
    return Space(found)
