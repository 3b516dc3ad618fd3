"""The tracker: mirrors a study into MLflow, from a thread of its own, so that no device ever waits for it.

One parent run stands for the study, a child run for each trial. What MLflow holds is compared with what the study
holds, and the difference is sent, a batch a run: so it doesn't matter when, or how often, or after which crash it is
done.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .folder import Folder, without_password
from .listeners import Listener
from .trial import ENDED, EPOCH, Trial

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient
    from optuna.trial import FrozenTrial

    from .ledger import Ledger

KIND, STUDY, NUMBER = "leadline.kind", "leadline.study", "leadline.trial"  # tags: "study" or "trial"; names; numbers
IDENTITY = "leadline.id"  # tag: which study it is; others may have had, or have elsewhere, the same name
PARENT_RUN = "mlflow.parentRunId"
LINEAGE = "leadline.parent"  # tag: the trial from whose state a trial began
PARETO = "pareto"  # tag of a trial, of several objectives: whether no other dominated it when the study last ended
OBJECTIVE = "objective"  # a trial's value, once, under one name in every study: what runs are sorted by
REPORTED = "reported"  # the curve of a trial whose reports name no metrics
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
PAUSE = 1.0  # seconds between two batches: what is reported meanwhile goes together
BATCH = 1000  # metrics that MLflow takes at a time


@dataclass
class _Run:
    """What MLflow holds of a trial."""

    id: str
    epochs: int = 0
    ended: bool = False
    concluded: bool = False  # whether it holds what is known at a trial's end, the `epochs` among it
    described: bool = False  # whether it is known to hold the parameters
    pareto: bool = False  # whether it is tagged as one of the front


class Tracker(Listener):
    """A listener of the ledger that keeps MLflow's store at `uri` in step with it.

    `artifacts` is where a local store keeps its files. An experiment of the study's name is created if it isn't there.
    """

    def __init__(self, ledger: Ledger, name: str, uri: str, artifacts: str | None, tags: Mapping[str, str]) -> None:
        self.ledger, self.name, self.uri, self.artifacts, self.tags = ledger, name, uri, artifacts, dict(tags)
        self.tags |= {STUDY: name, IDENTITY: ledger.attribute("id")}
        self.experiment_id: str | None = None
        self.parent_id: str | None = None
        self.problem: str | None = None
        self._error: BaseException | None = None
        self._client: MlflowClient | None = None
        self._runs: dict[int, _Run] = {}
        self._dirty: set[int] = {trial.number for trial in ledger.trials if trial.state != "waiting"}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="leadline-tracker", daemon=True)

    def start(self) -> None:
        """Begins to send, what earlier runs left unsent first."""
        self._thread.start()

    def began(self, trial: Trial) -> None:
        self._mark(trial.number)

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        self._mark(trial.number)

    def paused(self, trial: Trial) -> None:
        self._mark(trial.number)

    def ended(self, trial: Trial) -> None:
        self._mark(trial.number)

    def close(self, best: Trial | None, model: Path | None, *, finished: bool) -> None:
        """Sends what is left, the study's own facts and its best model, and waits until MLflow has them."""
        self._closing.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self.problem is None:
            try:
                self._finish(best, model, finished)
            except _troubles() as error:
                self.problem = _told(error, self.uri)

    # The thread

    def _work(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(PAUSE if self.parent_id else 0)
            try:
                if self.parent_id is None:
                    self._open()
                self._send()
                self.problem = None
            except _troubles() as error:  # a busy database or a server that is away may be back at the next try
                self.problem = _told(error, self.uri)
                closing = closing or self._closing.wait(PAUSE)
            except BaseException as error:  # a defect, not trouble with the store: `close` raises it where it is seen
                self._error = error
                return

    def _mark(self, number: int) -> None:
        with self._lock:
            self._dirty.add(number)

    def _open(self) -> None:
        client = self._client = connect(self.uri)
        experiment = client.get_experiment_by_name(self.name)
        if experiment is None:
            self.experiment_id = client.create_experiment(self.name, artifact_location=self.artifacts)
        elif experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
            self.experiment_id = experiment.experiment_id
        else:
            self.experiment_id = experiment.experiment_id
        for run in self._existing():
            tags = run.data.tags
            if tags.get(KIND) == "study":
                self.parent_id = run.info.run_id
            elif NUMBER in tags:
                ended = run.info.status in STATUS.values()
                epochs = 0 if ended else self._epochs_of(run)
                concluded = "epochs" in run.data.metrics
                self._runs[int(tags[NUMBER])] = _Run(
                    run.info.run_id, epochs, concluded=concluded, ended=ended, pareto=tags.get(PARETO) == "true"
                )
        if self.parent_id is None:
            tags = {KIND: "study", **self.tags}
            self.parent_id = client.create_run(self.experiment_id, tags=tags, run_name=self.name).info.run_id
            client.log_batch(self.parent_id, params=_params(self.ledger.space.describe(), "space."))
        else:
            client.update_run(self.parent_id, status="RUNNING")

    def _epochs_of(self, run: Any) -> int:
        """Returns the last epoch that MLflow holds of a run."""
        assert self._client is not None
        history = (self._client.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
        return max((metric.step for metrics in history for metric in metrics), default=0)

    def _existing(self) -> Iterator[Any]:
        assert self._client is not None
        token = None
        while True:
            wanted = f"tags.`{IDENTITY}` = '{self.tags[IDENTITY]}'"
            page = self._client.search_runs([self.experiment_id], wanted, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _send(self) -> None:
        with self._lock:
            dirty = sorted(self._dirty)
        for number in dirty:
            with self._lock:
                self._dirty.discard(number)  # before it is read: what is reported meanwhile marks it again
            run = self._runs.get(number)
            if run is not None and run.ended:
                continue
            try:
                self._sync(self.ledger.mirror.get_trial(self.ledger.mirror.trial_id(number)), run)
            except BaseException:
                self._mark(number)
                raise

    def _sync(self, frozen: FrozenTrial, run: _Run | None) -> None:
        """Sends what MLflow lacks of a trial, in as few calls as it allows: each one waits for its disk."""
        from mlflow.entities import RunTag

        assert self._client is not None
        trial = Trial.of(frozen, self.ledger.space.fixed)
        tags = {"state": trial.state, **({"reason": trial.reason} if trial.state in STATUS else {})}
        new = run is None
        run = run or self._create(trial, frozen, tags)
        metrics, run.epochs = _epochs(frozen, run.epochs)
        if trial.state in STATUS and not run.concluded:
            metrics += _ending_metrics(trial, frozen, self.ledger.goals.further)
        params = [] if run.described else [*_params(trial.params), *_params(self._logarithms(trial), "log10.")]
        changed = [] if new else [RunTag(key, value) for key, value in tags.items()]
        for start in range(0, max(1, len(metrics)), BATCH):
            self._client.log_batch(run.id, metrics[start : start + BATCH], params, changed)
            params, changed = [], []
        run.described = True
        if trial.state in STATUS:
            ended = frozen.datetime_complete
            self._client.set_terminated(run.id, STATUS[trial.state], round(ended.timestamp() * 1000) if ended else None)
            run.ended = True

    def _create(self, trial: Trial, frozen: FrozenTrial, tags: Mapping[str, str]) -> _Run:
        assert self._client is not None
        began = frozen.datetime_start.timestamp() if frozen.datetime_start else time.time()
        core = {KIND: "trial", NUMBER: str(trial.number), PARENT_RUN: self.parent_id, **self.tags, **tags}
        core |= {} if trial.parent is None else {LINEAGE: str(trial.parent)}
        name = f"{self.name}-{trial.number:04d}"
        created = self._client.create_run(self.experiment_id, round(began * 1000), tags=core, run_name=name)
        self._runs[trial.number] = _Run(created.info.run_id)
        return self._runs[trial.number]

    def _logarithms(self, trial: Trial) -> dict[str, float]:
        """Returns the logarithms of what is searched on a log scale: the axes of MLflow's charts are linear."""
        scaled = (name for name, parameter in self.ledger.space.parameters.items() if getattr(parameter, "log", False))
        return {name: math.log10(trial.params[name]) for name in scaled if name in trial.params}

    def _finish(self, best: Trial | None, model: Path | None, finished: bool) -> None:
        from mlflow.entities import Metric, RunTag

        assert self._client is not None
        assert self.parent_id is not None
        trials = self.ledger.trials
        now = round(time.time() * 1000)
        counts = {state: sum(trial.state == state for trial in trials) for state in ENDED}
        metrics = [Metric(f"trials/{state}", float(count), now, len(trials)) for state, count in counts.items()]
        tags = []
        if best is not None:
            metrics.append(Metric(OBJECTIVE, _finite(best.value), now, len(trials)))
            tags = [RunTag("best.trial", str(best.number))]
            tags += [RunTag(f"best.{name}", str(value)) for name, value in best.params.items()]
        self._client.log_batch(self.parent_id, metrics, tags=tags)
        if self.ledger.goals.several:
            self._tag_front({trial.number for trial in self.ledger.goals.front(trials)})
        if model is not None:
            self._client.log_artifacts(self.parent_id, str(model), "model")
        self._client.set_terminated(self.parent_id, "FINISHED" if finished else "KILLED")

    def _tag_front(self, front: set[int]) -> None:
        assert self._client is not None
        for number, run in self._runs.items():
            if run.pareto != (number in front):
                run.pareto = number in front
                self._client.set_tag(run.id, PARETO, str(run.pareto).lower())


def connect(uri: str) -> MlflowClient:
    """Returns a client of MLflow's store at `uri`, which is made ready if it is a new local one."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Unless the user says otherwise: its default of 7 keeps a study waiting for minutes where the server is gone.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow.tracking import MlflowClient

    # Notes about making a new database, which MLflow's import has just let through
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if uri.startswith("sqlite:///"):
        _make_database(Path(uri.removeprefix("sqlite:///")))
    return MlflowClient(uri)


def _make_database(path: Path) -> None:
    """Makes MLflow's database, if it isn't there, beside its place, and puts it there whole.

    MLflow can't open half a one: it is what a crash leaves, and what a second process finds, while it makes the tables.
    """
    from mlflow.tracking import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        client = MlflowClient(f"sqlite:///{new}")
        client.search_experiments(max_results=1)
        client._tracking_client.store.engine.dispose()
        with suppress(FileExistsError):  # another process was first
            os.link(new, path)
        new.unlink()
    for left in path.parent.glob(f"{path.name}.*"):
        process = left.suffix[1:].split("-")[0]
        if process.isdigit() and not _lives(int(process)):  # what a crash left
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def store_of(given: str | None, folder: Folder) -> str:
    """Returns the address of MLflow's store: the one given, else `MLFLOW_TRACKING_URI`, else beside the studies."""
    if given not in (None, "auto"):
        return str(given)
    return os.environ.get("MLFLOW_TRACKING_URI") or folder.mlflow_uri


def trials_link(server: str, experiment_id: str, maximize: bool) -> str:
    """Returns the page of MLflow's UI that lists the trials flat, the best first, with their curves."""
    kind = f"tags.%60{KIND}%60+%3D+%27trial%27"
    order = f"orderByKey=metrics.%60{OBJECTIVE}%60&orderByAsc={str(not maximize).lower()}"
    page = f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    return f"{server.rstrip('/')}{page}&searchFilter={kind}&{order}&compareRunsMode=CHART"


def _epochs(frozen: FrozenTrial, after: int) -> tuple[list[Metric], int]:
    """Returns the metrics of the epochs after that one, each with its own step and time, and the last epoch."""
    from mlflow.entities import Metric

    metrics, last = [], after
    for epoch, value in sorted(frozen.intermediate_values.items()):
        entry = frozen.system_attrs.get(f"{EPOCH}{epoch}")
        if epoch <= after or entry is None:  # no entry: the epoch is about to be recorded
            continue
        at = round(entry["at"] * 1000)
        named = entry["metrics"] or {REPORTED: value}
        metrics += [Metric(name, _finite(number), at, epoch) for name, number in named.items()]
        last = epoch
    return metrics, last


def _ending_metrics(trial: Trial, frozen: FrozenTrial, further: Sequence[str]) -> list[Metric]:
    """Returns what is known at a trial's end; `objective` stands at the step of its best epoch, and so do those after
    the first as `objective.parameters`, ..."""
    from mlflow.entities import Metric

    at = round((frozen.datetime_complete.timestamp() if frozen.datetime_complete else time.time()) * 1000)
    known = {OBJECTIVE: trial.value, "duration": trial.seconds, "parameters": trial.parameters, "epochs": trial.epochs}
    known |= {f"{OBJECTIVE}.{name}": value for name, value in zip(further, trial.values[1:], strict=False)}
    step = trial.best_epoch or trial.epochs
    return [Metric(name, _finite(value), at, step) for name, value in known.items() if value is not None]


def _params(values: Mapping[str, Any], prefix: str = "") -> list[Any]:
    """Returns values as MLflow's parameters, which are text of at most 6,000 characters."""
    from mlflow.entities import Param

    return [Param(f"{prefix}{name}", str(value)[:6000]) for name, value in values.items()]


def _finite(value: float | None) -> float:
    number = float(value) if value is not None else math.nan
    return number if math.isfinite(number) else math.copysign(1.8e308, number) if math.isinf(number) else number


def _troubles() -> tuple[type[BaseException], ...]:
    """What MLflow raises when its store can't be reached or refuses: training goes on, and the study says so."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, RequestException, SQLAlchemyError, OSError


def _told(error: BaseException, uri: str) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    if "Connection refused" in text or "Max retries exceeded" in text:
        return f"{without_password(uri)} can't be reached"
    return f"{type(error).__name__}: {text[:200]}"
