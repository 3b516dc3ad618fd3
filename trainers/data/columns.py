"""How each column of a table becomes numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame, Series


@dataclass(frozen=True)
class Number:
    """A column of numbers; the missing ones become the median of the training rows."""

    name: str
    median: float

    def encode(self, column: Series[Any]) -> NDArray[np.float64]:
        """Returns (n, 1)."""
        try:
            values = column.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise DataError(f"Column `{self.name}` must hold numbers as in training, but {error}.") from error
        return np.where(np.isnan(values), self.median, values)[:, None]


@dataclass(frozen=True)
class Category:
    """A column of text or booleans, one-hot; what was missing or unseen in training is all zeros."""

    name: str
    categories: tuple[str, ...]

    def encode(self, column: Series[Any]) -> NDArray[np.float64]:
        """Returns (n, number of categories), zeros and ones."""
        from pandas import Index

        text = Index(column.astype(str).where(column.notna()))
        places = Index(self.categories).get_indexer(text)  # -1: not among them
        return np.equal.outer(places, np.arange(len(self.categories))).astype(np.float64)


Column: TypeAlias = Number | Category


def fit_columns(table: DataFrame) -> tuple[Column, ...]:
    """Returns how to encode the columns worth having, in the table's order.

    Left out are columns with one value only, and text that names single rows: more than 100 distinct values, and more
    than half of the rows.

    Raises `DataError` where none is left.
    """
    columns: list[Column] = []
    for name, column in table.items():
        if column.dtype.kind in "iuf":
            if column.nunique() > 1:
                columns.append(Number(str(name), float(column.median())))
        elif column.nunique(dropna=False) > 1 and column.nunique() <= max(100, len(column) / 2):
            columns.append(Category(str(name), tuple(sorted(column.dropna().astype(str).unique()))))
    if not columns:
        raise DataError("No column is left to learn from: each is constant, or text that differs in most rows.")
    return tuple(columns)


def encode_columns(columns: tuple[Column, ...], table: DataFrame) -> NDArray[np.float64]:
    """Returns the table's rows as numbers (n, F).

    Raises `DataError` where a column is missing, or text where it was numbers.
    """
    if missing := [column.name for column in columns if column.name not in table.columns]:
        raise DataError(f"The table lacks columns that the training had: {', '.join(missing)}.")
    return np.concatenate([column.encode(table[column.name]) for column in columns], axis=1)
