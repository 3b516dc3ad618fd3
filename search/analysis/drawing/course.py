"""How a study went, drawn: its history, what it came to, its trials' learning curves, and when they were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...trial import Trial
from .limits import limits
from .scales import short
from .style import BEST, COMPLETE, FAILED, FAINT, MANY, PRUNED, RUNNING, STATES, WIDE, blank, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"complete": "o", "pruned": "d", "failed": "x", "running": "s"}
LINES = 150  # curves of those that ended early, beyond which some are left out


def history(
    values: Sequence[float | None],
    states: Sequence[str],
    *,
    maximize: bool,
    metric: str,
    numbers: Sequence[int],
    within: Sequence[float] = (),
) -> Figure:
    """Returns each trial's value by its number, those `within` in any case, and the best complete one so far as a line.

    What is far worse than most lies at the axis' edge, and so does a failed trial that came to nothing.
    """
    figure, axes = blank(2.9)
    low, high = limits([value for value in values if value is not None], maximize=maximize, within=within)
    worst = low if maximize else high
    for state, mark in MARKS.items():
        members = [
            (number, worst if value is None else float(np.clip(value, low, high)))
            for number, value, own in zip(numbers, values, states, strict=True)
            if own == state and (value is not None or state == "failed")
        ]
        if members:
            axes.scatter(
                [number for number, _ in members],
                [value for _, value in members],
                s=14 if state == "pruned" else 20,
                marker=mark,
                color=STATES[state],
                linewidths=1.2 if state == "failed" else 0,
                label=state,
                rasterized=len(members) > MANY,
                clip_on=False,
                zorder=2 if state == "pruned" else 3,
            )
    best = so_far(values, states, maximize=maximize)
    steps = [(number, value) for number, value in zip(numbers, best, strict=True) if value is not None]
    if steps:
        across, upward = [number for number, _ in steps], [value for _, value in steps]
        axes.step(across, upward, where="post", color=BEST, linewidth=1.8, label="best so far", zorder=2)
    axes.set(xlabel="trial", ylabel=short(metric, 28), ylim=(low, high))
    whole_numbers(axes)
    figure.legend(loc="outside upper left", ncols=4, columnspacing=1.0, handletextpad=0.4)
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


def distribution(values: Sequence[float], *, maximize: bool, metric: str) -> Figure:
    """Returns what share of the trials came to a value or a better one."""
    figure, axes = blank(2.9)
    low, high = limits(values, maximize=maximize)
    ordered = np.sort(values)[:: -1 if maximize else 1]
    shares = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
    axes.step(ordered, shares, where="post", color=COMPLETE, linewidth=1.8)
    axes.set(xlabel=f"{short(metric, 24)}, or better", ylabel="trials, in percent", xlim=(low, high), ylim=(0, 101))
    return figure


def curves(trials: Sequence[Trial], best: int | None, *, maximize: bool, metric: str, rungs: Sequence[int]) -> Figure:
    """Returns the trials' learning curves: those that ended early muted, the best one on top, rungs as lines."""
    figure, axes = blank(3.1)
    every = [value for trial in trials for value in trial.curve.values() if np.isfinite(value)]
    low, high = limits(every, maximize=maximize)
    for rung in rungs:
        axes.axvline(rung, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    muted = [trial for trial in trials if trial.state != "complete"]
    kept = [muted[place] for place in np.unique(np.linspace(0, len(muted) - 1, min(len(muted), LINES)).astype(int))]
    for trial in [*kept, *(trial for trial in trials if trial.state == "complete")]:
        own, whole = trial.number == best, trial.state == "complete"
        axes.plot(
            list(trial.curve),
            list(trial.curve.values()),
            color=BEST if own else STATES[trial.state],
            linewidth=2.2 if own else 1.0 if whole else 0.7,
            alpha=1.0 if own else 0.6 if whole else 0.5,
            marker="." if len(trial.curve) == 1 else None,
            markersize=4,
            zorder=4 if own else 3 if whole else 2,
        )
    axes.set(xlabel="epoch", ylabel=short(metric, 28), ylim=(low, high))
    whole_numbers(axes)
    found = {trial.state for trial in trials}
    colors = {"complete": COMPLETE, "pruned": PRUNED, "failed": FAILED, "running": RUNNING, "paused": RUNNING}
    named = {state: color for state, color in colors.items() if state in found}
    legend(axes, {**named, **({"the best": BEST} if best is not None else {})})
    return figure


def rungs(standing: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, maximize: bool, metric: str) -> Figure:
    """Returns the values at each rung, by its name: of those that went on, and of those that didn't."""
    figure, axes = blank(3.1)
    every = [value for groups in standing.values() for values in groups for value in values]
    low, high = limits(every, maximize=maximize)
    generator = np.random.default_rng(0)
    for place, groups in enumerate(standing.values()):
        for side, values, color in zip((0.17, -0.17), groups, (COMPLETE, PRUNED), strict=True):
            across = place + side + generator.uniform(-0.11, 0.11, len(values))
            axes.scatter(
                across, np.clip(values, low, high), s=14, color=color, linewidths=0, alpha=0.8, clip_on=False,
                rasterized=len(values) > MANY,
            )  # fmt: skip
    axes.set_xticks(range(len(standing)), labels=list(standing))
    axes.set(xlim=(-0.5, len(standing) - 0.5), xlabel="rung", ylabel=short(metric, 28), ylim=(low, high))
    axes.grid(visible=False, axis="x")
    legend(axes, {"ended there": PRUNED, "went on": COMPLETE})
    return figure


def losses(reports: Mapping[int, Mapping[str, float]], best_epoch: int | None) -> Figure:
    """Returns the best trial's loss on training and validation rows by epoch, its best epoch marked."""
    figure, axes = blank(3.1)
    colors = {"train/loss": FAINT, "valid/loss": BEST}
    for name, color in colors.items():
        known = {epoch: metrics[name] for epoch, metrics in reports.items() if name in metrics}
        axes.plot(list(known), list(known.values()), color=color, linewidth=1.8)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    whole_numbers(axes)
    legend(axes, {"on training rows": FAINT, "on validation rows": BEST})
    return figure


def timeline(bars: Sequence[tuple[int, float, float, str]], cuts: Sequence[float], unit: str) -> Figure:
    """Returns when each trial was trained: bars of (row, start, length, state), and where idle time was left out."""
    rows = max(row for row, _, _, _ in bars) + 1
    figure, axes = blank(min(4.0, 1.15 + 0.16 * rows), WIDE)
    for state, color in STATES.items():
        own = [(row, start, length) for row, start, length, its in bars if its == state]
        if own:
            axes.barh(
                [row for row, _, _ in own],
                [length for _, _, length in own],
                left=[start for _, start, _ in own],
                height=0.8,
                color=color,
                edgecolor="none",
                rasterized=len(own) > MANY,
            )
    for cut in cuts:
        axes.axvline(cut, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set(xlabel=f"{unit} since the first trial began", ylim=(rows - 0.4, -0.6), xlim=(0, None))
    axes.set_ylabel("trained\nside by side" if rows > 3 else "")
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    found = {state for _, _, _, state in bars}
    legend(axes, {state: color for state, color in STATES.items() if state in found})
    return figure


def legend(axes: Axes, named: Mapping[str, str]) -> None:
    """Names colours above the axes."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, linewidth=2, label=label) for label, color in named.items()]
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), columnspacing=1.0, handlelength=1.4)
