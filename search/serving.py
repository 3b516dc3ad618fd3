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

if TYPE_CHECKING:
    from .study import Study

STDERR = 2  # the descriptor: what a server prints is no answer of ours
Say = Callable[[str, dict[str, str]], None]


def serve_mlflow(study: Study | None, storage: str | None, port: int, say: Say) -> None:
    """Serves MLflow's UI on 127.0.0.1 until interrupted, at the page that compares the study's trials.

    Before it starts `say` is told, in words, where it will be, and as facts: `server`, `page` and the `store`.

    Raises StudyError if nothing has been logged yet, or the server doesn't start.
    """
    folder = study.folder if study else Folder(root_of(storage), "any")
    options = (study.tracking if study else None) or Tracking()
    uri = store_of(options.uri, folder)
    shown = without_password(uri)
    if uri.startswith("http"):
        say(f"MLflow has a server of its own: {shown}", {"server": shown, "page": shown, "store": shown})
        return
    if uri == folder.mlflow_uri and not (folder.root / "mlflow.db").exists():
        raise StudyError(f"nothing is logged in {folder.root} yet; `leadline run` does")
    server = f"http://127.0.0.1:{port}"
    page = server
    if study is not None:
        experiment = connect(uri).get_experiment_by_name(options.experiment or study.name)
        if experiment is not None:
            view = study.name if f"{VIEW}{study.name}" in experiment.tags else None
            page = trials_link(server, experiment.experiment_id, study.maximize, view)
    text = f"MLflow's UI is starting at {server} (a few seconds; Ctrl-C ends it). The trials, best first:\n{page}"
    say(text, {"server": server, "page": page, "store": shown})
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
