"""The report: a study told to somebody who wasn't there, as one HTML file or as Markdown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..trial import ENDED
from ..words import duration, number, valued
from .document import Document
from .facts import Facts

if TYPE_CHECKING:
    from jinja2 import Environment

    from ..study import Study

FORMATS = ("html", "md")


def write_report(study: Study, path: str | Path) -> Path:
    """Writes the study's report to `path`, which ends in .html or .md; returns the path.

    A file that is there is replaced. The HTML file holds all that it shows, and asks for nothing from anywhere; the
    Markdown has tables alone. Raises UsageError if the path ends otherwise or lies in no folder, StudyError if there
    is no such study.
    """
    path = Path(path)
    write_all(study, path)
    return path


def write_all(study: Study, path: Path, folder: Path | None = None, plot_format: str = "svg") -> list[Path]:
    """Writes the study's report, and, where a folder is given, each of its plots into that; returns the plots' files.

    A report in Markdown then shows them.

    Raises UsageError if one of them can't be written, before anything is, and StudyError if there is no such study.
    """
    from .drawing.files import require_format, write_plots

    require_path(path)
    require_format(plot_format)
    document = document_of(study)
    written = write_plots(document.plots, folder, plot_format) if folder else []
    text = html(document) if path.suffix == ".html" else markdown(document, path, written)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
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
    from markupsafe import Markup, escape

    from .drawing.style import inline

    environment = _environment()
    environment.autoescape = True
    environment.filters["marked"] = lambda text: Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))
    return environment.get_template("report.html.j2").render(
        document=document,
        style=Markup(files(__package__).joinpath("report.css").read_text(encoding="utf-8")),
        drawn=lambda plot: Markup(inline(plot.svg, plot.name, plot.alt)),
        footer=_footer(),
    )


def markdown(document: Document, path: Path, plots: Sequence[Path] = ()) -> str:
    """Returns a report that is to lie at `path` as Markdown, with tables in place of plots, or beneath these files."""
    environment = _environment()
    environment.filters |= {"plain": _plain, "cell": _cell, "fence": _fence}
    links = {plot.stem: Path(os.path.relpath(plot, path.parent)).as_posix() for plot in plots}
    text = environment.get_template("report.md.j2").render(document=document, links=links, footer=_footer())
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(loader=PackageLoader(__package__, "."), undefined=StrictUndefined, trim_blocks=True)


def _plain(text: str) -> str:
    """Returns a text as Markdown shows it, but what is in backticks as code."""
    parts = re.split("((?<!`)`[^`]+`(?!`))", " ".join(text.split()))
    return "".join(part if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _cell(text: str) -> str:
    """Returns a cell of a table as Markdown shows it, backticks as well."""
    return _escaped(" ".join(text.split())).replace("`", "\\`")


def _escaped(text: str) -> str:
    """Returns a text as Markdown shows it, whatever of it looks like marks or tags."""
    return re.sub(r"([\\|*\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", text).replace("<", "&lt;")


def _fence(text: str) -> str:
    """Returns the marks around lines of code, longer than any that are within."""
    return "`" * max(3, 1 + max((len(found) for found in re.findall("`+", text)), default=0))


def _footer() -> str:
    from ... import __version__

    return f"Written by leadline {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."


def require_path(path: Path) -> None:
    """Raises UsageError unless a report can be written there."""
    if path.suffix[1:] not in FORMATS:
        raise UsageError(f"a report's file ends in .{' or .'.join(FORMATS)}, but got `{path}`")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder `{path.absolute().parent}` for the report")


def _summary(facts: Facts) -> Iterator[tuple[str, str]]:
    best = facts.best
    if best is not None:
        yield f"best {facts.metric}", f"{valued(best.value, best.spread)}, trial {best.number}"
        if facts.settings["trainer"]:
            tests = facts.attributes.get("tests") or []
            yield "on the test split", number(tests[-1]["value"]) if tests else "not opened"
    counts = {state: facts.count(state) for state in (*ENDED, "running", "paused")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    yield "trials", f"{len(facts.trials):,}: {told}" if told else "none"
    if seconds := facts.attributes.get("seconds") or facts.seconds:
        yield "running time", duration(seconds)
