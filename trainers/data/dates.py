"""Dates in tables: told from other text, and turned into numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import Series

_LOOK = re.compile(
    r"\s*\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ]\s*\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?\s*"
)
_DAYS = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d")  # the first that fits all is taken
_FORMATS = ("ISO8601", *(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")))


def looks_like_date(text: object) -> bool:
    """Tells whether a cell has a date's look: day, month and year in digits, perhaps with a time.

    >>> from leadline.trainers.data.dates import looks_like_date
    >>> looks_like_date("2024-02-29 10:15"), looks_like_date("31.12.1999"), looks_like_date("1.5")
    (True, True, False)
    """
    return isinstance(text, str) and _LOOK.fullmatch(text) is not None


def as_dates(column: Series[Any]) -> Series[Any] | None:
    """Returns a column (n,) as dates of the calendar without a time zone, gaps kept; None where a cell is no date.

    Read are dates, ISO 8601 (with a zone: as UTC), and day, month and year with one kind of separator throughout.
    Where both 1 February and 2 January would fit every 01/02/2024, it is the month that stands first.
    """
    import pandas

    if column.dtype.kind == "M":
        return column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
    present = column.dropna()
    if column.dtype.kind != "O" or present.empty:
        return None
    if not looks_like_date(str(present.iloc[0])):
        return None
    text = column.astype(str).where(column.notna())
    for form in _FORMATS:
        try:
            dates = pandas.to_datetime(text, format=form, utc=True)
        except ValueError:  # not all cells are of this form, or are dates that exist
            continue
        return dates.dt.tz_localize(None)
    return None


def days(dates: Series[Any]) -> NDArray[np.float64]:
    """Returns dates (n,) as days since 1970, fractions being times of the day; NaN where none is."""
    since = dates.to_numpy("datetime64[us]")
    numbers = since.astype(np.int64) / 86_400e6
    return np.where(np.isnat(since), np.nan, numbers)


def features(dates: Series[Any]) -> dict[str, NDArray[np.float64]]:
    """Returns what a date says, by name, each (n,) with NaN for gaps: days since 1970, year, month, weekday, hour."""
    parts = {"year": dates.dt.year, "month": dates.dt.month, "weekday": dates.dt.day_of_week, "hour": dates.dt.hour}
    return {"days": days(dates), **{name: part.to_numpy(np.float64, na_value=np.nan) for name, part in parts.items()}}
