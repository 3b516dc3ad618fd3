"""Arrays in NumPy's `.npz` archives: a ZIP file of `.npy` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from numpy.typing import NDArray

from ....errors import DataError
from ..source import Data, Task
from .npy import Stored, stored
from .optional import one_line
from .packed import check_expansion
from .pairs import NAMES, find_pairs, join, read_pairs

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


def read_npz(path: Path, *, task: Task | None = None) -> Data:
    """Returns the inputs and targets of an archive, named as `pairs.NAMES` says, as `read_pairs` does.

    Raises `DataError` where the archive is damaged, reaches outside itself, or claims more bytes than it can hold; and
    where an array holds Python objects, which are never unpickled.
    """
    with _opened(path) as (archive, members):
        pairs = find_pairs(members, str(path))
        arrays = {
            name: _stored(path, archive, members[name]) for pair in (*pairs.learn, pairs.test) if pair for name in pair
        }
        return read_pairs(path.stem, str(path), arrays, task, join)


def read_inputs(path: Path) -> NDArray[Any]:
    """Returns the one array of an archive, or of several the one that is called as inputs are (`pairs.NAMES`).

    Raises `DataError` as `read_npz` does, and where several could be meant.
    """
    with _opened(path) as (archive, members):
        known = {pair[0] for pair in NAMES}
        found = [name for name in members if name.lower() in known] if len(members) > 1 else list(members)
        if len(found) != 1:
            raise DataError(
                f"{path}: inputs must be the archive's only array, or be called {', '.join(sorted(known))}, but there "
                f"are: {', '.join(sorted(members)[:20]) or 'none'}."
            )
        return join([_stored(path, archive, members[found[0]])])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Opens an archive, and gives its members by name."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, {_name(path, member.filename): member for member in archive.infolist()}
    except _DAMAGED as error:
        raise DataError(f"{path}: the archive can't be read: {one_line(error)}") from error


def _name(path: Path, member: str) -> str:
    check_member(str(path), member)
    return member.removesuffix(".npy")


def check_member(where: str, name: str) -> None:
    """Raises `DataError` where an archive's member would lie outside the archive's folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name:
        raise DataError(f"{where}: the member {name!r:.200} lies outside the archive's folder. Don't trust this file.")


def _stored(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:
    where = f"{path}, {member.filename}"
    if member.compress_size > path.stat().st_size:
        raise DataError(f"{where}: claims {member.compress_size} bytes, more than the file has.")
    check_expansion(where, member.file_size, member.compress_size)
    return stored(where, member.file_size, cast("Callable[[], BinaryIO]", lambda: archive.open(member)))
