"""Range tests of the learning rate as pictures: for a terminal, and as a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import UsageError
from ...trainers.sanity import Rates
from .sparklines import BLOCKS

COLUMNS, LINES = 64, 6
FORMATS = (".svg", ".png", ".pdf")


def chart(rates: Rates) -> str:
    """Returns the smoothed loss against the learning rate, in lines of blocks, and the space's range beneath."""
    heights = _heights(rates)
    first, last = math.log10(rates.rates[0]), math.log10(rates.rates[-1])
    lines = []
    for line in range(LINES - 1, -1, -1):
        cells = [BLOCKS[max(0, min(8, round(8 * (height * LINES - line))))] for height in heights]
        lines.append("  " + "".join(cells).rstrip())

    def place(rate: float) -> int:
        share = (math.log10(rate) - first) / (last - first)
        return max(0, min(len(heights) - 1, round(share * (len(heights) - 1))))

    left, right = place(rates.low), place(rates.high)
    mark = "│" if left == right else "└" + "─" * (right - left - 1) + "┘"
    what = "the trainer's lr" if rates.low == rates.high else "the space's range"
    axis = [" "] * (len(heights) + 8)
    for exponent in range(math.ceil(first), math.floor(last) + 1, 2):
        start = place(10.0**exponent)
        axis[start : start + 5] = f"1e{exponent:+d}".ljust(5)
    return "\n".join([*lines, "  " + "".join(axis).rstrip(), "  " + " " * left + f"{mark} {what}"])


def plot(tests: Sequence[Rates], path: Path) -> None:
    """Writes a picture of the range tests, the loss against the learning rate, the space's range shaded.

    Raises UsageError unless the path ends in .svg, .png or .pdf, and lies in a folder that exists.
    """
    require_picture(path)
    from matplotlib.figure import Figure  # without pyplot: nothing global is touched

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, test in enumerate(tests):
        color = f"C{number}"
        axes.plot(test.rates, test.losses, color=color, alpha=0.25, linewidth=1)
        axes.plot(test.rates, test.smooth, color=color, linewidth=2, label=test.optimizer)
        if test.breaks_at is not None:
            axes.axvline(test.breaks_at, color=color, linestyle=":", linewidth=1)
    low, high = tests[0].low, tests[0].high
    if low < high:
        axes.axvspan(low, high, color="0.9", zorder=0, label="the space's range")
    else:
        axes.axvline(low, color="0.6", label="the trainer's lr")
    starts, ends = zip(*(_bounds(test) for test in tests), strict=True)
    room = 0.08 * (max(ends) - min(starts))
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(min(starts) - room, max(ends) + room))
    axes.set_title("Learning rate range test (dotted: half of what was gained is lost)", fontsize=10)
    axes.legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def require_picture(path: Path) -> None:
    """Raises UsageError unless a picture can be written there."""
    if path.suffix not in FORMATS:
        raise UsageError(f"--plot: a picture ends in {', '.join(FORMATS)}, but got `{path}`")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--plot: there is no folder `{path.absolute().parent}`")


def _bounds(rates: Rates) -> tuple[float, float]:
    """Returns the least and the greatest loss to show: what breaks down would flatten all else."""
    low, start = min(rates.smooth), float(np.mean(rates.losses[:10]))
    return low, min(max(rates.smooth), start + max(0.5 * (start - low), 0.05 * abs(start)))


def _heights(rates: Rates) -> list[float]:
    """Returns the smoothed loss in each column, in shares of the chart's height."""
    low, high = _bounds(rates)
    places = np.linspace(0, len(rates.smooth) - 1, COLUMNS)
    losses = np.interp(places, np.arange(len(rates.smooth)), rates.smooth)
    return [float(height) for height in np.clip((losses - low) / (high - low or 1.0), 0.0, 1.0) * 0.96 + 0.04]
