"""What logging to MLflow costs: a metric, beside MLflow's own calls; and a study, beside the same one without.

    python benchmarks/tracking.py metrics --pairs 3
    python benchmarks/tracking.py study --lanes 64 --trials 128 --epochs 200 --workers 1 --pairs 3

`metrics`: trials of an objective that are recorded already are logged as child runs, with parameters, four metrics an
epoch, the value, and their end; to SQLite, and to an `mlflow server` on 127.0.0.1. The rows:

    leadline, all at once       the tracker's sending, as it catches up with a study: a batch a run
    leadline, 10 epochs         ... a batch for each ten epochs of a trial, as while trials train
    leadline, each epoch        ... a batch an epoch: the least it may have to do with
    MLflow per call             `MlflowClient.log_metric` for each metric
    Optuna's documented way     a nested run a trial, `mlflow.log_params`, `mlflow.log_metrics` an epoch, `log_metric`
    Optuna's callback           `MLflowCallback` of optuna-integration: the value and parameters alone, no curves

`study`: an MLP (depth 2, 64 units) on digits, `random`, so many lanes and workers; with and without MLflow in turn,
each in a process of its own, in a new folder. Told are the seconds until the last trial had ended, those of training by
the workers' own clocks, those of the processor that the tracker's thread took until then (opening: importing MLflow,
making its database; sending), and the seconds after.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

METRICS = ("train/loss", "train/accuracy", "valid/loss", "valid/accuracy")
ROWS = (
    *("leadline, all at once", "leadline, 10 epochs", "leadline, each epoch"),
    *("MLflow per call", "Optuna's documented way", "Optuna's callback"),
)


def recorded(trials: int) -> Any:
    """Returns the ledger of a study whose trials are under way."""
    import leadline as ll

    space = ll.Space(depth=ll.Int(1, 5), dropout=ll.Float(0.0, 0.6), lr=ll.Float(1e-4, 1e-1, log=True))
    study = ll.Study("recorded", space, strategy="random", mlflow="auto")
    ledger = study._hold()
    for _ in range(trials):
        ledger.began(ledger.propose(), {"device": "cpu", "lanes": 64, "worker": 0})
    ledger.commit()
    return study, ledger


def leadline(uri: str, trials: int, epochs: int, together: int) -> None:
    """Logs as the tracker does, after each `together` epochs."""
    from leadline.search.tracking import connect
    from leadline.search.tracking.facts import study_tags, trial_facts
    from leadline.search.tracking.runs import Runs

    study, ledger = recorded(trials)
    tags, facts = study_tags(study, ledger), trial_facts(study)
    runs = Runs(connect(uri), ledger, "recorded", "recorded", None, tags, facts, time.time())

    def send() -> None:
        nonlocal spent
        began = time.perf_counter()
        for number in range(trials):
            runs.sync(ledger.mirror.get_trial(ledger.mirror.trial_id(number)))
        spent += time.perf_counter() - began

    spent = 0.0
    for epoch in range(1, epochs + 1):
        for number in range(trials):
            ledger.report(number, epoch, epoch / epochs, {name: epoch / epochs for name in METRICS})
        if epoch % together == 0 and epoch < epochs:
            send()
    for number in range(trials):
        ledger.end(number, "complete", 1.0, "done")
    send()
    tell(spent, trials * (epochs * len(METRICS) + 1))


def per_call(uri: str, trials: int, epochs: int) -> None:
    """Logs each metric by a call of its own."""
    from leadline.search.tracking import connect

    client = connect(uri)
    experiment = client.create_experiment("calls")
    began = time.perf_counter()
    for number in range(trials):
        run = client.create_run(experiment, run_name=f"calls-{number}").info.run_id
        for name, value in (("depth", 3), ("dropout", 0.25), ("lr", 0.01)):
            client.log_param(run, name, value)
        for epoch in range(1, epochs + 1):
            for name in METRICS:
                client.log_metric(run, name, epoch / epochs, step=epoch)
        client.log_metric(run, "objective", 1.0)
        client.set_terminated(run)
    tell(time.perf_counter() - began, trials * (epochs * len(METRICS) + 1))


def documented(uri: str, trials: int, epochs: int) -> None:
    """Logs as MLflow's documentation shows for Optuna."""
    import mlflow
    import optuna

    from leadline.search.tracking import connect

    connect(uri)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("documented")
    logged = 0.0

    def objective(trial: optuna.Trial) -> float:
        nonlocal logged
        params = {
            "depth": trial.suggest_int("depth", 1, 5),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        }
        began = time.perf_counter()
        with mlflow.start_run(nested=True):
            mlflow.log_params(params)
            for epoch in range(1, epochs + 1):
                mlflow.log_metrics({name: epoch / epochs for name in METRICS}, step=epoch)
            mlflow.log_metric("objective", 1.0)
        logged += time.perf_counter() - began
        return 1.0

    with mlflow.start_run():
        optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).optimize(objective, n_trials=trials)
    tell(logged, trials * (epochs * len(METRICS) + 1))


