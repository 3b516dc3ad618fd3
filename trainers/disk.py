"""What it takes for a file to outlast a crash."""

from __future__ import annotations

import os
import socket
from pathlib import Path


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
