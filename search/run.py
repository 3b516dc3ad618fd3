"""A run of a study: workers for its devices, listeners for its trials, and what is left to do when they are done."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, StudyError
from ..trainers.messages import Job
from . import settings
from .budget import Budget
from .executors import EXECUTORS, ray
from .export import write_model
from .faults import Faults
from .ledger import Ledger
from .listeners import Callbacks, Keeper, Sizes
from .log import BEGAN, ENDED, FAILED, Log
from .objective import Objective
from .pruners.wrapped import NoPruner
from .refit import refit
from .scheduler import Scheduler
from .tracebacks import Tracebacks
from .tracking import End, Tracker, model_problem

if TYPE_CHECKING:
    from ..trainers.trainer import Trainer
    from .progress import Progress
    from .study import Study
    from .trial import Trial


LANES = {"cpu": 16, "cuda": 256}  # where lanes are "auto"; more hardly raise the throughput (benchmarks/README.md)
PAUSE = 0.5  # seconds between looks at what other drivers still do
ROUNDS = 10  # so often at least a strategy that learns sees what came of its proposals, where lanes are "auto"


class Run:
    """Trains trials of `study`, whose settings are in order, until its budget is used up."""

    def __init__(self, study: Study, ledger: Ledger, work: Trainer | Objective, budget: Budget) -> None:
        self.study, self.ledger, self.work, self.budget = study, ledger, work, budget
        self.trials = budget.trials
        structure = partial(work.structure, padded=study.plan == "padded")
        do = structure, work.weight, study.folder.branch
        self.scheduler = Scheduler(ledger, self._rungs, *do, budget=budget, limits=study.limits.time)
        self.faults = Faults()
        self.tracking_problem: str | None = None
        self.refit_problem: str | None = None
        self.model_problem: str | None = None

    @property
    def ended_by(self) -> str:
        """What ended the run: a part of the budget, "space" or "interrupt"."""
        return self.scheduler.ended_by

    def interrupt(self) -> None:
        """Ends the run; trials that are running stay so, to be taken up by the next one."""
        self.scheduler.interrupt()

    def go(self, *, progress: bool) -> None:
        """Runs to the end. Raises StudyError if the study can't go on."""
        from .progress import Progress  # rich draws from Python's global generator when it is imported

        self._set_up()
        shown = Progress(
            self.ledger.trials,
            maximize=self.study.maximize,
            trials=self.trials,
            seconds=self._seconds_left,
            epochs=self.study.epochs,
        )
        tracker = self._tracker()
        finished = False
        with self._logged():
            try:
                with self._listening(tracker, shown if progress else None):
                    self._train()
                    self.scheduler.conclude()
                if not self.scheduler.interrupted and self.ledger.leads:
                    self._refit(shown)
                    finished = not self.scheduler.interrupted
            finally:
                with shown.status("Writing the best network, and to MLflow what it lacks, with a report ..."):
                    self._conclude(tracker, finished=finished)

    def _train(self) -> None:
        """Has trials trained until there is nothing left to do, nor anything that other drivers may still leave."""
        while True:
            if self.scheduler.has_work:
                self._execute()
            stays = self.ledger.stays() or (self.ledger.shared and self.scheduler.has_work)
            if self.scheduler.interrupted or not stays:
                return
            time.sleep(PAUSE)
            self.scheduler.tick()

    def _set_up(self) -> None:
        """Keeps with the study what every run of it must share: the split, and how its stacks are run."""
        self.ledger.reserve(self.trials)
        self.ledger.set_attribute("budget", asdict(self.budget))
        self.ledger.set_attribute("ended_by", None)
        self.ledger.set_attribute("options", settings.options(self.study))
        if self.ledger.attribute("threads") is None:
            # One thread a CPU worker: the same bits on every machine, and no trial waits for a core that others use.
            self.ledger.set_attribute("threads", 1)
        trainer, seed = self.study.trainer, self.study.seed
        if trainer is None:
            return
        metric = trainer.metric(self.study.metric).name
        if self.ledger.attribute("split") is None or self.ledger.attribute("base") is not None:  # else a script's
            self.ledger.set_attribute("base", str(trainer.base) if trainer.base else None)
        self.ledger.set_attribute("metric", metric)
        self.ledger.name_objectives([metric, *self.study.goals.further])
        rows, kept = trainer.split(seed), self.ledger.attribute("split")
        if kept is None:
            sizes = {"train": len(rows.train), "valid": len(rows.valid), "test": len(rows.test)}
            digests = {"digest": rows.digest, "data": trainer.loaded.digest}
            self.ledger.set_attribute("split", {"seed": rows.seed, **sizes, **digests})
        elif kept["data"] != trainer.loaded.digest:
            name = self.study.name
            raise SettingsError(f"the data of `{name}` have changed since it began; give the study another name")

    def _execute(self) -> None:
        if self._executor() != "ray":
            EXECUTORS[self._executor()](self.work, self._jobs(), self.scheduler)
            return
        given = [self.study.workers] if isinstance(self.study.workers, int) else []
        most = min([*given, *([] if self.trials is None else [self.trials])], default=None)
        jobs = [self._job(device) for device in devices_on_cluster(self.study)]
        ray.run(self.work, jobs, self.scheduler, address=self.study.address, most=most)

    @property
    def _seconds_left(self) -> float | None:
        minutes = self.budget.minutes
        return None if minutes is None else max(0.0, minutes * 60 - self.scheduler.seconds)

    def _executor(self) -> str:
        if self.study.executor != "auto":
            return self.study.executor
        return "processes" if self.study.travels(self.work) else "inline"

    def _rungs(self, number: int, params: Mapping[str, Any]) -> frozenset[int]:
        trainer = self.study.trainer
        return frozenset() if trainer is None else self.study.pruner.rungs(number, trainer.recipe(params).epochs)

    def _jobs(self) -> list[Job]:
        jobs = [self._job(device) for device in devices_of(self.study)]
        return [job for job in jobs for _ in range(self._workers(job.device, job.most_lanes))]

    def _job(self, device: str) -> Job:
        return replace(job_for(self.study, self.ledger, device), most_lanes=self._most_lanes(device))

    @property
    def _results_matter(self) -> bool:
        """Whether what is trained next depends on what came of the trials before."""
        return self.study.strategy.learns or not isinstance(self.study.pruner, NoPruner)

    def _most_lanes(self, device: str) -> int:
        """Returns how many lanes "auto" may come to: on a CPU only so many as can't change the study's course.

        With one lane a study is the same on every run, also after a crash; with more, which trials have ended when the
        next one is proposed depends on how far each had come.
        """
        most = LANES["cuda"] if device != "cpu" else 1 if self._results_matter else LANES["cpu"]
        if self.trials is not None:
            most = min(most, self.trials // (ROUNDS if self.study.strategy.learns else 1))
        return max(1, most)

    def _workers(self, device: str, lanes: int) -> int:
        """Returns how many workers a device has: "auto" is one a core where that can't change the study's course."""
        if isinstance(self.study.workers, int):
            return self.study.workers if self.trials is None else min(self.study.workers, self.trials)
        if device != "cpu" or self._executor() == "inline" or self._results_matter or self.study.trainer is None:
            return 1
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cores if self.trials is None else max(1, min(cores, self.trials // lanes))

    def _tracker(self) -> Tracker | None:
        return None if self.study.tracking is None else Tracker(self.study, self.ledger, self.scheduler.workers)

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Writes the study's log, and gathers the faults, from the run's beginning to its very end."""
        listeners = self.ledger.listeners
        listeners += [Log(self.study.folder.path), self.faults]
        left = [trial.number for trial in self.ledger.unfinished()]
        self.ledger.happened(BEGAN, budget=self.budget.as_json(), taken_up=left)
        try:
            yield
        except BaseException as error:
            self.ledger.happened(FAILED, reason=f"{type(error).__name__}: {error}")
            raise
        else:
            self.ledger.happened(ENDED, by=self.ended_by, seconds=round(self.scheduler.seconds, 3))
        finally:
            listeners.clear()

    @contextmanager
    def _listening(self, tracker: Tracker | None, shown: Progress | None) -> Iterator[None]:
        study, listeners = self.study, self.ledger.listeners
        others = len(listeners)
        if study.trainer is not None:
            if "parameters" in study.goals.further:
                listeners.append(Sizes(self.ledger, study.trainer.size))
            listeners.append(Keeper(study.folder, self.ledger.trials, study.keep, maximize=study.maximize))
            listeners.append(Callbacks(study.trainer.callback("on_epoch"), study.trainer.callback("on_trial_end")))
        listeners.append(Tracebacks(study.folder, self.ledger))
        if tracker is not None:
            listeners.append(tracker)
            self.ledger.when_leading(tracker.start)
        try:
            if shown is None:
                yield
            else:
                listeners.append(shown)
                with shown:
                    yield
        finally:
            del listeners[others:]

    @property
    def _best(self) -> Trial | None:
        return self.study.best if any(trial.state == "complete" for trial in self.ledger.trials) else None

    def _refit(self, shown: Progress) -> None:
        """Trains the best configuration on train and valid rows, if the trainer is to."""
        study, best = self.study, self._best
        if study.trainer is None or not study.trainer.refit or best is None:
            return
        if best.parent is not None:
            self.refit_problem = f"trial {best.number} began from the weights of another, so it can't be trained again"
            self.ledger.set_attribute("refit_failed", best.number)
            return
        if study.folder.weights(best.number).exists():  # a trial that was told has none
            with shown.status(f"Training the best configuration on train and valid rows, {best.best_epoch} epochs ..."):
                job = job_for(study, self.ledger, devices_of(study)[0])
                self.ledger.set_attribute("refit_failed", None)
                try:
                    refit(study.trainer, study.folder, best, job, lambda: self.scheduler.interrupted)
                except StudyError as error:  # the study stands without it
                    self.refit_problem = str(error)
                    self.ledger.set_attribute("refit_failed", best.number)
                self.ledger.commit()

    def _conclude(self, tracker: Tracker | None, *, finished: bool) -> None:
        """Writes the best network of a run that wasn't interrupted, and has the tracker send what is left.

        Where several drivers run the study the one that leads does.
        """
        if not self.ledger.leads:
            return
        study, best, model = self.study, self._best, None
        if finished and best is not None and study.trainer is not None and study.folder.weights(best.number).exists():
            model = write_model(study, best, program=tracker is not None)
        if tracker is not None:
            wanted = finished and best is not None and tracker.options.report
            report = partial(write_report_and_plots, study) if wanted else None
            state = "finished" if finished else "interrupted" if self.scheduler.interrupted else "failed"
            self.model_problem = None if model is None else model_problem(model, tracker.options)
            reason = "error" if state == "failed" else self.ended_by
            tracker.close(End(best, model, state, reason, report, self.model_problem))
            self.tracking_problem = tracker.problem


def write_report_and_plots(study: Study, folder: Path) -> None:
    """Writes the study's report, and its plots as files, into a folder."""
    from .analysis.report import write_all

    write_all(study, folder / "report.html", folder / "plots")


def devices_of(study: Study) -> list[str]:
    """Returns the names of this machine's devices for the study's trials, where each is CUDA's or the CPU."""
    devices = [study.devices] if isinstance(study.devices, str) else list(study.devices)
    if devices == ["auto"] or study.executor == "ray":
        devices = (_cuda_devices() if study.trainer else []) or ["cpu"]
    return devices


def devices_on_cluster(study: Study) -> list[str]:
    """Returns the devices of a Ray cluster that the study may be trained on, the better first."""
    return ["cuda", "cpu"] if study.devices == "auto" else [str(study.devices)]


def job_for(study: Study, ledger: Ledger, device: str) -> Job:
    """Returns what a worker of the study on this device is told."""
    split = ledger.attribute("split")
    return Job(
        study=ledger.attribute("id"),
        seed=study.seed,
        metric=study.metric,
        maximize=study.maximize,
        objectives=len(study.goals),
        metrics=study.goals.metrics,
        latency="latency" in study.goals.further,
        device=device,
        threads=ledger.attribute("threads") if device == "cpu" else None,
        lanes=None if study.lanes == "auto" else int(study.lanes),
        stack=study.plan,
        widths=study.trainer.widths(study.space) if study.trainer else {},
        plans=ledger.plans,
        folder=study.folder.path,
        driver=ledger.id,
        keep=study.keep,
        split_digest=split["digest"] if split else None,
        limits=study.limits.time,
    )


def _cuda_devices() -> list[str]:
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
