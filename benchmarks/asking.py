"""What a proposal takes: milliseconds, by how many trials there are before it. Nothing is trained.

    python benchmarks/asking.py --trials 10 100 1000 5000 --repeats 3

The history is random trials of six parameters (four continuous, an integer, a choice) with a smooth loss. "alone": one
proposal with nothing running, told before the next. "in a batch": 64 proposals, none told until all are asked for, so
that up to 63 are running. leadline's strategies propose a whole configuration as a study does, into a storage in
memory; Optuna's samplers do `ask` with the same distributions. Medians over the repeats, and the longest.
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


def timed(study: optuna.Study) -> float:
    began = time.perf_counter()
    ask(study)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--repeats", type=int, default=3)
    ours = [name for name in STRATEGIES if name != "grid"]
    parser.add_argument("--strategies", nargs="+", choices=[*ours, *PEERS], default=[*ours, *PEERS])
    parser.add_argument("--most", type=float, default=20.0, help="seconds a proposal beyond which no more are timed")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    heads = [f"{n:,} {how}" for how in ("alone", "in a batch") for n in asked.trials]
    print(f"| ms a proposal | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|")
    pasts = {n: history(n) for n in asked.trials}
    for name in asked.strategies:
        alone, together = [], []
        for past in pasts.values():
            study = optuna.create_study(sampler=PEERS[name]() if name in PEERS else sampler(name, 0, SPACE))
            study.add_trials(past)
            times: list[float] = []
            while len(times) <= asked.repeats and max(times, default=0) < 1000 * asked.most:
                times.append(timed(study))
                study.tell(len(study.get_trials(deepcopy=False)) - 1, loss(len(times)))
            alone.append(f"{statistics.median(times[1:] or times):.0f} ({max(times[1:] or times):.0f})")
            if max(times) > 1000 * asked.most:
                together.append("-")
                continue
            batch = [timed(study) for _ in range(BATCH)]
            together.append(f"{statistics.mean(batch):.0f} ({max(batch):.0f})")
        print(f"| {name} | {' | '.join([*alone, *together])} |", flush=True)


if __name__ == "__main__":
    main()
