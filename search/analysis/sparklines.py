"""Curves as a line of blocks each, for tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"  # from nothing to a whole cell
NOTHING = BLOCKS[0]
OUTLIERS = 0.05  # the share of the values, the worst of them, that doesn't stretch the scale: a loss that explodes

Range = tuple[float, float]


def scale(values: Iterable[float], *, maximize: bool = True) -> Range:
    """Returns the least and the greatest value to show, so that the worst few don't flatten all others.

    >>> from leadline.search.analysis.sparklines import scale
    >>> scale([0.5, 0.4, 0.3, 1e9] + 40 * [0.6], maximize=False)
    (0.3, 0.6)
    """
    found = sorted(value for value in values if math.isfinite(value))
    if not found:
        return 0.0, 1.0
    cut = int(OUTLIERS * len(found))
    return (found[cut], found[-1]) if maximize else (found[0], found[-1 - cut])


def sparkline(values: Sequence[float | None], within: Range) -> str:
    """Returns a block for each value, its height by where the value is in the range; none for what isn't a number.

    >>> from leadline.search.analysis.sparklines import sparkline
    >>> sparkline([0.1, 0.3, None, 0.8, 0.9], (0.1, 0.9))
    '▁▃ ▇█'
    """
    low, high = within
    span = high - low

    def block(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return NOTHING
        share = (min(max(value, low), high) - low) / span if span > 0 else 1.0
        return BLOCKS[1 + round(share * (len(BLOCKS) - 2))]

    return "".join(map(block, values))


def cells(curve: Mapping[int, float], last: int, width: int) -> list[float | None]:
    """Returns a curve, by epoch from 1 to `last`, in no more than `width` cells: in each the latest value.

    Curves with the same `last` and `width` are of one scale: the same epoch is in the same cell.

    >>> from leadline.search.analysis.sparklines import cells
    >>> cells({1: 0.5, 2: 0.6, 3: 0.7, 4: 0.8}, last=6, width=3)
    [0.6, 0.8, None]
    """
    found: list[float | None] = [None] * min(last, width)
    for epoch in sorted(curve):
        found[(epoch - 1) * len(found) // last] = curve[epoch]
    return found
