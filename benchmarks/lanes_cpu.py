"""The same 128 configurations, trained by leadline and by a hand-written Optuna loop: whole processes, side by side.

    python benchmarks/lanes_cpu.py path/to/optuna_digits.py --pairs 3

`optuna_digits.py` is the loop (an MLP on scikit-learn's digits; `--loop dataloader` as tutorials write it, `--loop
tensors` as a careful engineer does). Each pair runs leadline and both loops one after the other, on the same random
configurations of depth, width, dropout, learning rate and weight decay, 20 epochs each. Prints, as JSON, the wall
seconds of each process with everything it loads, the ratios, and how the last epochs' accuracies differ by
configuration.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOOPS = ("dataloader", "tensors")


def configurations(count: int, seed: int) -> list[dict[str, float]]:
    """Returns random configurations of the space that the loop searches."""
    draw = random.Random(seed)
    return [
        {
            "depth": draw.randint(1, 3),
            "feature_maps": draw.choice([32, 64, 128]),
            "dropout": draw.uniform(0.0, 0.6),
            "lr": 10 ** draw.uniform(-4, -1),
            "weight_decay": 10 ** draw.uniform(-6, -2),
        }
        for _ in range(count)
    ]


def search(configs: Path, out: Path, workers: int, epochs: int, plan: str, lanes: str) -> None:
    """Trains the configurations with leadline, and writes what the loop's `--out` has."""
    import leadline as ll

    space = ll.Space(
        depth=ll.Int(1, 3),
        feature_maps=ll.Choice([32, 64, 128]),
        dropout=ll.Float(0.0, 0.6),
        lr=ll.Float(1e-4, 1e-1, log=True),
        weight_decay=ll.Float(1e-6, 1e-2, log=True),
    )
    given = json.loads(configs.read_text())
    with tempfile.TemporaryDirectory() as folder:
        study = ll.Study(
            "lanes",
            space,
            ll.Trainer("mlp", data="digits", epochs=epochs),
            strategy="random",
            storage=folder,
            executor="processes",
            workers=workers,
            plan=plan,
            lanes=int(lanes) if lanes.isdigit() else lanes,
            mlflow=None,
        )
        study.enqueue(*given).run(trials=len(given), progress=False)
        trained = [{"params": trial.params, "last": trial.last, "seconds": trial.seconds} for trial in study.trials]
    out.write_text(json.dumps(trained))


def timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", type=Path, help="optuna_digits.py")
    parser.add_argument("--trials", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--plan", default="auto")
    parser.add_argument("--lanes", default="auto")
    parser.add_argument("--search", nargs=2, metavar=("CONFIGS", "OUT"), help="only leadline's part: what is timed")
    args = parser.parse_args()
    if args.search:
        configs, out = map(Path, args.search)
        search(configs, out, args.workers, args.epochs, args.plan, args.lanes)
        return
    seconds: dict[str, list[float]] = {"leadline": [], **{loop: [] for loop in LOOPS}}
    differences: dict[str, list[float]] = {loop: [] for loop in LOOPS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configs = folder / "configs.json"
        for pair in range(args.pairs):
            configs.write_text(json.dumps(configurations(args.trials, seed=pair)))
            options = [f"--{name}={getattr(args, name)}" for name in ("workers", "epochs", "plan", "lanes")]
            own = [__file__, str(args.peer), *options, "--search", str(configs), str(folder / "leadline.json")]
            seconds["leadline"].append(timed(own))
            for loop in LOOPS:
                out = folder / f"{loop}.json"
                command = [str(args.peer), "--loop", loop, "--epochs", str(args.epochs)]
                seconds[loop].append(timed([*command, "--configs", str(configs), "--out", str(out)]))
                pairs = zip(
                    *(json.loads((folder / f"{who}.json").read_text()) for who in ("leadline", loop)), strict=True
                )
                differences[loop] += [ours["last"] - theirs["last"] for ours, theirs in pairs]
            print({who: round(taken[-1], 2) for who, taken in seconds.items()}, file=sys.stderr)
    ratios = {loop: [b / a for a, b in zip(seconds["leadline"], seconds[loop], strict=True)] for loop in LOOPS}
    result = {
        "seconds": seconds,
        "ratio_median": {loop: statistics.median(found) for loop, found in ratios.items()},
        "ratios": ratios,
        "accuracy_difference": {
            loop: {
                "mean": statistics.mean(found),
                "standard_error": statistics.stdev(found) / len(found) ** 0.5,
                "median": statistics.median(found),
            }
            for loop, found in differences.items()
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
