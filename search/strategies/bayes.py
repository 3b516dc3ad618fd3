"""Bayesian strategies that Optuna brings: the tree-structured Parzen estimator and the Gaussian process."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


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
