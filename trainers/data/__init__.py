"""Data sets by name, path, array or function: loaded, split, prepared.

A new named data set is a new file and one line in `NAMED`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from ...errors import DataError, suggestion
from .arrays import from_arrays
from .dataset import Dataset, Subset, open_test, prepare
from .digits import read_digits
from .idx import read_idx_folder
from .preparation import Preparation
from .source import Data, Task
from .split import Split, folds, split
from .tables import read_table

__all__ = [
    "NAMED",
    "Data",
    "Dataset",
    "Preparation",
    "Split",
    "Subset",
    "folds",
    "load",
    "open_test",
    "prepare",
    "split",
]

NAMED: dict[str, Callable[[], Data]] = {"digits": read_digits}
_TABLE_OPTIONS = ("delimiter", "header")


def load(
    source: str | Path | tuple[Any, Any] | Data | Callable[[], Any],
    *,
    label: str | int | None = None,
    task: Task | None = None,
    base: Path | str | None = None,
    **options: Any,
) -> Data:
    """Returns the examples of a source.

    source: a name in `NAMED`; a path, relative to `base` or else to the working directory, of a table (`read_table`)
    or a folder of IDX files (`read_idx_folder`); a tuple of inputs (n, ...) and targets (n,), arrays or tensors;
    or a function without arguments that returns such a tuple.
    label, delimiter, header: for tables, see `read_table`.
    task: "classification" or "regression"; else inferred from the targets.

    Raises `DataError` where there is no such source, or its examples can't be used.

    >>> load(([[0.5], [1.5], [2.5]], [0.1, 0.2, 0.3])).task
    'regression'
    """
    if task not in (None, *get_args(Task)):
        raise DataError(f"`{task}` is no task. {suggestion(str(task), get_args(Task))}")
    for option in options:
        if option not in _TABLE_OPTIONS:
            raise DataError(f"`{option}` is no option of a data set. {suggestion(option, ('label', *_TABLE_OPTIONS))}")
    path = _find(source, base) if isinstance(source, str | Path) and source not in NAMED else None
    if path and path.is_file():
        return read_table(path, label=label, task=task, **options)
    if given := [*options, *(["label"] if label is not None else [])]:
        raise DataError(f"Only tables take `{'`, `'.join(given)}`, and {source!r} is none.")
    data = read_idx_folder(path, task=task) if path else _from_memory(source, task)
    if task not in (None, data.task):
        raise DataError(f"`{data.name}` is a data set for {data.task}, not {task}.")
    return data


def _from_memory(source: Any, task: Task | None) -> Data:
    name = "arrays"
    if isinstance(source, str):
        return NAMED[source]()
    if callable(source):
        name = getattr(source, "__name__", name)
        source = source()
    if isinstance(source, Data):
        return source
    if isinstance(source, tuple) and len(source) == 2:
        return from_arrays(*source, name=name, task=task)
    raise DataError(
        "A data set is a name, a path, a tuple (inputs, targets), or a function that returns one, "
        f"but got {type(source).__name__} {source!r:.80}."
    )


def _find(source: str | Path, base: Path | str | None) -> Path:
    """Returns the absolute path of a source that exists."""
    path = (Path(base or ".") / Path(source).expanduser()).absolute()
    try:
        found = path.exists()
    except (OSError, ValueError):  # longer than a path may be, or with a NUL in it
        found = False
    if not found:
        hint = suggestion(str(source), NAMED)
        raise DataError(f"`{source!s:.300}` is no known data set, nor a file or folder: {path!s:.300}. {hint}")
    return path
