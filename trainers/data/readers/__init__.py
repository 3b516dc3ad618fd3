"""Which reader takes a file or a folder: the first in `READERS` that knows it; a new format is a line there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....errors import DataError
from ..source import Data, Task
from .cifar import is_cifar, read_cifar
from .idx import read_idx_folder
from .image_folder import read_image_folder
from .npy_folder import read_npy_folder, refuse_npy
from .npz import read_npz
from .optional import one_line
from .tables import ROLES, read_table


@dataclass(frozen=True)
class Reader:
    """A format: what it is called, whether a path is of it, how to read it, and the options it takes beside `task`."""

    called: str
    knows: Callable[[Path], bool]
    read: Callable[..., Data]
    options: tuple[str, ...] = ()


def _ends(*suffixes: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.name.lower().endswith(suffixes)


def _holds(*patterns: str) -> Callable[[Path], bool]:
    return lambda path: path.is_dir() and any(any(path.glob(pattern)) for pattern in patterns)


READERS = (
    Reader("CIFAR", is_cifar, read_cifar),
    Reader("NPZ files", _ends(".npz"), read_npz),
    Reader("IDX folders", _holds("*-idx[1-4]-ubyte*", "*.idx[1-4]-ubyte*"), read_idx_folder),
    Reader("NPY folders", _holds("*.npy"), read_npy_folder),
    Reader("NPY files", _ends(".npy"), refuse_npy),
    Reader("image folders", Path.is_dir, read_image_folder, ("size",)),
    Reader("tables", Path.is_file, read_table, (*ROLES, "delimiter", "header")),
)

OPTIONS = tuple(dict.fromkeys(option for reader in READERS for option in reader.options))
"""The options that some reader takes."""


def read(path: Path, *, task: Task | None = None, **options: Any) -> Data:
    """Returns the examples in a file or a folder that is there.

    Raises `DataError`, one line that names the file, where it can't be read or used, or its reader lacks an option.
    """
    reader = next((reader for reader in READERS if reader.knows(path)), None)
    if reader is None:
        raise DataError(f"{path}: a data set is a file or a folder, and this is neither.")
    check_options(str(path.name), options, reader.options)
    with naming(path):
        return reader.read(path, task=task, **options)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Has what goes wrong with a file inside be a `DataError` that names it."""
    try:
        yield
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{error.filename or path}: it can't be read: {error.strerror or one_line(error)}") from error


def check_options(source: object, options: dict[str, Any], taken: tuple[str, ...]) -> None:
    """Raises `DataError` where an option is given that the source's reader doesn't take."""
    wrong = [name for name in options if name not in taken]
    if wrong:
        takers = dict.fromkeys(reader.called for reader in READERS if wrong[0] in reader.options)
        raise DataError(f"Only {' and '.join(takers)} take `{'`, `'.join(wrong)}`, and {source!r:.80} is none.")
