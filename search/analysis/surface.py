"""A smooth surface through the values of trials, over two parameters at a time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .drawing.scales import Scale

FINE = 36  # places along a numeric axis
MOST = 200  # trials that are looked at: a Gaussian process takes time with their cube
LENGTH, NOISE = 0.4, 0.2  # of the process, in parts of an axis and of the values' variance, before it is fitted
NEAR = 0.8  # of what is known nowhere: beyond that deviation the surface has nothing to say


def surface(
    scales: tuple[Scale, Scale], configurations: Sequence[Mapping[str, Any]], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the expected value (y, x) over a grid of two parameters, NaN where no trial is near.

    A numeric parameter has `FINE` places from end to end, another a place an option. It is the mean of a Gaussian
    process (Matérn-5/2, options one-hot) whose noise takes up what the other parameters did; values (n,) far below the
    others are drawn in first, so that a few failures don't bend it all. Which places are near is judged by the process
    before it is fitted, so that it depends on where the trials lie and not on how much of their values is noise.
    """
    import threadpoolctl
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    inputs = np.hstack([_encoded(scale, [params[scale.name] for params in configurations]) for scale in scales])
    middle, spread = values.mean(), values.std() or 1.0
    wanted = (values - middle) / spread
    if len(wanted) > MOST:
        kept = np.unique(np.linspace(0, len(wanted) - 1, MOST).round().astype(int))
        inputs, wanted = inputs[kept], wanted[kept]
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(np.full(inputs.shape[1], LENGTH), (0.1, 5.0), nu=2.5)
    process = GaussianProcessRegressor(kernel + WhiteKernel(NOISE, (1e-3, 2.0)), random_state=0)
    before = GaussianProcessRegressor(Matern(LENGTH, nu=2.5), alpha=NOISE, optimizer=None)
    with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):  # a second thread only waits
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound: the parameter doesn't matter
        process.fit(inputs, wanted)
        before.fit(inputs, wanted)
    across, upward = (_places(scale) for scale in scales)
    grid = np.hstack([np.tile(across, (len(upward), 1)), np.repeat(upward, len(across), axis=0)])
    _, deviation = before.predict(grid, return_std=True)
    found = np.where(deviation > NEAR, np.nan, process.predict(grid) * spread + middle)
    return np.asarray(found.reshape(len(upward), len(across)))


def _encoded(scale: Scale, values: Sequence[Any]) -> NDArray[np.float64]:
    """Returns values as (n, 1) places in [0, 1], or (n, options) with a one for the option."""
    if not scale.options:
        return np.array([[scale.unit(value)] for value in values])
    return np.eye(len(scale.options))[[int(scale.coordinate(value)) for value in values]]


def _places(scale: Scale) -> NDArray[np.float64]:
    if scale.options:
        return np.eye(len(scale.options))
    return np.linspace(0.0, 1.0, FINE)[:, None]
