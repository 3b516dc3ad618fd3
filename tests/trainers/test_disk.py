"""What it takes for a file to outlast a crash."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from leadline.trainers.disk import unfinished, writer


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
