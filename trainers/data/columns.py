"""How each column of a table becomes numbers: fitted on the training rows, applied to all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .dates import as_dates, features, looks_like_date

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_CATEGORIES = 100
"""A column of text gets an input for each of its values, but for no more than this many, the most frequent."""


@dataclass(frozen=True)
class Number:
    """A column of numbers; missing ones become the median of the training rows.

    Where the training rows had gaps (`missing`), a second input is 1 in each row that has one, and 0 elsewhere.
    """

    name: str
    median: float
    missing: bool = False

    @property
    def standardised(self) -> tuple[bool, ...]:
        """Which of the encoded columns are to be standardised; indicators are not."""
        return (True, False) if self.missing else (True,)

    @property
    def fills(self) -> tuple[float, ...]:
        """What stands for a gap in each of the encoded columns."""
        return (self.median, 0.0) if self.missing else (self.median,)

    def encode(self, column: Series[Any]) -> NDArray[np.float64]:
        """Returns (n, 1), or (n, 2) with the indicator of gaps."""
        try:
            values = column.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            row, cell = _first_not(_is_number, column)
            raise DataError(
                f"Column `{self.name}` must hold numbers as in training, but row {row} has {cell}."
            ) from error
        return _filled(values[:, None], (self.median,), self.missing)


@dataclass(frozen=True)
class Date:
    """A column of dates, as those of `dates.features` that varied in training; gaps are filled as in `Number`."""

    name: str
    features: tuple[str, ...]
    medians: tuple[float, ...]
    missing: bool = False

    @property
    def standardised(self) -> tuple[bool, ...]:
        """Which of the encoded columns are to be standardised; indicators are not."""
        return (True,) * len(self.features) + (False,) * self.missing

    @property
    def fills(self) -> tuple[float, ...]:
        """What stands for a gap in each of the encoded columns."""
        return (*self.medians, 0.0) if self.missing else self.medians

    def encode(self, column: Series[Any]) -> NDArray[np.float64]:
        """Returns (n, number of features), and the indicator of gaps if training had some."""
        if column.notna().any():
            dates = as_dates(column)
            if dates is None:
                row, cell = _first_not(looks_like_date, column)
                raise DataError(f"Column `{self.name}` must hold dates as in training, but row {row} has {cell}.")
            found = features(dates)
            values = np.stack([found[name] for name in self.features], axis=1)
        else:
            values = np.full((len(column), len(self.features)), np.nan)
        return _filled(values, self.medians, self.missing)


@dataclass(frozen=True)
class Category:
    """A column of text or booleans, one-hot; what was missing, unseen or rare in training is all zeros."""

    name: str
    categories: tuple[str, ...]

    @property
    def standardised(self) -> tuple[bool, ...]:
        """Which of the encoded columns are to be standardised: none."""
        return (False,) * len(self.categories)

    @property
    def fills(self) -> tuple[float, ...]:
        """What stands for a gap in each of the encoded columns, of which none is ever left."""
        return (0.0,) * len(self.categories)

    @property
    def text(self) -> bool:
        """Whether its values are text, rather than booleans."""
        return not set(self.categories) <= {"True", "False"}

    def encode(self, column: Series[Any]) -> NDArray[np.float64]:
        """Returns (n, number of categories), zeros and ones."""
        from pandas import Index

        text = Index(column.astype(str).where(column.notna()))
        places = Index(self.categories).get_indexer(text)  # -1: not among them
        return np.equal.outer(places, np.arange(len(self.categories))).astype(np.float64)

    def unknown(self, column: Series[Any]) -> list[str]:
        """Returns the values that are none of the categories, in order: they are encoded as if they were missing."""
        return sorted(set(column.dropna().astype(str).unique()) - set(self.categories))


Column: TypeAlias = Number | Date | Category
_KINDS: dict[str, type[Number] | type[Date] | type[Category]] = {"number": Number, "date": Date, "category": Category}


def fit_columns(table: DataFrame) -> tuple[Column, ...]:
    """Returns how to encode the columns worth having, in the table's order.

    Left out are columns with one value only, and text that names single rows: more than 100 distinct values, and more
    than half of the rows.

    Raises `DataError` where none is left.
    """
    fitted = [_fit(str(name), column) for name, column in table.items()]
    columns = tuple(column for column in fitted if not isinstance(column, str))
    if not columns:
        raise DataError("No column is left to learn from: each is constant, or text that differs in most rows.")
    return columns


def refit_columns(columns: tuple[Column, ...], table: DataFrame) -> tuple[Column, ...]:
    """Returns the same columns, encoded into as many numbers, with the medians of these rows."""
    return tuple(_refitted(column, table[column.name]) for column in columns)


def with_gaps(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Returns the same columns, but encoded with NaN where a number or a date is missing: `fills` belongs there."""
    return tuple(map(_unfilled, columns))


