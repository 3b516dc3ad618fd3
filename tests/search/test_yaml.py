"""What YAML could do to a reader that trusts it, and that it doesn't: each is refused with its line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from leadline.errors import SettingsError
from leadline.search.yaml import LARGEST_FILE, MOST_VALUES, parse, read_text


def told(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(text, "study.yaml")
    (line,) = str(caught.value).splitlines()
    assert len(line) < 400
    return line


def bomb(depth: int, *, mappings: bool = False) -> str:
    """Returns YAML whose aliases written out are ten to the power of `depth` values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, depth):
        inner = [f"*a{level - 1}"] * 10
        parts = [f"k{place}: {alias}" for place, alias in enumerate(inner)] if mappings else inner
        lines.append(
            f"a{level}: &a{level} {{{', '.join(parts)}}}" if mappings else f"a{level}: &a{level} [{', '.join(parts)}]"
        )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("mappings", [False, True])
def test_a_small_file_cannot_become_a_huge_one(mappings: bool) -> None:
    text = bomb(10, mappings=mappings)
    began = time.process_time()
    assert told(text).startswith("study.yaml:4: a study file may hold 10,000 values")
    assert time.process_time() - began < 2
    assert len(parse(bomb(3), "study.yaml")[0]["a2"]) == 10


def test_merges_cannot_either() -> None:
    lines = ["a0: &a0 {x: 1, y: 2}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 20)}]}}" for n in range(1, 9))]
    assert "may hold 10,000 values" in told("\n".join(lines))


def test_a_large_file_ends_where_it_becomes_too_large() -> None:
    assert told("".join(f"k{n}:\n- {n}\n" for n in range(MOST_VALUES))).startswith("study.yaml:66")


@pytest.mark.parametrize("text", ["a:\n  [" + "[" * 5000, "a:\n  " + "{a: " * 20_000, "a:\n  [" * 60, "? " * 9000])
def test_what_is_nested_too_deep_is_told_where_it_is(text: str) -> None:
    line = told(text)
    assert line.startswith("study.yaml:")
    assert "nested 50 deep" in line or "not valid YAML" in line


def test_an_anchor_may_be_given_anew(recwarn: pytest.WarningsRecorder) -> None:
    assert parse("a: &x 1\nb: *x\nc: &x 2\nd: *x\n", "study.yaml")[0] == {"a": 1, "b": 1, "c": 2, "d": 2}
    assert not recwarn.list


def test_an_alias_inside_what_it_names_is_refused() -> None:
    assert told("a: &a\n  b: *a\n").startswith("study.yaml:1: an alias may not stand inside what it names")
    assert told("a: 1\nb: &b [1, *b]\n").startswith("study.yaml:2: ")


@pytest.mark.parametrize("where", ["", "space:\n  ", "space: {x: 1, y: {"])
def test_a_key_given_twice_is_told_with_both_lines(where: str) -> None:
    flow = where.endswith("{")
    text = f"study: a\n{where}lr: 1,\n  lr: 2}}}}" if flow else f"study: a\n{where}lr: 1\n{where[7:]}lr: 2\n"
    line = told(text)
    lines = text.splitlines()
    second = max(number for number, one in enumerate(lines, 1) if "lr: 2" in one)
    assert f"study.yaml:{second}: not valid YAML: duplicate key `lr`, first in line {second - 1}" in line


def test_a_merge_gives_way_to_own_keys_and_the_first_one_named_wins() -> None:
    found, _ = parse("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc:\n  <<: [*a, *b]\n  y: 3\n", "study.yaml")
    assert found["c"] == {"x": 1, "y": 3, "z": 2}
    assert "merges mappings" in told("a: &a [1]\nb: {<<: *a}\n")
    assert parse('{"<<": 3}', "study.yaml")[0] == {"<<": 3}


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system", "!!python/name:os.system", "!mine", "!!binary", "!!set", "!!omap", "!!pairs"],
)
@pytest.mark.parametrize("value", ["[touch, owned]", "{a: 1}", "text"])
def test_no_tag_makes_anything(tag: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(f"study: a\ndata: {tag} {value}\n").startswith("study.yaml:2: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-01-31", "2024-01-31"), ("2024-13-45T99:99:99Z", "2024-13-45T99:99:99Z"), ("=", "="), ("on", "on"),
        ("1_000", 1000), ("0x1F", 31), ("1e-4", 1e-4), ("~", None), ("!!str 5", "5"), ("!!int '5'", 5), ("010", 10),
    ],
)  # fmt: skip
def test_values_are_plain(text: str, wanted: Any) -> None:
    found = parse(f"a: {text}\n", "study.yaml")[0]["a"]
    assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize("text", ["9" * 5000, "!!int x", "!!float [1]", "!!bool 7"])
def test_a_number_that_is_none_is_told_with_its_line(text: str) -> None:
    assert told(f"a: 1\nb: {text}\n").startswith("study.yaml:2: ")


def test_each_value_knows_its_line() -> None:
    _, lines = parse("a:\n  - 1\n  - b:\n      c: 3\n", "study.yaml")
    assert lines == {("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, "b"): 3, ("a", 1, "b", "c"): 4}


def test_a_character_that_yaml_does_not_allow_is_told_with_its_line() -> None:
    assert told("a: 1\nb: \x00\n").startswith("study.yaml:2: not valid YAML")


def test_no_more_is_read_than_a_study_file_may_have(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("a" * LARGEST_FILE)
    assert len(read_text(path)) == LARGEST_FILE
    path.write_text("a" * (LARGEST_FILE + 1))
    with pytest.raises(SettingsError, match="larger than 100,000 bytes"):
        read_text(path)


def test_a_pipe_and_a_device_are_no_study_files_and_nothing_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(SettingsError, match="is no file"):
            read_text(path)


@pytest.mark.parametrize("name", ["nowhere.yaml", "a" * 300, "a\0b", "nowhere/" * 2000])
def test_a_path_that_leads_nowhere_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"Is the path right\?") as caught:
        read_text(tmp_path / name)
    assert len(str(caught.value)) < 500
