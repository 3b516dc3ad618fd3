"""`bayes`, the default strategy, and what Optuna brings: a Parzen estimator and a Gaussian process."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from optuna.samplers import BaseSampler

from .wrapper import InTurn

if TYPE_CHECKING:
    from ...spaces import Space

# Mean regret after 25, 50, 100, 200 trials of the 18 tables to choose by (benchmarks/replay), in brackets the seeds:
#     Optuna's TPE                   .206 .119 .068 .033 (5)    .160 .122 .066 .031 (the first)
#     ranks alone                    .127 .063 .042  -   (3; at 100, 2); hopeless on smooth functions, though
#     power alone                    .137 .088 .050  -   (2); Branin's minimum to .001 in 30 trials, ranks: to 1.5
#     both in turn                                              .152 .090 .050 .030 (the first)
#     both in turn, from 30 half TPE                            .152 .091 .049 .020 (the first)
#     ranks twice, power once, from 30 half TPE   .129 .073 .038 .022 (2)   .107 .068 .042 .023 (the first)
# Lost besides, of the process alone: values linear below the median and ranks above (.165 .077, ranks .127 .063; 3),
# improvement on the least value instead of the least mean (.222 .105 to .190 .107; 3), longer scales (.204 .134; 3).
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


def bayes(space: Space | None, seed: int, startup: int = 5) -> InTurn:
    """Returns the default strategy: in turn our Gaussian process of ranks, that of values, and later TPE.

    Where the objective is smooth, the first is of values, too (`scores="auto"`). The first `startup` trials are spread
    over the space.
    """
    from .fresh import Fresh
    from .gaussian_process import GaussianProcessSampler

    models: dict[str, BaseSampler] = {
        scores: GaussianProcessSampler(seed=seed, n_startup_trials=startup, space=space, scores=scores)
        for scores in ("power", "auto")
    }
    return InTurn(models | {"tpe": Fresh(lambda each: tpe(each, startup), seed)}, _turn)


def _turn(number: int) -> str:
    if number < _EARLY:
        return "power" if number % 3 == 2 else "auto"
    return ("auto", "tpe", "power", "tpe")[number % 4]
