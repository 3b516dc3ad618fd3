"""What a model takes, and whether that is what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..data.arrays import as_array
from ..data.columns import Category, Column, describe, encode_columns, restore, with_gaps
from ..data.frames import is_frame, typed
from ..data.preparation import Preparation
from ..data.readers.pairs import channels_first
from ..data.source import check_inputs

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class InputSpec:
    """The shape and dtype of an example as the data's source has it; of a table the columns that are read."""

    shape: tuple[int, ...]
    dtype: str
    columns: tuple[Column, ...] | None = None

    @classmethod
    def of(cls, preparation: Preparation) -> InputSpec:
        """Returns what a network whose inputs are prepared so takes."""
        return cls(preparation.raw_shape or preparation.in_shape, preparation.dtype, preparation.columns)

    def describe(self) -> dict[str, Any]:
        """Returns it as JSON: `from_description` gives it back."""
        columns = None if self.columns is None else [describe(column) for column in self.columns]
        return {"shape": list(self.shape), "dtype": self.dtype, "columns": columns}

    @classmethod
    def from_description(cls, described: dict[str, Any]) -> InputSpec:
        """Returns what `describe` described."""
        columns = described["columns"]
        restored = None if columns is None else tuple(restore(column) for column in columns)
        return cls(tuple(described["shape"]), described["dtype"], restored)

    @property
    def image(self) -> tuple[int, int, int] | None:
        """The shape (C, H, W) of images of bytes, as files hold them; None if examples are no such images."""
        shape = (1, *self.shape) if len(self.shape) == 2 else self.shape
        return (
            (shape[0], shape[1], shape[2]) if self.dtype == "uint8" and len(shape) == 3 and shape[0] in (1, 3) else None
        )

    @property
    def rows(self) -> str:
        """The shape of rows of examples, as errors tell it: "(n, 1, 28, 28)"."""
        return f"(n, {', '.join(map(str, self.shape))})"

    @property
    def text(self) -> frozenset[str]:
        """The names of a table's columns that hold text."""
        return frozenset(column.name for column in self.columns or () if isinstance(column, Category) and column.text)

    def taken(self, inputs: Any) -> NDArray[Any]:
        """Returns inputs as an array (n, *shape), of whatever dtype; a table's encoded, float64, with NaN for gaps.

        Raises DataError where they are of another kind or shape, lack a column, or hold what is no number.
        """
        if self.columns is not None:
            return self._encoded(inputs)
        array = as_array(inputs, "inputs")
        if array.dtype.kind not in "biuf":
            raise DataError(f"Inputs must be numbers, as in training, but got {array.dtype}.")
        array = self._shaped(array)
        check_inputs(array)
        return array

    def cast(self, rows: NDArray[Any], first: int = 0) -> NDArray[Any]:
        """Returns rows of inputs in the dtype that the model takes; `first` is the place of the first one, for errors.

        Raises DataError where numbers don't fit: fractions where there were whole numbers, or greater ones.
        """
        if np.can_cast(rows.dtype, self.dtype, "same_kind") and np.dtype(self.dtype).kind not in "ui":
            return np.array(rows, dtype=self.dtype, order="C")  # a copy: a network may work in place
        with np.errstate(invalid="ignore"):
            cast = rows.astype(self.dtype, order="C")
        differs = cast != rows
        if differs.any():
            row = int(differs.reshape(len(rows), -1).any(axis=1).argmax())
            value = rows[row][differs[row]].flat[0]
            raise DataError(f"Inputs must be {self.dtype}, as in training, but row {first + row} has {value}.")
        return cast

    def unknown(self, table: DataFrame) -> dict[str, list[str]]:
        """Returns the values in a table that `taken` lets through, and takes as missing, by the names of their columns.

        These are in columns of text or booleans, and were never seen in training, or were rare there.
        """
        frame = self._typed(table)
        found = {
            column.name: column.unknown(frame[column.name])
            for column in self.columns or ()
            if isinstance(column, Category)
        }
        return {name: values for name, values in found.items() if values}

    def _shaped(self, array: NDArray[Any]) -> NDArray[Any]:
        """Returns the array as (n, *shape): images with or without their one channel, wherever the channels stand."""
        for rows in (array, channels_first(array)):
            if rows.shape[1:] == self.shape:
                return rows
            if self._alone(rows.shape[1:]) == self._alone(self.shape):
                return rows.reshape(len(rows), *self.shape)
        raise DataError(f"Inputs must be of shape {self.rows}, but got {array.shape}.")

    @staticmethod
    def _alone(shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, *shape) if len(shape) == 2 else shape

    def _encoded(self, inputs: Any) -> NDArray[np.float64]:
        if isinstance(inputs, np.ndarray) and inputs.shape[1:] == self.shape and inputs.dtype.kind in "fiu":
            return inputs.astype(np.float64)
        if not is_frame(inputs):
            raise DataError(
                f"Inputs must be a table with the columns of training, or its {self.shape[0]} encoded columns, but got "
                f"{type(inputs).__name__}."
            )
        return encode_columns(self._gapped, self._typed(inputs))

    def _typed(self, table: DataFrame) -> DataFrame:
        """Returns those of the table's columns that training had, with dates as dates."""
        frame = table.rename(columns=str)
        names = [column.name for column in self._gapped]
        frame = frame[[name for name in names if name in frame.columns]]
        numbers = typed(frame[[name for name in frame.columns if name not in self.text]])
        return frame.assign(**{str(name): numbers[name] for name in numbers.columns})

    @cached_property
    def _gapped(self) -> tuple[Column, ...]:
        return with_gaps(self.columns or ())
