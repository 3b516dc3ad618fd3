"""Values against what they cost, drawn: all complete trials, and the front that no other trial beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .limits import limits
from .scales import Scale, short
from .style import BEST, COMPLETE, MANY, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = 8  # places on a front that are named
ROOM = 0.15, 0.07  # of the axes' width and height: nearer ones have a name together


def front(
    costs: Sequence[float],
    values: Sequence[float],
    numbers: Sequence[int],
    places: Sequence[int],
    *,
    maximize: bool,
    names: tuple[str, str],
) -> Figure:
    """Returns values against costs, the trials at `places` being the front: a line of steps, each with its number.

    The front is always whole; what else is far worse than most lies at the axis' edge.
    """
    figure, axes = blank(3.1)
    scale = Scale.around(names[0], costs)
    low, high = limits(values, maximize=maximize, within=[values[place] for place in places])
    room = 0.06 * (high - low)  # for the numbers beside the best
    low, high = (low, high + room) if maximize else (low - room, high)
    clipped = np.clip(values, low, high)
    axes.scatter(
        costs, clipped, s=16, color=COMPLETE, linewidths=0, alpha=0.7, label="complete", rasterized=len(costs) > MANY
    )
    along = sorted(places, key=lambda place: costs[place])
    across, upward = [costs[place] for place in along], [float(clipped[place]) for place in along]
    axes.plot(across, upward, drawstyle="steps-post", color=BEST, linewidth=1.6, zorder=3)
    axes.scatter(across, upward, s=26, color=BEST, linewidths=0, zorder=4, label="the front")
    groups = list[tuple[float, float, list[int]]]()  # which trials are where, those too near to be named apart together
    for place, x, y in zip(along, across, upward, strict=True):
        near = (
            own
            for other, height, own in groups
            if abs(scale.unit(x) - scale.unit(other)) < ROOM[0] and abs(y - height) < ROOM[1] * (high - low)
        )
        if (own := next(near, None)) is None:
            groups.append((x, y, own := []))
        own.append(numbers[place])
    step = -(-len(groups) // LABELS)
    for place in dict.fromkeys([*range(0, len(groups), step), len(groups) - 1]):
        x, y, own = groups[place]
        left = scale.unit(x) > 0.12  # there the front has nothing beyond it
        axes.annotate(
            ", ".join(map(str, own)) if len(own) < 3 else f"{own[0]}, …, {own[-1]}",
            (x, y),
            xytext=(-4 if left else 4, 4 if maximize else -4),
            textcoords="offset points",
            fontsize=8,
            ha="right" if left else "left",
            va="bottom" if maximize else "top",
        )
    scale.put_on(axes, "x")
    axes.set(ylabel=short(names[1], 28), ylim=(low, high))
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.0, handletextpad=0.4)
    return figure
