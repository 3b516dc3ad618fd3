"""Metrics: what a study maximizes or minimizes. Each takes a network's outputs and the targets of a whole split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from ..errors import SettingsError, suggestion

Function = Callable[[Tensor, Tensor], Any]


@dataclass(frozen=True)
class Metric:
    """A named function of outputs and targets; `maximize` is None where only the user can know."""

    name: str
    function: Function
    maximize: bool | None = None
    task: str | None = None

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        """Returns the metric of outputs (N, classes) or (N, 1) and targets (N,) or (N, 1) as a float."""
        return float(self.function(outputs, targets))


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the share of rows whose highest output is the target's: outputs (N, classes), targets (N,)."""
    return (outputs.argmax(dim=1) == targets).double().mean()


def rmse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the root of the mean squared error."""
    return (outputs.double() - targets.double()).square().mean().sqrt()


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean absolute error."""
    return (outputs.double() - targets.double()).abs().mean()


def r2(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the coefficient of determination, 1 - residual / total sum of squares."""
    residual = (targets.double() - outputs.double()).square().sum()
    total = (targets.double() - targets.double().mean()).square().sum()
    return 1 - residual / total


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean negative log-likelihood: outputs are logits (N, classes), targets (N,)."""
    return F.cross_entropy(outputs.double(), targets)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, maximize=True, task="classification"),
        Metric("cross_entropy", cross_entropy, maximize=False, task="classification"),
        Metric("r2", r2, maximize=True, task="regression"),
        Metric("rmse", rmse, maximize=False, task="regression"),
        Metric("mae", mae, maximize=False, task="regression"),
    )
}


def metric_for(given: str | Function | None, task: str) -> Metric:
    """Returns the metric of that name or function; None means the task's own (accuracy or r2).

    Raises SettingsError if the name is unknown, or the metric belongs to another task.
    """
    if given is None:
        given = "accuracy" if task == "classification" else "r2"
    if not isinstance(given, str):
        return Metric(getattr(given, "__name__", "metric").strip("<>"), given)
    if given not in METRICS:
        raise SettingsError(f"no metric is called `{given}`. {suggestion(given, METRICS)}")
    metric = METRICS[given]
    if metric.task != task:
        fitting = [name for name, other in METRICS.items() if other.task == task]
        raise SettingsError(f"`{given}` is a metric for {metric.task}, but this is {task}; take one of {fitting}")
    return metric
