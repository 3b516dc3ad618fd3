"""NumPy's `.npy` files: their header read without evaluating it, their numbers mapped or copied, never unpickled.

A file is: `\\x93NUMPY`, two bytes of version, the header's length as a little-endian uint16 (version 1) or uint32, the
header, a Python dict with descr, fortran_order and shape, then the values
(https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError
from .packed import fill, read_all

_MAGIC = b"\x93NUMPY"
_LONGEST = 10_000
_HEADER = re.compile(
    r"\s*\{\s*'descr':\s*'([<>|=]?[a-zA-Z?]\d*)',\s*'fortran_order':\s*(True|False),\s*"
    r"'shape':\s*\(((?:\d{1,18}L?,\s*){0,31}(?:\d{1,18}L?)?)\),?\s*\}\s*"
)


@dataclass(frozen=True)
class Stored:
    """An array that lies in a file or in an archive's member, `where` for errors; `open` starts at its header."""

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int
    open: Callable[[], BinaryIO]

    def read_into(self, out: NDArray[Any]) -> None:
        """Copies the values into an array of the same shape and dtype, contiguous in C's order."""
        target = np.empty(self.shape[::-1], self.dtype) if self.fortran else out
        with self.open() as stream:
            stream.read(self.start)
            view = target.reshape(-1).view(np.uint8).data
            if fill(stream, view) != len(view):
                raise DataError(f"{self.where}: the file ends before its {len(view)} bytes of values.")
        if self.fortran:
            out[...] = target.T


def stored(where: str, size: int, opener: Callable[[], BinaryIO]) -> Stored:
    """Returns what the header of an `.npy` file of `size` bytes says, checked against that size.

    Raises `DataError` where it isn't one, holds other than numbers or text, or is longer or shorter than it says.
    """
    with opener() as stream:
        begin = stream.read(8)
        if begin[:6] != _MAGIC or begin[6:7] not in (b"\1", b"\2"):
            raise DataError(
                f"{where}: an .npy file of version 1 or 2 starts so, but got {begin.hex(' ') or 'nothing'}."
            )
        length = stream.read(2 if begin[6] == 1 else 4)
        start = 8 + len(length) + int.from_bytes(length, "little")
        header = bytes(read_all(stream, min(start - 8 - len(length), _LONGEST)))
    if b"'O'" in header or b"|O" in header:
        raise DataError(
            f"{where}: the array holds Python objects, which are never unpickled. Save numbers: array.astype(float)."
        )
    found = _HEADER.fullmatch(header.decode("latin-1"))
    if found is None or (dtype := _dtype(found[1])) is None:
        raise DataError(f"{where}: its header is damaged or not that of a plain array of numbers: {header[:80]!r}.")
    shape = tuple(int(one.rstrip("L")) for one in re.findall(r"\d+L?", found[3]))
    expected = start + math.prod(shape) * dtype.itemsize
    if size != expected or expected == start:
        raise DataError(
            f"{where}: the header says {dtype} of shape {shape}, that is {expected} bytes, but there are {size}."
        )
    return Stored(where, shape, dtype, found[2] == "True", start, opener)


def open_npy(path: Path) -> NDArray[Any]:
    """Returns the array in an `.npy` file as a read-only memory map. Raises `DataError` as `stored` does."""
    found = stored_npy(path)
    order: Any = "F" if found.fortran else "C"
    return np.memmap(path, found.dtype, "r", found.start, found.shape, order)


def stored_npy(path: Path) -> Stored:
    """Returns the array in an `.npy` file, not read yet. Raises `DataError` as `stored` does."""
    return stored(str(path), path.stat().st_size, lambda: path.open("rb"))


def _dtype(text: str) -> np.dtype[Any] | None:
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return dtype if dtype.kind in "biufU" and dtype.itemsize else None
