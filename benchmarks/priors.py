"""What a guess and what earlier studies are worth, and what they cost where they mislead.

    python benchmarks/priors.py [--strategy tpe] [--seeds 40] [--trials 50] [--only priors warm]

Four-dimensional functions on the unit cube with the minimum 0 at a random place: `bowl` (a quadratic, whose axes weigh
from 1 to 1/8), `ripples` (the same with ten local minima along each axis) and `valley` (Rosenbrock's). A guess is
`right` (0.03 from the minimum along each axis), `off` (0.15) or `wrong` (half of the range); an earlier study has 50
trials of `tpe` on the same function with its minimum moved by 0.05 along each axis (`related`), or by half of the range
(`unrelated`). Printed is the geometric mean, over functions and seeds, of the regret's ratio to that of the same
strategy and seed with neither, after 10, 20 and 50 trials: below 1 it helped; ± is a standard error, as a factor.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import optuna

from leadline import Float, Space
from leadline.search.strategies import Strategy
from leadline.search.strategies.fresh import Fresh

AXES = 4
AT = (10, 20, 50)
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


def regrets(function: Function, minimum: np.ndarray, space: Space, strategy: str, seed: int, trials: int) -> list[float]:
    """Returns the best value so far, trial by trial."""
    chosen = Strategy(strategy, space)
    study = optuna.create_study(sampler=Fresh(chosen.sampler, seed))
    study.optimize(lambda trial: function(np.array(list(space.suggest(trial).values())) - minimum), n_trials=trials)
    return np.minimum.accumulate([trial.value for trial in study.trials]).tolist()


def cube(guess: Sequence[float] | None = None, confidence: float = 0.5) -> Space:
    priors = [None] * AXES if guess is None else [(float(place), confidence) for place in guess]
    return Space({f"x{axis}": Float(0, 1, prior=prior) for axis, prior in enumerate(priors)})


def compare_priors(strategy: str, seeds: int, trials: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each kind of guess with the logarithms of the ratios, (functions * seeds, trials)."""
    cases = [(name, by, c) for name, by in (("right", 0.03), ("off", 0.15), ("wrong", 0.5)) for c in (0.5, 0.8)]
    ratios: dict[str, list[np.ndarray]] = {f"{name} guess, confidence {c}": [] for name, _, c in cases}
    for function in FUNCTIONS.values():
        for seed in range(seeds):
            minimum = np.random.default_rng(seed).uniform(0.1, 0.9, AXES)
            alone = np.log(regrets(function, minimum, cube(), strategy, seed, trials))
            for name, by, c in cases:
                space = cube(moved(minimum, by, seed), c)
                told = np.log(regrets(function, minimum, space, strategy, seed, trials))
                ratios[f"{name} guess, confidence {c}"].append(told - alone)
    for name, found in ratios.items():
        yield name, np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", default="tpe")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--trials", type=int, default=50)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    at = [number for number in AT if number <= given.trials]
    print(f"{given.strategy}, n = {len(FUNCTIONS)} functions x {given.seeds} seeds; after {at} trials")
    for name, logs in compare_priors(given.strategy, given.seeds, given.trials):
        cells = [f"{np.exp(mean):5.2f} x/ {np.exp(error):4.2f}" for mean, error in _summary(logs[:, np.array(at) - 1])]
        print(f"{name:32} {'  '.join(cells)}", flush=True)


def _summary(logs: np.ndarray) -> Iterator[tuple[float, float]]:
    return zip(logs.mean(axis=0), logs.std(axis=0, ddof=1) / math.sqrt(len(logs)), strict=True)


if __name__ == "__main__":
    main()
