"""The run that stands for a study: its data, files, note, progress, system metrics, and in the end its best model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..budget import Budget
from ..study_file import study_file
from ..trial import ENDED
from .dataset import dataset_inputs
from .environment import environment
from .metrics import progress_metrics
from .models import DIGEST, ModelLogger
from .monitor import Monitor
from .names import BEST, NOTE, PARETO, REPORT, VIEW
from .note import note
from .view import saved_view

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from ...trainers.messages import Ready
    from ..ledger import Ledger
    from ..study import Study
    from .end import End
    from .runs import Runs

STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
FILES = "study"  # the folder of artifacts that say how the study is run


class StudyRun:
    """What the study's own run is to hold beside the trials', from its beginning to its end."""

    def __init__(self, study: Study, ledger: Ledger, workers: Mapping[int, Ready]) -> None:
        assert study.tracking is not None
        self.study, self.ledger, self.options = study, ledger, study.tracking
        interval = study.tracking.interval
        self.monitor = None if interval is None else Monitor(workers, interval)
        self.problem = ""  # what of the study couldn't be made, so that MLflow lacks it
        self._described = False  # whether this process has sent what describes the study

    def begin(self, runs: Runs) -> None:
        """Sends what is known from the start: parameters, note, data, and the files that say how the study is run."""
        from .metrics import parameters

        space = parameters(self.ledger.space.describe(), "space.")
        tags = {"state": "running"}
        if NOTE not in runs.parent.tags:
            tags[NOTE] = note(self.study, self.ledger)
        runs.log(runs.parent, params=space, tags=tags)
        if self._described:
            return
        self._save_view(runs)
        if inputs := dataset_inputs(self.study, self.ledger):
            runs.client.log_inputs(runs.parent.id, inputs)
        for name, text in self._files().items():
            runs.client.log_text(runs.parent.id, text, f"{FILES}/{name}")
        self._described = True

    def _save_view(self, runs: Runs) -> None:
        """Gives MLflow's UI a view of the study, unless there is one, which its users may have changed."""
        name = f"{VIEW}{self.study.name}"
        if name not in runs.client.get_experiment(runs.experiment_id).tags:
            metric = self.ledger.attribute("metric") if self.study.trainer else None
            view = saved_view(self.study.name, self.ledger.space, metric, self.ledger.goals)
            runs.client.set_experiment_tag(runs.experiment_id, name, view)

    def progress(self, runs: Runs, ended: Sequence[FrozenTrial]) -> None:
        """Sends how far the study has come, and what was sampled meanwhile."""
        known = progress_metrics(ended, maximize=self.ledger.goals.maximize[0])
        samples = self.monitor.metrics(runs.began) if self.monitor else []
        runs.log(runs.parent, [*known, *samples])
        runs.parent.held |= {(metric.key, metric.step) for metric in known}
        if self.monitor:
            self.monitor.forget(len(samples))

    def conclude(self, runs: Runs, end: End) -> None:
        """Sends what came of the study, and ends its run."""
        tags = {"state": end.state, "reason": end.reason}
        tags[NOTE] = note(self.study, self.ledger, end)
        if end.best is not None:
            tags[f"{BEST}trial"] = str(end.best.number)
            tags |= {f"{BEST}{name}": str(value) for name, value in end.best.params.items()}
        for stale in [name for name in runs.parent.tags if name.startswith(BEST) and name not in tags]:
            runs.client.delete_tag(runs.parent.id, stale)  # a parameter that the best trial before had
            del runs.parent.tags[stale]
        if self.ledger.goals.several:
            self._tag_front(runs)
        if end.model is not None and end.best is not None and self.study.trainer is not None:
            logger = ModelLogger(runs.client, runs.experiment_id, runs.parent, self.options)
            tags[DIGEST] = logger.log(self.study, end.best, end.model)
        runs.log(runs.parent, tags=tags)
        runs.delete_doubles()
        runs.client.set_terminated(runs.parent.id, STATUS[end.state])
        if end.report is not None:
            self._log_report(runs, end.report)

    def _log_report(self, runs: Runs, write: Callable[[Path], None]) -> None:
        """Logs the report and its plots, unless MLflow has those of as many trials."""
        ended = str(sum(trial.state in ENDED for trial in self.ledger.trials))
        if runs.parent.tags.get(REPORT) == ended:
            return
        with TemporaryDirectory() as place:
            try:
                write(Path(place))
            except (
                Exception
            ) as error:  # a plot's defect must not end what a long study found; `leadline report` shows it
                self.problem = f"the report can't be written ({type(error).__name__}: {error})"
                return
            runs.client.log_artifacts(runs.parent.id, place)
        runs.log(runs.parent, tags={REPORT: ended})

    def _tag_front(self, runs: Runs) -> None:
        front = {trial.number for trial in self.ledger.goals.front(self.ledger.trials)}
        for number, run in runs.trials.items():
            known = run.tags.get(PARETO, "false")
            if known != str(number in front).lower():
                run.tags[PARETO] = str(number in front).lower()
                runs.client.set_tag(run.id, PARETO, run.tags[PARETO])

    def _files(self) -> dict[str, str]:
        """Returns the files by name: the space, the environment, and the study file, or settings that can't be one."""
        files = {"space.json": _json(self.ledger.space.describe()), "environment.json": _json(environment())}
        text = study_file(self.study, Budget(**(self.ledger.attribute("budget") or {})))
        if text is None:
            return {**files, "settings.json": _json(self.study.describe())}
        return {**files, "study.yaml": text}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
