"""Other libraries' notes, kept off the user's terminal."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr


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


@contextmanager
def silent() -> Iterator[None]:
    """Lets nothing inside warn, or print to `sys.stderr`, as torch prints the graph of what it can't export."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