def callback(uri: str, trials: int, epochs: int) -> None:
    """Logs by optuna-integration's callback, which is given values and parameters alone."""
    import optuna
    from optuna_integration import MLflowCallback

    from leadline.search.tracking import connect

    connect(uri)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    calls = MLflowCallback(tracking_uri=uri, metric_name="objective")
    spent = 0.0

    def timed(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal spent
        began = time.perf_counter()
        calls(study, trial)
        spent += time.perf_counter() - began

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_int("depth", 1, 5) + trial.suggest_float("dropout", 0.0, 0.6)

    study = optuna.create_study(study_name="callback", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=trials, callbacks=[timed])
    tell(spent, trials)


def tell(seconds: float, metrics: int) -> None:
    print(json.dumps({"seconds": seconds, "metrics": metrics}))


def one(row: str, uri: str, trials: int, epochs: int) -> None:
    """Runs one row in this process, and prints its seconds."""
    ways: dict[str, Callable[[], None]] = {
        "leadline, all at once": lambda: leadline(uri, trials, epochs, epochs),
        "leadline, 10 epochs": lambda: leadline(uri, trials, epochs, 10),
        "leadline, each epoch": lambda: leadline(uri, trials, epochs, 1),
        "MLflow per call": lambda: per_call(uri, trials, epochs),
        "Optuna's documented way": lambda: documented(uri, trials, epochs),
        "Optuna's callback": lambda: callback(uri, trials, epochs),
    }
    ways[row]()


def study(lanes: int, trials: int, epochs: int, workers: int, tracked: bool) -> None:
    """Runs one study, and prints its seconds until the last trial had ended, and after that."""
    import leadline as ll
    from leadline.search.run import Run
    from leadline.search.tracking import Tracker

    ended: list[float] = []
    spent: list[float] = []  # seconds of the processor, by the tracker's thread, until then
    conclude = Run._conclude

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*args)
            finally:
                if not ended:
                    spent.append(time.thread_time() - began)

        return call

    for name in ("_read", "_send"):
        setattr(Tracker, name, counted(getattr(Tracker, name)))

    def concluding(*args: Any, **kwargs: Any) -> None:
        ended.append(time.perf_counter())
        conclude(*args, **kwargs)

    Run._conclude = concluding  # type: ignore[method-assign]
    space = ll.Space(depth=2, feature_maps=64, lr=ll.Float(1e-4, 1e-1, log=True), dropout=ll.Float(0.0, 0.6))
    trainer = ll.Trainer("mlp", data="digits", epochs=epochs)
    how = {"lanes": lanes, "workers": workers, "executor": "processes", "plan": "fused"}
    searched = ll.Study("timed", space, trainer, strategy="random", mlflow="auto" if tracked else None, **how)
    began = time.perf_counter()
    searched.run(trials=trials, progress=False)
    assert searched.tracking_problem is None
    told = {"during": ended[0] - began, "after": time.perf_counter() - ended[0]}
    trained = sum(trial.seconds or 0.0 for trial in searched.trials)  # as the workers' own clocks say
    opened, sent = spent[0] if spent else 0.0, sum(spent[1:])
    print(json.dumps({**told, "trained": trained, "opened": opened, "sent": sent}))


