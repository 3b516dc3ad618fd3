"""What a guess and what earlier studies are worth, and what they cost where they mislead.

    python benchmarks/priors.py [--strategy tpe] [--seeds 40] [--trials 50] [--only priors warm]

Four-dimensional functions on the unit cube with the minimum 0 at a random place: `bowl` (a quadratic, whose axes weigh
from 1 to 1/8), `ripples` (the same with ten local minima along each axis) and `valley` (Rosenbrock's). A guess is
`right` (0.03 from the minimum along each axis), `off` (0.15) or `wrong` (half of the range). An earlier study is 50
trials of `tpe` on the same function with its minimum moved by 0.05 along each axis (`related`), somewhere else
(`unrelated`), or moved by half of the range along each (`opposite`).

Printed is the geometric mean, over functions and seeds, of the regret's ratio to that of the same strategy and seed
with neither, after 10, 20 and 50 trials: below 1 it helped. `x/` is a standard error, as a factor.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import optuna

from leadline import Float, Space
from leadline.search.strategies import Strategy
from leadline.search.strategies.fresh import Fresh
from leadline.search.warm_start import best_of, standardized

AXES = 4
AT = (10, 20, 50)
EARLIER = 50  # trials of an earlier study
Params = dict[str, Any]
Objective = Callable[[Params], float]
Case = tuple[str, np.ndarray]
Function = Callable[[np.ndarray], float]  # of the difference to the minimum, (AXES,)


def bowl(x: np.ndarray) -> float:
    return float((x**2 / 2.0 ** np.arange(AXES)).sum())


def ripples(x: np.ndarray) -> float:
    return bowl(x) + 0.02 * float((1 - np.cos(20 * math.pi * x)).sum())


def valley(x: np.ndarray) -> float:
    y = 1 + 2 * x
    return float((10 * (y[1:] - y[:-1] ** 2) ** 2 + (1 - y[:-1]) ** 2).sum())


FUNCTIONS: dict[str, Function] = {"bowl": bowl, "ripples": ripples, "valley": valley}


def moved(minimum: np.ndarray, by: float, seed: int) -> np.ndarray:
    """Returns a place so far from the minimum along each axis, inside the cube."""
    signs = np.random.default_rng((seed, 1)).choice([-1.0, 1.0], AXES)
    place = minimum + by * signs
    return np.where((place < 0) | (place > 1), minimum - by * signs, place)


def run(chosen: Strategy, objective: Objective, seed: int, trials: int, first: Sequence[Params] = ()) -> optuna.Study:
    """Returns the study of an objective that is minimized, in which the `first` configurations come first."""
    study = optuna.create_study(sampler=Fresh(chosen.sampler, seed))
    for params in first:
        study.enqueue_trial(params)
    study.optimize(lambda trial: objective(chosen.space.suggest(trial)), n_trials=trials)
    return study


def at(function: Function, minimum: np.ndarray) -> Objective:
    return lambda params: function(np.array(list(params.values())) - minimum)


def regrets(study: optuna.Study) -> np.ndarray:
    """Returns the logarithm of the best value so far, trial by trial."""
    return np.log(np.minimum.accumulate([trial.value for trial in study.trials]))


def cube(guess: np.ndarray | None = None, confidence: float = 0.5) -> Space:
    priors = [None] * AXES if guess is None else [(float(place), confidence) for place in guess]
    return Space({f"x{axis}": Float(0, 1, prior=prior) for axis, prior in enumerate(priors)})


def guessed(name: str, function: Function, minimum: np.ndarray, seed: int, trials: int) -> Iterator[Case]:
    """Yields the regrets with each kind of guess."""
    for kind, by in (("right", 0.03), ("off", 0.15), ("wrong", 0.5)):
        for confidence in (0.5, 0.8):
            chosen = Strategy(name, cube(moved(minimum, by, seed), confidence))
            yield f"{kind} guess, confidence {confidence}", regrets(run(chosen, at(function, minimum), seed, trials))


def warmed(name: str, function: Function, minimum: np.ndarray, seed: int, trials: int) -> Iterator[Case]:
    """Yields the regrets after each kind of earlier study."""
    elsewhere = np.random.default_rng((seed, 2)).uniform(0.1, 0.9, AXES)
    places = {"related": moved(minimum, 0.05, seed), "unrelated": elsewhere, "opposite": moved(minimum, 0.5, seed)}
    for kind, place in places.items():
        there = at(function, place)
        earlier = run(Strategy("tpe", cube()), there, seed + 10_000, EARLIER).trials
        scores = standardized([trial.value for trial in earlier])
        known = [{"params": trial.params, "score": score} for trial, score in zip(earlier, scores, strict=True)]
        for first in (0, 3):
            chosen = Strategy(name, cube())
            chosen.earlier = known
            enqueued = best_of(known, first, maximize=False)
            study = run(chosen, at(function, minimum), seed, trials, enqueued)
            yield f"{kind} study, its best {first} first", regrets(study)


KINDS = {"priors": guessed, "warm": warmed}


def compared(kind: str, name: str, seeds: int, trials: int) -> dict[str, np.ndarray]:
    """Returns for each case the logarithms of the ratios to the strategy alone: (functions * seeds, trials)."""
    ratios: dict[str, list[np.ndarray]] = {}
    for function in FUNCTIONS.values():
        for seed in range(seeds):
            minimum = np.random.default_rng(seed).uniform(0.1, 0.9, AXES)
            alone = regrets(run(Strategy(name, cube()), at(function, minimum), seed, trials))
            for case, told in KINDS[kind](name, function, minimum, seed, trials):
                ratios.setdefault(case, []).append(told - alone)
    return {case: np.array(found) for case, found in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", default="tpe")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shown = [number for number in AT if number <= given.trials]
    print(f"{given.strategy}, n = {len(FUNCTIONS)} functions x {given.seeds} seeds; after {shown} trials")
    for kind in given.only:
        for case, logs in compared(kind, given.strategy, given.seeds, given.trials).items():
            picked = logs[:, np.array(shown) - 1]
            means, errors = picked.mean(axis=0), picked.std(axis=0, ddof=1) / math.sqrt(len(picked))
            cells = [f"{math.exp(m):5.2f} x/ {math.exp(e):4.2f}" for m, e in zip(means, errors, strict=True)]
            print(f"{case:32} {'   '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
