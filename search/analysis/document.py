"""What a report is made of: sections of text, tables and plots. How it looks is its templates' matter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
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
    """Rows of cells under a header; without one, the first cell of each row names it."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: str = field(default="table", init=False)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, and gaps, alone."""
        return tuple(all(map(_is_number, column)) and any(column) for column in zip(*self.rows, strict=True))


@dataclass(frozen=True)
class Plot:
    """A figure called `name`, with what stands beneath it and what is read out instead of it.

    One that is `wide` takes the page's whole width.
    """

    name: str
    figure: Figure
    caption: str
    alt: str
    wide: bool = False
    kind: str = field(default="plot", init=False)


Block = Text | Items | Code | Table | Plot


@dataclass(frozen=True)
class Section:
    """A part of the report: what it shows, in a sentence (`lead`), and the blocks that show it."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...] = ()

    @property
    def groups(self) -> Iterator[tuple[str, list[Block]]]:
        """The blocks in order, plots that follow one another and aren't wide together, as "plots"."""
        together: list[Block] = []
        for block in self.blocks:
            if isinstance(block, Plot) and not block.wide:
                together.append(block)
                continue
            if together:
                yield "plots", together
                together = []
            yield block.kind, [block]
        if together:
            yield "plots", together


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
