"""The study: one named search, kept in a storage; the one orchestrator of all that takes part in it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from ..errors import Problem, SettingsError, StudyError
from ..spaces import Space
from ..trainers.quiet import quiet
from ..trainers.references import travels
from . import settings
from .budget import UNBOUNDED, Budget
from .checks import run_problems
from .export import model_of
from .faults import Faults
from .folder import Folder, is_shared, is_there, locked, open_storage, release, root_of, shown
from .goals import ONE, Goals, goals_of
from .ledger import Ledger
from .limits import NO_NETWORKS, Allowed, Limits, require_within_limits
from .loading import settings_of
from .model import trainer_of
from .objective import Objective
from .pruners import described, pruner_of
from .pruners.base import Pruner
from .refit import judge
from .run import Run, devices_of, job_for
from .storage import Mirror
from .strategies import Strategy
from .tracking import Tracking
from .trial import ActiveTrial, Trial
from .warm_start import WarmStart, best_of, earlier_trials

if TYPE_CHECKING:
    import numpy as np
    import pandas
    from numpy.typing import NDArray
    from optuna.storages import BaseStorage

    from ..trainers.models import Model
    from ..trainers.trainer import Trainer
    from .ensembles import Ensemble


PAUSING = {"pbt", "thaw", "bohb"}  # strategies and pruners for trials of a trainer alone


class Study:
    """A search named `name` over `space` (None: the network family's own), of what `trainer` trains or of an objective.

    `metric` is a metric's name or a function of (outputs, targets); `direction` "maximize" or "minimize", by
    default the metric's own. `strategy` is a name (see `leadline.search.strategies.STRATEGIES`), a mapping of a
    name and options, or an Optuna sampler; `pruner` the same (`leadline.search.pruners.PRUNERS`, an Optuna pruner).
    `limits` are the most `parameters`, `flops` (of predicting an example) and `memory` (bytes of training it, or
    "8GB") that a network may take: what would take more is never proposed; and the most `seconds` that a trial may
    train, and `epoch_seconds` an epoch take (or "10m"): then it fails. `storage` is a folder
    (`leadline-studies` by default), a database's URL, or an Optuna storage. `executor` is "inline", "processes",
    "ray" (the cluster at `address`, HOST:PORT, by default the one that runs here) or "auto": processes where all that
    is trained can be imported, else inline. `devices` is "auto", or a device's
    name or several; `workers` is how many processes train on each ("auto": one a GPU; on a CPU one a core where
    neither strategy nor pruner looks at results, else one, as more would make the study's course depend on the
    clock). `lanes` is how many trials a worker trains at once ("auto": as many as pay), `plan` how: "fused" into
    one stacked network, "padded" (fused, narrower networks of a family being padded), "looped", or "auto",
    whichever is faster; on a CPU auto is one lane where results matter to what comes next. `keep` is how many of
    the best trials keep their weights. `mlflow` is the address of MLflow's store ("auto": `MLFLOW_TRACKING_URI`,
    else beside the studies; None: no tracking), or a mapping of what `leadline.search.tracking.Tracking` takes.
    `warm_start` names earlier studies in this storage whose trials the
    strategy knows from the start, or is `{"from": names, "first": 3}`: so many of their best configurations are run
    first.

    For several objectives `metric` is a list: the metric, then costs (`parameters`, `seconds` of training, `latency` in
    milliseconds an example, `memory` at its peak in bytes, on CUDA) and names of other metrics; `direction` is a list
    too, or left out. Curves, `best` and the weights that are kept go by the first.

    A study of this name that exists goes on, if its settings are the same. Nothing is created before the first trial.
    Raises SettingsError, or SpaceError, holding every problem.

    >>> import leadline as ll
    >>> space = ll.Space(depth=ll.Int(1, 3), lr=ll.Float(1e-4, 1e-1, log=True))
    >>> study = ll.Study("digits", space, ll.Trainer("mlp", data="digits", epochs=2), strategy="random")
    """

    def __init__(
        self,
        name: str,
        space: Space | None = None,
        trainer: Trainer | None = None,
        *,
        metric: str | Callable[..., Any] | Sequence[Any] | None = None,
        direction: str | Sequence[str] | None = None,
        strategy: Any = "bayes",
        pruner: str | Mapping[str, Any] | Pruner | optuna.pruners.BasePruner = "none",
        seed: int = 0,
        storage: str | Path | BaseStorage | None = None,
        executor: str = "auto",
        devices: str | Collection[str] = "auto",
        lanes: str | int = "auto",
        plan: str = "auto",
        workers: str | int = "auto",
        address: str | None = None,
        keep: int = 5,
        mlflow: str | Mapping[str, Any] | None = "auto",
        limits: Mapping[str, Any] | Limits | None = None,
        warm_start: Any = None,
    ) -> None:
        space = _default_space(trainer) if space is None else space
        self.name, self.space, self.trainer, self.seed = name, space, trainer, seed
        self.storage, self.executor, self.address, self.devices = storage, executor, address, devices
        self.lanes, self.plan, self.workers, self.keep, self.mlflow = lanes, plan, workers, keep, mlflow
        problems = settings.own_problems(self)
        several = any(isinstance(given, list | tuple) and len(given) > 1 for given in (metric, direction))
        self.goals = Goals(maximize=(True, False)) if several else ONE  # to check the rest by, if these are wrong
        with settings.gathered(problems):
            self.goals = goals_of(trainer, metric, direction)
        self.tracking: Tracking | None = None
        with settings.gathered(problems, "mlflow"):
            self.tracking = Tracking.of(mlflow)
        self.limits = Limits()
        with settings.gathered(problems, "limits"):
            self.limits = Limits.parse(limits)
        self.strategy = Strategy("random", space)  # the same
        with settings.gathered(problems, "strategy"):
            self.strategy = Strategy(strategy, space, self.goals, self.allowed)
        with settings.gathered(problems, "pruner"):
            self.pruner = pruner_of(self, pruner)
            self.strategy.showing = self.pruner.showing if self.pruner.pauses else ""
        with settings.gathered(problems, "warm_start"):
            self.warm_start = WarmStart.of(warm_start)
        if problems:
            raise SettingsError(problems)
        self.pruner_given = pruner
        self.folder = Folder(root_of(storage), name)
        self._held = ExitStack()
        self._book: Ledger | None = None
        self._going_on: Run | None = None
        self._stopped = False  # whether that run, or the next one, is to end
        self.budget = UNBOUNDED  # of the last run
        self.ended_by = ""  # what ended the last run: a part of the budget, "space" or "interrupt"
        self.goes_on = False  # whether other drivers went on with the study after the last run
        self.faults = Faults()  # of the last run
        self.tracking_problem: str | None = None
        self.refit_problem: str | None = None
        self.model_problem: str | None = None

    def __repr__(self) -> str:
        return f"Study({self.name!r})"

    @property
    def metric(self) -> Any:
        """What trials are judged by, as given: a name, a function, or None; of several objectives the first."""
        return self.goals.metric

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return self.goals.maximize[0]

    @property
    def epochs(self) -> int | None:
        """The most epochs that a trial may take; None if its objective decides."""
        searched = self.space.parameters.get("epochs")
        if self.trainer is None:
            return None
        fixed = self.space.fixed.get("epochs", self.trainer.epochs)
        return max(searched.values(points=2)) if searched else fixed if isinstance(fixed, int) else self.trainer.epochs

    # Running

    def run(
        self,
        objective: Callable[[ActiveTrial], float | Sequence[float]] | None = None,
        *,
        trials: int | None = None,
        minutes: float | None = None,
        device_hours: float | None = None,
        total_epochs: int | None = None,
        target: float | None = None,
        stall: int | None = None,
        progress: bool = True,
    ) -> Study:
        """Runs trials until one of the budgets is used up; `ended_by` says which.

        They hold over the whole study, its earlier runs included: `trials`, `minutes` of running, `device_hours` of
        training (all trials' seconds together), `total_epochs` of all trials; a `target` that a complete trial's value
        reaches; `stall` ended trials since the best. What a crash left running is taken up again first. With none, a
        grid runs whole. `objective(trial)` returns the value of `trial.params`, for a study without a trainer; of
        several objectives a tuple of values. Returns the study. Raises SettingsError before anything is created if the
        settings can't work, and StudyError (StudyFailed if trials just fail) if the study can't go on.
        """
        work = self.work(objective)
        budget = Budget(trials, minutes, device_hours, total_epochs, target, stall)
        problems = self.problems(objective, budget)
        if problems:
            raise SettingsError(problems)
        self.budget = budget
        with self._writing() as ledger:
            self._going_on = Run(self, ledger, work, budget)
            if self._stopped:
                self._going_on.interrupt()
            try:
                self._going_on.go(progress=progress)
            finally:
                self.ended_by, self.tracking_problem = self._going_on.ended_by, self._going_on.tracking_problem
                self.faults, self.refit_problem = self._going_on.faults, self._going_on.refit_problem
                self.model_problem = self._going_on.model_problem
                self.goes_on = not ledger.leads
                self._going_on, self._stopped = None, False
        return self

    @property
    def running(self) -> bool:
        """Whether a run of this study is going on in this process."""
        return self._going_on is not None

    def stop(self) -> None:
        """Ends the run that is going on, else the next one, from a callback or a signal handler; it can be resumed."""
        self._stopped = True
        if self._going_on is not None:
            self._going_on.interrupt()

    def ask(self) -> ActiveTrial:
        """Returns a new trial with every parameter set. Raises SpaceExhausted if a finite space is used up.

        Until `close` the study belongs to this process.
        """
        ledger = self._hold()
        trial = ledger.propose()
        ledger.began(trial)
        ledger.asked.add(trial.number)
        ledger.commit()

        def report(epoch: int, value: float) -> bool:
            ledger.report(trial.number, epoch, value)
            verdicts = ledger.decide({trial.number: epoch})
            ledger.commit()
            return verdicts[trial.number] == "prune"

        return ActiveTrial(trial.number, trial.params, report)

    def tell(
        self, trial: ActiveTrial | int, value: float | Sequence[float] | None = None, state: str | None = None
    ) -> Trial:
        """Ends a trial from `ask` with its value, or as "pruned" or "failed"; returns its record.

        Of several objectives `value` is a tuple. Raises SettingsError if the trial isn't running, or a complete one has
        no value, or not one for each objective.
        """
        ledger, number = self._hold(), trial if isinstance(trial, int) else trial.number
        if not 0 <= number < len(ledger.trials) or ledger.trial(number).state != "running":
            raise SettingsError(f"only a running trial can be told, but trial {number} isn't running")
        outcome = state or ("failed" if value is None else "complete")
        if outcome not in ("complete", "pruned", "failed") or (outcome == "complete" and value is None):
            raise SettingsError(
                f'`state` is "complete" (with a value), "pruned" or "failed", but got {state!r}, {value}'
            )
        had = len(value) if isinstance(value, tuple | list) else 1
        if outcome == "complete" and had != len(self.goals):
            raise SettingsError(f"`value` must be {len(self.goals)} numbers, one for each objective, but got {value!r}")
        if outcome == "pruned" and value is None:
            value = ledger.trial(number).last
        ledger.asked.discard(number)
        record = ledger.end(number, outcome, value, "told")
        ledger.commit()
        return record

    def enqueue(self, *configurations: Mapping[str, Any]) -> Study:
        """Puts configurations first in line; what they leave out is proposed. One that the study holds is left out.

        Raises SpaceError, with every problem, if one isn't in the space. Returns the study.
        """
        self.space.require(configurations)  # before anything is created
        require_within_limits(self, configurations)
        with self._writing() as ledger:
            ledger.enqueue(configurations)
            ledger.commit()
        return self

    def close(self) -> None:
        """Lets go of the study, so that another process may run it."""
        if self._book is not None:
            release(self._book.mirror.durable)
        self._book = None
        self._held.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    @property
    def optuna(self) -> optuna.Study:
        """The Optuna study underneath, for its visualizations and all that knows Optuna."""
        return self._existing().optuna

    @property
    def trials(self) -> list[Trial]:
        """Every trial, by number; those that wait in line too."""
        ledger = self._reading()
        return ledger.trials if ledger is not None else []

    @property
    def best(self) -> Trial:
        """The best complete trial, of several objectives by the first. Raises StudyError if none is complete."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        if not complete:
            raise StudyError(f"no trial of `{self.name}` is complete")
        return (max if self.maximize else min)(complete, key=lambda trial: trial.value or 0.0)

    @property
    def best_trials(self) -> list[Trial]:
        """The Pareto front: the complete trials that no other is at least as good as in every objective, and better in
        one. The best by the first objective come first."""
        return self.goals.front(self.trials)

    def dataframe(self) -> pandas.DataFrame:
        """Returns the trials as a pandas frame: a row a trial, parameters as `params_...`, of several objectives each
        one's as `values_0`, `values_1`, ..."""
        import pandas

        rows = []
        for trial in self.trials:
            row = trial.as_json()
            params, _, values = row.pop("params"), row.pop("curve"), row.pop("values")
            if self.goals.several:
                row |= {f"values_{place}": value for place, value in enumerate(values or [None] * len(self.goals))}
            rows.append({**row, **{f"params_{name}": value for name, value in params.items()}})
        return pandas.DataFrame(rows)

    @property
    def metric_name(self) -> str:
        """What the trials are judged by, in a word; of several objectives the first."""
        ledger = self._reading()
        kept = ledger.attribute("metric") if ledger is not None else None
        return kept or (self.metric if isinstance(self.metric, str) else "value")

    def describe(self) -> dict[str, Any]:
        """Returns the settings as JSON: what a study of the same name must agree on to go on."""
        return {
            "name": self.name,
            "space": self.space.describe(),
            "trainer": self.trainer.describe() if self.trainer else None,
            **self.goals.describe(),
            "strategy": self.strategy.describe(),
            "pruner": described(self.pruner_given),
            "seed": self.seed,
            **({"limits": self.limits.describe()} if self.limits else {}),
            **({"warm_start": self.warm_start.describe()} if self.warm_start else {}),
        }

    def confirm(self) -> None:
        """Raises SettingsError unless settings and data are those that the study in its storage began with."""
        ledger = self._existing()
        settings.require_same(self, ledger)
        split = ledger.attribute("split")
        if self.trainer is not None and split is not None and split["data"] != self.trainer.loaded.digest:
            raise SettingsError(f"the data of `{self.name}` have changed since it began")

    def attribute(self, name: str) -> Any:
        """Returns what was kept with the study: "budget", "ended_by", "split", "plans", ...; None if nothing."""
        return self._existing().attribute(name)

    def test(self) -> float:
        """Opens the test split, for the best trial alone, and returns its metric there.

        Each opening is recorded, in the attribute "tests", with what `leadline.search.refit.judge` found. Raises
        SettingsError for a study of an objective, and StudyError if no trial is complete, or its weights are gone.
        """
        trainer = trainer_of(self, "test split")
        with self._writing() as ledger:
            best = self.best
            self.confirm()
            refitted = trainer.refit and ledger.attribute("refit_failed") != best.number
            job = job_for(self, ledger, devices_of(self)[0])
            found = judge(trainer, self.folder, best, job, refitted=refitted)
            opened = {"trial": best.number, "metric": ledger.attribute("metric"), **found.record(), "at": time.time()}
            ledger.set_attribute("tests", [*(ledger.attribute("tests") or []), opened])
            ledger.commit()
        return found.value

    # Taking it home

    def ensemble(
        self, size: int = 5, *, test: bool = False, tell: Callable[[str], None] = lambda text: None
    ) -> Ensemble:
        """Chooses up to `size` complete trials, with replacement, whose mean answers best; keeps them with the study.

        They are chosen greedily on validation rows, of all complete trials; members whose weights weren't kept are
        trained again. `test` opens the test split, once for the ensemble and the best trial. `tell` hears what is being
        done. Raises SettingsError for a study of an objective, and StudyError if there are no predictions to choose by.
        """
        from .ensembles import chosen

        with self._writing() as ledger:
            self.confirm()
            return chosen(self, ledger, size, test=test, tell=tell)

    def model(self, trial: int | None = None, *, ensemble: bool = False) -> Model:
        """Returns a trial's network, by default the best one's, or the `ensemble`, ready to predict.

        Raises UsageError if there is no such complete trial or no ensemble was chosen, and for a study of an objective;
        StudyError if the weights weren't kept.
        """
        from .ensembles import ensemble_model

        if ensemble and trial is not None:
            raise SettingsError(f"either an ensemble or trial {trial}, not both")
        return ensemble_model(self) if ensemble else model_of(self, trial)

    def predict(self, inputs: Any, *, ensemble: bool = False) -> NDArray[np.float32]:
        """Returns the best network's probabilities of the classes (n, classes), or values (n,) of a regression.

        `inputs` are as those of the data (`Model.predict`). Raises as `model` does, and DataError.
        """
        return self.model(ensemble=ensemble).predict(inputs)

    def export(
        self, path: str | Path, format: str | None = None, *, trial: int | None = None, ensemble: bool = False
    ) -> Path:
        """Writes a trial's network, by default the best one's, or the ensemble to a file that `load_model` reads.

        `format` is "torch-export" (.pt2), "onnx" (.onnx), "torch" (.pt) or "safetensors", by default the one of the
        path's suffix. Preparation of the inputs, classes and a card are inside; the test split isn't opened. Returns
        the path. Raises as `model` does, and SettingsError if the network can't be exported so.
        """
        from ..trainers.models import save

        return save(self.model(trial, ensemble=ensemble), path, format)

    def report(self, path: str | Path) -> Path:
        """Writes the study's report to `path`: all of it in one .html file, or in text as .md; returns the path.

        A file that is there is replaced. Raises UsageError if nothing can be written there.
        """
        from .analysis.report import write_report

        return write_report(self, path)

    # What a run would meet

    def problems(self, objective: Callable[..., Any] | None = None, budget: Budget = UNBOUNDED) -> list[Problem]:
        """Returns all that would keep a run from working, found without training; creates nothing."""
        return run_problems(self, objective, budget)

    @cached_property
    def trainer_problems(self) -> list[Problem]:
        """What would keep the trainer from training trials of the space, found without training."""
        return [] if self.trainer is None else self.trainer.check(self.space, self.metric, self.seed)

    @cached_property
    def earlier(self) -> list[dict[str, Any]]:
        """The trials of earlier studies that this one starts from, as they were when it began."""
        return earlier_trials(self, self._reading(), load_study) if self.warm_start else []

    @property
    def allowed(self) -> Allowed | None:
        """What tells whether a configuration, fixed values or not, keeps the limits; None if there are none."""
        trainer, limits, fixed = self.trainer, self.limits, self.space.fixed
        if trainer is None or not limits:
            return None
        return lambda params: limits.broken(trainer, {**fixed, **params}) is None

    # Opening

    def _open(self, *, write: bool) -> Ledger:
        with quiet("optuna"):
            storage = open_storage(self.storage, self.folder, write=write)
            try:
                mirror = Mirror.open(storage, self.name, self.goals.directions if write else None)
            finally:
                if not write:
                    release(storage)
            return Ledger(mirror, self.space, self.strategy, self.pruner, self.seed, self.goals)

    def _reading(self) -> Ledger | None:
        """Returns the study as it is in its storage; None if it isn't there."""
        if self._book is not None:
            return self._book
        if not is_there(self.storage, self.folder):
            return None
        try:
            return self._open(write=False)
        except KeyError:
            return None

    def _existing(self) -> Ledger:
        ledger = self._reading()
        if ledger is None:
            raise StudyError(f"there is no study `{self.name}` in {shown(self.storage, self.folder)}")
        return ledger

    @contextmanager
    def _writing(self) -> Iterator[Ledger]:
        if self._book is not None:
            yield self._book
            return
        self._hold()
        try:
            yield self._hold()
        finally:
            self.close()

    def _hold(self) -> Ledger:
        if self.limits and self.trainer is None:
            raise SettingsError([Problem(NO_NETWORKS, ("limits",))])
        if self.trainer is None:
            for name, where in ((self.strategy.name, "strategy"), (self.pruner_given, "pruner")):
                if isinstance(name, str) and name in PAUSING:
                    text = f"`{name}` pauses trials and goes on with them, which needs a trainer"
                    raise SettingsError([Problem(text, (where,))])
        if self._book is None:
            earlier = self.earlier  # before anything is created
            agree = partial(self._agree, earlier=earlier)
            try:
                if is_shared(self.storage):
                    from .shared.ledger import joined

                    self._book = self._held.enter_context(joined(self, agree))
                else:
                    self._held.enter_context(locked(self.storage, self.folder))
                    self._book = self._open(write=True)
                    agree(self._book)
                self.strategy.earlier = self._book.attribute("warm_start") or ()
            except BaseException:
                self.close()
                raise
        return self._book

    def _agree(self, ledger: Ledger, earlier: list[dict[str, Any]]) -> None:
        """Keeps the settings with a new study; raises SettingsError if an old one has others."""
        described, kept = self.describe(), ledger.attribute("settings")
        if kept is None:
            identity = ledger.attribute("id") or uuid.uuid4().hex
            self.folder.require(identity)
            ledger.set_attribute("id", identity)
            ledger.set_attribute("settings", described)
            ledger.set_attribute("format", settings.FORMAT)
            if self.trainer is None:  # a trainer knows what its metric is called once it has data
                ledger.name_objectives([self.metric if isinstance(self.metric, str) else "value", *self.goals.further])
            if self.warm_start is not None:
                ledger.set_attribute("warm_start", earlier)
                allowed = self.allowed or (lambda params: True)
                ledger.enqueue(best_of(earlier, self.warm_start.first, maximize=self.maximize, allowed=allowed))
            ledger.commit()
        else:
            settings.require_same(self, ledger)
        self.folder.claim(ledger.attribute("id"))  # only now: what a crash leaves must not bar the name

    def work(self, objective: Callable[..., Any] | None) -> Trainer | Objective:
        """Returns what trials are given to. Raises SettingsError unless there is either a trainer or an objective."""
        if (objective is None) == (self.trainer is None):
            both = "has a trainer and was given an objective too" if objective else "has no trainer and no objective"
            raise SettingsError(f"the study `{self.name}` {both}; it needs one of them")
        return self.trainer or Objective(objective)  # type: ignore[arg-type]

    def travels(self, work: Trainer | Objective) -> bool:
        """Tells whether other processes can do the work, and judge it."""
        return work.travels and travels(self.metric)


def load_study(
    name: str,
    storage: str | Path | BaseStorage | None = None,
    trainer: Trainer | None = None,
    *,
    allow: Collection[str] = (),
    base: Path | None = None,
    imports: bool = True,
    **options: Any,
) -> Study:
    """Returns the study called `name` that exists in `storage`, with the settings it was made with.

    A study made in Python with its own functions or arrays can be read so; to run it, give its `trainer`. `allow` names
    installed packages that a study file's `module:function` may come from; that of a study without a file is looked up
    in the folder `base`, by default wherever Python looks. Without `imports` none of it is ever imported, for who only
    reads. `options` are those of `Study` that aren't settings (executor, devices, workers, ...). Raises SettingsError
    if there is no such study.
    """
    found = settings_of(name, storage, trainer, allow=allow, base=base, imports=imports)
    return Study(name, storage=storage, **{**found, **options})


def _default_space(trainer: Trainer | None) -> Space:
    """Returns the space that the trainer's network family brings."""
    from ..trainers.networks import SPACES

    if trainer is None or trainer.model not in SPACES:
        raise SettingsError("say what to search: a `space`; only the network families bring one of their own")
    return SPACES[trainer.model]()
