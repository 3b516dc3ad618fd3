"""The runs of a study in MLflow's store: what they hold, and what they lack, sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..trial import ENDED, Trial
from .metrics import ending_metrics, epoch_metrics, logarithms, parameters
from .names import IDENTITY, KIND, LINEAGE, NUMBER, PARENT_RUN

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient
    from optuna.trial import FrozenTrial

    from ..ledger import Ledger

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
BATCH = 1000  # metrics that MLflow takes at a time
PAGE = 1000  # runs that it tells at a time


@dataclass
class Run:
    """What MLflow holds of a run: names of parameters, tags, and (name, step) of each metric that was read there."""

    id: str
    ended: bool = False
    params: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    held: set[tuple[str, int]] = field(default_factory=set)
    epochs: int = 0  # up to which everything has been sent since it was read


class Runs:
    """What MLflow's store holds of one study, as it was read when this was made, and as it was sent since.

    What a call that failed has done is anybody's guess: throw this away, and make another. A request whose answer was
    lost may have made a run twice (MLflow's client repeats requests, too): all but one are deleted.

    `tags` are those of every run, `told` says which parameters beside a trial's own its run gets, and which tags;
    `began` is when the study began, as far as this process knows.
    """

    def __init__(
        self,
        client: MlflowClient,
        ledger: Ledger,
        name: str,
        experiment: str,
        artifacts: str | None,
        tags: Mapping[str, str],
        told: Callable[[Trial, FrozenTrial], tuple[Mapping[str, Any], Mapping[str, str]]],
        began: float,
    ) -> None:
        self.client, self.ledger, self.name, self.tags, self.told = client, ledger, name, dict(tags), told
        self.began = round(began * 1000)
        self.experiment_id = self._experiment(experiment, artifacts)
        self.trials: dict[int, Run] = {}
        self.parent = self._read()

    # Reading

    def _experiment(self, name: str, artifacts: str | None) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return str(self.client.create_experiment(name, artifact_location=artifacts))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _read(self) -> Run:
        """Reads the trials' runs; returns the study's, which is made if there is none."""
        parent, children = self._kept()
        for number, run in children.items():
            self.trials[number] = self._known(run, ended=run.info.status in STATUS.values())
        if parent is None:
            tags = {KIND: "study", **self.tags}
            parent = self.client.create_run(self.experiment_id, self.began, tags=tags, run_name=self.name)
        elif parent.info.status != "RUNNING":
            self.client.update_run(parent.info.run_id, status="RUNNING")
        self.began = int(parent.info.start_time)
        return self._known(parent, ended=False)

    def _known(self, run: MlflowRun, *, ended: bool) -> Run:
        known = Run(run.info.run_id, ended, set(run.data.params), dict(run.data.tags))
        if not ended:
            histories = (self.client.get_metric_history(known.id, name) for name in run.data.metrics)
            known.held = {(metric.key, metric.step) for history in histories for metric in history}
        return known

    def _kept(self) -> tuple[MlflowRun | None, dict[int, MlflowRun]]:
        """Returns the study's run and the trials', by number. Deletes those that are there twice."""
        runs = list(self._existing())
        begun: dict[str, int] = {}
        for run in runs:
            parent = run.data.tags.get(PARENT_RUN, "")
            begun[parent] = begun.get(parent, 0) + 1
        # Of two the one that trials belong to, or that has been sent more
        runs.sort(key=lambda run: (begun.get(run.info.run_id, 0), len(run.data.metrics)), reverse=True)
        kept: dict[int | None, MlflowRun] = {}
        for run in runs:
            number = run.data.tags.get(NUMBER)
            key = None if run.data.tags.get(KIND) == "study" else int(number)
            if key in kept:
                self.client.delete_run(run.info.run_id)
            kept.setdefault(key, run)
        parent = kept.pop(None, None)
        return parent, {number: run for number, run in kept.items() if number is not None}

    def _existing(self) -> Iterator[MlflowRun]:
        token = None
        while True:
            wanted = f"tags.`{IDENTITY}` = '{self.tags[IDENTITY]}'"
            page = self.client.search_runs([self.experiment_id], wanted, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def delete_doubles(self) -> None:
        """Deletes the runs that MLflow's client made twice without telling."""
        self._kept()

    # Sending

    def sync(self, frozen: FrozenTrial) -> None:
        """Sends what MLflow lacks of a trial, in as few calls as it allows: each one waits for its disk."""
        run = self.trials.get(frozen.number)
        if run is not None and run.ended:
            return
        trial = Trial.of(frozen, self.ledger.space.fixed)
        over = trial.state in ENDED
        further, own = self.told(trial, frozen)
        tags = {"state": trial.state, **({"reason": trial.reason} if over else {}), **own}
        run = run or self._create(trial, frozen, tags)
        metrics, last = epoch_metrics(frozen, run.epochs)
        if over:
            metrics += ending_metrics(trial, frozen, self.ledger.goals.further)
        params: list[Param] = []
        if trial.params.keys() - run.params:
            log10 = logarithms(self.ledger.space, trial.params)
            params = [*parameters({**further, **trial.params}), *parameters(log10, "log10.")]
        self.log(run, metrics, params, tags)
        run.epochs = last
        if over:
            if trial.traceback:
                self.client.log_text(run.id, trial.traceback, "traceback.txt")
            ended = frozen.datetime_complete
            self.client.set_terminated(run.id, STATUS[trial.state], round(ended.timestamp() * 1000) if ended else None)
            run.ended = True

    def _create(self, trial: Trial, frozen: FrozenTrial, tags: Mapping[str, str]) -> Run:
        began = frozen.datetime_start.timestamp() if frozen.datetime_start else time.time()
        core = {KIND: "trial", NUMBER: str(trial.number), PARENT_RUN: self.parent.id, **self.tags, **tags}
        core |= {} if trial.parent is None else {LINEAGE: str(trial.parent)}
        name = f"trial {trial.number}"  # short: MLflow's tables cut longer ones, beneath the study's own run
        made = self.client.create_run(self.experiment_id, round(began * 1000), tags=core, run_name=name)
        self.trials[trial.number] = Run(made.info.run_id, tags=core)
        return self.trials[trial.number]

    def log(
        self,
        run: Run,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Sends those of the metrics, parameters and tags that the run lacks."""
        from mlflow.entities import RunTag

        lacking = [metric for metric in metrics if (metric.key, metric.step) not in run.held]
        unknown = [param for param in params if param.key not in run.params]
        changed = {name: value for name, value in (tags or {}).items() if run.tags.get(name) != value}
        sent = [RunTag(name, value) for name, value in changed.items()]
        for start in range(0, max(len(lacking), len(unknown[:1]), len(sent[:1])), BATCH):
            self.client.log_batch(run.id, lacking[start : start + BATCH], unknown, sent)
            run.params |= {param.key for param in unknown}
            run.tags |= changed
            unknown, sent = [], []
