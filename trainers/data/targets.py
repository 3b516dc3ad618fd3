"""What the targets mean: classes to tell apart, or a number to predict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .source import Task

MOST_CLASSES = 100
"""Whole numbers with more distinct values than this are taken for quantities."""


def encode(targets: NDArray[Any], task: Task | None = None) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Returns the targets as a loss wants them, and their classes.

    targets: (n,) or (n, 1) numbers, booleans or text. Classification gives int64 indices (n,) into the sorted distinct
    values; regression gives float32 (n,) and None. Without a task it is inferred (`infer_task`).

    Raises `DataError` for another shape, a missing target, a single class, and text that should be numbers: where the
    task isn't given, and most targets are numbers of a regression, one that is text.

    >>> encode(np.array(["spam", "ham", "spam", "ham"]))
    (array([1, 0, 1, 0]), ('ham', 'spam'))
    """
    targets = _flat(targets)
    if (task or infer_task(targets)) == "regression":
        if targets.dtype.kind not in "biuf":
            row = int(np.argmin(_numbers(targets)))
            raise DataError(f"Targets of a regression must be numbers, but got {str(targets[row])!r:.60} in row {row}.")
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which `Data` refuses by its row
            return targets.astype(np.float32), None
    if task is None and targets.dtype.kind == "U":
        _check_text(targets)
    values, indices = np.unique(targets, return_inverse=True)
    if len(values) < 2:
        raise DataError(f"A classification needs at least two classes, but all targets are `{values[0]}`.")
    return indices.astype(np.int64), tuple(str(value) for value in values)


def infer_task(targets: NDArray[Any]) -> Task:
    """Returns the task these targets (n,) suggest.

    Text and booleans are classes. So are whole numbers of at most `MOST_CLASSES` distinct values that occur twice or
    more on average. All else is regression.
    """
    if targets.dtype.kind in "Ub":
        return "classification"
    if targets.dtype.kind == "f":
        return "regression"
    distinct = len(np.unique(targets))
    return "classification" if distinct <= min(MOST_CLASSES, len(targets) / 2) else "regression"


def _check_text(targets: NDArray[np.str_]) -> None:
    """Raises `DataError` where most are numbers of a regression, and so the others won't be classes."""
    numbers = _numbers(targets)
    if numbers.mean() <= 0.5 or numbers.all():
        return
    if infer_task(_flat(targets[numbers].astype(np.float64))) == "regression":
        row = int(np.argmin(numbers))
        raise DataError(
            f"Most targets are numbers to predict, but row {row} has {str(targets[row])!r:.60}. Correct it or leave "
            'the row out; or say task="classification" if all are names of classes.'
        )


def _numbers(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns where a text is a finite number: (n,)."""

    def is_number(text: str) -> bool:
        try:
            return math.isfinite(float(text))
        except ValueError:
            return False

    return np.array([is_number(text) for text in targets.tolist()])


def _flat(targets: NDArray[Any]) -> NDArray[Any]:
    """Returns the targets as (n,) numbers, booleans or text without gaps; floats without fractions as integers."""
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim != 1 or len(targets) == 0:
        raise DataError(f"Targets must be of shape (n,) or (n, 1) with n > 0, but got {targets.shape}.")
    if (missing := _missing(targets)).any():
        raise DataError(
            f"Every example needs a target, but {missing.sum()} have none, first in row {missing.argmax()}."
        )
    if targets.dtype.kind == "f" and (targets == np.rint(targets)).all() and np.abs(targets).max() < 2**53:
        return targets.astype(np.int64)
    if targets.dtype.kind in "biuf":
        return targets
    try:
        return targets.astype(np.str_)
    except UnicodeDecodeError as error:
        raise DataError(f"Targets that are bytes must be ASCII, but {error.object!r:.60} isn't.") from error


def _missing(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns where a target is NaN, None or pandas' NA: (n,)."""
    if targets.dtype.kind == "O":
        import pandas

        return np.asarray(pandas.isna(targets))
    return np.isnan(targets) if targets.dtype.kind == "f" else np.zeros(len(targets), dtype=bool)
