"""Replays searches that end or pause trials early, on the recorded tables that have curves; nothing is trained.

    python benchmarks/replay/fidelity.py TABLES asha hyperband bohb thaw optuna.median --on all --seeds 10
    python benchmarks/replay/fidelity.py TABLES --report --on all --seeds 10

TABLES is a folder with `lookup.py` and the tables of `tables.py`, of which 12 of TaskSet and one of LCBench have
curves; `--on choose` and `--on report` are the halves of these. One worker trains one trial at a time; an epoch's loss
is seen after it has been paid for, and a diverged one ends its trial. What is proposed stands for the nearest
configuration that the run hasn't had, for every method alike. The question is what a method spends until the regret of
its best is as small as that of 100 random configurations trained in full, on average (100 draws). Cost is in full
trainings: 50 or 51 epochs of one trial. A configuration's loss is the least of its curve, as far as it is trained,
and regret is normalized: 0 is the best of the table, 1 its median. Nobody decides before the third epoch. A run that
hasn't come there after 100 full trainings counts with 100, and as missed.

Methods are PRUNER+STRATEGY, as `asha+gp`, and these:

    random, tpe                         in full: Optuna's RandomSampler and TPESampler
    optuna.median, optuna.halving, optuna.hyperband    Optuna's pruners with its TPESampler; halving by 4, its default
    asha, hyperband                     leadline's pruners with its Gaussian process, shown the longest trials first
    thaw                                leadline's pruner with its Gaussian process and TPE in turn (`turns`), shown
                                        each trial's best so far
    bohb                                leadline's `hyperband` with TPE on the highest rung

A method's runs are kept as CSV, and aren't run again unless `--rerun`.
"""

from __future__ import annotations

import argparse
import csv
import functools
import math
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import optuna
import tables
import traces
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from leadline.search.goals import Goals
from leadline.search.pruners import OptunaPruner, Pruner, make_pruner
from leadline.search.pruners.base import Resume
from leadline.search.strategies.encoding import decoded
from leadline.search.strategies.gaussian_process import GaussianProcessSampler
from leadline.search.strategies.multifidelity import (
    Multifidelity,
    Showing,
    at_highest_rung,
    best_so_far,
    longest_first,
)
from leadline.search.trial import PAUSED, Trial

FIRST = 3  # epochs before anything is decided
CAP = 100.0  # full trainings after which a run ends without having reached what it should
TRIALS = 100  # of random search in full, whose regret is to be reached


@dataclass(frozen=True)
class Curves:
    """A table's curves: `losses[index, epoch - 1]` is the least loss of the first epochs, NaN once it has diverged."""

    table: tables.Table
    losses: np.ndarray
    seconds: np.ndarray | None  # of each epoch
    best: float
    median: float

    @classmethod
    def of(cls, table: tables.Table) -> Curves:
        recorded = table.curves[:, 1:]  # the first reading is of the untrained network
        losses = np.where(np.isnan(recorded), np.nan, np.fmin.accumulate(recorded, axis=1))
        losses[np.cumsum(np.isnan(recorded), axis=1) > 0] = np.nan
        finals = np.nanmin(losses, axis=1)
        seconds = None if table.seconds is None else np.diff(table.seconds, axis=1)
        return cls(table, losses, seconds, float(np.nanmin(finals)), float(np.nanmedian(finals)))

    @property
    def epochs(self) -> int:
        return int(self.losses.shape[1])

    def regret(self, loss: float) -> float:
        return (loss - self.best) / (self.median - self.best)

    def target(self, seeds: int = 100) -> float:
        """Returns the regret of `TRIALS` random configurations in full, the mean over seeds."""
        finals = np.nanmin(self.losses, axis=1)
        rng = np.random.default_rng(0)
        space = self.table.space.to_distributions()
        found = []
        for _ in range(seeds):
            had: set[int] = set()
            for unit in rng.random((TRIALS, len(space))):
                had.add(self.table.find(decoded(space, unit), had))
            found.append(self.regret(np.nanmin(finals[list(had)])))
        return float(np.mean(found))


@functools.cache
def load(folder: Path, name: str) -> tuple[Curves, float]:
    curves = Curves.of(tables.load(folder, name))
    return curves, curves.target()


