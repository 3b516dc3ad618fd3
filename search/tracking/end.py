"""How a run of a study ended, as the tracker is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..trial import Trial


@dataclass(frozen=True)
class End:
    """How a run of the study ended: its best trial, and the folder of that one's model, if there is one.

    `state` is "finished", "interrupted" or "failed", `reason` what ended it: a part of the budget, "space",
    "interrupt", "error". `report` writes report and plots into a folder, where they are wanted. `problem` is what of
    the model MLflow doesn't get.
    """

    best: Trial | None = None
    model: Path | None = None
    state: str = "finished"
    reason: str = "trials"
    report: Callable[[Path], None] | None = None
    problem: str | None = None
