"""Data sets by name, path, array or function: loaded, split, prepared.

A new named data set is a new file and one line in `NAMED`, a new format is one in `readers.READERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, suggestion
from ..reasons import told, users_code
from . import columns, readers
from .arrays import from_arrays
from .dataset import Dataset, Subset, one_after_another, open_test, prepare
from .preparation import Preparation
from .readers.digits import read_digits
from .readers.huggingface import read_huggingface
from .readers.tables import ROLES
from .readers.vision import read_torchvision
from .source import Data, Task
from .split import By, Split, folds, merged, split
from .streamed import Streamed

__all__ = [
    "NAMED",
    "OPTIONS",
    "By",
    "Data",
    "Dataset",
    "Preparation",
    "Split",
    "Streamed",
    "Subset",
    "explain",
    "folds",
    "is_remote",
    "load",
    "merged",
    "one_after_another",
    "open_test",
    "prepare",
    "split",
]

NAMED: dict[str, Callable[[], Data]] = {"digits": read_digits}

REMOTE: dict[str, tuple[Callable[..., Data], tuple[str, ...]]] = {
    "hf": (read_huggingface, (*ROLES, "size")),
    "torchvision": (read_torchvision, ()),
}
"""What stands before the colon in the name of a data set to be fetched: its reader, and the options that it takes."""

OPTIONS = ("task", *readers.OPTIONS)
"""The options of data sets; each source takes some."""


def load(
    source: str | Path | tuple[Any, Any] | Data | Callable[[], Any],
    *,
    task: Task | None = None,
    base: Path | str | None = None,
    **options: Any,
) -> Data:
    """Returns the examples of a source.

    source: a name in `NAMED`; a path, relative to `base` or else to the working directory, of a file or folder that one
    of `readers.READERS` knows (tables, images, NumPy's, IDX and CIFAR files); `hf:` or `torchvision:` and a name; a
    tuple of inputs (n, ...) and targets (n,), arrays or tensors; or a function without arguments that returns such a
    tuple or a `Data`.
    task: "classification" or "regression"; else inferred from the targets.
    options: label, group, time, drop, delimiter and header for tables, see `read_table`; size for images, see
    `read_images`. None is as if not given.

    Raises `DataError` where there is no such source, or its examples can't be used.

    >>> load(([[0.5], [1.5], [2.5]], [0.1, 0.2, 0.3])).task
    'regression'
    """
    if task not in (None, *get_args(Task)):
        raise DataError(f"`{task}` is no task. {suggestion(str(task), get_args(Task))}")
    for option in options:
        if option not in OPTIONS:
            raise DataError(f"`{option}` is no option of a data set. {suggestion(option, OPTIONS)}")
    options = {name: value for name, value in options.items() if value is not None}
    if isinstance(source, str) and is_remote(source):
        kind, name = source.split(":", 1)
        read, taken = REMOTE[kind]
        readers.check_options(source, options, taken)
        data = read(name, task=task, **options)
    elif isinstance(source, str | Path) and source not in NAMED:
        data = readers.read(_find(source, base), task=task, **options)
    else:
        readers.check_options(source, options, ())
        data = _from_memory(source, task)
    if task not in (None, data.task):
        raise DataError(f"`{data.name}` is a data set for {data.task}, not {task}.")
    return data


def is_remote(source: str) -> bool:
    """Tells whether this names a data set to be fetched, and so no `module:function`.

    >>> is_remote("hf:mnist"), is_remote("my_module:my_function")
    (True, False)
    """
    return source.partition(":")[0] in REMOTE and ":" in source


def explain(data: Data, rows: NDArray[np.int64] | None = None) -> dict[str, str]:
    """Returns how each column of a table would be encoded by these rows, or all; nothing for arrays. In words, by name.

    >>> import pandas
    >>> table = pandas.DataFrame({"age": [30, 41, 38], "job": ["clerk", "smith", "smith"]})
    >>> explain(load((table, [0.1, 0.2, 0.3])))
    {'age': 'numbers 30 to 41', 'job': '2 categories: clerk, smith'}
    """
    if isinstance(data.inputs, np.ndarray):
        return {}
    return columns.explain(data.inputs if rows is None else data.inputs.iloc[rows])


def _from_memory(source: Any, task: Task | None) -> Data:
    name = "arrays"
    if isinstance(source, str):
        return NAMED[source]()
    if callable(source):
        name = getattr(source, "__name__", name)
        try:
            with users_code():
                source = source()
        except Exception as error:  # the function is the user's: it may raise anything
            raise DataError(f"the data function `{name}` failed: {told(error)}") from error
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
