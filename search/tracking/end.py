"""How a run of a study ended, as the tracker is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..trial import Trial


@dataclass(frozen=True)
class End:
    """How a run of the study ended: its best trial, the folders of its model and its report, if there are any.

    `reason` is what ended it: a part of the budget, "space", "interrupt", ...
    """

    best: Trial | None = None
    model: Path | None = None
    report: Path | None = None
    finished: bool = False
    reason: str = ""
