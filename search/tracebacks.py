"""Tracebacks of trials that raised an error, as files."""

from __future__ import annotations

from .folder import Folder
from .ledger import Ledger
from .listeners import Listener
from .log import UNWRITTEN
from .trial import Trial


class Tracebacks(Listener):
    """Writes the traceback of a trial that raised an error into its folder, as text; the study has it too.

    So where it can't be written the study goes on, and says so.
    """

    def __init__(self, folder: Folder, ledger: Ledger) -> None:
        self._folder, self._ledger = folder, ledger

    def ended(self, trial: Trial) -> None:
        if not trial.traceback:
            return
        path = self._folder.traceback(trial.number)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(trial.traceback, encoding="utf-8")
        except OSError as error:
            self._ledger.happened(UNWRITTEN, trial=trial.number, reason=f"{path} can't be written: {error.strerror}")