class Run:
    """One search: an Optuna study in memory, whose trials are trained one after the other as a pruner says."""

    def __init__(self, curves: Curves, pruner: Pruner, sampler: Callable[[int], BaseSampler]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.curves, self.pruner, self.sampler = curves, pruner, sampler
        optunas = pruner.pruner if isinstance(pruner, OptunaPruner) else optuna.pruners.NopPruner()
        self.study = optuna.create_study(pruner=optunas, study_name=curves.table.name)  # Hyperband hashes it
        if isinstance(pruner, OptunaPruner):
            pruner.bind(self.study)
        self.distributions = curves.table.space.to_distributions()
        self.records: list[Trial] = []
        self.indices: list[int] = []  # of each trial
        self.spent, self.seconds, self.thinking = 0, 0.0, 0.0
        self.best = math.inf

    def go(self) -> Iterator[tuple[float, float]]:
        """Trains; after each improvement tells what has been spent, in full trainings, and the regret."""
        while self.spent < CAP * self.curves.epochs:
            begun = time.perf_counter()
            moves = self.pruner.moves(self.records)
            if moves:
                assert isinstance(moves[0], Resume)
                number = moves[0].number
                self._set(number, "running")
            elif self.pruner.takes_new(self.records):
                number = self._propose()
            else:
                raise RuntimeError("nothing to do")
            self.thinking += time.perf_counter() - begun
            yield from self._train(number)

    def _propose(self) -> int:
        number = len(self.records)
        self.study.sampler = self.sampler(number)
        trial = self.study.ask()
        params = self.curves.table.space.suggest(trial)
        index = self.curves.table.find(params, self.indices)
        actual = self.curves.table.params(index)
        for name, distribution in self.distributions.items():
            internal = distribution.to_internal_repr(actual[name])
            self.study._storage.set_trial_param(trial._trial_id, name, internal, distribution)
        self.records.append(Trial(number, "running", actual))
        self.indices.append(index)
        return number

    def _train(self, number: int) -> Iterator[tuple[float, float]]:
        losses = self.curves.losses[self.indices[number]]
        rungs = self.pruner.rungs(number, self.curves.epochs)
        trial_id = self.study.get_trials(deepcopy=False)[number]._trial_id
        for epoch in range(len(self.records[number].curve) + 1, self.curves.epochs + 1):
            loss = float(losses[epoch - 1])
            self.spent += 1
            record = self.records[number]
            if self.curves.seconds is not None:
                paid = float(self.curves.seconds[self.indices[number], epoch - 1])
                self.seconds += paid
                self.records[number] = record = replace(record, seconds=(record.seconds or 0.0) + paid)
            if math.isnan(loss):
                self._set(number, "failed")
                return
            self.records[number] = replace(record, curve={**record.curve, epoch: loss}, epochs=epoch)
            self.study._storage.set_trial_intermediate_value(trial_id, epoch, loss)
            if loss < self.best:
                self.best = loss
                yield self.spent / self.curves.epochs, self.curves.regret(loss)
            if epoch == self.curves.epochs:
                self._set(number, "complete", loss)
            elif epoch in rungs:
                begun = time.perf_counter()
                verdict = self.pruner.verdicts([number], self.records)[0]
                self.thinking += time.perf_counter() - begun
                if verdict != "go":
                    self._set(number, "paused" if verdict == "pause" else "pruned")
                    return

    def _set(self, number: int, state: str, loss: float | None = None) -> None:
        self.records[number] = replace(self.records[number], state=state, value=loss)
        trial_id = self.study.get_trials(deepcopy=False)[number]._trial_id
        if state in ("paused", "running"):
            self.study._storage.set_trial_system_attr(trial_id, PAUSED, state == "paused")
        else:
            ended = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[state]
            if state == "pruned":
                self.study.tell(number, state=ended)
            else:
                self.study.tell(number, loss, state=ended)


SHOWINGS: dict[str, Showing] = {"best": best_so_far, "longest": longest_first, "rung": at_highest_rung(12)}
OPTUNAS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {  # by the epochs of a full training
    "median": lambda epochs: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=FIRST),
    "halving": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(min_resource=FIRST),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(min_resource=FIRST, max_resource=epochs),
}
SHORT = {"random": "none+random", "tpe": "none+tpe", "bohb": "hyperband+tpe/rung", "thaw": "thaw+turns/best"}


def make(method: str, curves: Curves, seed: int) -> Run:
    """Returns a run of a method: `pruner:option=value+strategy/showing`, or one of those named above."""
    prunes, _, proposes = SHORT.get(method, method).partition("+")
    if prunes.startswith("optuna."):
        pruner: Pruner = OptunaPruner(OPTUNAS[prunes.removeprefix("optuna.")](curves.epochs), FIRST)
    else:
        name, _, given = prunes.partition(":")
        options = {key: int(value) for key, value in (option.split("=") for option in given.split(",") if option)}
        if name != "none":
            options = {"first": FIRST, **options}
        pruner = make_pruner({"name": name, **options}, curves.epochs, Goals(maximize=(False,)))
    if prunes == "none" or prunes.startswith("optuna."):
        held = RandomSampler(seed) if proposes == "random" else TPESampler(seed=seed)
        return Run(curves, pruner, lambda number: held)
    strategy, _, showing = (proposes or "gp").partition("/")
    return Run(curves, pruner, lambda number: _sampler(strategy, showing, curves, seed, number))