def encode_columns(columns: tuple[Column, ...], table: DataFrame) -> NDArray[np.float64]:
    """Returns the table's rows as numbers (n, F).

    Raises `DataError` where a column is missing, or text where it was numbers.
    """
    if missing := [column.name for column in columns if column.name not in table.columns]:
        raise DataError(f"The table lacks columns that the training had: {', '.join(missing)}.")
    return np.concatenate([column.encode(table[column.name]) for column in columns], axis=1)


def explain(table: DataFrame) -> dict[str, str]:
    """Returns how each column would be encoded, or why it would be left out, in words by its name.

    >>> import pandas
    >>> from leadline.trainers.data.columns import explain
    >>> explain(pandas.DataFrame({"age": [30, 41, None], "job": ["clerk", "smith", "smith"], "id": [7, 7, 7]}))
    {'age': 'numbers 30 to 41, 1 missing', 'job': '2 categories: clerk, smith', 'id': 'left out: always 7'}
    """
    return {str(name): _told(_fit(str(name), column), column) for name, column in table.items()}


def describe(column: Column) -> dict[str, Any]:
    """Returns a column as JSON-able values, exact: `restore` gives it back."""
    kind = next(kind for kind, of in _KINDS.items() if isinstance(column, of))
    return {"kind": kind, **{name: _listed(value) for name, value in asdict(column).items()}}


def restore(description: dict[str, Any]) -> Column:
    """Returns the column that `describe` described."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in description.items()
    }
    kind: Any = _KINDS[description["kind"]]
    del values["kind"]
    column: Column = kind(**values)
    return column


def _fit(name: str, column: Series[Any]) -> Column | str:
    """Returns the column's encoding, or why it is left out."""
    distinct = column.nunique()
    kind = column.dtype.kind
    if distinct <= (1 if kind in "iufM" else int(not column.hasnans)):
        return "empty" if distinct == 0 else f"always {column.dropna().iloc[0]}"
    if kind in "iuf":
        return Number(name, float(column.median()), bool(column.hasnans))
    if kind == "M":
        found = {part: values for part, values in features(column).items() if np.nanmin(values) < np.nanmax(values)}
        return Date(
            name, tuple(found), tuple(float(np.nanmedian(values)) for values in found.values()), bool(column.hasnans)
        )
    if distinct > max(MOST_CATEGORIES, len(column) / 2):
        return "text that differs in most rows"
    counts = column.dropna().astype(str).value_counts()
    frequent = sorted(counts.index, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES]
    return Category(name, tuple(sorted(frequent)))


def _refitted(column: Column, values: Series[Any]) -> Column:
    if isinstance(column, Category) or not values.notna().any():
        return column
    if isinstance(column, Number):
        return replace(column, median=float(values.median()))
    found = features(values)
    return replace(column, medians=tuple(float(np.nanmedian(found[part])) for part in column.features))


def _unfilled(column: Column) -> Column:
    if isinstance(column, Number):
        return replace(column, median=np.nan)
    return replace(column, medians=(np.nan,) * len(column.medians)) if isinstance(column, Date) else column


def _first_not(good: Callable[[Any], bool], column: Series[Any]) -> tuple[int, str]:
    """Returns the first row, from 0, whose cell is there and not good, and that cell as it may be shown."""
    cells = enumerate(zip(column.notna(), column, strict=True))
    row = next((row for row, (there, cell) in cells if there and not good(cell)), 0)
    return row, f"{column.iloc[row]!r:.60}"


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _told(fitted: Column | str, column: Series[Any]) -> str:
    gaps = f", {column.isna().sum()} missing" if column.hasnans else ""
    if isinstance(fitted, str):
        return f"left out: {fitted}"
    if isinstance(fitted, Number):
        return f"numbers {column.min():g} to {column.max():g}{gaps}"
    if isinstance(fitted, Date):
        return f"dates {column.min():%Y-%m-%d} to {column.max():%Y-%m-%d} as {', '.join(fitted.features)}{gaps}"
    shown = ", ".join(f"{text:.30}" for text in fitted.categories[:5])
    others = column.nunique() - len(fitted.categories)
    rare = f" and {others} rarer" if others else ""
    return f"{len(fitted.categories)} categories{rare}: {shown}{', ...' if len(fitted.categories) > 5 else ''}{gaps}"


def _filled(values: NDArray[np.float64], medians: tuple[float, ...], indicator: bool) -> NDArray[np.float64]:
    """Returns values (n, f) with medians (f,) in place of NaN, and a column that tells those rows, if wanted."""
    gaps = np.isnan(values)
    filled = np.where(gaps, np.asarray(medians), values)
    return np.concatenate([filled, gaps.any(axis=1, keepdims=True)], axis=1) if indicator else filled


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
