"""What batches that share a structure cost in regret: replayed on recorded tables, nothing is trained.

    python benchmarks/batches.py TABLES --strategy tpe --seeds 10 --trials 192 --batch 16 --processes 2

TABLES is a folder with `lookup.py` and the tables `fcnet/` and `hpobench_mlp/`: full grids of networks' final scores. A
trial is a look-up of the mean over the table's seeds. The ways to propose:

    sequential       one at a time, each told before the next is asked for
    unconstrained    a batch at a time; those asked for are seen as running by the next
    conditioned      a batch with one structure: its first proposal chooses it, as the strategy proposes, and the others
                     are proposed given it (`leadline.search.strategies.conditioned`)
    partial fixed    the same with Optuna's PartialFixedSampler, which holds the structure but models without it
    random           one at a time at random

Structure is what changes a network's shape or operations: `STRUCTURE`. Numbers on a lattice are proposed by their
index. Normalized regret is (best so far - best of the table) / (median of the table - best of the table): 0 is the
optimum, 1 an average configuration. Prints its mean over tasks and seeds after some of the trials, and the mean paired
difference to "unconstrained" with its standard error over the runs; then that difference at the end by table.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from leadline.search.strategies import Strategy
from leadline.spaces import Choice, Int, Space

TASKS = {
    "fcnet": ("naval_propulsion", "parkinsons_telemonitoring"),
    "hpobench_mlp": ("australian", "car", "credit_g", "segment"),
}
STRUCTURE = {
    "fcnet": ("activation_fn_1", "activation_fn_2", "n_units_1", "n_units_2"),
    "hpobench_mlp": ("depth", "width"),
}
WAYS = ("sequential", "unconstrained", "conditioned", "partial fixed", "random")
READINGS = (48, 96, 192)


class Table:
    """A recorded grid: its space, a loss for each configuration, and the normalized regret of a loss."""

    def __init__(self, folder: Path, kind: str, name: str) -> None:
        spec = importlib.util.spec_from_file_location("lookup", folder / "lookup.py")
        assert spec is not None
        assert spec.loader is not None
        lookup = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(lookup)
        self.values: dict[str, list[Any]] = lookup.GRIDS[kind]
        table = np.load(folder / kind / f"{name}.npz")
        sign = 1.0 if kind == "fcnet" else -1.0  # an error or an accuracy
        self._losses = {
            bytes(key): sign * float(np.mean(v)) for key, v in zip(table["key"], table["value"], strict=True)
        }
        self._best, self._median = min(self._losses.values()), float(np.median(list(self._losses.values())))
        self.structure = STRUCTURE[kind]
        self.space = Space(
            {n: Choice(v) if isinstance(v[0], str) else Int(0, len(v) - 1) for n, v in self.values.items()}
        )

    def loss(self, params: dict[str, Any]) -> float:
        """Returns the recorded loss of a configuration of `space`."""
        key = (self.values[n].index(v) if isinstance(v, str) else v for n, v in params.items())
        return self._losses[bytes(key)]

    def regret(self, loss: float) -> float:
        """Returns 0 for the table's best loss and 1 for its median."""
        return (loss - self._best) / (self._median - self._best)


def replay(
    folder: Path, kind: str, task: str, strategy: str, way: str, seed: int, trials: int, batch: int
) -> tuple[Any, ...]:
    """Returns the run's regrets after each reading, the structures tried, repeats, and seconds a proposal."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    table = Table(folder, kind, task)
    chosen = Strategy("random" if way == "random" else strategy, table.space)
    study = optuna.create_study()
    losses: list[float] = []
    spent = time.perf_counter()
    while len(losses) < trials:
        asked: list[tuple[optuna.Trial, float]] = []
        given: dict[str, Any] = {}
        for _ in range(1 if way in ("sequential", "random") else batch):
            if given and way == "partial fixed":  # around the bare strategy: a guarded one proposes all values at once
                study.sampler = optuna.samplers.PartialFixedSampler(given, Strategy(strategy, None).sampler(seed))
            else:
                study.sampler = chosen.sampler(seed, given)
            trial = study.ask()
            params = table.space.suggest(trial)
            asked.append((trial, table.loss(params)))
            if way in ("conditioned", "partial fixed") and not given:
                given = {name: params[name] for name in table.structure}
        for trial, loss in asked:
            study.tell(trial, loss)
            losses.append(loss)
    spent = time.perf_counter() - spent
    configurations = {tuple(trial.params.values()) for trial in study.trials}
    structures = {tuple(trial.params[name] for name in table.structure) for trial in study.trials}
    regrets = [table.regret(min(losses[:reading])) for reading in READINGS if reading <= trials]
    return regrets, len(structures), trials - len(configurations), spent / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--strategy", default="tpe")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=192)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    tasks = [task for names in TASKS.values() for task in names]
    runs = [(kind, task, seed) for kind, names in TASKS.items() for task in names for seed in range(asked.seeds)]
    settings = (asked.trials, asked.batch)
    jobs = [(asked.tables, k, t, asked.strategy, way, s, *settings) for way in asked.ways for k, t, s in runs]
    os.environ["OMP_NUM_THREADS"] = "1"  # before the workers start
    with ProcessPoolExecutor(asked.processes) as pool:
        results = list(pool.map(replay, *zip(*jobs, strict=True)))
    by_way = {way: results[i * len(runs) : (i + 1) * len(runs)] for i, way in enumerate(asked.ways)}
    regrets = {way: np.array([result[0] for result in done]) for way, done in by_way.items()}  # (runs, readings)
    shown = [reading for reading in READINGS if reading <= asked.trials]
    print(f"{asked.strategy}: {len(runs)} runs a row ({len(runs) // asked.seeds} tasks x {asked.seeds} seeds)\n")
    heads = [f"{reading} trials" for reading in shown] + [f"{reading}: less unconstrained" for reading in shown]
    print("| | " + " | ".join([*heads, "structures", "repeats", "ms a proposal"]) + " |")
    print("|---" * (len(heads) + 4) + "|")
    for way, done in by_way.items():
        cells = [f"{mean:.3f}" for mean in regrets[way].mean(axis=0)]
        against = regrets[way] - regrets.get("unconstrained", regrets[way])
        error = against.std(axis=0, ddof=1) / np.sqrt(len(runs))
        cells += [f"{mean:+.3f} ± {e:.3f}" for mean, e in zip(against.mean(axis=0), error, strict=True)]
        structures, repeats, seconds = (float(np.mean([result[i] for result in done])) for i in (1, 2, 3))
        print(f"| {way} | {' | '.join(cells)} | {structures:.0f} | {repeats:.0f} | {1000 * seconds:.0f} |")
    print(f"\nless unconstrained at {shown[-1]} trials, by table:")
    for way in asked.ways:
        against = (regrets[way] - regrets.get("unconstrained", regrets[way]))[:, -1].reshape(-1, asked.seeds)
        print(f"{way}: " + ", ".join(f"{task} {x:+.3f}" for task, x in zip(tasks, against.mean(axis=1), strict=True)))


if __name__ == "__main__":
    main()
