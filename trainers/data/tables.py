"""Tables in text files: CSV, TSV and their kin, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import zlib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ...errors import DataError, suggestion
from .arrays import from_arrays
from .source import Data, Task

if TYPE_CHECKING:
    from pandas import DataFrame

LABELS = ("label", "target", "class", "y")
"""Names, in any case, of the column that holds the targets when none is given."""

_DELIMITERS = ("\t", ";", ",")  # the first wins a tie: commas also stand inside numbers
_UNREADABLE = (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError, csv.Error)


def read_table(
    path: Path,
    *,
    label: str | int | None = None,
    task: Task | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
) -> Data:
    """Returns a table's columns as inputs, but for one that holds the targets.

    label: that column's name, or its place from 0, or from -1 at the end. Without, the one column named in `LABELS`.
    delimiter: comma, tab or semicolon are told apart by the first lines.
    header: whether the first line holds the names. Without, it does if no cell is a number and all differ; columns
    without names are called c0, c1, ...

    Empty cells, "NA", "?" and the like are missing values.

    Raises `DataError` where the file can't be parsed, and where the label's column isn't found.
    """
    frame = _read(path, delimiter, header)
    targets = frame.pop(_label_column(frame, label, path))
    try:
        return from_arrays(frame, targets, name=path.name.split(".")[0], task=task)
    except DataError as error:
        raise DataError(f"{path}, label `{targets.name}`: {error}") from error


def _read(path: Path, delimiter: str | None, header: bool | None) -> DataFrame:
    import pandas

    if delimiter is not None and len(delimiter) != 1:
        raise DataError(f"`delimiter` must be a single character, but got {delimiter!r}.")
    try:
        with _open(path) as file:
            lines = list(islice((line for line in file if line.strip()), 20))
        delimiter = delimiter or max(
            _DELIMITERS, key=lambda candidate: min(map(len, _cells(lines, candidate)), default=0)
        )
        rows = _cells(lines, delimiter)
        if len(rows) < 2 or not 2 <= len(rows[0]) == len(rows[1]):
            raise DataError(
                f"{path}: a table needs two lines and two columns at least, and the first lines of one length, but "
                f"with delimiter {delimiter!r} its first lines have {[len(cells) for cells in rows[:2]]} cells."
            )
        header = _is_header(rows[0]) if header is None else header
        with _open(path) as file:
            frame = pandas.read_csv(
                file,
                sep=delimiter,
                header=0 if header else None,
                na_values=["?"],
                skipinitialspace=True,
                low_memory=False,  # or a column's type may change between chunks
            )
    except (*_UNREADABLE, pandas.errors.ParserError) as error:
        raise DataError(f"{path}: the table can't be read: {error}") from error
    frame.columns = pandas.Index([str(name).strip() if header else f"c{name}" for name in frame.columns])
    return frame


def _open(path: Path) -> TextIO:
    """Opens a text file, gzipped or not; a byte-order mark is skipped."""
    opened = gzip.open if path.suffix == ".gz" else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


def _cells(lines: list[str], delimiter: str) -> list[list[str]]:
    return list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))


def _is_header(cells: list[str]) -> bool:
    return len(set(cells)) == len(cells) and not any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _label_column(frame: DataFrame, label: str | int | None, path: Path) -> str:
    columns = [str(name) for name in frame.columns]
    shown = ", ".join(columns[:30]) + (", ..." if len(columns) > 30 else "")
    if label is None:
        found = [name for name in columns if name.lower() in LABELS]
        if len(found) == 1:
            return found[0]
        raise DataError(
            f'{path}: which column is the label? Say label="...", one of: {shown}; or label=-1 for the last.'
        )
    if isinstance(label, int):
        if -len(columns) <= label < len(columns):
            return columns[label]
        raise DataError(f"{path}: `label` must be a column from 0 to {len(columns) - 1}, but got {label}.")
    if label not in columns:
        raise DataError(f"{path}: no column is called `{label}`. {suggestion(label, columns)}")
    return label