def child(*arguments: str, folder: str) -> dict[str, Any]:
    """Returns what this script prints, called in a process of its own."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-W", "ignore", str(Path(__file__).absolute()), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def serve(folder: str) -> tuple[subprocess.Popen[bytes], str]:
    """Starts MLflow's server on a database in the folder; returns it and its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/files"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5)
            return process, address
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the server doesn't start")


def measure_metrics(args: argparse.Namespace) -> None:
    """Prints seconds per 1,000 metrics of each row, and how many times those of MLflow's calls."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(args.pairs):
        for store in ("SQLite", "HTTP"):
            for row in ROWS:
                with tempfile.TemporaryDirectory() as folder:
                    process, uri = serve(folder) if store == "HTTP" else (None, f"sqlite:///{folder}/mlflow.db")
                    try:
                        sizes = ("--trials", str(args.trials), "--epochs", str(args.epochs))
                        told = child("metrics", "--row", row, "--uri", uri, *sizes, folder=folder)
                    finally:
                        if process is not None:
                            os.killpg(process.pid, 9)
                            process.wait()
                seconds = told["seconds"] / told["metrics"] * 1000
                found.setdefault((store, row), []).append(seconds)
                print(f"{store:7} {row:26} {seconds:8.3f} s / 1,000", file=sys.stderr, flush=True)
    print("| | SQLite: s per 1,000 metrics | of per call | HTTP: s per 1,000 | of per call |")
    print("|---|---|---|---|---|")
    for row in ROWS:
        cells = []
        for store in ("SQLite", "HTTP"):
            own, calls = found[store, row], found[store, "MLflow per call"]
            ratio = statistics.median(call / mine for call, mine in zip(calls, own, strict=True))
            cells += [f"{statistics.median(own):.3f} ({min(own):.3f}-{max(own):.3f})", f"1/{ratio:.1f}"]
        print(f"| {row} | {' | '.join(cells)} |")


def measure_studies(args: argparse.Namespace) -> None:
    """Prints the seconds of studies with and without MLflow, in turn, and their ratios."""
    sizes = [f"--{name}={getattr(args, name)}" for name in ("lanes", "trials", "epochs", "workers")]
    pairs = []
    for pair in range(args.pairs):
        told = {}
        for tracked in (True, False) if pair % 2 else (False, True):
            with tempfile.TemporaryDirectory() as folder:
                told[tracked] = child("study", "--one", str(int(tracked)), *sizes, folder=folder)
            print(f"MLflow {tracked}: {told[tracked]}", file=sys.stderr, flush=True)
        pairs.append(told)
    print("| pair | without: s | with: s | ratio | trained: ratio | processor s: opening | sending | after: s | with |")
    print("|---|---|---|---|---|---|---|---|---|")
    for index, told in enumerate(pairs, start=1):
        off, on = told[False], told[True]
        row = [f"{off['during']:.1f}", f"{on['during']:.1f}", f"{on['during'] / off['during']:.3f}"]
        row += [f"{on['trained'] / off['trained']:.3f}", f"{on['opened']:.2f}", f"{on['sent']:.2f}"]
        row += [f"{off['after']:.1f}", f"{on['after']:.1f}"]
        print(f"| {index} | {' | '.join(row)} |")
    ratios = [told[True]["during"] / told[False]["during"] for told in pairs]
    print(f"median ratio {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("metrics", "study"))
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--uri", help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        one(args.row, args.uri, args.trials, args.epochs)
    elif args.one is not None:
        study(args.lanes, args.trials, args.epochs, args.workers, bool(args.one))
    elif args.what == "metrics":
        measure_metrics(args)
    else:
        measure_studies(args)


if __name__ == "__main__":
    main()
