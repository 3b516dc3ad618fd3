"""What was found where in the space, drawn: parallel coordinates, importances, slices, contours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .limits import beyond, limits
from .scales import Scale, short
from .style import BEST, COMPLETE, FAINT, INK, MANY, PAPER, PRUNED, SHADES, WIDE, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 250
FINE = 40  # points of a contour's grid along each axis
BESIDE = 0.02  # of an axis: how far beside its place a point of a slice may be
Configuration = Mapping[str, Any]


def parallel(
    scales: Sequence[Scale],
    configurations: Sequence[Configuration],
    values: Sequence[float],
    best: int,
    *,
    maximize: bool,
    metric: str,
) -> Figure:
    """Returns a line a trial through its parameters to its value, the better the stronger; that at `best` on top.

    A parameter that a trial doesn't have is passed beneath the axis. What is far worse than most ends at the last axis'
    end, which is labelled so.
    """
    from matplotlib.collections import LineCollection

    within = [values[best]]
    low, high = limits(values, maximize=maximize, within=within)
    last = Scale(metric, max(low, min(values)), min(high, max(values)))
    figure, axes = blank(3.6, max(WIDE, 1.15 * (len(scales) + 1)))
    sign = 1.0 if maximize else -1.0
    order = np.argsort(sign * np.asarray(values), kind="stable")  # the worst is drawn first
    order = np.append(order[order != best], best)
    kept = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), MOST_LINES)).round().astype(int))]
    lines = []
    for place in kept:
        params = configurations[place]
        heights = [scale.unit(params[scale.name]) if scale.name in params else -0.14 for scale in scales]
        lines.append(
            np.column_stack([np.arange(len(heights) + 1), [*heights, np.clip(last.unit(values[place]), 0, 1)]])
        )
    colors = [SHADES[min(len(SHADES) - 1, int(rank * len(SHADES) / len(kept)))] for rank in range(len(kept))]
    axes.add_collection(LineCollection(lines[:-1], colors=colors[:-1], linewidths=1.0, alpha=0.8))
    axes.plot(lines[-1][:, 0], lines[-1][:, 1], color=BEST, linewidth=2.2, label="the best")
    for place, scale in enumerate([*scales, last]):
        axes.plot([place, place], [0.0, 1.0], color=FAINT, linewidth=0.8, zorder=3)
        ticks = scale.ticks()
        if scale is last and beyond(values, maximize=maximize, within=within):
            end, sign_of = (0, "≤") if maximize else (-1, "≥")
            ticks[end] = (ticks[end][0], f"{sign_of} {ticks[end][1]}")
        for height, text in ticks:
            axes.annotate(
                text, (place, height), xytext=(3, 0), textcoords="offset points", fontsize=8, color=INK, va="center",
                zorder=5, bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
    partial = any(scale.name not in params for params in configurations for scale in scales)
    if partial:
        axes.annotate("not used", (-0.03, -0.14), fontsize=8, color=FAINT, va="center", ha="right")
    axes.set(xlim=(-0.12, len(scales) + 0.45), ylim=(-0.2 if partial else -0.05, 1.05))
    axes.set_xticks(range(len(scales) + 1), labels=[short(scale.name, 20) for scale in [*scales, last]])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def importances(names: Sequence[str], parts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Returns bars, a group a parameter: its part by each method, in percent."""
    figure, axes = blank(0.9 + 0.36 * len(names))
    colors = dict(zip(parts, (COMPLETE, PRUNED), strict=False))
    height = 0.8 / len(parts)
    for row, (method, own) in enumerate(parts.items()):
        places = [place + (row + 0.5) * height - 0.4 for place, name in enumerate(names) if name in own]
        shares = [100 * own[name] for name in names if name in own]
        axes.barh(places, shares, height=0.9 * height, color=colors[method], label=method)
        for place, share in zip(places, shares, strict=True):
            axes.annotate(
                f"{share:.0f}", (share, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
    axes.set_yticks(range(len(names)), labels=[short(name, 20) for name in names])
    axes.set(xlabel="part in percent", ylim=(len(names) - 0.5, -0.5))
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=len(parts))
    return figure


def sliced(
    scale: Scale,
    groups: Mapping[str, tuple[Sequence[Any], Sequence[float], str]],
    best: tuple[Any, float] | None,
    *,
    maximize: bool,
    metric: str,
) -> Figure:
    """Returns values against one parameter; `groups` are parameters' values, trials' values and a colour, by name.

    Whole numbers and options are drawn a little beside their places, where many share one; the best lies on its own.
    """
    figure, axes = blank(2.7)
    every = [value for _, values, _ in groups.values() for value in values]
    low, high = limits(every, maximize=maximize, within=[] if best is None else [best[1]])
    generator = np.random.default_rng(0)
    scale.put_on(axes, "x")
    left, right = axes.get_xlim()
    aside = min(0.14, BESIDE * (right - left)) if scale.options or (scale.whole and not scale.log) else 0.0
    for name, (places, values, color) in groups.items():
        across = np.array([scale.coordinate(place) for place in places])
        moved = [best != pair for pair in zip(places, values, strict=True)]
        across = across + generator.uniform(-aside, aside, len(across)) * moved
        axes.scatter(
            across,
            np.clip(values, low, high),
            s=16,
            color=color,
            alpha=0.75,
            linewidths=0,
            label=name,
            rasterized=len(across) > MANY,
            clip_on=False,
            zorder=2 if name == "pruned" else 3,
        )
    if best is not None:
        axes.scatter(
            [scale.coordinate(best[0])], [best[1]], s=52, facecolors="none", edgecolors=BEST, linewidths=1.8, zorder=4,
            label="the best", clip_on=False,
        )  # fmt: skip
    axes.set(ylabel=short(metric, 24), ylim=(low, high))
    figure.legend(loc="outside upper left", ncols=len(groups) + 1)
    return figure


def contour(
    across: Scale,
    upward: Scale,
    points: NDArray[np.float64],
    surface: NDArray[np.float64],
    levels: NDArray[np.float64],
    best: tuple[float, float],
    *,
    maximize: bool,
    metric: str,
) -> Figure:
    """Returns a surface over two parameters, the better the stronger, and the trials it was drawn from as points.

    `surface` (y, x) lies on a grid over the unit square, or on a place for each option; NaN is where no trial is near.
    `points` (n, 2) and `best` are coordinates; `levels` (9,) bound the shades, from the least value up.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    figure, axes = blank(3.2)
    colors = SHADES if maximize else SHADES[::-1]
    shade = ScalarMappable(BoundaryNorm(levels, len(SHADES)), ListedColormap(colors))
    bounded = np.clip(surface, levels[0], levels[-1] - 1e-9 * (levels[-1] - levels[0]))
    if upward.options:
        _bands(axes, _edges(across, surface.shape[1]), np.digitize(bounded, levels) - 1, colors)
    else:
        places = [scale.raw(np.linspace(0, 1, count)) for scale, count in zip((across, upward), surface.T.shape,
                  strict=True)]  # fmt: skip
        axes.contourf(*places, bounded, levels=levels, colors=colors)
    axes.scatter(
        points[:, 0], points[:, 1], s=9, color=INK, linewidths=0, alpha=0.55, zorder=3, rasterized=len(points) > MANY
    )
    axes.scatter(*best, s=52, facecolors="none", edgecolors=BEST, linewidths=1.8, zorder=4)
    across.put_on(axes, "x")
    upward.put_on(axes, "y")
    axes.grid(visible=False)
    bar = figure.colorbar(shade, ax=axes, pad=0.02, fraction=0.05, aspect=26)
    bar.outline.set_visible(False)
    bar.set_label(short(metric, 24))
    bar.set_ticks(list(levels[::2]))
    bar.ax.tick_params(length=0)
    bar.ax.set_yticklabels([f"{level:.3g}" for level in levels[::2]])
    return figure


def _bands(axes: Axes, edges: NDArray[np.float64], places: NDArray[np.int64], colors: Sequence[str]) -> None:
    """Draws a band for each option that goes upward: `places` (options, n) are of colours, between edges (n + 1,)."""
    for row, band in enumerate(places):
        starts = [0, *(np.flatnonzero(np.diff(band)) + 1), len(band)]  # what has one shade is one rectangle
        for start, stop in pairwise(starts):
            if band[start] < len(colors):  # else NaN, which is beyond all levels
                color = colors[band[start]]
                left, right = edges[start], edges[stop]
                axes.barh(row, right - left, left=left, height=1.0, color=color, edgecolor=color, linewidth=0.3)


def _edges(scale: Scale, count: int) -> NDArray[np.float64]:
    """Returns where the cells of a grid end along an axis: (count + 1,)."""
    if scale.options:
        return np.arange(count + 1, dtype=np.float64) - 0.5
    return scale.raw(np.linspace(-0.5 / (count - 1), 1 + 0.5 / (count - 1), count + 1))
