"""Strategies by name. A new one is a new file and one line in `STRATEGIES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import SettingsError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ...spaces import Space

# How many ended trials a model is shown. A proposal after 5,000 trials then takes 0.2, 0.5 and 0.2 s of processor time,
# 0.4, 0.8 and 0.2 s with 63 running (`benchmarks/asking.py`); all of them would take the first two many minutes.
GP_SEES = 200
SKOPT_GP_SEES = 100
SKOPT_FOREST_SEES = 500


def _grid(space: Space | None, seed: int, points: int | Mapping[str, int] | None = None) -> BaseSampler:
    from .grid import GridSampler

    if space is None:
        raise SettingsError("`grid` needs a space: what its configurations are can't be seen from trials")
    return GridSampler(space, points)


def _random(space: Space | None, seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    from .fresh import Fresh

    return Fresh(RandomSampler, seed)


def _qmc(space: Space | None, seed: int) -> BaseSampler:
    from .qmc import QmcSampler

    return QmcSampler(seed, None if space is None else space.to_distributions())


def _bayes(space: Space | None, seed: int, startup: int = 5) -> BaseSampler:
    from .bayes import bayes

    return bayes(space, seed, startup)


def _tpe(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
    from .bayes import tpe
    from .fresh import Fresh

    return Fresh(lambda fresh: tpe(fresh, startup), seed)


def _gp(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
    from .bayes import gp
    from .fresh import Fresh

    return Fresh(lambda fresh: gp(fresh, startup), seed, most=GP_SEES)


def _cmaes(space: Space | None, seed: int, population: int | None = None) -> BaseSampler:
    from .cmaes import CmaesSampler

    return CmaesSampler(seed, None if space is None else space.to_distributions(), population)


def _bohb(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
    from .multifidelity import Multifidelity, at_highest_rung

    enough = max(startup, 1 + (0 if space is None else len(space.parameters)))
    return Multifidelity(_tpe(space, seed, startup), at_highest_rung(enough))


def _pbt(
    space: Space | None, seed: int, population: int = 10, interval: int | None = None, share: float = 0.2
) -> BaseSampler:
    return _random(space, seed)  # of the first generation; all others are the pruner's


def _skopt(estimator: str, most: int) -> Callable[..., BaseSampler]:
    def make(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
        from .fresh import Fresh
        from .skopt import SkoptSampler

        return Fresh(lambda fresh: SkoptSampler(estimator, seed=fresh, n_startup_trials=startup), seed, most)

    return make


def _nsga2(space: Space | None, seed: int, population: int = 20) -> BaseSampler:
    from .several import nsga2

    return nsga2(seed, population)


@dataclass(frozen=True)
class Entry:
    """A strategy in the registry.

    `make(space, seed, **options)` returns the sampler, for a space that is known or None; its proposals are a function
    of seed, trial number and history. `learns`: whether they depend on results. `attempts`: how often it is asked for
    one trial at most, if what it proposes won't do; 1 where asking is dear or would give the same again. `several`:
    whether it can do several objectives. `pruner`: the one that belongs to it, None if any does.
    """

    make: Callable[..., BaseSampler]
    learns: bool = True
    attempts: int = 1
    several: bool = False
    pruner: str | None = None

    @property
    def options(self) -> list[str]:
        return list(inspect.signature(self.make).parameters)[2:]


STRATEGIES: dict[str, Entry] = {
    "grid": Entry(_grid, learns=False, several=True),
    "random": Entry(_random, learns=False, attempts=8, several=True),
    "qmc": Entry(_qmc, learns=False, attempts=8, several=True),
    "bayes": Entry(_bayes, attempts=2, several=True),
    "tpe": Entry(_tpe, attempts=8, several=True),
    "gp": Entry(_gp, several=True),
    "cmaes": Entry(_cmaes, attempts=2),
    "bohb": Entry(_bohb, attempts=8, pruner="hyperband"),
    "thaw": Entry(_bayes, attempts=2, pruner="thaw"),
    "pbt": Entry(_pbt, learns=False, attempts=8, pruner="pbt"),
    "nsga2": Entry(_nsga2, attempts=8, several=True),
    "skopt-gp": Entry(_skopt("gp", SKOPT_GP_SEES)),
    "skopt-rf": Entry(_skopt("rf", SKOPT_FOREST_SEES)),
    "skopt-et": Entry(_skopt("et", SKOPT_FOREST_SEES)),
}
