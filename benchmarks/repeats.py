"""What strategies waste: configurations proposed twice, and trials lost to memory. Nothing is trained.

    python benchmarks/repeats.py --processes 1

Two made-up searches, 100 trials each, one at a time:

    repeats     600 configurations (5 integers and choices); a smooth loss. Told: how many of the trials repeat one.
    memory      depth, maps, batch size, learning rate, weight decay, dropout; a trial fails where the network doesn't
                fit: a third of the space. The loss gets better towards that limit, so the optimum is right at it.
                Told: how many trials are lost, and the best loss found.

Beside leadline's strategies Optuna's samplers as they come. Means over seeds, and the range.
"""

from __future__ import annotations

import argparse
import math
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import optuna

from leadline.search.strategies import STRATEGIES, sampler
from leadline.spaces import Choice, Float, Int, Space

SMALL = Space(
    depth=Int(1, 5),
    maps=Choice([8, 16, 32, 64]),
    kernel=Int(1, 5),
    optimizer=Choice(["sgd", "adam", "rmsprop"]),
    pool=Choice(["max", "mean"]),
)
LARGE = Space(
    depth=Int(1, 16),
    maps=Int(8, 256, log=True),
    batch_size=Int(16, 1024, log=True),
    lr=Float(1e-5, 1e-1, log=True),
    weight_decay=Float(1e-6, 1e-2, log=True),
    dropout=Float(0.0, 0.6),
)
MEMORY = 81_000.0  # depth x maps x batch size that fit: two thirds of the space
TRIALS = 100
PEERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "Optuna's TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "Optuna's GP": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "Optuna's CMA-ES": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
    "Optuna's random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
OURS = [name for name in STRATEGIES if name != "grid"]


def repeats(trial: optuna.Trial) -> float:
    params = SMALL.suggest(trial)
    wide = abs(math.log2(params["maps"]) - 5)
    choices = 0.5 * (params["optimizer"] != "adam") + 0.2 * (params["pool"] != "max")
    return abs(params["depth"] - 3) + wide + 0.5 * abs(params["kernel"] - 3) + choices


def memory(trial: optuna.Trial) -> float:
    params = LARGE.suggest(trial)
    if needs(params) > MEMORY:
        return math.nan
    large = math.log(params["depth"]) / math.log(16) + math.log(params["maps"] / 8) / math.log(32)
    rates = (math.log10(params["lr"]) + 3) ** 2 / 4 + (math.log10(params["weight_decay"]) + 4) ** 2 / 16
    return rates + (params["dropout"] - 0.3) ** 2 - large - 0.5 * math.log(params["batch_size"] / 16) / math.log(64)


def needs(params: dict[str, Any]) -> float:
    return float(params["depth"] * params["maps"] * params["batch_size"])


def run(name: str, what: str, seed: int) -> tuple[int, float]:
    """Returns how many trials repeat one, or are lost, and the best loss."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.simplefilter("ignore")
    space, objective = (SMALL, repeats) if what == "repeats" else (LARGE, memory)
    chosen = PEERS[name](seed) if name in PEERS else sampler(name, seed, space)
    study = optuna.create_study(sampler=chosen)
    study.optimize(objective, n_trials=TRIALS)
    if what == "repeats":
        return TRIALS - len({tuple(sorted(trial.params.items())) for trial in study.trials}), study.best_value
    return sum(trial.state == optuna.trial.TrialState.FAIL for trial in study.trials), study.best_value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("repeats", "memory"))
    parser.add_argument("--strategies", nargs="+", choices=[*OURS, *PEERS], default=[*OURS, *PEERS])
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before the workers start
    with ProcessPoolExecutor(asked.processes) as pool:
        for what, seeds in (("repeats", 5), ("memory", 10)):
            if asked.only not in (None, what):
                continue
            told = "repeats" if what == "repeats" else "trials lost"
            print(f"\n| {TRIALS} trials, {seeds} seeds | {told} | range | best loss |\n|---|---|---|---|")
            for name in asked.strategies:
                done = list(pool.map(run, [name] * seeds, [what] * seeds, range(seeds)))
                lost, best = [d[0] for d in done], [d[1] for d in done]
                print(f"| {name} | {np.mean(lost):.1f} | {min(lost)} - {max(lost)} | {np.mean(best):.3f} |", flush=True)


if __name__ == "__main__":
    main()
