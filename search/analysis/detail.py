"""One trial on a terminal: its configuration, what came of it, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from ..words import short

if TYPE_CHECKING:
    from ..study import Study
    from ..trial import Trial


def trial_of(study: Study, number: int) -> Trial:
    """Returns the study's trial of that number. Raises UsageError if it has none."""
    trials = study.trials
    if not 0 <= number < len(trials):
        last = f"0 to {len(trials) - 1}" if trials else "none"
        raise UsageError(f"`{study.name}` has no trial {number}; it has {last}")
    return trials[number]


def print_trial(study: Study, trial: Trial) -> None:
    """Prints a trial's end, value and configuration, its faults, and the traceback of the error that it raised."""
    reason = f": {trial.reason}" if trial.reason else ""
    print(f"{study.name}, trial {trial.number}: {trial.state}{reason}")
    if trial.value is not None:
        epoch = "" if trial.best_epoch is None else f" at epoch {trial.best_epoch} of {trial.epochs}"
        print(f"{study.metric_name} {short(trial.value)}{epoch}")
    for name, value in trial.params.items():
        print(f"  {name}: {short(value)}")
    for fault in trial.faults:
        print(f"Made good {fault}")
    if trial.traceback:
        print(f"\n{trial.traceback.rstrip()}")
