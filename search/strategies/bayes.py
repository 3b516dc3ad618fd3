"""`bayes`, the default strategy, and what Optuna brings: a Parzen estimator and a Gaussian process."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler

from .wrapper import InTurn

if TYPE_CHECKING:
    from ...spaces import Space

# What the tables to choose by said (regret after 25, 50, 100, 200 trials; 18 tables, 2 or 3 seeds, 1 for 200):
#     ranks alone                   .127 .063 .042  -       on smooth functions 100 times further from the minimum
#     power alone                   .137 .088 .050  -       Branin's minimum to .001 in 30 trials (ranks: 1.5)
#     in turn from the first on     .152 .090 .050 .030     (seed 0: ranks alone .100 .062 .051)
#     the same, from 30 half TPE      -  .091 .049 .020
#     Optuna's TPE                  .201 .127 .075 .031
# Lost as well: values linear below the median and ranks above it (.165 .077), ranks' noise improbable, more startup.
_EARLY = 30  # trials before which TPE has no turn


def tpe(seed: int, startup: int = 10) -> BaseSampler:
    """Returns Optuna's TPE, which also sees running trials; the first `startup` trials are random.

    Source: Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (2011); Watanabe (2023) for the defaults.
    """
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)


def gp(seed: int, startup: int = 10) -> BaseSampler:
    """Returns Optuna's Gaussian process with expected improvement; the first `startup` trials are random.

    Source: Jones et al., "Efficient Global Optimization of Expensive Black-Box Functions" (1998).
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import GPSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # nothing a user of ours could do about it
        return GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)


def bayes(space: Space | None, seed: int, startup: int = 5, **heeded: Any) -> InTurn:
    """Returns the default strategy: in turn our Gaussian process of ranks, that of values, and after a while TPE.

    The first `startup` trials are spread over the space. `heeded` is what `GaussianProcessSampler` takes besides.
    """
    from .fresh import Fresh
    from .gaussian_process import GaussianProcessSampler

    models: dict[str, BaseSampler] = {
        scores: GaussianProcessSampler(seed=seed, n_startup_trials=startup, space=space, scores=scores, **heeded)
        for scores in ("power", "ranks")
    }
    return InTurn(models | {"tpe": Fresh(lambda each: tpe(each, startup), seed)}, _turn)


def _turn(number: int) -> str:
    if number < _EARLY:
        return "power" if number % 3 == 2 else "ranks"
    return ("ranks", "tpe", "power", "tpe")[number % 4]
