"""A journal that isn't as it was acknowledged is never believed; what a crash leaves, and other tools append, is."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

from leadline import StudyError
from leadline.search.seal import Seal
from leadline.search.storage import JournalFile


def record(number: int) -> dict[str, Any]:
    return {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"number": number}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of four records, written in two commits."""
    path = tmp_path / "journal.log"
    journal = JournalFile(path)
    for numbers in ([0, 1], [2, 3]):
        journal.append_logs([record(number) for number in numbers])
    return path


def read(path: Path, *, read_only: bool) -> list[dict[str, Any]]:
    return list(JournalFile(path, read_only=read_only).read_logs(0))


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("change", [0x01, 0x20, 0xFF])
def test_a_byte_that_changed_anywhere_is_told_and_nothing_is_written(path: Path, read_only: bool, change: int) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
        path.write_bytes(changed)
        with pytest.raises(StudyError, match=r"journal\.log isn't as it was acknowledged: .* has changed"):
            read(path, read_only=read_only)
        assert path.read_bytes() == changed


@pytest.mark.parametrize("read_only", [True, False])
def test_a_journal_cut_short_anywhere_is_told_and_nothing_is_written(path: Path, read_only: bool) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StudyError, match=rf"{len(whole)} bytes of it were, and {length} are there"):
            read(path, read_only=read_only)
        assert path.stat().st_size == length


def test_what_is_told_says_what_can_be_done(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":7'))
    with pytest.raises(StudyError, match=r"Restore a copy of it; or delete (.*journal\.crc) to go on") as caught:
        read(path, read_only=False)
    Path(str(caught.value).split("delete ")[1].split(" to go on")[0]).unlink()
    assert read(path, read_only=False)[2] == record(7)


@pytest.mark.parametrize("place", range(33))
def test_a_seal_with_a_byte_changed_or_cut_short_is_not_believed_and_the_journal_is(path: Path, place: int) -> None:
    seal = Seal(path)
    whole = seal.path.read_bytes()
    for content in (whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], whole[:place]):
        seal.path.write_bytes(content)
        assert seal.read() is None
        assert read(path, read_only=False) == [record(number) for number in range(4)]
    JournalFile(path).append_logs([record(4)])
    assert seal.read() == (path.stat().st_size, zlib.crc32(path.read_bytes()))


def test_a_seal_that_a_crash_left_behind_is_true_of_the_records_before(path: Path) -> None:
    before = Seal(path).path.read_bytes()
    JournalFile(path).append_logs([record(4)])
    Seal(path).path.write_bytes(before)
    assert len(read(path, read_only=True)) == 5
    os.truncate(path, path.stat().st_size - 3)  # the crash tore what it was writing
    assert read(path, read_only=False) == [record(number) for number in range(4)]


def test_a_journal_without_a_seal_is_read_and_gets_one_when_it_grows(path: Path) -> None:
    seal = Seal(path)
    seal.path.unlink()
    assert len(read(path, read_only=False)) == 4
    assert seal.read() is None
    JournalFile(path).append_logs([record(4)])
    assert seal.read() == (path.stat().st_size, zlib.crc32(path.read_bytes()))


def test_optuna_itself_reads_the_journal_and_what_it_appends_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    ours = JournalStorage(JournalFile(path))
    study = ours.create_new_study([StudyDirection.MAXIMIZE], "shared")
    theirs = JournalStorage(JournalFileBackend(str(path)))
    theirs.set_study_user_attr(theirs.get_study_id_from_name("shared"), "note", "from a dashboard")
    assert ours.get_study_user_attrs(study) == {"note": "from a dashboard"}
    ours.create_new_trial(study)
    assert Seal(path).read() == (path.stat().st_size, zlib.crc32(path.read_bytes()))
    assert len(theirs.get_all_trials(0)) == 1
    assert all(isinstance(json.loads(line), dict) for line in path.read_bytes().splitlines())


def test_a_seal_that_cannot_be_written_lags_behind_and_the_study_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalFile(path)
    before = Seal(path).read()

    def full(*arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        journal.append_logs([record(4)])
    assert Seal(path).read() == before
    assert len(read(path, read_only=False)) == 5
    journal.append_logs([record(5)])
    assert Seal(path).read() == (path.stat().st_size, zlib.crc32(path.read_bytes()))


def test_a_new_journal_in_the_place_of_one_that_was_deleted_has_no_seal_of_it(path: Path) -> None:
    path.unlink()
    assert read(path, read_only=False) == []
    assert Seal(path).read() is None
