"""What a report is made of: sections of text, tables and plots. How it looks is its templates' matter."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]
    kind: str = field(default="items", init=False)


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    text: str
    language: str = ""
    kind: str = field(default="code", init=False)


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; without one, the first cell of each row names it. Empty columns are left out."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: str = field(default="table", init=False)

    def __post_init__(self) -> None:
        used = [place for place, column in enumerate(zip(*self.rows, strict=True)) if any(column)]
        object.__setattr__(self, "header", tuple(self.header[place] for place in used) if self.header else ())
        object.__setattr__(self, "rows", tuple(tuple(row[place] for place in used) for row in self.rows))

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, and gaps, alone."""
        return tuple(all(map(_is_number, column)) for column in zip(*self.rows, strict=True))


@dataclass(frozen=True)
class Plot:
    """A figure called `name`, with what stands beneath it and what is read out instead of it.

    The name becomes a file's: what isn't a letter, a digit, `_`, `.` or `-` is replaced. One that is `wide` takes the
    page's whole width. `table` has its most telling numbers.
    """

    name: str
    figure: Figure
    caption: str
    alt: str
    wide: bool = False
    table: Table | None = None
    kind: str = field(default="plot", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", re.sub(r"[^\w.-]+", "-", self.name))

    @cached_property
    def svg(self) -> str:
        """The figure as an SVG file's text; drawn once, as that takes longest of all that a report takes."""
        from .drawing.style import svg

        return svg(self.figure)


Block = Text | Items | Code | Table | Plot


@dataclass(frozen=True)
class Section:
    """A part of the report: what it shows, in a sentence (`lead`), and the blocks that show it."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...] = ()

    @property
    def groups(self) -> list[tuple[str, list[Block]]]:
        """The blocks in order, under their kind; plots or tables that follow one another stand together."""
        kinds = ["wide" if isinstance(block, Plot) and block.wide else block.kind for block in self.blocks]
        grouped = groupby(zip(kinds, self.blocks, strict=True), key=lambda pair: pair[0])
        return [(kind, [block for _, block in pairs]) for kind, pairs in grouped]


@dataclass(frozen=True)
class Document:
    """A whole report: its title, the most important facts by name, and its sections."""

    title: str
    summary: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    @property
    def plots(self) -> list[Plot]:
        """Every plot, in order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Plot)]


def _is_number(text: str) -> bool:
    return not text or re.fullmatch(r"[-+]?[\d,.]+(e[-+]?\d+)?( ± [\d.e-]+)?( ?(%|s|min|h|MB|GB))?", text) is not None
