"""Folders with inputs and targets in `.npy` files, mapped and not read: they may be larger than memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError
from ..source import Data, Task, chunks_of
from .cache import cached
from .npy import Stored, open_npy, stored_npy
from .pairs import find_pairs, read_pairs


def read_npy_folder(folder: Path, *, task: Task | None = None) -> Data:
    """Returns the arrays of a folder, as `inputs.npy` and `targets.npy`; see `pairs.NAMES` for other names.

    The inputs stay in their file. Where they are in several, for training and test, they are joined in the cache.

    Raises `DataError` as `open_npy` and `read_pairs` do.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.npy")) if path.is_file()}
    pairs = find_pairs(paths, str(folder))
    arrays = {name: stored_npy(paths[name]) for pair in (*pairs.learn, pairs.test) if pair for name in pair}
    return read_pairs(folder.name, str(folder), arrays, task, _joined)


def refuse_npy(path: Path, *, task: Task | None = None) -> Data:
    """Raises `DataError`: a file of one array lacks inputs or targets."""
    raise DataError(f"{path}: one array isn't inputs and targets. Put `inputs.npy` and `targets.npy` into a folder.")


def _joined(parts: list[Stored]) -> NDArray[Any]:
    maps = [open_npy(Path(part.where)) for part in parts]
    if len(maps) == 1:
        return maps[0]
    sha = hashlib.sha256(b"joined 1")
    for part in maps:
        sha.update(f"{part.dtype.str}{part.shape}".encode())
        for rows in chunks_of(part):
            sha.update(np.ascontiguousarray(part[rows]).reshape(-1).view(np.uint8).data)
    shape = (sum(len(part) for part in maps), *maps[0].shape[1:])
    return cached(
        sha.hexdigest(), shape, maps[0].dtype, lambda: (part[rows] for part in maps for rows in chunks_of(part))
    )
