"""Tables in text files: CSV, TSV and their kin, gzipped or not."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ....errors import DataError
from .optional import one_line
from .packed import check_width, opened

if TYPE_CHECKING:
    from pandas import DataFrame

_DELIMITERS = ("\t", ";", ",")  # the first wins a tie: commas also stand inside numbers


def read_delimited(
    path: Path,
    delimiter: str | None = None,
    header: bool | None = None,
    label: str | int | None = None,
    text: Collection[str] = (),
) -> DataFrame:
    """Returns a text file's columns, types as pandas infers them.

    delimiter: comma, tab or semicolon are told apart by the first lines.
    header: whether the first line holds the names. Without, it does if the label's name stands in it, or if no cell is
    a number and all differ; columns without names are called c0, c1, ...
    text: names of columns whose cells are text, whatever they look like.

    Empty cells, "NA", "?" and the like are missing values. The file is UTF-8, with or without a byte-order mark.

    Raises `DataError` naming the line where the file can't be parsed, and where two columns share a name.
    """
    import pandas

    if delimiter is not None and len(str(delimiter)) != 1:
        raise DataError(f"`delimiter` must be a single character, but got {delimiter!r}.")
    if header not in (None, True, False):
        raise DataError(f"`header` must be true or false, but got {header!r}.")
    try:
        with _open(path) as file:
            lines = list(islice((line for line in file if line.strip()), 20))
        delimiter = delimiter or max(_DELIMITERS, key=lambda candidate: _width(lines, candidate))
        rows = _cells(lines, delimiter)
        if len(rows) < 2 or not 2 <= len(rows[0]) == len(rows[1]):
            raise DataError(
                f"{path}: a table needs two lines and two columns at least, and the first lines of one length, but "
                f"with delimiter {delimiter!r} its first lines have {[len(cells) for cells in rows[:2]]} cells."
            )
        check_width(str(path), len(rows[0]))
        header = _is_header(rows, label) if header is None else header
        if header:
            _check_names(path, rows[0])
        names = [cell.strip() if header else f"c{place}" for place, cell in enumerate(rows[0])]
        with _open(path) as file:
            frame = pandas.read_csv(
                file,
                sep=delimiter,
                header=0 if header else None,
                na_values=["?"],
                skipinitialspace=True,
                dtype={place: str for place, name in enumerate(names) if name in text},
                low_memory=False,  # or a column's type may change between chunks
            )
        if frame.iloc[:, -1].isna().any():  # as pandas reads a line that ends too early
            _check_lengths(path, delimiter, len(rows[0]))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: the table can't be read: {_undecodable(path) or one_line(error)}") from error
    except (csv.Error, pandas.errors.ParserError) as error:
        if delimiter is not None and "Expected" in str(error):  # which pandas says of a line that is too long
            _check_lengths(path, delimiter, len(rows[0]))
        unended = re.search(r"EOF inside string starting at row (\d+)", str(error))  # rows from 0
        why = f"the quote in line {int(unended[1]) + 1} never ends." if unended else one_line(error)
        raise DataError(f"{path}: the table can't be read: {why}") from error
    frame.columns = pandas.Index([str(name).strip() if header else f"c{name}" for name in frame.columns])
    return frame


def _open(path: Path) -> TextIO:
    """Opens a text file, gzipped or not; a byte-order mark is skipped."""
    return io.TextIOWrapper(opened(path), encoding="utf-8-sig", newline="")


def _cells(lines: list[str], delimiter: str) -> list[list[str]]:
    return list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))


def _width(lines: list[str], delimiter: str) -> int:
    """Returns how many cells each line has at least; the last may be cut, or swallowed by a quote."""
    rows = _cells(lines, delimiter)
    return min((len(cells) for cells in (rows[:-1] if len(rows) > 2 else rows)), default=0)


def _is_header(rows: list[list[str]], label: str | int | None) -> bool:
    names = [cell.strip() for cell in rows[0]]
    if isinstance(label, str) and label in names:
        return True
    if any(_is_number(name) for name in names):
        return False
    numeric = any(all(_is_number(row[place]) for row in rows[1:] if place < len(row)) for place in range(len(names)))
    return numeric or len(set(names)) == len(names)  # text twice above numbers: a name twice, which will be told


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_names(path: Path, cells: list[str]) -> None:
    names = [cell.strip() for cell in cells]
    if twice := [name for place, name in enumerate(names) if name and name in names[:place]]:
        raise DataError(
            f"{path}: columns must have names of their own, but `{twice[0]}` comes twice in line 1. "
            "Say header=False if that line holds no names."
        )


def _check_lengths(path: Path, delimiter: str, width: int) -> None:
    with _open(path) as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        for cells in reader:
            if len(cells) != width and any(cells):
                raise DataError(
                    f"{path}: all lines must have as many cells as the first, {width}, "
                    f"but line {reader.line_num} has {len(cells)}."
                )


def _undecodable(path: Path) -> str | None:
    """Returns which line isn't UTF-8, and why."""
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                found = f"{error.reason} at byte {error.start}: {error.object[error.start]:#x}"
                return f"it must be UTF-8, but line {number} has an {found}."
    return None
