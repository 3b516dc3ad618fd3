"""`bayes`, the default strategy, and what Optuna brings: a Parzen estimator and a Gaussian process."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler

from .wrapper import InTurn

if TYPE_CHECKING:
    from ...spaces import Space

_ALONE = 30  # trials that the Gaussian processes propose alone


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
    """Returns the default strategy: our Gaussian process of values and that of ranks in turn, later also TPE.

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
    if number >= _ALONE and number % 3 == 2:
        return "tpe"
    return "power" if number % 2 else "ranks"