def _sampler(strategy: str, showing: str, curves: Curves, seed: int, number: int) -> BaseSampler:
    if strategy == "turns":
        strategy = ("gp", "tpe")[number % 2]
    if strategy == "gp":
        sampler: BaseSampler = GaussianProcessSampler(seed=seed, space=curves.table.space)
    else:
        drawn = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])  # as a study's ledger has it
        sampler = {"random": RandomSampler, "tpe": TPESampler}[strategy](seed=drawn)
    return Multifidelity(sampler, SHOWINGS[showing or "longest"])


@dataclass(frozen=True)
class Outcome:
    """What one run spent until it reached the target, or until it gave up: full trainings, and seconds where recorded.

    `trials` are those it began, `thinking` the seconds spent on decisions and proposals, all together.
    """

    table: str
    seed: int
    reached: bool
    cost: float
    seconds: float
    trials: int
    thinking: float


def replay(folder: Path, method: str, name: str, seed: int) -> Outcome:
    warnings.simplefilter("ignore")
    curves, target = load(folder, name)
    # With the table's name, or all tables of one space would begin with the same random configurations.
    run = make(method, curves, int(np.random.SeedSequence((seed, zlib.crc32(name.encode()))).generate_state(1)[0]))
    reached = any(regret <= target for _, regret in run.go())
    cost = min(run.spent / curves.epochs, CAP)
    return Outcome(name, seed, reached, cost, run.seconds, len(run.records), run.thinking)


def main() -> None:
    with_curves = [f"taskset/{name}" for name in tables.NAMES["taskset"]] + ["lcbench/blood-transfusion-service-center"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--on", nargs="+", choices=[*tables.SETS, *with_curves], default=["all"], metavar="TABLE")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--traces", type=Path, default=traces.HERE / "fidelity")
    parser.add_argument("--rerun", action="store_true", help="run again what is kept")
    parser.add_argument("--report", action="store_true", help="compare what is kept; run nothing")
    asked = parser.parse_args()
    wanted = {name for part in asked.on for name in tables.SETS.get(part, [part])}
    runs = [(name, seed) for seed in range(asked.seeds) for name in with_curves if name in wanted]
    if not asked.report:
        os.environ["OMP_NUM_THREADS"] = "1"  # before the workers start
        with ProcessPoolExecutor(asked.processes) as pool:
            for method in asked.methods:
                kept = {} if asked.rerun else _read(asked.traces, method)
                again = [pool.submit(replay, asked.tables, method, *run) for run in runs if run not in kept]
                for future in as_completed(again):
                    outcome = future.result()
                    kept[outcome.table, outcome.seed] = outcome
                    _write(asked.traces, method, kept)
    methods = asked.methods or sorted(path.stem for path in asked.traces.glob("*.csv"))
    print("| method | n | mean cost | its standard error | median | reached | trials | thinking, s a run |")
    print("|---|---|---|---|---|---|---|---|")
    for method in methods:
        kept = _read(asked.traces, method)
        print(_row(method, [kept[run] for run in runs if run in kept]))


def _row(method: str, outcomes: list[Outcome]) -> str:
    """Returns the method's row: the mean over tables of the mean over seeds, whose error is that of the seeds alone."""
    by_table: dict[str, list[float]] = {}
    for outcome in outcomes:
        by_table.setdefault(outcome.table, []).append(outcome.cost)
    mean = np.mean([np.mean(costs) for costs in by_table.values()])
    error = math.sqrt(sum(np.var(costs, ddof=1) / len(costs) for costs in by_table.values())) / len(by_table)
    median = np.median([outcome.cost for outcome in outcomes])
    reached = np.mean([outcome.reached for outcome in outcomes])
    trials, thinking = (np.mean([getattr(outcome, of) for outcome in outcomes]) for of in ("trials", "thinking"))
    numbers = f"{mean:.1f} | {error:.1f} | {median:.1f} | {reached:.0%} | {trials:.0f} | {thinking:.1f}"
    return f"| {method} | {len(outcomes)} | {numbers} |"


def _read(folder: Path, method: str) -> dict[tuple[str, int], Outcome]:
    path = _path(folder, method)
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    outcomes = [
        Outcome(
            row["table"],
            int(row["seed"]),
            row["reached"] == "True",
            float(row["cost"]),
            float(row["seconds"]),
            int(row["trials"]),
            float(row["thinking"]),
        )
        for row in rows
    ]
    return {(outcome.table, outcome.seed): outcome for outcome in outcomes}


def _write(folder: Path, method: str, kept: dict[tuple[str, int], Outcome]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _path(folder, method).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Outcome)])
        for _, o in sorted(kept.items()):
            cost, seconds, thinking = f"{o.cost:.2f}", f"{o.seconds:.0f}", f"{o.thinking:.2f}"
            writer.writerow([o.table, o.seed, o.reached, cost, seconds, o.trials, thinking])


def _path(folder: Path, method: str) -> Path:
    return folder / f"{method.replace('/', '~')}.csv"


if __name__ == "__main__":
    main()
