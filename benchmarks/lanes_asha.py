"""How full a stack is kept while trials are pruned and refilled, and what that costs in throughput.

    python benchmarks/lanes_asha.py --trials 200 --lanes 32

Runs a study of `--trials` random configurations of an MLP on scikit-learn's digits twice with `asha` and once without a
pruner, in this process, on one thread, fused. Prints, as JSON: occupied rows over rows and over lanes, lane-epochs per
second of both studies and their ratio (medians of `--repeats`), and whether the two pruned studies were the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from typing import Any

import torch

import leadline as ll
from leadline.trainers.stack import FusedStack


class Counts:
    """Watches the fused stacks of this process."""

    def __init__(self) -> None:
        self.occupied = self.rows = self.epochs = 0
        self.seconds = 0.0
        self._train_epoch = FusedStack.train_epoch

    def __enter__(self) -> Counts:
        def counting(stack: FusedStack) -> Any:
            began = time.perf_counter()
            epochs = self._train_epoch(stack)
            self.seconds += time.perf_counter() - began
            self.occupied += len(epochs)
            self.rows += len(stack._places)
            self.epochs += 1
            return epochs

        FusedStack.train_epoch = counting  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        FusedStack.train_epoch = self._train_epoch  # type: ignore[method-assign]


def search(pruner: str, args: argparse.Namespace, trials: int) -> tuple[dict[str, float], list[Any]]:
    """Runs a study; returns what was counted, and what came of its trials."""
    space = ll.Space(
        lr=ll.Float(1e-4, 1e-1, log=True), dropout=ll.Float(0.0, 0.6), weight_decay=ll.Float(1e-6, 1e-2, log=True)
    )
    trainer = ll.Trainer(lambda in_shape, classes, dropout: ll.build(
        "mlp", in_shape=in_shape, classes=classes, depth=2, feature_maps=args.width, dropout=dropout
    ), data="digits", epochs=args.epochs)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, Counts() as counts:
        began = time.perf_counter()
        study = ll.Study(
            "asha", space, trainer, strategy="random", pruner=pruner, storage=folder, executor="inline",
            lanes=args.lanes, plan="fused", mlflow=None,
        )  # fmt: skip
        study.run(trials=trials, progress=False)
        wall = time.perf_counter() - began
        outcome = [(trial.params, trial.state, trial.value, trial.curve) for trial in study.trials]
    lane_epochs = sum(len(curve) for *_, curve in outcome)
    facts = {
        "occupied_over_rows": counts.occupied / counts.rows,
        "occupied_over_lanes": counts.occupied / (counts.epochs * args.lanes),
        "lane_epochs": lane_epochs,
        "lane_epochs_per_second": lane_epochs / wall,
        "lane_epochs_per_second_in_stacks": counts.occupied / counts.seconds,
    }
    return facts, outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pruned, full, outcomes = [], [], []
    for _ in range(args.repeats):
        facts, outcome = search("asha", args, args.trials)
        pruned.append(facts)
        outcomes.append(outcome)
        full.append(search("none", args, args.lanes * 2)[0])
    ratios = {
        name: [a[name] / b[name] for a, b in zip(pruned, full, strict=True)]
        for name in ("lane_epochs_per_second", "lane_epochs_per_second_in_stacks")
    }
    print(
        json.dumps(
            {
                "pruned": pruned,
                "full": full,
                "ratios": ratios,
                "median_ratios": {name: statistics.median(found) for name, found in ratios.items()},
                "same_every_time": all(outcome == outcomes[0] for outcome in outcomes),
                "states": {state: sum(s == state for _, s, *_ in outcomes[0]) for state in ("complete", "pruned")},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
