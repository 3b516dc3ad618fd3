"""Tables: which column is the target, which groups rows, which orders them, and which are inputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError, suggestion
from ..arrays import from_arrays
from ..dates import as_dates, days
from ..source import Data, Task
from .delimited import read_delimited
from .parquet import SUFFIXES, read_parquet

if TYPE_CHECKING:
    from pandas import DataFrame, Series

LABELS = ("label", "target", "class", "y")
"""Names, in any case, of the column that holds the targets when none is given."""

ROLES = ("label", "group", "time", "drop")


def read_table(
    path: Path,
    *,
    label: str | int | None = None,
    task: Task | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    group: str | int | None = None,
    time: str | int | None = None,
    drop: str | int | Sequence[str | int] = (),
) -> Data:
    """Returns the columns of a text file (`read_delimited`) or a Parquet file as inputs, but for the targets' one.

    label, group, time, drop: see `from_frame`. delimiter, header: see `read_delimited`.

    Raises `DataError` where the file can't be read, and as `from_frame` does.
    """
    frame = read_frame(path, delimiter=delimiter, header=header, label=label)
    return from_frame(
        frame, name=path.name.split(".")[0], where=str(path), label=label, task=task, group=group, time=time, drop=drop
    )


def read_frame(
    path: Path,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    label: str | int | None = None,
    text: Collection[str] = (),
) -> DataFrame:
    """Returns all columns of a text file or a Parquet file; arguments and errors are those of `read_delimited`."""
    if path.suffix.lower() not in SUFFIXES:
        return read_delimited(path, delimiter, header, label, text)
    if delimiter is not None or header is not None:
        raise DataError(f"{path}: `delimiter` and `header` are for tables in text files, not for Parquet.")
    return read_parquet(path)


def from_frame(
    frame: DataFrame,
    *,
    name: str,
    where: str,
    label: str | int | None = None,
    task: Task | None = None,
    group: str | int | None = None,
    time: str | int | None = None,
    drop: str | int | Sequence[str | int] = (),
    test: int = 0,
) -> Data:
    """Returns a table as `Data`. Columns are given by name, or by place from 0, or from -1 at the end.

    label: the targets' column. Without, the one column named in `LABELS`.
    group: a column whose equal values belong together, as a patient's; it is no input.
    time: a column of dates or numbers that tells when a row was; it stays an input.
    drop: columns that aren't inputs. The last `test` rows are the test set; `where` is what errors name.

    Raises `DataError` where there is no such column, where group or time lack in a row, and as `from_arrays` does.
    """
    columns = [str(column) for column in frame.columns]
    frame = frame.set_axis(columns, axis=1)
    if twice := [column for place, column in enumerate(columns) if column in columns[:place]]:
        raise DataError(f"{where}: columns must have names of their own, but `{twice[0]}` comes twice.")
    target = _label_column(columns, label, where)
    grouped, timed = (
        None if given is None else _column(columns, given, role, where)
        for role, given in (("group", group), ("time", time))
    )
    dropped = [_column(columns, one, "drop", where) for one in _listed(drop)]
    if target in (grouped, timed, *dropped):
        raise DataError(f"{where}: column `{target}` can't be the label and also group, time or dropped.")
    groups = None if grouped is None else _codes(frame[grouped], where)
    order = None if timed is None else _moments(frame[timed], where)
    inputs = frame.drop(columns=list({target, *dropped, *([grouped] if grouped else [])}))
    if inputs.shape[1] == 0:
        raise DataError(f"{where}: a table needs a column that is an input beside its label `{target}`.")
    try:
        return from_arrays(inputs, frame[target], name=name, task=task, test=test, groups=groups, order=order)
    except DataError as error:
        raise DataError(f"{where}, label `{target}`: {error}") from error


def _listed(drop: Any) -> Sequence[Any]:
    return drop if isinstance(drop, list | tuple) else [drop]


def _codes(column: Series[Any], where: str) -> NDArray[np.int64]:
    """Returns a number for each distinct value (n,), in the order in which they come."""
    codes, _ = column.factorize()
    _check_present(codes < 0, "group", column, where)
    return np.asarray(codes, dtype=np.int64)


def _moments(column: Series[Any], where: str) -> NDArray[np.float64]:
    """Returns numbers as they are, and dates as days since 1970 (n,)."""
    _check_present(column.isna().to_numpy(), "time", column, where)
    if column.dtype.kind in "iuf":
        return column.to_numpy(np.float64)
    dates = as_dates(column)
    if dates is None:
        alone = (as_dates(column.iloc[[row]]) is not None for row in range(len(column)))
        row = next((row for row, good in enumerate(alone) if not good), 0)
        raise DataError(
            f"{where}: `time` must be a column of numbers, or of dates of one form, but `{column.name}` holds "
            f"{column.iloc[row]!r:.60} in row {row}."
        )
    return days(dates)


def _check_present(missing: NDArray[np.bool_], role: str, column: Series[Any], where: str) -> None:
    if missing.any():
        raise DataError(
            f"{where}: `{role}` must be known for every row, but column `{column.name}` lacks {missing.sum()}, "
            f"first in row {missing.argmax()}."
        )


def _label_column(columns: list[str], label: str | int | None, where: str) -> str:
    if label is not None:
        return _column(columns, label, "label", where)
    found = [name for name in columns if name.lower() in LABELS]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(columns[:30]) + (", ..." if len(columns) > 30 else "")
    raise DataError(
        f"{where}: which column is the label? Say so beside the path, as `label: NAME`, one of: {shown}; or as "
        "`label: -1`, the last."
    )


def _column(columns: list[str], given: str | int, role: str, where: str) -> str:
    """Returns the name of a column given by name or place."""
    if isinstance(given, int):
        if -len(columns) <= given < len(columns):
            return columns[given]
        raise DataError(f"{where}: `{role}` must be a column from 0 to {len(columns) - 1}, but got {given}.")
    if given not in columns:
        raise DataError(f"{where}: no column is called `{given}`. {suggestion(str(given), columns)}")
    return given
