"""Runs methods on recorded tables, nothing is trained; the traces go to CSV files, which `report.py` compares.

    python benchmarks/replay/strategies.py TABLES bayes optuna.tpe --on report --seeds 10 --trials 200 --processes 2

TABLES is a folder with `lookup.py` and the tables of `tables.py`; methods are those of `methods.py`. One trial at a
time: asked, looked up, told. On a pool, the nearest configuration that the run hasn't had stands for the one proposed,
and is what every method is told, so that what it is told is true. `--on` takes the names of tables, or of sets: choose,
report, core, all. A run that is in the traces with as many trials isn't run again, unless `--rerun`; so what was
stopped goes on where it was. Runs go in order of seed, so that a stopped comparison has whole seeds. Only one command
at a time may write the traces of a method.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import methods
import numpy as np
import tables
import traces

from leadline.search.strategies.fresh import entropy


def replay(folder: Path, method: str, name: str, seed: int, trials: int) -> traces.Trace:
    """Returns the trace of one run."""
    warnings.simplefilter("ignore")
    table = tables.load(folder, name)
    # With the table's name, or all tables with one space would begin with the same random configurations.
    chosen = methods.make(method, table.space, entropy(seed, zlib.crc32(name.encode())))
    had: set[int] = set()
    repeats, failed, spent = 0, 0, 0.0
    improvements: list[tuple[int, float]] = []
    for trial in range(1, trials + 1):
        begun = time.perf_counter()
        params = chosen.ask()
        spent += time.perf_counter() - begun
        index = table.find(params, had)
        loss = float(table.losses[index])
        repeats, failed = repeats + (index in had), failed + bool(np.isnan(loss))
        had.add(index)
        if table.regret(loss) < (improvements[-1][1] if improvements else np.inf):
            improvements.append((trial, table.regret(loss)))
        begun = time.perf_counter()
        chosen.tell(table.params(index), loss)
        spent += time.perf_counter() - begun
    return traces.Trace(name, seed, trials, repeats, failed, spent, tuple(improvements))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--on", nargs="+", choices=[*tables.SETS, *tables.ALL], default=["report"], metavar="TABLE")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--traces", type=Path, default=traces.HERE)
    parser.add_argument("--rerun", action="store_true", help="run again what is in the traces")
    asked = parser.parse_args()
    runs = [(name, seed) for seed in range(asked.seeds) for name in tables.named(asked.on)]
    os.environ["OMP_NUM_THREADS"] = "1"  # before the workers start
    with ProcessPoolExecutor(asked.processes) as pool:
        futures = {}
        for method in asked.methods:
            methods.make(method, tables.TASKSET_SPACE, 0)  # raises if there is no such method
            kept = traces.read(asked.traces, method)
            again = [run for run in runs if asked.rerun or run not in kept or kept[run].trials < asked.trials]
            traces.write(asked.traces, method, [trace for run, trace in kept.items() if run not in set(again)])
            for name, seed in again:
                futures[pool.submit(replay, asked.tables, method, name, seed, asked.trials)] = method
        for done, future in enumerate(as_completed(futures), start=1):
            method, trace = futures[future], future.result()
            traces.append(asked.traces, method, trace)
            last = trace.improvements[-1][1] if trace.improvements else np.inf
            about = f"{done}/{len(futures)} {method} {trace.table} {trace.seed}"
            print(f"{about}: {last:.4f}, {trace.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
