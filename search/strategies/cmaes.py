"""CMA-ES as a stateless Optuna sampler: an evolution strategy for numbers, lattices and choices together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from ...errors import SettingsError
from .encoding import fits, from_unit, to_unit, varying
from .fresh import at_random, entropy
from .views import first_space, value_of

if TYPE_CHECKING:
    from cmaes import CatCMAwM

_LATTICE = 32  # a lattice of more values is as good as continuous
_DEVIATION = 2.0  # in cmaes's own unit: 1/6 of a continuous range, 1/5 of a lattice's
_BLOCK = 1000  # trials; a history of 2,000 takes 0.15 s to tell, so older ones are left out in such blocks
_TRIES = 20  # draws until one is within the bounds; the last one is moved there


class CmaesSampler(BaseSampler):
    """Proposes what the covariance matrix adaptation evolution strategy draws from its distribution.

    The distribution is rebuilt for each proposal: the trials that have ended are told in order of their numbers, a
    population at a time. So it is a function of the seed, the trial's number and the history (Optuna's CmaEsSampler
    keeps the optimizer, pickled, in the trials' attributes), and trials proposed otherwise are learnt from too.

    - Floats, on a logarithmic scale where `log`, and lattices of more than 32 values are normally distributed. Integers
      and steps of 3 to 32 values are too, rounded, with a margin that keeps the neighbours possible. Choices, and
      lattices of two values, have a probability each.
    - A trial counts where its values are, not where they were before rounding. A parameter that it lacks (a condition)
      is filled in with a draw from the distribution, which moves it nowhere on average.
    - A pruned trial counts with its last report; one that failed, or is no number, is told as the worst. Trials that
      run aren't told: an evolution strategy's proposals spread by themselves.

    `space` is what may vary; without it, these are the parameters of the earliest trial that has any. What else a trial
    asks for is drawn at random. `population` is how many trials are told together, 4 + 3 ln(parameters) if None. Raises
    ValueError in a study with several objectives.

    Sources: Hamano et al. 2025, CatCMA with margin (https://arxiv.org/abs/2504.07884); package `cmaes`.

    >>> import optuna
    >>> study = optuna.create_study(sampler=CmaesSampler(seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    """

    def __init__(
        self, seed: int, space: dict[str, BaseDistribution] | None = None, population: int | None = None
    ) -> None:
        if population is not None and population < 4:
            raise SettingsError(f"`population >= 4` must hold, but got {population}")
        self._seed, self._space, self._population = seed, space, population

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        space = first_space(study, trial) if self._space is None else self._space
        return varying(space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        # Also where part of the space is held, the distribution is that of all.
        space = self.infer_relative_search_space(study, trial) | search_space
        if not space:
            return {}
        search = _Search(space, self._seed, self._population)
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        told = [
            past
            for past in study.get_trials(deepcopy=False)
            if past.number != trial.number and past.state.is_finished() and not space.keys().isdisjoint(past.params)
        ]
        search.tell(told[max(0, len(told) // _BLOCK - 1) * _BLOCK :], sign)
        return {name: value for name, value in search.ask(trial.number).items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        return at_random(self._seed, study, trial, param_name, param_distribution)


class _Search:
    """The strategy's distribution over a space, as `cmaes.CatCMAwM` has it: numbers x, lattices z, choices c."""

    def __init__(self, space: Mapping[str, BaseDistribution], seed: int, population: int | None) -> None:
        from cmaes import CatCMAwM

        values = {name: _values(distribution) for name, distribution in space.items()}
        choices = [n for n, d in space.items() if isinstance(d, CategoricalDistribution) or len(values[n]) == 2]
        self._space, self._seed = space, seed
        self._x = [name for name in space if name not in choices and not values[name]]
        self._z = [name for name in space if name not in choices and values[name]]
        self._c = {name: values[name] for name in choices}
        self._most = max((len(values) for values in self._c.values()), default=0)
        self._optimizer: CatCMAwM = CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._x) or None,
            z_space=[values[name] for name in self._z] or None,
            c_space=[len(values) for values in self._c.values()] or None,
            population_size=population,
            sigma=_DEVIATION,
        )

    def tell(self, trials: list[FrozenTrial], sign: float) -> None:
        """Moves the distribution, population by population, towards the better trials; `sign` -1 to maximize."""
        size = self._optimizer.population_size
        for begin in range(0, len(trials) - size + 1, size):
            population = trials[begin : begin + size]
            values = [sign * value_of(trial) for trial in population]
            if all(math.isnan(value) for value in values):
                continue
            order = np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")
            # Ranks say all that the strategy asks for, and no penalty or overflow comes of them.
            self._optimizer.tell([(self._solution(population[i]), float(rank)) for rank, i in enumerate(order)])

    def ask(self, number: int) -> dict[str, Any]:
        """Returns the configuration that trial `number` draws."""
        units = self._drawn(number)
        return {name: from_unit(distribution, float(units[name])) for name, distribution in self._space.items()}

    def _solution(self, trial: FrozenTrial) -> CatCMAwM.Solution:
        from cmaes import CatCMAwM

        params = trial.params
        has = {n: to_unit(d, params[n]) for n, d in self._space.items() if n in params and fits(d, params[n])}
        if len(has) < len(self._space):
            has = self._drawn(trial.number) | has
        raw = np.array([has[name] for name in (*self._x, *self._z)])
        x, z = raw[: len(self._x)], raw[len(self._x) :]
        nearest = [int(np.abs(np.subtract(values, has[name])).argmin()) for name, values in self._c.items()]
        chosen = [np.arange(self._most) == index for index in nearest]
        return CatCMAwM.Solution(x, z, np.array(chosen), raw)

    def _drawn(self, number: int) -> dict[str, float]:
        self._optimizer.reseed_rng(entropy(self._seed, number))
        for _ in range(_TRIES):
            drawn = self._optimizer.ask()
            if not self._x or np.array_equal(drawn.x, drawn._v_raw[: len(self._x)]):
                break
        units = dict(zip(self._x, () if drawn.x is None else drawn.x, strict=True))
        units |= dict(zip(self._z, () if drawn.z is None else drawn.z, strict=True))
        if drawn.c is not None:
            chosen = zip(self._c.items(), drawn.c.argmax(axis=1), strict=True)
            units |= {name: values[index] for (name, values), index in chosen}
        return units


def _values(distribution: BaseDistribution) -> list[float]:
    """Returns the indices of choices, the places in [0, 1] of a lattice; [] for what is continuous or as good as."""
    if isinstance(distribution, CategoricalDistribution):
        return [float(index) for index in range(len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is None:
        return []
    count = round((distribution.high - distribution.low) / distribution.step) + 1
    lattice = [distribution.low + index * distribution.step for index in range(count if count <= _LATTICE else 0)]
    return [to_unit(distribution, value) for value in lattice]
