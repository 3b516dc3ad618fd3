"""Plots as files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....errors import UsageError
from ..document import Plot
from .style import DPI, styled

PLOT_FORMATS = ("svg", "png")


def write_plots(plots: Sequence[Plot], folder: Path, format: str) -> list[Path]:
    """Writes plots into a folder, which is made if it isn't there; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{plot.name}.{format}" for plot in plots]
    for plot, path in zip(plots, paths, strict=True):
        if format == "svg":
            path.write_text(plot.svg, encoding="utf-8")
            continue
        with styled():
            plot.figure.savefig(path, dpi=DPI, facecolor="white")
        plot.figure.set_layout_engine("none")  # it is laid out: whoever draws it next needn't do so again
    return paths


def require_format(format: str) -> None:
    """Raises UsageError unless figures can be written so."""
    if format not in PLOT_FORMATS:
        raise UsageError(f"a plot's format is {' or '.join(PLOT_FORMATS)}, but got `{format}`")
