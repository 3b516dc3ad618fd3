"""MLflow's UI on a study's store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import StudyError
from .folder import Folder, root_of, without_password
from .tracking import Tracking, connect, store_of, trials_link
from .tracking.names import VIEW
from .tracking.store import told, troubles

if TYPE_CHECKING:
    from .study import Study

STDERR = 2  # the descriptor: what a server prints is no answer of ours
Say = Callable[[str, dict[str, str]], None]


def serve_mlflow(study: Study | None, storage: str | None, port: int, say: Say) -> None:
    """Serves MLflow's UI on 127.0.0.1 until interrupted, at the page that compares the study's trials.

    Before it starts `say` is told, in words, where it will be, and as facts: `server`, `page` and the `store`.

    Of a store that is a server itself, only that is told: nothing is started. Raises StudyError if nothing has been
    logged yet, or the server doesn't start.
    """
    folder = study.folder if study else Folder(root_of(storage), "any")
    options = (study.tracking if study else None) or Tracking()
    uri = store_of(options.uri, folder)
    shown = without_password(uri)
    if uri.startswith("http"):
        text, page = f"MLflow has a server of its own: {shown}", None
        try:
            page = _page(study, options, uri, shown)
        except troubles() as error:
            text = f"MLflow has a server of its own, but {told(error, uri)}"
        else:
            text += _trials(study, options, page)
        say(text, {"server": shown, "page": page or shown, "store": shown})
        return
    if uri == folder.mlflow_uri and not (folder.root / "mlflow.db").exists():
        raise StudyError(f"nothing is logged in {folder.root} yet; `leadline run` does")
    server = f"http://127.0.0.1:{port}"
    page = _page(study, options, uri, server)
    text = f"MLflow's UI is starting at {server} (a few seconds; Ctrl-C ends it){_trials(study, options, page)}"
    say(text, {"server": server, "page": page or server, "store": shown})
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Without its job runners the server needs 2 processes and 0.5 GB instead of 15 and 2.2 GB.
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    # The store's address isn't an argument: those are seen by all who may list processes, and it may hold a password.
    store = {"MLFLOW_BACKEND_STORE_URI": uri}
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **quiet, **store}
    process = subprocess.Popen(command, env=environment, stdout=STDERR)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the server ends with us
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        process.terminate()
        process.wait()
    if code:
        raise StudyError(f"MLflow's server ended with status {code}; is port {port} taken? Try --port {port + 1}")


def _page(study: Study | None, options: Tracking, uri: str, server: str) -> str | None:
    """Returns the page of the study's trials on `server`, the best first; None where the store at `uri` has none."""
    if study is None:
        return None
    experiment = connect(uri).get_experiment_by_name(options.experiment or study.name)
    if experiment is None:
        return None
    view = study.name if f"{VIEW}{study.name}" in experiment.tags else None
    return trials_link(server, experiment.experiment_id, study.maximize, view)


def _trials(study: Study | None, options: Tracking, page: str | None) -> str:
    """Returns, as the end of a sentence and what follows it, where the study's trials are."""
    if page is not None:
        return f". The trials, best first:\n{page}"
    if study is None:
        return ""
    elsewhere = "; if it ran with another `MLFLOW_TRACKING_URI`, set that here" if options.uri == "auto" else ""
    return f"\n`{study.name}` has nothing logged in this store{elsewhere}"
