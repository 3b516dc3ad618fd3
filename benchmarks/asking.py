"""What a proposal takes: milliseconds, by how many trials there are before it. Nothing is trained.

    python benchmarks/asking.py --trials 10 100 1000 5000 --repeats 2

The history is random trials of six parameters (four continuous, an integer, a choice). "alone": nothing is running.
"in a batch": 61 to 63 trials, at random, are running, as at the end of a batch of 64. leadline's strategies propose a
whole configuration as a study does, into a storage in memory; Optuna's samplers do `ask` and `suggest`. Milliseconds of
processor time, one thread, so that other work on the machine counts little; medians over the repeats, and the longest.
"-": the one before took so long that this would take minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import optuna

from leadline.search.strategies import STRATEGIES, sampler
from leadline.search.strategies.proposer import Proposer
from leadline.spaces import Choice, Float, Int, Space

SPACE = Space(
    depth=Int(1, 16),
    optimizer=Choice(["sgd", "adam", "rmsprop"]),
    lr=Float(1e-5, 1e-1, log=True),
    weight_decay=Float(1e-6, 1e-2, log=True),
    dropout=Float(0.0, 0.6),
    momentum=Float(0.0, 1.0),
)
PEERS: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
    "Optuna's TPE": lambda: optuna.samplers.TPESampler(seed=0),
    "Optuna's GP": lambda: optuna.samplers.GPSampler(seed=0),
    "Optuna's CMA-ES": lambda: optuna.samplers.CmaEsSampler(seed=0),
}
BATCH = 64
TOO_LONG = 5000.0  # ms; five times the trials take 100 times as long


def loss(number: int) -> float:
    return ((number * 2654435761) % 4096) / 4096  # as good as random; models must work all the same


def history(trials: int) -> list[optuna.trial.FrozenTrial]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(trials):
        trial = study.ask(dict(SPACE.to_distributions()))
        study.tell(trial, loss(number) + abs(trial.params["dropout"] - 0.3))
    return study.get_trials(deepcopy=False)


def ask(study: optuna.Study) -> int:
    """Has one trial proposed, which stays running; returns its number."""
    if isinstance(study.sampler, Proposer):
        template = study.sampler.propose(study)
        study._storage.create_new_trial(study._study_id, template)
        return template.number
    trial = study.ask()
    SPACE.suggest(trial)
    return trial.number


def timed(study: optuna.Study, repeats: int) -> list[float]:
    """Returns milliseconds of `repeats` proposals, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        began = time.process_time()
        ask(study)
        times.append(1000 * (time.process_time() - began))
    return times[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--repeats", type=int, default=2)
    ours = [name for name in STRATEGIES if name != "grid"]
    parser.add_argument("--strategies", nargs="+", choices=[*ours, *PEERS], default=[*ours, *PEERS])
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    heads = [f"{n:,} {how}" for how in ("alone", "in a batch") for n in asked.trials]
    print(f"| ms a proposal | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|")
    pasts = {n: history(n) for n in asked.trials}
    for name in asked.strategies:
        cells: dict[int, list[str]] = {0: [], BATCH - asked.repeats - 1: []}
        for running, row in cells.items():
            last = 0.0
            for past in pasts.values():
                if last > TOO_LONG:
                    row.append("-")
                    continue
                study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
                study.add_trials(past)
                for _ in range(running):
                    ask(study)
                study.sampler = PEERS[name]() if name in PEERS else sampler(name, 0, SPACE)
                times = timed(study, asked.repeats)
                last = max(times)
                row.append(f"{statistics.median(times):.0f} ({last:.0f})")
        print(f"| {name} | {' | '.join(cell for row in cells.values() for cell in row)} |", flush=True)


if __name__ == "__main__":
    main()
