"""How good a Pareto front each strategy finds for loss and parameters: replayed on recorded tables, nothing is trained.

    python benchmarks/fronts.py TABLES --strategies random nsga2 tpe bayes --seeds 3 --trials 100

TABLES is a folder with `lookup.py` and the tables `fcnet/` and `hpobench_mlp/`: full grids of networks' final scores. A
trial is a look-up of the mean loss over the table's seeds, and the count of the network's parameters, by its widths.
Objectives are ranks among the table's configurations, in [0, 1]. Prints the mean over tasks and seeds of the share of
the true front's hypervolume (reference point 1, 1) that the trials' front misses after some of the trials, the standard
error over runs, and seconds a proposal.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from batches import TASKS, Table
from optuna._hypervolume import compute_hypervolume

from leadline.search.goals import Goals
from leadline.search.strategies import STRATEGIES, Strategy

READINGS = (25, 50, 100, 200)
INPUTS = 20  # of the tables' data sets, about: it changes no rank but between the first layer's widths
GOALS = Goals("loss", ("parameters",), (False, False))


class Costed(Table):
    """A recorded grid with two objectives: a configuration's rank by loss and by parameters, both in [0, 1]."""

    def __init__(self, folder: Path, kind: str, name: str) -> None:
        super().__init__(folder, kind, name)
        grid = [dict(zip(self.values, row, strict=True)) for row in itertools.product(*self.values.values())]
        choices = {name: isinstance(values[0], str) for name, values in self.values.items()}
        spaced = [{n: v if choices[n] else self.values[n].index(v) for n, v in row.items()} for row in grid]
        self._sorted = np.sort([[self.loss(row), self.parameters(row)] for row in spaced], axis=0)
        points = [self.point(row) for row in spaced]
        self.whole = volume(points)

    def parameters(self, params: dict[str, Any]) -> int:
        """Returns the count of the weights of a configuration's network with one output."""
        value = {name: self.values[name][params[name]] for name in self.structure if isinstance(params[name], int)}
        widths = [value["width"]] * value["depth"] if "width" in value else [value["n_units_1"], value["n_units_2"]]
        return sum((one + 1) * other for one, other in itertools.pairwise([INPUTS, *widths, 1]))

    def point(self, params: dict[str, Any]) -> tuple[float, float]:
        """Returns the ranks of a configuration of `space`."""
        found = [self.loss(params), self.parameters(params)]
        ranks = [np.searchsorted(column, x) / len(column) for column, x in zip(self._sorted.T, found, strict=True)]
        return float(ranks[0]), float(ranks[1])


def volume(points: list[tuple[float, float]]) -> float:
    """Returns the hypervolume of points in [0, 1] x [0, 1], less being better."""
    return float(compute_hypervolume(np.unique(np.array(points), axis=0), np.ones(2)))


def replay(table: Costed, strategy: str, seed: int, trials: int) -> tuple[list[float], float]:
    """Returns the share of hypervolume that a run misses after each reading, and seconds a proposal."""
    sampler = Strategy(strategy, table.space, GOALS).sampler(seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    points: list[tuple[float, float]] = []
    spent = 0.0
    for _ in range(trials):
        began = time.perf_counter()
        trial = study.ask()
        params = table.space.suggest(trial)
        spent += time.perf_counter() - began
        points.append(table.point(params))
        study.tell(trial, points[-1])
    return [1 - volume(points[:reading]) / table.whole for reading in READINGS if reading <= trials], spent / trials


def main() -> None:
    able = [name for name, entry in STRATEGIES.items() if entry.several]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--strategies", nargs="+", choices=able, default=["random", "nsga2", "tpe", "bayes"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    tasks = [(kind, task) for kind, names in TASKS.items() for task in names]
    tables = [Costed(asked.tables, kind, task) for kind, task in tasks]
    print(f"{len(tables)} tables, {asked.seeds} seeds; missed share of hypervolume (standard error) after")
    readings = [reading for reading in READINGS if reading <= asked.trials]
    print("strategy  " + "".join(f"{reading:>16}" for reading in readings) + "  s a proposal")
    for strategy in asked.strategies:
        runs = [replay(table, strategy, seed, asked.trials) for table in tables for seed in range(asked.seeds)]
        missed = np.array([run for run, _ in runs])
        errors = missed.std(axis=0, ddof=1) / np.sqrt(len(runs))
        cells = "".join(f"{mean:>8.4f} ({error:.4f})" for mean, error in zip(missed.mean(axis=0), errors, strict=True))
        print(f"{strategy:10}{cells}  {np.mean([seconds for _, seconds in runs]):12.4f}", flush=True)


if __name__ == "__main__":
    main()
