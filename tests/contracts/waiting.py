"""What tests of processes wait for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def lives(process: int) -> bool:
    """Tells whether there is a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Looks until `condition` holds or the time is up; returns whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
