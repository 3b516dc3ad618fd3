"""The report: a study told to somebody who wasn't there, as one HTML file or as Markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..trial import ENDED
from .document import Document
from .facts import Facts
from .words import counted, number

if TYPE_CHECKING:
    from ..study import Study

FORMATS = ("html",)


def write_report(study: Study, path: str | Path) -> Path:
    """Writes the study's report to `path`, which ends in .html; returns the path. A file that is there is replaced.

    The HTML file holds all that it shows: it asks for nothing from anywhere. Raises UsageError if the path ends
    otherwise or lies in no folder, StudyError if there is no such study.
    """
    path = Path(path)
    write_all(study, path)
    return path


def write_all(study: Study, path: Path, folder: Path | None = None, plot_format: str = "svg") -> list[Path]:
    """Writes the study's report, and, where a folder is given, each of its plots into that; returns the plots' files.

    Raises UsageError if one of them can't be written, before anything is, and StudyError if there is no such study.
    """
    from .drawing.files import require_format, write_plots

    require_path(path)
    require_format(plot_format)
    document = document_of(study)
    written = write_plots(document.plots, folder, plot_format) if folder else []
    path.write_text(html(document), encoding="utf-8")
    return written


def report_path(name: str, output: Path | None, format: str | None) -> Path:
    """Returns where the report of the study called `name` goes: by default NAME.html in the working directory.

    >>> report_path("digits", None, None), report_path("digits", Path("a/b.html"), None)
    (PosixPath('digits.html'), PosixPath('a/b.html'))

    Raises UsageError if the format is unknown, or not the output's.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"a report's format is {' or '.join(FORMATS)}, but got `{format}`")
    if output is None:
        return Path(f"{name}.{format or FORMATS[0]}")
    if format is not None and output.suffix != f".{format}":
        raise UsageError(f"`--format {format}` writes a file that ends in .{format}, but --output is `{output}`")
    return output


def document_of(study: Study) -> Document:
    """Returns what the report of a study says. Raises StudyError if there is no such study."""
    from .drawing.style import styled
    from .sections import SECTIONS

    facts = Facts.of(study)
    with styled():
        sections = [section for write_section in SECTIONS if (section := write_section(facts)) is not None]
    return Document(facts.name, tuple(_summary(facts)), tuple(sections))


def html(document: Document) -> str:
    """Returns a report as a page that holds all it shows."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from ... import __version__
    from .drawing.style import inline

    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    style, _, _ = environment.loader.get_source(environment, "report.css")  # type: ignore[union-attr]
    return environment.get_template("report.html.j2").render(
        document=document,
        style=Markup(style),
        drawn=lambda plot: Markup(inline(plot.figure, plot.name, plot.alt)),
        footer=f"Written by leadline {__version__} on {written}.",
    )


def require_path(path: Path) -> None:
    """Raises UsageError unless a report can be written there."""
    if path.suffix[1:] not in FORMATS:
        raise UsageError(f"a report's file ends in .{' or .'.join(FORMATS)}, but got `{path}`")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder `{path.absolute().parent}` for the report")


def _summary(facts: Facts) -> list[tuple[str, str]]:
    best = facts.best
    counts = ", ".join(f"{facts.count(state)} {state}" for state in (*ENDED, "running", "paused") if facts.count(state))
    told = [("trials", f"{counted(len(facts.trials), 'trial')}: {counts}" if counts else "none")]
    if best is not None:
        spread = "" if best.spread is None else f" ± {number(best.spread)}"
        told.insert(0, (f"best {facts.metric}", f"{number(best.value)}{spread}, trial {best.number}"))
    return told
