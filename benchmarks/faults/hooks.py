"""Has a study's processes die, or fail to write, at a named step: `install` replaces `os.write`, `fsync` and `replace`.

The environment says what: with `FAULT_STEP` one of `STEPS`, driver and worker are killed at the `FAULT_AT`-th time that
a process comes to it. With `FAULT_STEP=full` every `FAULT_AT`-th write of state fails as on a full disk. Nothing of
leadline knows of this. Drivers call it after their fork, workers as `sitecustomize`.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Callable
from typing import Any

STEPS = {  # the call, the end of the file's name, and when
    "journal: before the write": ("write", "journal.log", "before"),
    "journal: in the middle of the write": ("write", "journal.log", "within"),
    "journal: written, before the fsync": ("fsync", "journal.log", "before"),
    "journal: after the fsync": ("fsync", "journal.log", "after"),
    "checkpoint: written, before the fsync": ("fsync", "checkpoint.safetensors", "before"),
    "checkpoint: after the fsync": ("fsync", "checkpoint.safetensors", "after"),
    "checkpoint: the last one is put aside": ("replace", "checkpoint-before.safetensors", "after"),
    "checkpoint: before the rename": ("replace", "checkpoint.safetensors", "before"),
    "checkpoint: after the rename": ("replace", "checkpoint.safetensors", "after"),
    "weights: before the rename": ("replace", "best.safetensors", "before"),
    "weights: after the rename": ("replace", "best.safetensors", "after"),
}
STATE = ("journal.log", ".safetensors")


def install() -> None:
    """Does what the environment says, nothing if it says nothing."""
    step, at = os.environ.get("FAULT_STEP"), int(os.environ.get("FAULT_AT", "0"))
    if step == "full":
        for name in ("fsync", "replace", "write"):
            _replace(name, STATE, "before", lambda count: count % at == 0, _no_room)
    elif step:
        call, file, when = STEPS[step]
        _replace(call, (file,), when, lambda count: count == at, _die)


def _replace(name: str, files: tuple[str, ...], when: str, now: Callable[[int], bool], act: Callable[[], Any]) -> None:
    """Has a function of `os` do `act` before, within or after its own work on such files, when their count says so."""
    original: Callable[..., Any] = getattr(os, name)
    count = 0

    def call(first: Any, second: Any = None) -> Any:
        nonlocal count
        given = (first,) if name == "fsync" else (first, second)
        path = str(second) if name == "replace" else os.readlink(f"/proc/self/fd/{first}")
        if not re.sub(r"\.safetensors\.\d+$", ".safetensors", path).endswith(files):  # one that is half written
            return original(*given)
        count += 1
        if now(count) and when == "within":
            original(first, bytes(second)[: len(second) // 2])
        if now(count) and when != "after":
            act()
        done = original(*given)
        if now(count) and when == "after":
            act()
        return done

    setattr(os, name, call)


def _die() -> None:
    """Kills the driver, and with its guard all workers; and at once the process itself."""
    if os.environ.get("FAULT_ROLE") == "driver" and os.getpid() == int(os.environ["FAULT_DRIVER"]):
        os.kill(os.getpid(), signal.SIGKILL)
    os.kill(int(os.environ["FAULT_DRIVER"]), signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


def _no_room() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
