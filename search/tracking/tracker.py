"""The tracker: a listener of the ledger that has MLflow's runs kept in step with the study, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..listeners import Listener
from ..log import TRACKER
from ..trial import ENDED, STATES, Trial
from .end import End
from .facts import study_tags, trial_facts
from .runs import Runs
from .store import connect, store_of, told, troubles
from .study_run import StudyRun

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient
    from optuna.trial import FrozenTrial

    from ...trainers.messages import Ready
    from ..ledger import Ledger
    from ..study import Study

PAUSE = 5.0  # seconds between two passes, at least: what is reported meanwhile goes together
REST = 50  # ... and so many times as long as a pass takes: it shares processor and interpreter lock with the driver
HURRIED = 3.0  # seconds for which a store that is away is tried at the end of a run that was interrupted
RETRY, LONGEST = 1.0, 30.0  # seconds between the first two, and any two, tries to reach a store that is away


class Tracker(Listener):
    """A listener of the ledger that keeps MLflow's store in step with it.

    `workers` are those at work, each as it last said that it is ready.
    """

    def __init__(self, study: Study, ledger: Ledger, workers: Mapping[int, Ready]) -> None:
        assert study.tracking is not None
        self.study, self.ledger, self.options = study, ledger, study.tracking
        self.uri = store_of(self.options.uri, study.folder)
        self.problem: str | None = None
        self._tags, self._facts = study_tags(study, ledger), trial_facts(study)
        self._study_run = StudyRun(study, ledger, workers)
        started = (frozen.datetime_start for frozen in self._frozen())
        self._began = min([time.time(), *(one.timestamp() for one in started if one is not None)])
        self._error: BaseException | None = None
        self._client: MlflowClient | None = None
        self._runs: Runs | None = None  # as they were read; None since something failed
        self._durable = {trial.number for trial in ledger.trials if trial.state in ENDED}  # their ends will stay
        self._dirty: set[int] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._end: End | None = None
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name="leadline-tracker", daemon=True)

    def start(self) -> None:
        """Begins to send, what earlier runs left unsent first."""
        if self._study_run.monitor:
            self._study_run.monitor.start()
        self._thread.start()

    def began(self, trial: Trial) -> None:
        self._mark(trial.number)

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        self._mark(trial.number)

    def paused(self, trial: Trial) -> None:
        self._mark(trial.number)

    def ended(self, trial: Trial) -> None:
        with self._lock:
            self._durable.add(trial.number)
            self._dirty.add(trial.number)

    def elsewhere(self, trial: Trial) -> None:
        if trial.state in ENDED:
            self.ended(trial)
        elif trial.state != "waiting":
            self._mark(trial.number)

    def close(self, end: End) -> None:
        """Sends what is left, the study's own facts and its best model, and waits until MLflow has them.

        Where the store is away, it is tried for `wait` seconds, `HURRIED` at most by a run that was interrupted;
        `problem` says so then, and the next run catches up.
        """
        wait = self.options.wait if end.state != "interrupted" else min(HURRIED, self.options.wait)
        if self._study_run.monitor:
            self._study_run.monitor.stop()
        self._end, self._deadline = end, time.monotonic() + wait
        self._closing.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    # The thread

    def _work(self) -> None:
        pause, retry = 0.0, RETRY
        while True:
            closing = self._closing.wait(pause)
            if not self.ledger.holds():  # it may have slept, and what it knows been done by another one
                if closing:
                    self.problem = self.problem or "another driver goes on, or the study's database is away"
                    return
                pause = RETRY
                continue
            try:
                if self._runs is None:
                    self._runs = self._read()
                began = time.monotonic()
                self._send(self._runs)
                if closing and self._end is not None:
                    self._study_run.conclude(self._runs, self._end)
                self.problem = self._study_run.problem or None
                if closing:
                    return
                pause, retry = max(PAUSE, REST * (time.monotonic() - began)), RETRY
            except troubles() as error:  # a busy database or a server that is away may be back at the next try
                if self.problem is None:
                    self.ledger.happened(TRACKER, problem=told(error, self.uri))
                self.problem, self._runs = told(error, self.uri), None
                if closing and time.monotonic() >= self._deadline:
                    return
                if closing:
                    time.sleep(RETRY)
                pause, retry = retry, min(LONGEST, 2 * retry)
            except BaseException as error:  # a defect, not trouble with the store: `close` raises it where it is seen
                self._error = error
                return

    def _read(self) -> Runs:
        """Returns what MLflow holds; all that the study holds is to be compared with it."""
        if self._client is None:
            self._client = connect(self.uri)
        experiment = self.options.experiment or self.study.name
        artifacts = self.study.folder.mlflow_artifacts if self.uri.startswith("sqlite:///") else None
        told = self._tags, self._facts, self._began
        runs = Runs(self._client, self.ledger, self.study.name, experiment, artifacts, *told)
        self._study_run.begin(runs)
        with self._lock:
            self._dirty |= {frozen.number for frozen in self._frozen() if STATES[frozen.state.name] != "waiting"}
        return runs

    def _send(self, runs: Runs) -> None:
        """Sends all that MLflow lacks now."""
        with self._lock:
            dirty, self._dirty = sorted(self._dirty), set()  # before they are read: later reports mark them again
            durable = set(self._durable)
        for number in dirty:
            frozen = self.ledger.mirror.get_trial(self.ledger.mirror.trial_id(number))
            if STATES[frozen.state.name] not in ENDED or number in durable:  # else its end will mark it again
                runs.sync(frozen)
        self._study_run.progress(runs, [frozen for frozen in self._frozen() if frozen.number in durable])

    def _frozen(self) -> list[FrozenTrial]:
        return self.ledger.mirror.get_all_trials(self.ledger.mirror.study_id, deepcopy=False)

    def _mark(self, number: int) -> None:
        with self._lock:
            self._dirty.add(number)
