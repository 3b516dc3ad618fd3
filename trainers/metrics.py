"""Metrics: what a study maximizes or minimizes. Each takes a network's outputs and the targets of a whole split.

They are computed in float64 on the device of their arguments, as scikit-learn defines them. Where an output is NaN, so
is the metric: a trial whose network broke down fails, and never counts as one that guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SettingsError, suggestion

Function = Callable[[Tensor, Tensor], Any]
CLASSES_AT_ONCE = 64  # whose rows `auc` ranks together: what it needs of memory, per row


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
    """Returns the share of rows whose highest output is the target's: outputs (N, classes), targets (N,).

    Of equal outputs the first class's counts as the highest, here and in the metrics below.

    >>> METRICS["accuracy"](torch.tensor([[0.1, 0.9], [0.2, 0.8]]), torch.tensor([1, 0]))
    0.5
    """
    return _unless_nan(outputs, (outputs.argmax(dim=1) == targets).double().mean())


def balanced_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean over classes of the share of a class's rows that are told as such; arguments as for `accuracy`.

    A class without rows doesn't count.

    >>> METRICS["balanced_accuracy"](torch.tensor([[0.9, 0.1]] * 4), torch.tensor([0, 0, 0, 1]))
    0.5
    """
    hits, rows, _ = _counts(outputs, targets)
    return _unless_nan(outputs, (hits / rows)[rows > 0].mean())


def f1(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the macro F1, the mean over classes of 2 hits / (rows + predictions); arguments as for `accuracy`.

    With two classes too it is the mean of both, so it doesn't matter which is called the positive one. A class that
    is neither a row's target nor its prediction doesn't count; one that is only predicted counts as 0.

    >>> METRICS["f1"](torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1]))
    1.0
    """
    hits, rows, predictions = _counts(outputs, targets)
    either = rows + predictions
    return _unless_nan(outputs, (2 * hits / either)[either > 0].mean())


def auc(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the area under the ROC curve: outputs are logits (N, classes), targets (N,).

    It is the chance that of two rows, one of the class and one not, the one of the class has the higher score; equal
    scores count as half (Mann-Whitney). The score of two classes is the second's logit less the first's. Of more
    classes it is the softmax, each class against the rest, and their mean is returned; a class without rows doesn't
    count. NaN where all rows are of one class.

    >>> METRICS["auc"](torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]), torch.tensor([0, 1, 1]))
    1.0
    """
    outputs, classes = outputs.double(), torch.arange(outputs.shape[1], device=outputs.device)
    if len(classes) == 2:
        scores, classes = outputs[:, 1:] - outputs[:, :1], classes[1:]
    else:
        scores = outputs.log_softmax(dim=1)  # ordered as the softmax is, and never rounded down to ties at 0
    blocks = zip(torch.split(scores, CLASSES_AT_ONCE, dim=1), torch.split(classes, CLASSES_AT_ONCE), strict=True)
    areas = torch.cat([_areas(block, targets[:, None] == of) for block, of in blocks])
    return _unless_nan(scores, areas.nanmean())


def top5(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the share of rows whose target is among the five highest outputs: outputs (N, classes), targets (N,).

    With five classes or fewer it is 1. Of equal outputs the first classes' count as the highest.

    >>> METRICS["top5"](torch.arange(6.0).expand(2, 6), torch.tensor([0, 1]))
    0.5
    """
    own, classes = outputs.gather(1, targets[:, None]), torch.arange(outputs.shape[1], device=outputs.device)
    ahead = (outputs > own) | ((outputs == own) & (classes < targets[:, None]))
    return _unless_nan(outputs, (ahead.sum(dim=1) < 5).double().mean())


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean negative log-likelihood: outputs are logits (N, classes), targets (N,)."""
    return F.cross_entropy(outputs.double(), targets)


def r2(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the coefficient of determination, 1 - residual / total sum of squares: both (N, 1).

    Where all targets are equal it is 1 if the outputs are those targets, else 0; NaN for a single row.

    >>> METRICS["r2"](torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[1.0], [2.0], [3.0]]))
    0.5
    """
    if len(targets) < 2:
        return targets.new_full((), torch.nan, dtype=torch.float64)
    residual, targets = _errors(outputs, targets).square().sum(), targets.double()
    total = (targets - targets.mean()).square().sum()
    constant = _unless_nan(residual, (residual == 0).double())
    return torch.where((targets == targets[0]).all(), constant, 1 - residual / total)


def rmse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the root of the mean squared error: both (N, 1)."""
    return _errors(outputs, targets).square().mean().sqrt()


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean absolute error: both (N, 1)."""
    return _errors(outputs, targets).abs().mean()


METRICS = {
    metric.name: metric
    for metric in (  # each task's default first
        Metric("accuracy", accuracy, maximize=True, task="classification"),
        Metric("balanced_accuracy", balanced_accuracy, maximize=True, task="classification"),
        Metric("f1", f1, maximize=True, task="classification"),
        Metric("auc", auc, maximize=True, task="classification"),
        Metric("top5", top5, maximize=True, task="classification"),
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
        given = next(name for name, metric in METRICS.items() if metric.task == task)
    if not isinstance(given, str):
        return Metric(getattr(given, "__name__", "metric").strip("<>"), given)
    if given not in METRICS:
        raise SettingsError(f"no metric is called `{given}`. {suggestion(given, METRICS)}")
    metric = METRICS[given]
    if metric.task != task:
        fitting = [name for name, other in METRICS.items() if other.task == task]
        raise SettingsError(
            f"`{given}` is a metric for {metric.task}, but this is {task}; take `{'`, `'.join(fitting)}`"
        )
    return metric


def _unless_nan(outputs: Tensor, value: Tensor) -> Tensor:
    """Returns the value (), or NaN if any output is: an argmax or a comparison would hide it."""
    return torch.where(outputs.isnan().any(), torch.nan, value)


def _counts(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns of each class how many rows are rightly told, are its own, and are told as such: float64 (3, classes)."""
    told, classes = outputs.argmax(dim=1), outputs.shape[1]
    which = (targets[told == targets], targets, told)
    return torch.stack([torch.bincount(rows, minlength=classes) for rows in which]).double()


def _areas(scores: Tensor, own: Tensor) -> Tensor:
    """Returns the area under each class's ROC curve, (classes,): scores float64 (N, classes), own bool (N, classes).

    NaN for a class that all rows are of, or none.
    """
    columns, own = scores.T.contiguous(), own.T
    ordered = columns.sort(dim=1).values
    below, upto = torch.searchsorted(ordered, columns), torch.searchsorted(ordered, columns, right=True)
    twice_the_ranks = ((below + upto + 1) * own).sum(dim=1)  # of equal scores each has their mean rank
    many = own.sum(dim=1)
    return (twice_the_ranks - many * (many + 1)) / (2 * many * (own.shape[1] - many)).double()


def _errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns by how much outputs (N, 1) exceed targets (N, 1) or (N,), in float64."""
    return outputs.double() - targets.double().reshape(outputs.shape)
