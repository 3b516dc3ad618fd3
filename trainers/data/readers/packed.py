"""Files that may be gzipped, read without believing what they claim of their size."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ....errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_EXPANSION = 200
"""Data of more than `FREE` bytes that were packed smaller than this are taken for a bomb, not for data."""
FREE = 2**30
MOST_COLUMNS = 50_000
_PIECE = 2**20


def opened(path: Path) -> BinaryIO:
    """Opens a file for reading bytes, unpacked where its name ends in `gz`.

    Reading raises `DataError` where the gzip file is damaged, or unpacks to more than could be meant.
    """
    if path.suffix not in (".gz", ".tgz"):
        return path.open("rb")
    return io.BufferedReader(_Unpacked(path))


def check_expansion(where: str, size: int, packed: int) -> None:
    """Raises `DataError` where `packed` bytes claim to be `size` bytes, and that is more than can be or is sane."""
    if size > max(FREE, packed * MOST_EXPANSION):
        raise DataError(
            f"{where}: {packed} packed bytes unpack to {size} or more, over {MOST_EXPANSION} times as many: "
            "that is taken for a bomb. Unpack it yourself if it is data."
        )


def check_width(where: str, columns: int) -> None:
    """Raises `DataError` where a table has so many columns that each row would cost more than it could tell."""
    if columns > MOST_COLUMNS:
        raise DataError(f"{where}: a table may have {MOST_COLUMNS:,} columns, but this has {columns:,}. Give an array.")


def read_all(stream: BinaryIO, size: int) -> bytearray:
    """Returns the next `size` bytes, fewer where the stream ends: memory grows with what is there, not with `size`."""
    content = bytearray()
    while len(content) < size and (piece := stream.read(min(_PIECE, size - len(content)))):
        content += piece
    return content


def fill(stream: BinaryIO, view: memoryview) -> int:
    """Reads into a view of bytes until it is full or the stream ends; returns how many bytes were read."""
    done = 0
    while done < len(view) and (piece := stream.read(min(_PIECE, len(view) - done))):
        view[done : done + len(piece)] = piece
        done += len(piece)
    return done


def count_rest(stream: BinaryIO) -> int:
    """Returns how many bytes the stream still has."""
    rest = 0
    while piece := stream.read(_PIECE):
        rest += len(piece)
    return rest


class _Unpacked(io.RawIOBase):
    def __init__(self, path: Path) -> None:
        self._path, self._packed, self._done = path, path.stat().st_size, 0
        self._stream = gzip.open(path)  # noqa: SIM115, closed in `close`

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            piece = self._stream.read(len(view))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self._path}: the gzip file is damaged: {error}") from error
        self._done += len(piece)
        check_expansion(str(self._path), self._done, self._packed)
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()
