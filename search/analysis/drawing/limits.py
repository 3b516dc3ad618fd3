"""How much of an axis is drawn: what is far worse than most would flatten all else, and is said to be beyond it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...words import counted

FEW = 20  # values, below which each of them counts, and one alone is cut only if it is as far off as what diverged
REACH, FAR = 4, 100  # how many times as far from the best as the median is what is shown, of many and of few values


def limits(
    values: Sequence[float], *, maximize: bool, reach: float | None = None, within: Sequence[float] = ()
) -> tuple[float, float]:
    """Returns from where to where values are drawn: the best always, and of the others all that aren't far worse.

    What is more than `reach` times as far from the best as the median is doesn't show, unless it is `within`.
    """
    if not len(values):
        return 0.0, 1.0
    best, worst = (max(values), min(values)) if maximize else (min(values), max(values))
    middle = float(np.median(values))
    reach = reach or (FAR if len(values) < FEW else REACH)
    if best != middle:
        least = best - reach * (best - middle)
        worst = (max if maximize else min)(worst, (min if maximize else max)([least, *within]))
    room = 0.05 * abs(best - worst) or 0.05 * abs(best) or 0.05
    low, high = sorted((best, worst))
    return low - room, high + room


def beyond(values: Sequence[float], *, maximize: bool, within: Sequence[float] = ()) -> int:
    """Returns how many values are worse than what `limits` shows of them."""
    low, high = limits(values, maximize=maximize, within=within)
    return sum(value < low or value > high for value in values)


def edge(values: Sequence[float], *, maximize: bool, within: Sequence[float] = (), what: str = "trial") -> str:
    """Returns what a caption goes on with where some are drawn at the axis' edge and lie beyond; else nothing.

    >>> edge([0.9] * 30 + [0.91, 0.1], maximize=True)
    ' 1 trial is worse than the axis shows and is drawn at its edge.'
    """
    count = beyond(values, maximize=maximize, within=within)
    are = "is worse than the axis shows and is" if count == 1 else "are worse than the axis shows and are"
    return f" {counted(count, what)} {are} drawn at its edge." if count else ""
