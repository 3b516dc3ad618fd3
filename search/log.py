"""A study's log: what began, ended and went wrong, a line of JSON each, in `log.jsonl` in the study's folder.

{"at": "2026-11-27T05:06:33.123Z", "host": "ada", "process": 4711, "event": "trial ended", "trial": 7, ...}

It is for people and their tools; the study itself is the journal, and nothing is ever taken from here to go on with. It
holds no epochs, which the journal has, and at most `LARGEST` bytes, twice: what is older is dropped.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .folder import without_password
from .listeners import Listener
from .trial import Trial

LARGEST = 5_000_000  # bytes, from which a file is put aside as `log.1.jsonl`

# What is told beside what becomes of trials and plans
BEGAN, ENDED, FAILED = "run began", "run ended", "run failed"
WORKER, LOST, RETRY, TRACKER = "worker ready", "worker lost", "trial retried", "tracking trouble"
UNWRITTEN = "traceback not written"


class Log(Listener):
    """A listener of the ledger that writes the log of the study in `folder`.

    A line that can't be written, on a full disk say, is left out: the study goes on without.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.jsonl"

    def began(self, trial: Trial) -> None:
        self.happened("trial began", {"trial": trial.number, "epochs": trial.epochs, "params": trial.params})

    def planned(self, blueprint: str, stack: str, reason: str) -> None:
        self.happened("plan", {"blueprint": blueprint, "stack": stack, "reason": reason})

    def paused(self, trial: Trial) -> None:
        self.happened("trial paused", {"trial": trial.number, "epochs": trial.epochs, "value": trial.last})

    def ended(self, trial: Trial) -> None:
        told = {name: getattr(trial, name) for name in ("state", "value", "reason", "epochs", "seconds")}
        self.happened("trial ended", {"trial": trial.number, **told})

    def happened(self, event: str, facts: Mapping[str, Any]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "host": socket.gethostname(), "process": os.getpid(), "event": event, **_shown(facts)}
        with suppress(OSError):
            self._write(json.dumps(line, default=str).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, line)  # one call: lines of several processes and threads don't mix
            full = os.fstat(descriptor).st_size > LARGEST
        finally:
            os.close(descriptor)
        if full:
            os.replace(self.path, self.path.with_suffix(".1.jsonl"))


def read_log(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the lines of a study's log, the oldest first; what a crash tore, or somebody damaged, is left out."""
    for path in (folder / "log.1.jsonl", folder / "log.jsonl"):
        with suppress(FileNotFoundError), open(path, "rb") as file:
            for line in file:
                with suppress(ValueError, RecursionError):
                    found = json.loads(line)
                    if isinstance(found, dict) and isinstance(found.get("event"), str):
                        yield found


def _shown(value: Any) -> Any:
    """Returns JSON without passwords of addresses, and with null for numbers that JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(name): _shown(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(part) for part in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return without_password(value) if isinstance(value, str) else value
