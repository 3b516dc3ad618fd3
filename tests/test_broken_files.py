"""The benchmarks of broken files in short: what they count must come out as in their long form."""

from __future__ import annotations

import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from leadline import cli

FAULTS = Path(__file__).parent.parent / "benchmarks" / "faults"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, ModuleType]]:
    """The benchmarks as modules, by name; they may go to other folders, and cache images in one of their own."""
    monkeypatch.syspath_prepend(FAULTS)
    monkeypatch.setattr(cli, "app", cli.app)  # which they put something in the place of
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = ("mutations", "files", "flips")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


def test_changed_study_files_are_told_in_a_message_or_are_valid(faults: dict[str, ModuleType], tmp_path: Path) -> None:
    bench = faults["files"].Bench(tmp_path, None)
    bench.files(150, 1, random.Random(1))
    assert bench.bad == []
    assert bench.counts["the same: valid"] == 15
    assert bench.counts["the same: told"] == 0
    assert bench.counts["file: told"] > 100
    assert bench.counts["file: told with a line"] > 0.9 * bench.counts["file: told"]


def test_broken_data_sets_are_told_in_a_message_or_are_valid(faults: dict[str, ModuleType], tmp_path: Path) -> None:
    bench = faults["files"].Bench(tmp_path, None)
    bench.data(24, random.Random(1))
    assert bench.bad == []
    assert bench.counts["the same: valid"] == 8, "of each format there is one that is whole"
    assert bench.counts["data: told"] > 12


def test_a_valid_file_is_told_as_it_was(faults: dict[str, ModuleType]) -> None:
    mutations, chance = faults["mutations"], random.Random(0)
    for text in mutations.GOOD:
        for _ in range(10):
            assert mutations.plain(mutations.unchanged(text, chance).decode()) == mutations.plain(text)


def test_damaged_state_is_never_believed_and_the_study_comes_out_the_same(
    faults: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flips.py", "--flips", "60", "--truncations", "20", "--resumes", "2"])
    with pytest.raises(SystemExit) as left:
        faults["flips"].main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (left.value.code, result["believed"], result["unlike the undisturbed study"]) == (False, [], 0)
    assert sum(result["flips"].values()) == 60
    assert set(result["flips"]) >= {"journal.log", "journal.crc", "checkpoint.safetensors", "best.safetensors", "id"}
