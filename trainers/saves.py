"""The checkpoints of a worker's trials: two of each, the last one and the one before, and not too often."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import checkpoints
from .messages import Saved
from .training import Tensors, Training, comparable

SHARE = 0.02  # of the training time that checkpoints may cost
LAST, BEFORE, BRANCH = "checkpoint", "checkpoint-before", "branch"


Found = tuple[Tensors, dict[str, Any]]  # what a checkpoint holds


class Saves:
    """Writes and finds the checkpoints of trials under `folder` (None: there are none).

    `identity` names whose they are: a folder may hold those of another study that had the same name. A trial's are
    `spacing` seconds apart, and further where writing is slow, so that all writing takes at most `SHARE` of the
    training time; with a spacing of 0 there is one after each epoch, whatever it takes.
    """

    def __init__(self, folder: Path | None, identity: tuple[str, int], spacing: float) -> None:
        self.folder, self.identity, self.spacing = folder, identity, spacing
        self.trained = 0.0  # seconds
        self.spent = self.longest = 0.0  # seconds of writing, in all and at most

    def file(self, number: int, name: str) -> Path:
        """Returns the file of that name of a trial's; there must be a folder."""
        assert self.folder is not None
        return self.folder / "trials" / f"{number:05d}" / f"{name}.safetensors"

    def is_due(self, training: Training) -> bool:
        """Tells whether it is time for a checkpoint of the trial."""
        if self.folder is None or self.spacing == 0:
            return self.folder is not None
        affordable = self.spent + self.longest <= SHARE * self.trained
        return affordable and time.monotonic() - training.written >= self.spacing

    def write(self, training: Training) -> Saved:
        """Writes a checkpoint of the trial, and tells so. Raises WriteError where the disk says no."""
        began = time.monotonic()
        last, before = (self.file(training.number, name) for name in (LAST, BEFORE))
        state = {"identity": [*self.identity, comparable(training.params)], **training.state()}
        checksum = checkpoints.write(last, training.tensors(), state, before=before)
        training.written = time.monotonic()
        self.longest = max(self.longest, training.written - began)
        self.spent += training.written - began
        return Saved(training.number, training.epoch, checksum)

    def find(self, number: int, params: Mapping[str, Any]) -> Found | None:
        """Returns the last checkpoint of a trial that is whole; None if there is none."""
        if self.folder is None:
            return None
        for name in (LAST, BEFORE):
            found = self._read(number, name, comparable(params))
            if found is not None:
                return found
            self.file(number, name).unlink(missing_ok=True)  # lest the next one puts it in the good one's place
        return None

    def branch(self, number: int) -> Found | None:
        """Returns the state of another trial that was left for this one to begin from; None if it can't be read."""
        return self._read(number, BRANCH) if self.folder else None

    def _read(self, number: int, name: str, *params: Any) -> Found | None:
        found = checkpoints.read(self.file(number, name))
        identity = [*self.identity, *params]
        return found if found is not None and found[1].get("identity", [])[: len(identity)] == identity else None


def fault(found: Found | None, acknowledged: int | None) -> str:
    """Says what a trial goes on from, where that is less than the study knows to be on the disk; else nothing.

    `acknowledged` is the epoch of the last checkpoint that the study knows of.

    >>> fault(None, 5)
    'the checkpoint of epoch 5 is gone or damaged: it goes on from its beginning'
    """
    epoch = 0 if found is None else found[1]["epoch"]
    if acknowledged is None or epoch >= acknowledged:
        return ""
    instead = "its beginning" if found is None else f"that of epoch {epoch}"
    return f"the checkpoint of epoch {acknowledged} is gone or damaged: it goes on from {instead}"
