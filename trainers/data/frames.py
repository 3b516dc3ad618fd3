"""Data frames whose columns are of known types: numbers, booleans, text, dates."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .dates import as_dates, looks_like_date

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_SAMPLE = 100
_MOSTLY = 0.95


def is_frame(inputs: Any) -> bool:
    """Tells whether inputs are a data frame, without importing pandas."""
    return hasattr(inputs, "iloc") and getattr(inputs, "ndim", 0) == 2


def typed(frame: DataFrame) -> DataFrame:
    """Returns a table with text names, and dates as dates where it holds them as text. The given one is left alone.

    Raises `DataError` where two columns share a name, where a cell is no number, boolean, text or date, and where a
    column holds numbers or dates but for one in twenty cells or fewer: these are errors rather than categories.
    """
    frame = frame.rename(columns=str)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(
            f"Columns must have names of their own, but got {', '.join(frame.columns[:30])}: `{twice}` comes twice."
        )
    columns = {str(name): _typed(str(name), column) for name, column in frame.items()}
    changed = {name: column for name, column in columns.items() if column is not frame[name]}
    return frame.assign(**changed) if changed else frame


def _typed(name: str, column: Series[Any]) -> Series[Any]:
    kind = column.dtype.kind
    if kind in "iufb":
        return column
    if kind == "m":
        elapsed: Series[Any] = column.dt.total_seconds() / 86_400
        return elapsed
    if kind == "M":
        dates = as_dates(column)
        return column if dates is None else dates
    column = column.infer_objects()
    if column.dtype.kind != "O":
        return column if column.dtype.kind in "iufb" else _typed(name, column)
    if column.dtype == object:
        column = _without_exact_numbers(name, column)
        if column.dtype.kind == "f":
            return column
    dates = as_dates(column)
    if dates is not None:
        return dates
    _check_text(name, column)
    return column


def _without_exact_numbers(name: str, column: Series[Any]) -> Series[Any]:
    """Returns a column of objects, decimal numbers and vast integers as floats.

    Raises `DataError` for a cell that is a list or such, or beyond all floats.
    """
    from datetime import date
    from decimal import Decimal

    present = column.dropna()
    for row, value in zip(present.index, present, strict=True):
        if not isinstance(value, str | bool | int | float | date | Decimal | np.generic):
            place = column.index.get_loc(row)
            raise DataError(
                f"A cell must be a number, a boolean, text or a date, but column `{name}` holds a "
                f"{type(value).__name__} in row {place}. Leave it out with `drop`."
            )
    numbers = all(isinstance(cell, int | float | Decimal) and not isinstance(cell, bool) for cell in present)
    if not len(present) or not numbers:
        return column
    try:
        return column.astype(float)
    except OverflowError:
        row = next(row for row, cell in enumerate(column) if isinstance(cell, int) and abs(cell) > sys.float_info.max)
        text = f"Column `{name}` holds a number beyond all floats in row {row}. Leave it out with `drop`."
        raise DataError(text) from None


def _check_text(name: str, column: Series[Any]) -> None:
    """Raises `DataError` where a few cells keep a column from being numbers or dates."""
    present = column.notna()
    sample = column[present].iloc[:_SAMPLE]
    if sample.empty or column.dtype == "category":
        return
    for what, good in (("dates", _are_dates), ("numbers", _are_numbers)):
        if good(sample).mean() < _MOSTLY:
            continue
        found = good(column[present])
        if _MOSTLY <= found.mean() < 1:
            row = int(np.flatnonzero(present)[np.argmin(found)])
            raise DataError(
                f"Column `{name}` holds {what}, but {column.iloc[row]!r:.60} in row {row}. Empty that cell if it is "
                f"missing, or leave the column out with `drop`."
            )


def _are_dates(cells: Series[Any]) -> NDArray[np.bool_]:
    return np.array([looks_like_date(cell) for cell in cells])


def _are_numbers(cells: Series[Any]) -> NDArray[np.bool_]:
    import pandas

    try:
        numbers: Series[Any] = pandas.to_numeric(cells, errors="coerce")
    except OverflowError:  # an integer beyond all floats
        return np.array([isinstance(cell, int | float) for cell in cells])
    return numbers.notna().to_numpy()
