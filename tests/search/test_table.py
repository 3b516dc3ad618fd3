import re

import pytest

from leadline.search.table import LONGEST, Column, fitted, print_columns, print_table

COLUMNS = [
    Column("trial", ["0", "10"]),
    Column("lr", ["0.001", "0.1"], rank=2),
    Column("depth", ["3", "4"], rank=1),
    Column("reason", ["it was the last of its kind", ""], rank=3, least=8),
]


def printed(capsys):
    return capsys.readouterr().out.splitlines()


def test_a_pipe_has_no_width_and_no_colours(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "12")
    print_columns(COLUMNS, marked=[1])
    assert [line.rstrip() for line in printed(capsys)] == [
        "trial  lr     depth  reason",
        "0      0.001  3      it was the last of its kind",
        "10     0.1    4",
    ]


@pytest.mark.parametrize(
    ("width", "names", "widths", "left_out"),
    [
        (200, ["trial", "lr", "depth", "reason"], [5, 5, 5, 27], []),
        (30, ["trial", "lr", "depth", "reason"], [5, 5, 5, 9], []),
        (28, ["trial", "lr", "depth"], [5, 5, 5], ["reason"]),
        (12, ["trial", "depth"], [5, 5], ["lr", "reason"]),
        (3, ["trial"], [5], ["lr", "depth", "reason"]),
    ],
)
def test_columns_are_cut_first_and_then_left_out_by_rank(width, names, widths, left_out):
    kept, others = fitted(COLUMNS, width)
    assert [column.name for column, _ in kept] == names
    assert [cells for _, cells in kept] == widths
    assert others == left_out


@pytest.mark.parametrize("width", [12, 20, 28, 30, 60])
def test_in_a_terminal_no_line_is_folded_and_what_is_left_out_is_told(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    print_columns(COLUMNS, marked=[1])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(printed(capsys))).splitlines()
    header, *rows = plain[:3]
    assert all(len(line) <= width for line in plain)
    assert header.split()[0] == "trial"
    assert [row.split()[0] for row in rows] == ["0", "10"]
    missing = [name for name in ("lr", "depth", "reason") if name not in header]
    assert (" ".join(plain[3:]) == "") == (not missing)
    assert all(name in "".join(plain[3:]) for name in missing)


def test_colours_are_for_terminals_and_only_where_nobody_refuses_them(capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_columns(COLUMNS, marked=[1])
    assert "\x1b[1;32m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_columns(COLUMNS, marked=[1])
    assert "32m" not in capsys.readouterr().out


def test_cells_are_printed_as_they_are_whatever_looks_like_markup(capsys):
    print_table(["name", "of"], [["[bold]x[/bold]", "宽"], ["y", "1"]])
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_a_table_without_rows_is_its_header(capsys):
    print_table(["name", "of"], [])
    assert printed(capsys)[0].split() == ["name", "of"]


def test_of_a_long_cell_both_ends_are_printed_and_no_row_is_filled_up_to_its_length(capsys):
    print_table(["trial", "reason"], [["0", "first" + "x" * 100_000 + "last"], ["1", ""]])
    head, long, short = printed(capsys)
    assert long.startswith("0      firstxxx")
    assert long.rstrip().endswith("xxxlast")
    assert max(map(len, (head, long, short))) < LONGEST + 100
