"""A study's figures: all that its report shows, as matplotlib figures and as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from .document import Plot
from .drawing.style import styled
from .report import document_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..study import Study

FORMATS = ("svg", "png")


def figures(study: Study) -> dict[str, Figure]:
    """Returns every figure of the study's report, by name. Raises StudyError if there is no such study."""
    return {plot.name: plot.figure for plot in document_of(study).plots}


def write_figures(study: Study, folder: str | Path, format: str = "svg") -> list[Path]:
    """Writes every figure of the study's report into a folder, as NAME.svg or NAME.png; returns the files.

    Raises UsageError if the format is another, StudyError if there is no such study.
    """
    require_format(format)
    return write_plots(document_of(study).plots, Path(folder), format)


def write_plots(plots: Sequence[Plot], folder: Path, format: str) -> list[Path]:
    """Writes plots into a folder, which is made if it isn't there; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{plot.name}.{format}" for plot in plots]
    with styled():
        for plot, path in zip(plots, paths, strict=True):
            plot.figure.savefig(
                path,
                dpi=200,
                metadata={"Date": None} if format == "svg" else None,
                facecolor="white" if format == "png" else "none",
            )
    return paths


def require_format(format: str) -> None:
    """Raises UsageError unless figures can be written so."""
    if format not in FORMATS:
        raise UsageError(f"a plot's format is {' or '.join(FORMATS)}, but got `{format}`")
