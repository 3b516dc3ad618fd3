"""MLflow's store: its addresses, told before anything is trained, and its database where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contracts.tracked import WARNINGS

import leadline as ll
from leadline.search.tracking import connect, store, uri_problem

pytestmark = WARNINGS
Make = Callable[..., ll.Study]


def test_the_kinds_of_addresses_are_mlflows_own() -> None:
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    of_models_alone = {"databricks-uc", "uc"}
    assert {*store.KINDS, *store.FOLDERS} == _tracking_store_registry._registry.keys() - of_models_alone


@pytest.mark.parametrize(
    "uri",
    ["auto", "http://host:5000", "https://host", "sqlite:///a.db", "postgresql+psycopg://ann@host/db", "databricks"],
)
def test_addresses_that_mlflow_knows_are_no_problem(uri: str) -> None:
    assert uri_problem(uri) is None


@pytest.mark.parametrize("uri", ["foo://host", "uc:catalog", "host:5000"])
def test_another_kind_is_told_with_those_that_there_are(uri: str) -> None:
    known = "databricks, http, https, mssql, mysql, postgresql, sqlite"
    assert str(uri_problem(uri)) == (
        f"mlflow: `mlflow` must be an address of a kind that MLflow knows ({known}), but got '{uri}'"
    )


@pytest.mark.parametrize("uri", ["mlruns", "/data/mlruns", "file:///data/mlruns", "C:\\mlruns"])
def test_a_folder_is_no_store_unless_mlflow_is_told_that_it_is(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(uri_problem(uri)).endswith("A folder holds a store in a database, as sqlite:///mlflow.db")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert uri_problem(uri) is None


def test_a_kind_that_an_installed_package_adds_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(group: str) -> list[Any]:
        return [SimpleNamespace(name="foo")] if group == "mlflow.tracking_store" else []

    monkeypatch.setattr(store, "entry_points", installed)
    assert uri_problem("foo://host") is None


def test_the_environments_address_is_named_as_such_and_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo://ann:secret@host")
    told = str(uri_problem("auto"))
    assert "`MLFLOW_TRACKING_URI` must be an address of a kind" in told
    assert told.endswith("but got 'foo://ann:***@host'")


def test_a_study_that_couldnt_be_tracked_isnt_begun(plain: Make, folder: Path) -> None:
    study = plain(mlflow="foo://host")
    with pytest.raises(ll.SettingsError, match="of a kind that MLflow knows"):
        study.run(lambda trial: 1.0, trials=1, progress=False)
    assert not folder.exists()


def test_a_database_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        connect(f"sqlite:///{tmp_path / ('x' * 250)}.db")
