"""A study's figures: all that its report shows, as matplotlib figures and as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .drawing.files import require_format, write_plots
from .report import document_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..study import Study


def figures(study: Study) -> dict[str, Figure]:
    """Returns every figure of the study's report, by name. Raises StudyError if there is no such study."""
    return {plot.name: plot.figure for plot in document_of(study).plots}


def write_figures(study: Study, folder: str | Path, format: str = "svg") -> list[Path]:
    """Writes every figure of the study's report into a folder, as NAME.svg or NAME.png; returns the files.

    Raises UsageError if the format is another, StudyError if there is no such study.
    """
    require_format(format)
    return write_plots(document_of(study).plots, Path(folder), format)
