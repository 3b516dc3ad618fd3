"""What the tests of tracking share: stores, and a server that can be killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.tracked import Server, store

from leadline.search.tracking import connect


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in the test's folder: MLflow's own functions make a database where they are called."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow's without any run: making one takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    connect(store(folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def used(empty_store: Path, folder: Path) -> None:
    """Lets the test's folder have a store already, as it has from the second study on."""
    folder.mkdir()
    shutil.copy(empty_store, folder)


@pytest.fixture
def server(empty_store: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that has been started."""
    shutil.copy(empty_store, tmp_path)
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()
