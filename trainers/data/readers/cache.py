"""Arrays too costly to make twice, or too large for memory: kept in files, and mapped from them.

They lie in `$XDG_CACHE_HOME/leadline`, or `~/.cache/leadline`, each under the hash of what it was made from. All may be
deleted at any time when no study runs.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError
from .npy import open_npy

_DAY = 86_400


def cache_folder() -> Path:
    """Returns the folder of cached arrays; it needn't exist."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "leadline"


def cached(
    key: str, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Callable[[], Iterable[NDArray[Any]]]
) -> NDArray[Any]:
    """Returns the array of that key as a read-only memory map, made of its blocks of rows if it isn't there yet.

    It is written to a temporary file, synced and renamed, so that none is ever half there, whoever else makes it too.

    Raises `DataError` where it can't be written.
    """
    path = cache_folder() / f"{key}.npy"
    with suppress(DataError, OSError):  # not there, or damaged: made anew
        kept = open_npy(path)
        if (kept.shape, kept.dtype) == (shape, dtype):
            return kept
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        _write(path, shape, dtype, blocks())
    except OSError as error:
        raise DataError(
            f"{path.parent}: the cache of {np.prod(shape, dtype=float) * dtype.itemsize / 2**20:.0f} MiB can't be "
            f"written: {error.strerror or error}. Set XDG_CACHE_HOME to a folder with room."
        ) from error
    return open_npy(path)


def _write(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]) -> None:
    descriptor, temporary = tempfile.mkstemp(suffix=".tmp", prefix=path.stem, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sweep(folder: Path) -> None:
    """Deletes what writers that were killed over a day ago left."""
    for path in folder.glob("*.tmp"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - _DAY:
                path.unlink()
