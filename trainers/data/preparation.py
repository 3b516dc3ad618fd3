"""From a source's inputs to what a network takes: fitted on the training rows, applied to all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DataError
from .columns import Column, describe, encode_columns, fit_columns, refit_columns, restore
from .source import Inputs, check_inputs, chunks

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Preparation:
    """Standardisation of inputs by the mean and the deviation of the training rows.

    Arrays (n, F) are standardised per feature, images (n, C, H, W) per channel; (n, H, W) becomes (n, 1, H, W), one
    channel. What was constant in training is centred only. Tables are encoded first (`columns`): numbers and dates
    with the median in place of missing ones; text, booleans and what tells gaps as zeros and ones, and left so.
    `raw_shape` and `dtype` are of an example as the source holds it, or as a table's encoded row.

    >>> preparation = Preparation.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> preparation.apply(np.array([[2.0, 6.0]]))
    tensor([[0., 1.]])
    """

    in_shape: tuple[int, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    columns: tuple[Column, ...] | None = None
    raw_shape: tuple[int, ...] | None = None
    dtype: str = "float64"

    @classmethod
    def fit(cls, inputs: Inputs, rows: Rows | None = None, like: Preparation | None = None) -> Preparation:
        """Returns the preparation fitted on the training rows' inputs (n, ...), or on those `rows` of all inputs.

        With `rows` a memory map is read in chunks, and never as a whole. A table gets the columns and categories that
        the preparation `like` has, so that folds have inputs of one shape.
        """
        columns = None
        if not isinstance(inputs, np.ndarray):
            table = inputs if rows is None else inputs.iloc[rows]
            columns = refit_columns(like.columns, table) if like and like.columns else fit_columns(table)
        mean, scale, in_shape = _moments(_blocks(inputs, rows, columns))
        if columns is not None:
            plain = np.array([not one for column in columns for one in column.standardised])
            mean[plain], scale[plain] = 0.0, 1.0
        if isinstance(inputs, np.ndarray):
            return cls(in_shape, mean, scale, None, inputs.shape[1:], inputs.dtype.name)
        return cls(in_shape, mean, scale, columns, in_shape)

    def apply(self, inputs: Inputs, rows: Rows | None = None) -> torch.Tensor:
        """Returns inputs, or those `rows` of the inputs of a `Data`, as a network takes them: float32 (n, *in_shape).

        Raises `DataError` where the inputs aren't of the shape, or lack a column, that the training rows had.
        """
        if rows is None:
            check_inputs(inputs)  # those of a `Data` are checked
        prepared = np.empty((len(inputs) if rows is None else len(rows), *self.in_shape), dtype=np.float32)
        start = 0
        for values in _blocks(inputs, rows, self.columns):
            if values.shape[1:] != self.in_shape:
                raise DataError(
                    f"Each input must be of shape {self.in_shape} as in training, but got {values.shape[1:]}."
                )
            stop = start + len(values)
            prepared[start:stop] = (values - _along(self.mean, values)) / _along(self.scale, values)
            start = stop
        return torch.from_numpy(prepared)

    def describe(self) -> dict[str, Any]:
        """Returns the preparation as JSON-able values, exact: `from_description` gives it back."""
        return {
            "in_shape": list(self.in_shape),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "columns": None if self.columns is None else [describe(column) for column in self.columns],
            "raw_shape": list(self.raw_shape or self.in_shape),
            "dtype": self.dtype,
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Preparation:
        """Returns the preparation that `describe` described."""
        columns = description["columns"]
        return cls(
            tuple(description["in_shape"]),
            np.array(description["mean"], dtype=np.float64),
            np.array(description["scale"], dtype=np.float64),
            None if columns is None else tuple(restore(column) for column in columns),
            tuple(description.get("raw_shape", description["in_shape"])),  # older descriptions lack these two
            description.get("dtype", "float64"),
        )


def _blocks(inputs: Inputs, rows: Rows | None, columns: tuple[Column, ...] | None) -> Iterator[NDArray[Any]]:
    """Yields the inputs, or those rows of them, as blocks of numbers (b, C, ...), about a million values each."""
    if (columns is None) != isinstance(inputs, np.ndarray):
        raise DataError("Inputs must be a table where the training had a table, and an array where it had an array.")
    count = len(inputs) if rows is None else len(rows)
    if isinstance(inputs, np.ndarray):
        for part in chunks(count, inputs.size // max(1, len(inputs))):
            block = inputs[part if rows is None else rows[part]]
            yield block[:, None] if block.ndim == 3 else block
        return
    assert columns is not None
    for part in chunks(count, sum(len(column.standardised) for column in columns)):
        yield encode_columns(columns, inputs.iloc[part if rows is None else rows[part]])


def _moments(
    blocks: Iterator[NDArray[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, ...]]:
    """Returns the mean and the standard deviation (C,) of values (n, C, ...), and their shape without n.

    The deviation of constants is 1. Blocks are read once and merged by the formula of Chan, Golub and LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    mean = squares = least = most = np.zeros(0)
    count, in_shape = 0, (0,)
    for block in blocks:
        axes = (0, *range(2, block.ndim))
        size = block.size // block.shape[1]
        own = block.mean(axis=axes, dtype=np.float64)
        own_squares = ((block - _along(own, block)) ** 2).sum(axis=axes)
        low, high = block.min(axis=axes), block.max(axis=axes)
        if count:
            gap, whole = own - mean, count + size
            squares = squares + own_squares + gap**2 * (count * size / whole)
            mean = mean + gap * (size / whole)
            least, most = np.minimum(least, low), np.maximum(most, high)
        else:
            mean, squares, least, most, in_shape = own, own_squares, low, high, block.shape[1:]
        count += size
    scale = np.sqrt(squares / count)
    scale[least == most] = 1.0
    return mean, scale, in_shape


def _along(numbers: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.float64]:
    """Returns numbers (C,) in a shape that broadcasts over values (n, C, ...)."""
    return numbers.reshape(-1, *(1,) * (values.ndim - 2))
