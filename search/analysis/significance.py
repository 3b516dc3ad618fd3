"""Whether one trial is better than another, or was luckier with its validation rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05  # below it a difference is called more than noise


@dataclass(frozen=True)
class McNemar:
    """Of rows that two classifiers judge: how many `first` alone has right, how many `second` alone, and the p-value.

    `p` is the probability of a split at least as uneven if both were as likely to be the one that is right.
    """

    first: int
    second: int
    p: float


@dataclass(frozen=True)
class Interval:
    """A difference of scores, the first's less the second's, and its 95 % interval."""

    difference: float
    low: float
    high: float

    @property
    def noise(self) -> bool:
        """Whether it may be none: the interval has zero in it."""
        return self.low <= 0 <= self.high


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> McNemar:
    """Returns McNemar's exact two-sided test of two classifiers on the same rows, each (n,) true where it is right.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages"
    (1947), with the binomial distribution itself in place of its approximation.

    >>> mcnemar(np.array([True] * 9 + [False]), np.array([False] * 9 + [True]))
    McNemar(first=9, second=1, p=0.021484375)
    """
    from scipy.stats import binomtest

    first, second = int((first_right & ~second_right).sum()), int((second_right & ~first_right).sum())
    return McNemar(first, second, float(binomtest(first, first + second).pvalue) if first + second else 1.0)


def paired_bootstrap(
    score: Callable[[NDArray[Any], NDArray[Any]], float],
    first: NDArray[Any],
    second: NDArray[Any],
    targets: NDArray[Any],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Returns how much better `first` (n, ...) scores than `second` (n, ...) on the same targets (n,), rows redrawn.

    `score(outputs, targets)` is any metric. Each resample draws n rows with replacement and scores both on them, so
    what is hard for both cancels out; the interval holds the middle 95 % (Efron, "Bootstrap methods: another look at
    the jackknife", 1979).
    """
    generator = np.random.default_rng(seed)
    rows = (generator.integers(len(targets), size=len(targets)) for _ in range(resamples))
    differences = [score(first[drawn], targets[drawn]) - score(second[drawn], targets[drawn]) for drawn in rows]
    low, high = np.quantile(differences, [0.025, 0.975])
    return Interval(score(first, targets) - score(second, targets), float(low), float(high))
