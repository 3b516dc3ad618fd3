"""What it takes for a file to outlast a crash."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from leadline.trainers.disk import WriteError, unfinished, writer, writing


def test_no_two_processes_or_machines_write_to_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt2"
    places = {unfinished(path)}
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 4711)
        places.add(unfinished(path))
        patch.setattr(socket, "gethostname", lambda: "another")
        places.add(unfinished(path))
    assert len(places) == 3
    assert {place.parent for place in places} == {tmp_path}
    assert {place.suffix for place in places} == {".pt2"}


def test_the_writer_of_an_unfinished_file_is_known_on_its_own_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    place = unfinished(Path("model.pt2"))
    assert writer(place) == os.getpid()
    assert writer(Path("model.pt2")) is None
    assert writer(Path(f".{socket.gethostname()}.x-model.pt2")) is None
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert writer(place) is None


def test_what_a_full_disk_refuses_is_told_with_the_path_and_the_bytes(tmp_path: Path) -> None:
    told = r"/journal\.log can't be written \(No space left on device\): 12,345 more bytes are needed\. .*resumes when"
    with pytest.raises(WriteError, match=told), writing(tmp_path / "journal.log", 12345):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(WriteError, match=r"device\)\. Nothing"), writing(tmp_path / "journal.log"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_of_a_folder_that_is_gone_nobody_is_told_to_make_room(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "journal.log"
    with (
        pytest.raises(WriteError, match=r"No such file or directory\)\. Was the study's folder moved"),
        writing(path, 9),
    ):
        path.write_text("x")
