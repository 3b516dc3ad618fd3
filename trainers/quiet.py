"""Other libraries' notes, kept off the user's terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(logger: str, level: int = logging.WARNING) -> Iterator[None]:
    """Lets the logger of that name tell nothing below `level` inside."""
    theirs = logging.getLogger(logger)
    before = theirs.level
    theirs.setLevel(level)
    try:
        yield
    finally:
        theirs.setLevel(before)
