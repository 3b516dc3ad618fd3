"""What a search tool itself costs: trials whose training takes no time, stored and logged to MLflow.

    python benchmarks/overhead.py --trials 1000 --epochs 10 --pairs 1

Each tool proposes the trials at random, takes one report an epoch, stores everything and logs parameters, curve and
value of each trial as a child run in MLflow (SQLite). The rows:

    leadline inline         storage: journal file, a trainer that does nothing, in this process
    leadline processes      the same in a worker process, as `leadline run` does
    leadline no MLflow      inline, with tracking off: what proposing and storing costs
    optuna sqlite           Optuna on SQLite, and the logging that MLflow's documentation shows for Optuna: a nested run
                            a trial, `mlflow.log_params`, `mlflow.log_metric` an epoch
    optuna journal          the same on Optuna's journal file
    optuna no MLflow        Optuna on SQLite, nothing logged

Each row runs in a process of its own; its time starts when everything is imported. Prints a table of seconds, and
milliseconds a trial and a report, medians over the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = (
    "leadline inline",
    "leadline processes",
    "leadline no MLflow",
    "optuna sqlite",
    "optuna journal",
    "optuna no MLflow",
)


def leadline(row: str, trials: int, epochs: int) -> None:
    """Runs leadline with a trainer that only reports."""
    sys.path.insert(0, str(Path(__file__).parent))
    import idle

    import leadline as ll

    space = ll.Space(depth=ll.Int(1, 5), dropout=ll.Float(0.0, 0.6), lr=ll.Float(1e-4, 1e-1, log=True))
    study = ll.Study(
        "overhead",
        space,
        idle.Idle("mlp", data="digits", epochs=epochs),
        strategy="random",
        executor="processes" if row.endswith("processes") else "inline",
        mlflow=None if row.endswith("no MLflow") else "auto",
    )
    study.run(trials=trials, progress=False)
    assert len(study.trials) == trials
    assert study.tracking_problem is None


def optuna(row: str, trials: int, epochs: int) -> None:
    """Runs Optuna with the logging that MLflow documents for it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage: Any = "sqlite:///optuna.db"
    if row.endswith("journal"):
        backend = optuna.storages.journal.JournalFileBackend("optuna.log")
        storage = optuna.storages.JournalStorage(backend)
    logged = not row.endswith("no MLflow")
    if logged:
        import mlflow

        mlflow.set_tracking_uri("sqlite:///mlflow.db")
        mlflow.set_experiment("overhead")

    def report(trial: optuna.Trial) -> float:
        params = {
            "depth": trial.suggest_int("depth", 1, 5),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        }
        if logged:
            mlflow.log_params(params)
        for epoch in range(1, epochs + 1):
            value = params["dropout"] * epoch
            trial.report(value, epoch)
            if logged:
                mlflow.log_metric("value", value, step=epoch)
        if logged:
            mlflow.log_metric("objective", value)
        return value

    def objective(trial: optuna.Trial) -> float:
        if not logged:
            return report(trial)
        with mlflow.start_run(nested=True):
            return report(trial)

    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    if logged:
        with mlflow.start_run():
            study.optimize(objective, n_trials=trials)
    else:
        study.optimize(objective, n_trials=trials)


def one(row: str, trials: int, epochs: int) -> None:
    """Runs one row in this process and prints its seconds."""

    began = time.perf_counter()
    (leadline if row.startswith("leadline") else optuna)(row, trials, epochs)
    print(json.dumps({"seconds": time.perf_counter() - began}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        one(args.row, args.trials, args.epochs)
        return
    seconds: dict[str, list[float]] = {row: [] for row in ROWS}
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    for _ in range(args.pairs):
        for row in ROWS:
            command = [sys.executable, str(Path(__file__).absolute()), "--row", row]
            command += ["--trials", str(args.trials), "--epochs", str(args.epochs)]
            with tempfile.TemporaryDirectory() as folder:
                told = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
            seconds[row].append(json.loads(told.stdout.splitlines()[-1])["seconds"])
            print(f"{row:20} {seconds[row][-1]:8.1f} s", file=sys.stderr, flush=True)
    print(
        f"| {args.trials} trials x {args.epochs} epochs, {args.pairs} pairs | s | ms a trial | ms a report | range s |"
    )
    print("|---|---|---|---|---|")
    for row, times in seconds.items():
        middle = statistics.median(times)
        trial, report = middle / args.trials * 1000, middle / args.trials / args.epochs * 1000
        print(f"| {row} | {middle:.1f} | {trial:.1f} | {report:.2f} | {min(times):.1f} - {max(times):.1f} |")


if __name__ == "__main__":
    main()
