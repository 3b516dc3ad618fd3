"""What it takes for a file to outlast a crash."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StudyError


class WriteError(StudyError):
    """A file of a study couldn't be written; the one before it, if there was one, is still there."""


@contextmanager
def writing(path: Path, size: int = 0) -> Iterator[None]:
    """Has what keeps `path` from being written told in a line, with the bytes to be written, if their number is known.

    Raises WriteError in place of OSError.
    """
    try:
        yield
    except OSError as error:
        needed = f": {size:,} more bytes are needed" if size else ""
        what_now = f"{needed}. Nothing acknowledged is lost; the study resumes when there is room"
        if isinstance(error, FileNotFoundError):
            what_now = ". Was the study's folder moved or removed while it ran?"
        raise WriteError(f"{path} can't be written ({error.strerror}){what_now}") from error


def through_memory(path: Path, write: Callable[[io.BytesIO], object]) -> None:
    """Writes to `path` what `write` does to a file in memory: on a full disk torch's writer would abort the process."""
    file = io.BytesIO()
    write(file)
    path.write_bytes(file.getbuffer())


def unfinished(path: Path) -> Path:
    """Returns a place beside `path` for what becomes `path` once it is whole, of the same ending.

    No other process has it, also not one of another machine on a folder that both see.
    """
    return path.with_name(f".{socket.gethostname()}.{os.getpid()}-{path.name}")


def writer(path: Path) -> int | None:
    """Returns the process that an `unfinished` file is of; None if that is another machine's, or it isn't one."""
    ours = f".{socket.gethostname()}."
    process = path.name.removeprefix(ours).partition("-")[0]
    return int(process) if path.name.startswith(ours) and process.isdigit() else None


def fsync(path: Path) -> None:
    """Waits until the file, or what a folder lists, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
