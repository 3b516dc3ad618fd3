"""Quasi-random search: points of a scrambled Sobol sequence, which fill a space more evenly than random ones."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from .encoding import from_unit, varying
from .fresh import at_random
from .views import first_space


class QmcSampler(BaseSampler):
    """Proposes the point of a scrambled Sobol sequence whose index is the trial's number; all parameters are one point.

    It looks at no trial's result. `seed` >= 0 scrambles the sequence. `space` is what may vary; without it, these are
    the parameters of the earliest trial that has any, and what else a trial asks for is drawn at random. Under a
    condition the coordinates of parameters that aren't active go unused. `optuna.samplers.QMCSampler` counts in the
    storage instead, skips points when trials are proposed side by side, and proposes its first trial at random.

    Sources: Sobol' 1967; Owen 1998, scrambling; `scipy.stats.qmc`.

    >>> import optuna
    >>> study = optuna.create_study(sampler=QmcSampler(seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    """

    def __init__(self, seed: int, space: dict[str, BaseDistribution] | None = None) -> None:
        self._seed, self._space = seed, space

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        space = first_space(study, trial) if self._space is None else self._space
        return varying(space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        from scipy.stats import qmc  # here, for it takes 0.3 s

        # Also where part of the space is held, a parameter keeps its coordinate.
        space = dict(sorted((self.infer_relative_search_space(study, trial) | search_space).items()))
        if not space:
            return {}
        sequence = qmc.Sobol(len(space), scramble=True, seed=self._seed)
        if trial.number > 0:  # scipy can't go on by nothing
            sequence.fast_forward(trial.number)
        point = sequence.random(1)[0]
        return {
            name: _value(space[name], float(u)) for name, u in zip(space, point, strict=True) if name in search_space
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return at_random(self._seed, study, trial, param_name, param_distribution)


def _value(distribution: BaseDistribution, unit: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(unit * len(distribution.choices))]
    return from_unit(distribution, unit)
