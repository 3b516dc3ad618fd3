"""A study on a terminal: what came of it in a line, and a row a trial, each with its curve."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING

from ..printing import counted
from ..table import Column, print_columns
from ..words import short
from .history import history
from .sparklines import NOTHING, cells, scale, sparkline

if TYPE_CHECKING:
    from ..study import Study
    from ..trial import Trial

BEST = " ★"
WIDEST = 24  # cells of a curve
REASON = 14  # cells that a reason may be cut to


def print_overview(study: Study) -> None:
    """Prints the counts of trials, the best value so far trial by trial, and a table of all trials.

    Curves are of one scale, in height and length. The best trial is marked, of several objectives the Pareto front.
    """
    trials = study.trials
    width = max(8, min(WIDEST, get_terminal_size((120, 24)).columns // 6))
    print(f"{study.name}: {counted(trials)}")
    if not trials:
        return
    best = [trial.number for trial in study.goals.front(trials)]  # of one objective those as good, too
    best = best if study.goals.several else best[:1]
    if best:
        print(f"best so far: {_so_far(study, trials, width)}  {study.metric_name} {short(study.best.value)}")
    print()
    marked = [place for place, trial in enumerate(trials) if trial.number in best]
    print_columns(_columns(study, trials, best, width), marked=marked)


def _so_far(study: Study, trials: list[Trial], width: int) -> str:
    """Returns the best value after each trial as blocks; a dot where none was complete yet."""
    steps = history(trials, maximize=study.maximize)
    best = {step.trials: step.best for step in steps if step.best is not None}
    line = sparkline(cells(best, len(steps), 2 * width), scale(best.values(), maximize=study.maximize))
    return line.replace(NOTHING, "·")


def _columns(study: Study, trials: list[Trial], best: list[int], width: int) -> list[Column]:
    """Returns the table's columns. What there is no room for goes last to first: values that are fixed, then what a
    trial took and why it ended, then parameters. Why trials failed stays as long as there is any."""
    further = study.goals.further
    fixed, failed = study.space.fixed, any(trial.state == "failed" for trial in trials)
    values = [trial.values[1:] or (None,) * len(further) for trial in trials]
    params = [
        Column(
            name,
            [short(trial.params.get(name)) for trial in trials],
            rank=200 + place if name in fixed else 10 + place,
        )
        for place, name in enumerate(study.space.names)
    ]
    return [
        Column("trial", [f"{trial.number}{BEST if trial.number in best else ''}" for trial in trials]),
        Column("state", [trial.state for trial in trials], rank=3),
        Column("value", [short(trial.value) for trial in trials]),
        *(Column(name, [short(row[place]) for row in values], rank=2) for place, name in enumerate(further)),
        *_curves(study, trials, width),
        Column("epochs", [str(trial.epochs) for trial in trials], rank=101),
        Column("seconds", ["" if trial.seconds is None else f"{trial.seconds:.1f}" for trial in trials], rank=102),
        *params,
        Column("reason", [trial.reason for trial in trials], rank=4 if failed else 100, least=REASON),
    ]


def _curves(study: Study, trials: list[Trial], width: int) -> list[Column]:
    last = max((max(trial.curve, default=0) for trial in trials), default=0)
    if last < 2:  # a point is no curve
        return []
    within = scale((value for trial in trials for value in trial.curve.values()), maximize=study.maximize)
    lines = [sparkline(cells(trial.curve, last, width), within) for trial in trials]
    return [Column("curve", [line.rstrip() for line in lines], rank=1)]
