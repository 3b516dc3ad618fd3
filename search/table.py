"""Tables that fit a terminal: columns are shortened, then left out, rather than folded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ..trainers.reasons import shortened

GAP = 2  # cells between columns
LONGEST = 300  # characters of a cell: each row is as long as the longest


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Where there is no room, cells are cut to no fewer than `least` (None: never), and then columns are left out, the
    highest `rank` first; those of rank 0 always stay.
    """

    name: str
    cells: Sequence[str]
    rank: int = 0
    least: int | None = None

    @property
    def width(self) -> int:
        """How many of the terminal's cells it takes whole."""
        from rich.cells import cell_len

        return max(cell_len(text) for text in (self.name, *self.cells))


def fitted(columns: Sequence[Column], width: int) -> tuple[list[tuple[Column, int]], list[str]]:
    """Returns the columns that there is room for, each with the cells that it gets, and the names of the others.

    >>> from leadline.search.table import Column, fitted
    >>> reason = Column("reason", ["x" * 40], least=8, rank=2)
    >>> columns = [Column("trial", ["0"]), Column("lr", ["0.001"], rank=1), reason]
    >>> [(column.name, cells) for column, cells in fitted(columns, 30)[0]]
    [('trial', 5), ('lr', 5), ('reason', 16)]
    >>> fitted(columns, 12)[1]
    ['reason']
    """
    kept = list(columns)
    left_out: list[str] = []
    while len(kept) > 1 and sum(_least(column) + GAP for column in kept) - GAP > width:
        last = max(kept, key=lambda column: (column.rank, kept.index(column)))
        if not last.rank:
            break
        kept.remove(last)
        left_out.append(last.name)
    widths = [_least(column) for column in kept]
    room = width - sum(widths) - GAP * (len(kept) - 1)
    while room > 0 and (cut := [place for place, column in enumerate(kept) if widths[place] < column.width]):
        for place in cut[:room]:  # all that were cut get as much
            widths[place] += 1
        room -= len(cut)
    in_order = [column.name for column in columns if column.name in left_out]
    return list(zip(kept, widths, strict=True)), in_order


def _least(column: Column) -> int:
    return column.width if column.least is None else min(column.width, max(column.least, len(column.name)))


def print_columns(columns: Sequence[Column], *, marked: Collection[int] = ()) -> None:
    """Prints a table, as wide as the terminal, or as it needs where there is none. Rows that are `marked` stand out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    columns = [replace(one, cells=[shortened(text, LONGEST) for text in one.cells]) for one in columns]
    whole = sum(column.width + GAP for column in columns)
    if not console.is_terminal:  # a pipe has no width: nothing more is cut
        console = Console(width=whole)
        columns = [replace(column, least=None) for column in columns]
    kept, left_out = fitted(columns, console.width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, width in kept:
        table.add_column(column.name, width=width, no_wrap=True, overflow="ellipsis")
    for place in range(len(columns[0].cells)):
        cells = (Text(column.cells[place]) for column, _ in kept)  # as it is, whatever of it looks like markup
        table.add_row(*cells, style="bold green" if place in marked else None)
    console.print(table)
    if left_out:
        print_wrapped(f"No room for {', '.join(left_out)}: a wider terminal, a pipe or --json has all.")


def print_wrapped(text: str) -> None:
    """Prints text with its lines broken between words, where there is a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(text), soft_wrap=not console.is_terminal)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table of which, where there is no room, the last columns are left out."""
    cells = zip(*rows, strict=True) if rows else [()] * len(header)
    print_columns([Column(name, own, rank) for rank, (name, own) in enumerate(zip(header, cells, strict=True))])
