"""From a source's inputs to what a network takes: fitted on the training rows, applied to all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DataError
from .columns import Category, Column, Number, encode_columns, fit_columns
from .source import Inputs, check_inputs


@dataclass(frozen=True, eq=False)
class Preparation:
    """Standardisation of inputs by the mean and the deviation of the training rows.

    Arrays (n, F) are standardised per feature, images (n, C, H, W) per channel; (n, H, W) becomes (n, 1, H, W), one
    channel. What was constant in training is centred only. Tables are encoded first: numbers with the median in place
    of missing ones, text and booleans one-hot and left so (`columns`).

    >>> preparation = Preparation.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> preparation.apply(np.array([[2.0, 6.0]]))
    tensor([[0., 1.]])
    """

    in_shape: tuple[int, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    columns: tuple[Column, ...] | None = None

    @classmethod
    def fit(cls, inputs: Inputs) -> Preparation:
        """Returns the preparation fitted on the training rows' inputs (n, ...)."""
        columns = None if isinstance(inputs, np.ndarray) else fit_columns(inputs)
        values = _as_numbers(inputs, columns)
        mean, scale = _moments(values)
        if columns is not None:
            one_hot = np.concatenate([_is_one_hot(column) for column in columns])
            mean[one_hot], scale[one_hot] = 0.0, 1.0
        return cls(values.shape[1:], mean, scale, columns)

    def apply(self, inputs: Inputs) -> torch.Tensor:
        """Returns inputs as a network takes them: float32 (n, *in_shape).

        Raises `DataError` where the inputs aren't of the shape, or lack a column, that the training rows had.
        """
        check_inputs(inputs)
        values = _as_numbers(inputs, self.columns)
        if values.shape[1:] != self.in_shape:
            raise DataError(f"Each input must be of shape {self.in_shape} as in training, but got {values.shape[1:]}.")
        mean, scale = _along_channels(self.mean, values), _along_channels(self.scale, values)
        prepared = np.empty(values.shape, dtype=np.float32)
        for rows in _chunks(values):
            prepared[rows] = (values[rows] - mean) / scale
        return torch.from_numpy(prepared)

    def describe(self) -> dict[str, Any]:
        """Returns the preparation as JSON-able values, exact: `from_description` gives it back."""
        return {
            "in_shape": list(self.in_shape),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "columns": None if self.columns is None else [_describe(column) for column in self.columns],
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Preparation:
        """Returns the preparation that `describe` described."""
        columns = description["columns"]
        return cls(
            tuple(description["in_shape"]),
            np.array(description["mean"], dtype=np.float64),
            np.array(description["scale"], dtype=np.float64),
            None if columns is None else tuple(_restore(column) for column in columns),
        )


def _as_numbers(inputs: Inputs, columns: tuple[Column, ...] | None) -> NDArray[Any]:
    """Returns inputs as (n, C, ...) numbers."""
    if (columns is None) != isinstance(inputs, np.ndarray):
        raise DataError("Inputs must be a table where the training had a table, and an array where it had an array.")
    if isinstance(inputs, np.ndarray):
        return inputs[:, None] if inputs.ndim == 3 else inputs
    assert columns is not None
    return encode_columns(columns, inputs)


def _moments(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the mean and the standard deviation (C,) of values (n, C, ...); the deviation of constants is 1."""
    axes = (0, *range(2, values.ndim))
    mean = values.mean(axis=axes, dtype=np.float64)
    squares = sum(((values[rows] - _along_channels(mean, values)) ** 2).sum(axis=axes) for rows in _chunks(values))
    scale = np.sqrt(squares / (values.size / len(mean)))
    scale[values.min(axis=axes) == values.max(axis=axes)] = 1.0
    return mean, scale


def _along_channels(numbers: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.float64]:
    """Returns numbers (C,) in a shape that broadcasts over values (n, C, ...)."""
    return numbers.reshape(-1, *(1,) * (values.ndim - 2))


def _chunks(values: NDArray[Any]) -> Iterator[slice]:
    """Yields slices of rows of about a million values: float64 arithmetic without a float64 copy of everything."""
    step = max(1, 2**20 * len(values) // values.size)
    return (slice(start, start + step) for start in range(0, len(values), step))


def _is_one_hot(column: Column) -> NDArray[np.bool_]:
    return np.full(len(column.categories), True) if isinstance(column, Category) else np.array([False])


def _describe(column: Column) -> dict[str, Any]:
    if isinstance(column, Number):
        return {"name": column.name, "median": column.median}
    return {"name": column.name, "categories": list(column.categories)}


def _restore(description: dict[str, Any]) -> Column:
    if "median" in description:
        return Number(description["name"], description["median"])
    return Category(description["name"], tuple(description["categories"]))
