"""The study: one named search, kept in a storage; the one orchestrator of all that takes part in it."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from ..errors import Problem, SettingsError, StudyError
from ..spaces import Space
from ..trainers.references import describe, travels
from . import settings
from .folder import Folder, is_there, locked, name_problem, open_storage, release, root_of, shown
from .ledger import Ledger
from .objective import Objective
from .pruners import make_pruner
from .refit import judge
from .run import Run, devices_of, job_for
from .storage import Mirror
from .strategies import Strategy
from .trial import ActiveTrial, Trial

if TYPE_CHECKING:
    import pandas
    from optuna.storages import BaseStorage

    from ..trainers.trainer import Trainer


FORMAT = 2  # of what is kept with a study; trials of another one were trained otherwise, and can't be gone on with


class Study:
    """A search named `name` over `space` (None: the network family's own), of what `trainer` trains or of an objective.

    `metric` is a metric's name or a function of (outputs, targets); `direction` "maximize" or "minimize", by default
    the metric's own. `strategy` is a name (`grid`, `random`, `qmc`, `bayes`, `tpe`, `gp`, `cmaes`, `skopt-gp`,
    `skopt-rf`, `skopt-et`), a mapping of a name and options, or an Optuna sampler; `pruner` a name (`none`, `median`,
    `asha`, `hyperband`) or an Optuna pruner. `storage` is a folder (`leadline-studies` by default), a database's URL or
    an Optuna storage. `executor` is "inline", "processes" or "auto": processes where what is trained can be imported,
    else inline. `devices` is "auto", or a device's name or several; `workers` is how many processes train on each
    ("auto": one a GPU; on a CPU one a core where neither strategy nor pruner looks at results, else one, as more would
    make the study's course depend on the clock). `lanes` is how many trials a worker trains at once ("auto": as many as
    pay), `plan` how: "fused" into one stacked network, "padded" (fused, narrower networks of a family being padded),
    "looped", or "auto", whichever is faster; on a CPU auto is one lane where results matter to what comes next. `keep`
    is how many of the best trials keep their weights. `mlflow` is the address of MLflow's store ("auto":
    `MLFLOW_TRACKING_URI`, else beside the studies; None: no tracking).

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
        metric: str | Callable[..., Any] | None = None,
        direction: str | None = None,
        strategy: Any = "bayes",
        pruner: str | optuna.pruners.BasePruner = "none",
        seed: int = 0,
        storage: str | Path | BaseStorage | None = None,
        executor: str = "auto",
        devices: str | Collection[str] = "auto",
        lanes: str | int = "auto",
        plan: str = "auto",
        workers: str | int = "auto",
        keep: int = 5,
        mlflow: str | None = "auto",
    ) -> None:
        space = _default_space(trainer) if space is None else space
        self.name, self.space, self.trainer, self.metric, self.seed = name, space, trainer, metric, seed
        self.storage, self.executor, self.devices = storage, executor, devices
        self.lanes, self.plan, self.workers, self.keep, self.mlflow = lanes, plan, workers, keep, mlflow
        problems = settings.own_problems(self)
        with settings.gathered(problems):
            self.maximize = settings.maximizes(trainer, metric, direction)
        with settings.gathered(problems, "strategy"):
            self.strategy = Strategy(strategy, space)
        with settings.gathered(problems, "pruner"):
            self.pruner = make_pruner(pruner, self.epochs)
        if problems:
            raise SettingsError(problems)
        self.pruner_given = pruner
        self.folder = Folder(root_of(storage), name)
        self._held = ExitStack()
        self._book: Ledger | None = None
        self._going_on: Run | None = None
        self.ended_by = ""  # what ended the last run: "trials", "minutes", "space" or "interrupt"
        self.tracking_problem: str | None = None
        self.refit_problem: str | None = None

    def __repr__(self) -> str:
        return f"Study({self.name!r})"

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
        objective: Callable[[ActiveTrial], float] | None = None,
        *,
        trials: int | None = None,
        minutes: float | None = None,
        progress: bool = True,
    ) -> Study:
        """Runs trials until the study has had `trials` of them or `minutes` have passed, whichever comes first.

        `trials` counts the whole study; those that a crash left running are taken up again first. With neither, a grid
        runs whole. `objective(trial)` returns the value of `trial.params`, for a study without a trainer. Returns the
        study. Raises SettingsError before anything is created if the settings can't work, and StudyError (StudyFailed
        if trials just fail) if the study can't go on.
        """
        work = self._work(objective)
        problems = self.problems(objective, trials=trials, minutes=minutes)
        if problems:
            raise SettingsError(problems)
        with self._writing() as ledger:
            self._going_on = Run(self, ledger, work, trials=trials, minutes=minutes)
            try:
                self._going_on.go(progress=progress)
            finally:
                self.ended_by, self.tracking_problem = self._going_on.ended_by, self._going_on.tracking_problem
                self.refit_problem = self._going_on.refit_problem
                self._going_on = None
        return self

    @property
    def running(self) -> bool:
        """Whether a run of this study is going on in this process."""
        return self._going_on is not None

    def stop(self) -> None:
        """Ends the run that is going on, from a callback or a signal handler; the study can be resumed."""
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
            prune = ledger.report(trial.number, epoch, value, decide=True)
            ledger.commit()
            return prune

        return ActiveTrial(trial.number, trial.params, report)

    def tell(self, trial: ActiveTrial | int, value: float | None = None, state: str | None = None) -> Trial:
        """Ends a trial from `ask` with its value, or as "pruned" or "failed"; returns its record.

        Raises SettingsError if the trial isn't running, or a complete one has no value.
        """
        ledger, number = self._hold(), trial if isinstance(trial, int) else trial.number
        if not 0 <= number < len(ledger.trials) or ledger.trial(number).state != "running":
            raise SettingsError(f"only a running trial can be told, but trial {number} isn't running")
        outcome = state or ("failed" if value is None else "complete")
        if outcome not in ("complete", "pruned", "failed") or (outcome == "complete" and value is None):
            raise SettingsError(
                f'`state` is "complete" (with a value), "pruned" or "failed", but got {state!r}, {value}'
            )
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
        """The best complete trial. Raises StudyError if none is complete."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        if not complete:
            raise StudyError(f"no trial of `{self.name}` is complete")
        return (max if self.maximize else min)(complete, key=lambda trial: trial.value or 0.0)

    def dataframe(self) -> pandas.DataFrame:
        """Returns the trials as a pandas frame: a row a trial, parameters as `params_...`."""
        import pandas

        rows = []
        for trial in self.trials:
            row = trial.as_json()
            params, _ = row.pop("params"), row.pop("curve")
            rows.append({**row, **{f"params_{name}": value for name, value in params.items()}})
        return pandas.DataFrame(rows)

    @property
    def metric_name(self) -> str:
        """What the trials are judged by, in a word."""
        ledger = self._reading()
        kept = ledger.attribute("metric") if ledger is not None else None
        return kept or (self.metric if isinstance(self.metric, str) else "value")

    def describe(self) -> dict[str, Any]:
        """Returns the settings as JSON: what a study of the same name must agree on to go on."""
        return {
            "name": self.name,
            "space": self.space.describe(),
            "trainer": self.trainer.describe() if self.trainer else None,
            "metric": self.metric if self.metric is None or isinstance(self.metric, str) else describe(self.metric),
            "direction": "maximize" if self.maximize else "minimize",
            "strategy": self.strategy.describe(),
            "pruner": self.pruner_given if isinstance(self.pruner_given, str) else f"<{type(self.pruner).__name__}>",
            "seed": self.seed,
        }

    def confirm(self) -> None:
        """Raises SettingsError unless settings and data are those that the study in its storage began with."""
        ledger = self._existing()
        self._compare(ledger)
        split = ledger.attribute("split")
        if self.trainer is not None and split is not None and split["data"] != self.trainer.loaded.digest:
            raise SettingsError(f"the data of `{self.name}` have changed since it began")

    def attribute(self, name: str) -> Any:
        """Returns what was kept with the study: "budget", "split", "plan", "tests", ...; None if nothing."""
        return self._existing().attribute(name)

    def test(self) -> float:
        """Opens the test split, for the best trial alone, and returns its metric there.

        Each opening is recorded, in the attribute "tests", with what `leadline.search.refit.judge` found. Raises
        StudyError if there is no trainer, no complete trial, or its weights are gone.
        """
        if self.trainer is None:
            raise StudyError("a study of an objective has no test split; its data are yours")
        with self._writing() as ledger:
            best = self.best
            self.confirm()
            refitted = self.trainer.refit and ledger.attribute("refit_failed") != best.number
            job = job_for(self, ledger, devices_of(self)[0])
            found = judge(self.trainer, self.folder, best, job, refitted=refitted)
            opened = {"trial": best.number, "metric": ledger.attribute("metric"), **found, "at": time.time()}
            ledger.set_attribute("tests", [*(ledger.attribute("tests") or []), opened])
            ledger.commit()
        return float(found["value"])

    # Checks

    def problems(
        self,
        objective: Callable[..., Any] | None = None,
        *,
        trials: int | None = None,
        minutes: float | None = None,
    ) -> list[Problem]:
        """Returns all that would keep a run from working, found without training; creates nothing."""
        found = settings.budget_problems(trials, minutes)
        if trials is None and minutes is None and self.strategy.name != "grid":
            found.append(Problem("say how long to search: `trials`, `minutes` or both (only a grid ends by itself)"))
        found += self._trainer_problems
        found += settings.device_problems(self.devices)
        work = self._work(objective) if objective or self.trainer else None
        if work is not None and self.executor == "processes" and not self.travels(work):
            found.append(
                Problem(
                    "`executor: processes` needs model, data, loss, metric and objective that another process can "
                    "import: move your functions into a module of their own and give data by a path or a function,"
                    ' or use executor="inline"',
                    ("executor",),
                )
            )
        return found

    @cached_property
    def _trainer_problems(self) -> list[Problem]:
        return [] if self.trainer is None else self.trainer.check(self.space, self.metric, self.seed)

    # Opening

    def _open(self, *, write: bool) -> Ledger:
        direction = optuna.study.StudyDirection.MAXIMIZE if self.maximize else optuna.study.StudyDirection.MINIMIZE
        with _quiet():
            storage = open_storage(self.storage, self.folder, write=write)
            try:
                mirror = Mirror.open(storage, self.name, [direction] if write else None)
            finally:
                if not write:
                    release(storage)
            return Ledger(mirror, self.space, self.strategy, self.pruner, self.seed)

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
        if self._book is None:
            self._held.enter_context(locked(self.storage, self.folder))
            try:
                self._book = self._open(write=True)
                self._agree(self._book)
            except BaseException:
                self.close()
                raise
        return self._book

    def _agree(self, ledger: Ledger) -> None:
        """Keeps the settings with a new study; raises SettingsError if an old one has others."""
        described, kept = self.describe(), ledger.attribute("settings")
        if kept is None:
            self.folder.claim(identity := uuid.uuid4().hex)
            ledger.set_attribute("id", identity)
            ledger.set_attribute("settings", described)
            ledger.set_attribute("format", FORMAT)
            ledger.commit()
            return
        self.folder.claim(ledger.attribute("id"))
        self._compare(ledger)

    def _compare(self, ledger: Ledger) -> None:
        """Raises SettingsError if the settings that the study was made with are others."""
        described, kept = self.describe(), dict(ledger.attribute("settings"))
        if kept["trainer"] and ledger.attribute("format") != FORMAT:
            raise SettingsError(
                f"the study `{self.name}` was made by another version of leadline, whose trainings differ from this "
                "one's: what it found can be shown, but not gone on with. Run it anew, under another name"
            )
        if kept["trainer"] and described["trainer"]:  # settings that there are since are as if they had been left out
            kept["trainer"] = {**settings.trainer_defaults(), **kept["trainer"]}
        differences = [*settings.differences(kept, described)]
        if differences:
            raise SettingsError(
                f"the study `{self.name}` exists with other settings: {'; '.join(differences)}. "
                "Give this one another name, or run it as it was"
            )

    def _work(self, objective: Callable[..., Any] | None) -> Trainer | Objective:
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
    **options: Any,
) -> Study:
    """Returns the study called `name` that exists in `storage`, with the settings it was made with.

    A study made in Python with its own functions or arrays can be read so; to run it, give its `trainer`. `allow` names
    installed packages that a study file's `module:function` may come from; `options` are those of `Study` that aren't
    settings (executor, devices, workers, ...). Raises SettingsError if there is no such study.
    """
    if text := name_problem(name):
        raise SettingsError(text)
    folder = Folder(root_of(storage), name)
    missing = SettingsError(f"there is no study `{name}` in {shown(storage, folder)}. `leadline ls` lists them")
    if not is_there(storage, folder):
        raise missing
    with _quiet():
        durable = open_storage(storage, folder, write=False)
        try:
            mirror = Mirror.open(durable, name)
        except KeyError:
            raise missing from None
        finally:
            release(durable)
    attributes = mirror.get_study_user_attrs(mirror.study_id)
    kept = attributes.get("leadline:settings")
    if kept is None:
        raise StudyError(f"`{name}` is an Optuna study that leadline didn't make; open it with optuna.load_study")
    base, run_with = attributes.get("leadline:base"), attributes.get("leadline:options", {})
    if trainer is None and kept["trainer"] is not None:
        described = {**kept["trainer"], **run_with.get("trainer", {})}
        trainer = _trainer_of(described, Path(base) if base else None, allow)
    return Study(
        name,
        Space.parse(kept["space"]),
        trainer,
        metric=None if str(kept["metric"]).startswith("<") else kept["metric"],
        direction=kept["direction"],
        strategy="bayes" if str(kept["strategy"]).startswith("<") else kept["strategy"],
        pruner="none" if kept["pruner"].startswith("<") else kept["pruner"],
        seed=kept["seed"],
        storage=storage,
        **{**run_with.get("study", {}), **options},
    )


def _default_space(trainer: Trainer | None) -> Space:
    """Returns the space that the trainer's network family brings."""
    from ..trainers.networks import SPACES

    if trainer is None or trainer.model not in SPACES:
        raise SettingsError("say what to search: a `space`; only the network families bring one of their own")
    return SPACES[trainer.model]()


def _trainer_of(described: dict[str, Any], base: Path | None, allow: Collection[str]) -> Trainer | None:
    """Returns the trainer that describes itself so; None if it has parts that only its own script knows."""
    from ..trainers.trainer import Trainer

    data = described["data"]
    parts = [*described.values(), data["path"] if isinstance(data, dict) else None]
    if any(isinstance(part, str) and part.startswith("<") for part in parts):
        return None
    return Trainer(**{**described, "parts": tuple(described["parts"])}, base=base, allow=allow)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Optuna's notes about opening a study from the user's terminal."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
