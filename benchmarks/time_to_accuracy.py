"""Wall time until a search has found a network of a given validation accuracy: leadline beside a loop on Optuna.

    python benchmarks/time_to_accuracy.py --data DIR --seeds 5

DIR holds Fashion-MNIST's four IDX files. Both search the same space of the same networks, 48,000 images to train on and
12,000 to choose by, 9 epochs of AdamW at most, on two cores. leadline runs as it comes (`bayes`) with `asha`, in two
worker processes of a thread each; the loop is a careful one on Optuna as it comes (TPE) with its median pruner, two
threads, tensors instead of a DataLoader. A run ends with the first epoch whose validation accuracy reaches the goal.
Each run is a process of its own, and its time is that of the whole process; the two take turns, seed by seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import leadline as ll

EPOCHS, BATCH, TRAIN, VALID = 9, 128, 48_000, 12_000
SPACE = ll.Space(
    depth=ll.Int(2, 4),
    feature_maps=ll.Choice([16, 32]),
    lr=ll.Float(1e-4, 1e-1, log=True),
    dropout=ll.Float(0.0, 0.5),
    weight_decay=ll.Float(1e-6, 1e-1, log=True),
)


def with_leadline(data: Path, goal: float, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def on_epoch(trial: ll.Trial, epoch: int, metrics: dict[str, float]) -> None:
        if metrics["valid/accuracy"] >= goal and not found:
            found.update(trial=trial.number, epoch=epoch, accuracy=metrics["valid/accuracy"])
            study.stop()

    trainer = ll.Trainer("convnet", data, epochs=EPOCHS, batch_size=BATCH, on_epoch=on_epoch)
    with tempfile.TemporaryDirectory() as folder:
        how: dict[str, Any] = {"executor": "processes", "workers": 2, "storage": folder, "mlflow": None}
        study = ll.Study("time", SPACE, trainer, pruner="asha", seed=seed, **how)
        study.run(trials=1000, progress=False)
        return {**found, "begun": len(study.trials), "epochs": sum(trial.epochs for trial in study.trials)}


def with_optuna(data: Path, goal: float, seed: int) -> dict[str, Any]:
    import optuna
    import torch
    import torch.nn.functional as F

    from leadline.trainers.data import load

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.manual_seed(seed)
    loaded = load(data)
    order = torch.randperm(len(loaded.targets))[: TRAIN + VALID].numpy()
    images = torch.from_numpy(loaded.inputs[order]).float().view(-1, 1, 28, 28)
    images = (images - images[:TRAIN].mean()) / images[:TRAIN].std()
    labels = torch.from_numpy(loaded.targets[order])
    found: dict[str, Any] = {"epochs": 0}

    def objective(trial: optuna.Trial) -> float:
        params = SPACE.suggest(trial)
        architecture = {name: params[name] for name in ("depth", "feature_maps", "dropout")}
        network = ll.build("convnet", in_shape=(1, 28, 28), classes=10, **architecture)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=params["lr"], weight_decay=params["weight_decay"], foreach=True
        )
        accuracies = []
        for epoch in range(1, EPOCHS + 1):
            network.train()
            for rows in torch.randperm(TRAIN).split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(network(images[rows]), labels[rows]).backward()
                optimizer.step()
            network.eval()
            with torch.no_grad():
                parts = zip(images[TRAIN:].split(1024), labels[TRAIN:].split(1024), strict=True)
                accuracies.append(sum(int((network(x).argmax(1) == y).sum()) for x, y in parts) / VALID)
            found["epochs"] += 1
            if accuracies[-1] >= goal:
                found.update(trial=trial.number, epoch=epoch, accuracy=accuracies[-1])
                study.stop()
                break
            trial.report(accuracies[-1], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return max(accuracies)

    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=1000)
    return {**found, "begun": len(study.trials)}


TOOLS = {"leadline": with_leadline, "optuna": with_optuna}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--goal", type=float, default=0.90)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--tool", choices=TOOLS, help="one run of one tool, with the first seed")
    given = parser.parse_args()
    if given.tool:
        print(json.dumps(TOOLS[given.tool](given.data.absolute(), given.goal, given.first)))
        return
    seconds: dict[str, list[float]] = {tool: [] for tool in TOOLS}
    for seed in range(given.first, given.first + given.seeds):
        for tool in TOOLS if seed % 2 else reversed(TOOLS):
            began = time.monotonic()
            options = ["--data", str(given.data), "--goal", str(given.goal), "--first", str(seed), "--tool", tool]
            told = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
            seconds[tool].append(time.monotonic() - began)
            print(f"seed {seed}, {tool}: {seconds[tool][-1]:.0f} s, {told.stdout.splitlines()[-1]}", flush=True)
    for tool, taken in seconds.items():
        print(f"{tool}: median {statistics.median(taken):.0f} s of {sorted(map(round, taken))}")
    ratios = sorted(b / a for a, b in zip(seconds["leadline"], seconds["optuna"], strict=True))
    print(f"leadline is faster by a factor of {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
