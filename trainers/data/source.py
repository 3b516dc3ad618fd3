"""What every source of examples becomes: inputs, targets, and the names of the classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

Inputs: TypeAlias = "NDArray[Any] | DataFrame"
Task: TypeAlias = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Data:
    """Examples as their source holds them, before any split or preparation.

    `inputs` is an array of numbers (n, ...), images with their channels first, or a table of n rows. `targets` (n,) are
    class indices (int64), or float32 when `classes` is None: then the task is regression. The last `test` rows are the
    source's own test set.

    `groups` (n,) are rows that belong together, and so to one part of a split; `order` (n,) is when a row was, and a
    split by time puts what was later into validation and test.

    An array of inputs may be a memory map: it is checked, hashed and prepared in chunks.

    Raises `DataError` where inputs, targets, groups or order differ in length, where an array isn't of finite numbers,
    where a table holds an infinite one, and where targets don't fit the classes.

    >>> data = Data("two", np.array([[0.0], [1.0]]), np.array([0, 1]), classes=("no", "yes"))
    >>> len(data), data.task
    (2, 'classification')
    """

    name: str
    inputs: Inputs = field(repr=False)
    targets: NDArray[Any] = field(repr=False)
    classes: tuple[str, ...] | None
    test: int = 0
    groups: NDArray[np.int64] | None = field(default=None, repr=False)
    order: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_inputs(self.inputs)
        if len(self.inputs) != len(self.targets):
            raise DataError(
                f"Inputs and targets must be of one length, but `{self.name}` has {len(self.inputs)} inputs "
                f"and {len(self.targets)} targets."
            )
        if not 0 <= self.test < len(self):
            raise DataError(f"`0 <= test < n` must hold for `{self.name}`, but got test={self.test}, n={len(self)}.")
        if self.classes is None:
            if self.targets.dtype != np.float32:
                raise DataError(f"Targets of a regression must be float32, but `{self.name}` has {self.targets.dtype}.")
            _check_finite(self.targets, "targets")
        elif self.targets.dtype != np.int64 or self.targets.min() < 0 or self.targets.max() >= len(self.classes):
            raise DataError(
                f"Targets of `{self.name}` must be int64 indices of its {len(self.classes)} classes, "
                f"but are {self.targets.dtype}, {self.targets.min()} to {self.targets.max()}."
            )
        for what, values, dtype in (("groups", self.groups, np.int64), ("order", self.order, np.float64)):
            if values is not None and (values.dtype != dtype or values.shape != (len(self),)):
                raise DataError(
                    f"`{what}` of `{self.name}` must be {np.dtype(dtype)} of shape ({len(self)},), one for each row, "
                    f"but got {values.dtype} of shape {values.shape}."
                )
        if self.order is not None:
            _check_finite(self.order, "the values of `order`")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def task(self) -> Task:
        """What is to be predicted: a class or a number."""
        return "regression" if self.classes is None else "classification"

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hexadecimal of all that tells examples apart: inputs, targets, classes, groups and order."""
        sha = hashlib.sha256(json.dumps(self.classes).encode())
        for part in (*_parts(self.inputs), self.targets):
            _update(sha, part)
        for what, values in (("groups", self.groups), ("order", self.order)):
            if values is not None:
                _update(sha, what)
                _update(sha, values)
        return sha.hexdigest()

    def rows(self, indices: NDArray[np.int64]) -> Inputs:
        """The inputs at these rows, in their order."""
        return self.inputs[indices] if isinstance(self.inputs, np.ndarray) else self.inputs.iloc[indices]


def check_inputs(inputs: Inputs) -> None:
    """Raises `DataError` unless an array holds finite numbers (n, ...), or a table no infinite ones."""
    if isinstance(inputs, np.ndarray):
        if inputs.dtype.kind not in "biuf":
            raise DataError(f"Inputs must be numbers, but their dtype is {inputs.dtype}.")
        if inputs.ndim < 2 or inputs.size == 0:
            raise DataError(f"Inputs must be of shape (n, ...) with at least one value each, but got {inputs.shape}.")
        _check_finite(inputs, "inputs")
        return
    for name, column in inputs.items():
        if column.dtype.kind == "f":
            _check_finite(column.fillna(0).to_numpy(), f"the numbers of column `{name}`")


def chunks(rows: int, values: int) -> Iterator[slice]:
    """Yields slices that cover `rows` rows of `values` values each, about a million values (at least a row) a slice."""
    step = max(1, 2**20 // max(1, values))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def chunks_of(array: NDArray[Any]) -> Iterator[slice]:
    """Yields slices of an array's rows (n, ...), as `chunks` does."""
    return chunks(len(array), array.size // max(1, len(array)))


def _check_finite(values: NDArray[Any], what: str) -> None:
    """Raises `DataError` naming the first row that holds NaN or an infinite number. values: (n, ...)."""
    if values.dtype.kind != "f":
        return
    for rows in chunks_of(values):
        finite = np.isfinite(values[rows])
        if not finite.all():
            row = rows.start + int(np.argmin(finite.reshape(len(finite), -1).all(axis=1)))
            raise DataError(f"All values must be finite, but {what} hold NaN or infinity, first in row {row}.")


def _update(sha: hashlib._Hash, part: NDArray[Any] | str) -> None:
    if isinstance(part, str):
        sha.update(part.encode())
        return
    sha.update(f"{part.dtype.str}{part.shape}".encode())
    for rows in chunks_of(part):
        sha.update(np.ascontiguousarray(part[rows]).reshape(-1).view(np.uint8).data)


def _parts(inputs: Inputs) -> Iterator[NDArray[Any] | str]:
    """Yields the inputs' content: an array as it is, a table as each column's name and values."""
    if isinstance(inputs, np.ndarray):
        yield inputs
        return
    for name, column in inputs.items():
        yield str(name)
        if column.dtype.kind in "iuf":
            yield column.to_numpy(np.float64, na_value=np.nan)
        elif column.dtype.kind == "M":
            yield column.to_numpy("datetime64[us]").view(np.int64)
        else:
            yield json.dumps(column.tolist(), default=str)
