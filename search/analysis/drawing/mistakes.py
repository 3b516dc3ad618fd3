"""What the best trial gets wrong, drawn: the confusion matrix, pictures, predictions against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .scales import short
from .style import BEST, COMPLETE, FAINT, GRID, INK, MANY, ON_DARK, SHADES, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 4  # pictures in a row
SIDE = 96  # pixels of a picture, at most


def confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Returns a table of how often each class, a row, was taken for which: `counts` (classes, classes).

    What is right lies on the diagonal; of the rest, the more of a class's rows went there, the darker.
    """
    from matplotlib.colors import ListedColormap

    many = len(classes)
    figure, axes = blank(min(4.2, 1.4 + 0.3 * many))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(many, dtype=bool) | (counts == 0), np.nan, shares)
    top = float(np.nanmax(wrong)) if np.isfinite(wrong).any() else 1.0
    edges = np.arange(many + 1) - 0.5
    axes.pcolormesh(edges, edges, wrong, cmap=ListedColormap(SHADES), vmin=0, vmax=top, linewidth=0)
    right = np.where(np.eye(many, dtype=bool), 1.0, np.nan)
    axes.pcolormesh(edges, edges, right, cmap=ListedColormap([GRID]), linewidth=0)
    size = 8.5 if many <= 10 else 6.5 if many <= 16 else 5.5
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = row != column and wrong[row, column] > 0.5 * top
        axes.annotate(
            f"{counts[row, column]:,}", (column, row), ha="center", va="center", fontsize=size,
            color=ON_DARK if dark else INK,
        )  # fmt: skip
    names = [short(name, 12) for name in classes]
    axes.set_xticks(range(many), labels=names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(many), labels=names)
    axes.set(xlabel="taken for", ylabel="true class", xlim=(-0.5, many - 0.5), ylim=(many - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def pictures(images: Sequence[NDArray[Any]], titles: Sequence[str]) -> Figure:
    """Returns images, each (H, W) or (H, W, 3) in [0, 1], under their titles."""
    from matplotlib.figure import Figure

    down = -(-len(images) // ACROSS)
    across = min(ACROSS, len(images))
    figure = Figure(figsize=(1.05 * across, 1.42 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        step = max(1, -(-max(image.shape[:2]) // SIDE))
        axes.imshow(image[::step, ::step], cmap="gray", vmin=0, vmax=1, interpolation="none")
        axes.set_title(title, fontsize=8, pad=3)
    return figure


def predicted(truth: NDArray[np.float64], said: NDArray[np.float64]) -> Figure:
    """Returns predictions against true values, (n,) each, with the line on which both agree."""
    figure, axes = blank(3.4)
    low, high = float(min(truth.min(), said.min())), float(max(truth.max(), said.max()))
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1.0, zorder=3)
    axes.scatter(truth, said, s=8, color=COMPLETE, linewidths=0, alpha=0.4, rasterized=len(truth) > MANY)
    worst = np.argsort(-np.abs(said - truth))[:8]
    axes.scatter(truth[worst], said[worst], s=20, color=BEST, linewidths=0, label="the worst", zorder=4)
    axes.set(xlabel="true value", ylabel="predicted")
    figure.legend(loc="outside upper left")
    return figure
