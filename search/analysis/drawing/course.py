"""How a study went, drawn: its history, and its trials' learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...trial import Trial
from .style import BEST, COMPLETE, FAILED, FAINT, PRUNED, RUNNING, STATES, WIDE, blank, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = 400  # points beyond which those of muted trials are drawn as one picture
MARKS = {"complete": "o", "pruned": "d", "failed": "x", "running": "s", "paused": "s"}


def history(
    values: Sequence[float | None], states: Sequence[str], *, maximize: bool, metric: str, numbers: Sequence[int]
) -> Figure:
    """Returns each trial's value by its number, and the best complete one so far as a line."""
    figure, axes = blank(3.0, WIDE)
    known = [value for value in values if value is not None]
    low, high = limits(known, maximize=maximize)
    for state in ("pruned", "running", "complete", "failed"):
        members = [
            (number, low if value is None else float(np.clip(value, low, high)))
            for number, value, own in zip(numbers, values, states, strict=True)
            if (own if own != "paused" else "running") == state and (value is not None or state == "failed")
        ]
        if members:
            axes.scatter(
                [number for number, _ in members],
                [value for _, value in members],
                s=16 if state == "pruned" else 22,
                marker=MARKS[state],
                color=STATES[state],
                linewidths=1.2 if state == "failed" else 0,
                label=state,
                rasterized=len(members) > MANY,
                clip_on=False,
                zorder=3,
            )
    best = so_far(values, states, maximize=maximize)
    steps = [(number, value) for number, value in zip(numbers, best, strict=True) if value is not None]
    if steps:
        axes.step(*zip(*steps, strict=True), where="post", color=BEST, linewidth=1.8, label="best so far", zorder=2)
    axes.set(xlabel="trial", ylabel=metric, ylim=(low, high))
    whole_numbers(axes)
    figure.legend(loc="outside upper left", ncols=5)
    return figure


def so_far(values: Sequence[float | None], states: Sequence[str], *, maximize: bool) -> list[float | None]:
    """Returns of each trial the best value that a complete one had come to by then; None before there was one.

    >>> so_far([0.5, 0.9, 0.7, 0.8], ["complete", "pruned", "complete", "complete"], maximize=True)
    [0.5, 0.5, 0.7, 0.8]
    """
    best: float | None = None
    found = []
    for value, state in zip(values, states, strict=True):
        if state == "complete" and value is not None:
            best = value if best is None else (max if maximize else min)(best, value)
        found.append(best)
    return found


def curves(trials: Sequence[Trial], best: int | None, *, maximize: bool, metric: str, rungs: Sequence[int]) -> Figure:
    """Returns the trials' learning curves: those that ended early muted, the best one on top, rungs as lines."""
    figure, axes = blank(3.2, WIDE)
    drawn = [trial for trial in trials if trial.curve]
    every = [value for trial in drawn for value in trial.curve.values() if np.isfinite(value)]
    low, high = limits(every, maximize=maximize)
    muted = [trial for trial in drawn if trial.state != "complete"]
    for trial in [*muted, *(trial for trial in drawn if trial.state == "complete")]:
        own = trial.number == best
        color = BEST if own else STATES[trial.state]
        axes.plot(
            list(trial.curve),
            list(trial.curve.values()),
            color=color,
            linewidth=2.2 if own else 1.0 if trial.state == "complete" else 0.7,
            alpha=1.0 if own else 0.65 if trial.state == "complete" else 0.45,
            marker="." if len(trial.curve) == 1 else None,
            zorder=4 if own else 3 if trial.state == "complete" else 2,
            rasterized=len(muted) > MANY and trial.state != "complete",
        )
    for rung in rungs:
        axes.axvline(rung, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            f"rung {rung}", (rung, 1.0), xycoords=("data", "axes fraction"), xytext=(2, -1), textcoords="offset points",
            color=FAINT, fontsize=8, va="top", rotation=90,
        )  # fmt: skip
    axes.set(xlabel="epoch", ylabel=metric, ylim=(low, high))
    whole_numbers(axes)
    found = {trial.state for trial in drawn}
    named = [
        *([("complete", COMPLETE)] if "complete" in found else []),
        *([("pruned", PRUNED)] if "pruned" in found else []),
        *([("failed", FAILED)] if "failed" in found else []),
        *([("running or paused", RUNNING)] if found & {"running", "paused"} else []),
        *([("the best", BEST)] if best is not None else []),
    ]
    legend(axes, named)
    return figure


def limits(values: Sequence[float], *, maximize: bool) -> tuple[float, float]:
    """Returns from where to where values are drawn: what is far worse than most would flatten all else."""
    if not len(values):
        return 0.0, 1.0
    best, worst = (max(values), min(values)) if maximize else (min(values), max(values))
    middle = float(np.median(values))
    least = best - 4 * (best - middle)  # as far beyond the median as three times what the best is above it
    worst = (max if maximize else min)(worst, least) if best != middle else worst
    room = 0.05 * abs(best - worst) or 0.05 * abs(best) or 0.05
    low, high = sorted((best, worst))
    return low - room, high + room


def legend(axes: Axes, named: Sequence[tuple[str, str]]) -> None:
    """Names colours above the axes."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, linewidth=2, label=label) for label, color in named]
    axes.figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
