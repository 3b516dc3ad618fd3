"""MLflow's store: where it is, a client of it, and what it raises when it can't be reached."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import Problem
from ...trainers.disk import unfinished, writer
from ..folder import Folder, lives, without_password, without_passwords

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# What the client waits for, unless the user says otherwise: with its defaults a study would wait for minutes where the
# server is gone, or has stopped answering. Whatever still fails is tried again by the tracker.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

KINDS = ("databricks", "http", "https", "mssql", "mysql", "postgresql", "sqlite")  # a test asks MLflow itself
FOLDERS = ("", "file")  # which MLflow has given up, unless its user says otherwise


def connect(uri: str) -> MlflowClient:
    """Returns a client of MLflow's store at `uri`, which is made ready if it is a new local one."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"):
        os.environ.setdefault(name, "true")
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    # Notes about making a new database, which MLflow's import has just let through
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if uri.startswith("sqlite:///"):
        _make_database(Path(uri.removeprefix("sqlite:///")))
    return MlflowClient(uri)


def store_of(uri: str, folder: Folder) -> str:
    """Returns the address of MLflow's store: `uri`, or for "auto" `MLFLOW_TRACKING_URI`, else beside the studies."""
    if uri != "auto":
        return uri
    return os.environ.get("MLFLOW_TRACKING_URI") or folder.mlflow_uri


def uri_problem(uri: str) -> Problem | None:
    """Returns what is wrong with the setting `uri` where its address, or that of `MLFLOW_TRACKING_URI`, is of a kind
    that MLflow doesn't know; nothing is tried to be reached."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "") if uri == "auto" else uri
    known = _kinds()
    if (uri == "auto" and not address) or _kind(address) in known:
        return None
    name = "`MLFLOW_TRACKING_URI`" if uri == "auto" else "`mlflow`"
    listed = ", ".join(sorted(filter(None, known)))
    text = f"{name} must be an address of a kind that MLflow knows ({listed}), but got {without_password(address)!r}"
    hint = ". A folder holds a store in a database, as sqlite:///mlflow.db" if _kind(address) in FOLDERS else ""
    return Problem(text + hint, ("mlflow",))


def _kind(address: str) -> str:
    """Returns what MLflow tells kinds of stores by: the scheme, without a database's driver."""
    scheme = urlsplit(address).scheme.partition("+")[0]
    return "databricks" if address == "databricks" else "" if len(scheme) == 1 else scheme  # C:\\ is a folder


def _kinds() -> set[str]:
    """Returns the kinds of stores that MLflow has, and those that installed packages add to it."""
    folders = FOLDERS if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1") else ()
    return {*KINDS, *folders, *(plugin.name for plugin in entry_points(group="mlflow.tracking_store"))}


def troubles() -> tuple[type[BaseException], ...]:
    """What MLflow raises when its store can't be reached or refuses: training goes on, and the study says so."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, RequestException, SQLAlchemyError, OSError


def told(error: BaseException, uri: str) -> str:
    """Returns in a line what kept MLflow's store from taking something."""
    text = without_passwords(str(error).splitlines()[0], uri) if str(error) else ""
    if "Connection refused" in text or "Max retries exceeded" in text:
        return f"{without_password(uri)} can't be reached"
    if "timed out" in text.lower():
        return f"{without_password(uri)} doesn't answer"
    return f"{type(error).__name__}: {text[:200]}"


def _make_database(path: Path) -> None:
    """Makes MLflow's database, if it isn't there, beside its place, and puts it there whole.

    MLflow can't open half a one: it is what a crash leaves, and what a second process finds, while it makes the tables.
    """
    from mlflow.tracking import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    new = unfinished(path)
    if not path.exists():
        new.touch()  # where it can't be, MLflow would try for an hour
        client = MlflowClient(f"sqlite:///{new}")
        client.search_experiments(max_results=1)
        client._tracking_client.store.engine.dispose()
        with suppress(FileExistsError):  # another process was first
            os.link(new, path)
        new.unlink()
    for left in path.parent.glob(f".*-{path.name}*"):
        if (process := writer(left)) is not None and not lives(process):  # what a crash left
            left.unlink(missing_ok=True)
