"""What of a trial, and of the study, becomes metrics and parameters of a run, in MLflow's own form."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..trial import ENDED, EPOCH, STATES, Trial
from .names import OBJECTIVE, REPORTED

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param
    from optuna.trial import FrozenTrial

    from ...spaces import Space

LONGEST_PARAMETER = 6000  # characters that MLflow takes


def epoch_metrics(frozen: FrozenTrial, after: int) -> tuple[list[Metric], int]:
    """Returns the metrics of the epochs after that one, each with its own step and time, and the last epoch."""
    from mlflow.entities import Metric

    metrics, last = [], after
    for epoch, value in sorted(frozen.intermediate_values.items()):
        entry = frozen.system_attrs.get(f"{EPOCH}{epoch}") if epoch > after else None
        if entry is None:  # known, or the epoch is about to be recorded
            continue
        at = round(entry["at"] * 1000)
        named = entry["metrics"] or {REPORTED: value}
        metrics += [Metric(name, finite(number), at, epoch) for name, number in named.items()]
        last = epoch
    return metrics, last


def ending_metrics(trial: Trial, frozen: FrozenTrial, further: Sequence[str]) -> list[Metric]:
    """Returns what is known at a trial's end; `objective` stands at the step of its best epoch, and so do those after
    the first as `objective.parameters`, ..."""
    from mlflow.entities import Metric

    at = milliseconds(frozen)
    known = {OBJECTIVE: trial.value, "duration": trial.seconds, "parameters": trial.parameters, "epochs": trial.epochs}
    known |= {f"{OBJECTIVE}.{name}": value for name, value in zip(further, trial.values[1:], strict=False)}
    step = trial.best_epoch or trial.epochs
    return [Metric(name, finite(value), at, step) for name, value in known.items() if value is not None]


def progress_metrics(ended: Sequence[FrozenTrial], *, maximize: bool) -> list[Metric]:
    """Returns how far the study has come, at the step of how many trials have ended: their states, the best value."""
    from mlflow.entities import Metric

    if not ended:
        return []
    states = [STATES[frozen.state.name] for frozen in ended]
    known = {f"trials/{state}": float(states.count(state)) for state in ENDED}
    values = [frozen.values[0] for frozen, state in zip(ended, states, strict=True) if state == "complete"]
    if values:
        known[OBJECTIVE] = (max if maximize else min)(values)
    at = max(map(milliseconds, ended))
    return [Metric(name, finite(value), at, len(ended)) for name, value in known.items()]


def parameters(values: Mapping[str, Any], prefix: str = "") -> list[Param]:
    """Returns values as MLflow's parameters, which are text."""
    from mlflow.entities import Param

    return [Param(f"{prefix}{name}", str(value)[:LONGEST_PARAMETER]) for name, value in values.items()]


def logarithms(space: Space, params: Mapping[str, Any]) -> dict[str, float]:
    """Returns the logarithms of what is searched on a log scale: the axes of MLflow's charts are linear."""
    scaled = (name for name, parameter in space.parameters.items() if getattr(parameter, "log", False))
    return {name: math.log10(params[name]) for name in scaled if name in params}


def milliseconds(frozen: FrozenTrial) -> int:
    """Returns when a trial ended, in MLflow's unit."""
    return round((frozen.datetime_complete.timestamp() if frozen.datetime_complete else time.time()) * 1000)


def finite(value: float | None) -> float:
    """Returns a number that MLflow keeps: of infinity the largest there is."""
    number = float(value) if value is not None else math.nan
    return math.copysign(sys.float_info.max, number) if math.isinf(number) else number
