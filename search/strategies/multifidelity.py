"""Strategies that model results, where trials have been trained for different lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from .views import View, as_complete, value_of
from .wrapper import Wrapper

Showing = Callable[[list[FrozenTrial], bool], list[FrozenTrial]]  # of the trials, and whether large values are good


_WHOLE = 2**31  # the length of a complete trial that has reported nothing


class Multifidelity(Wrapper):
    """Has `sampler` propose from the trials as `showing` shows them; itself it sees neither lengths nor pauses."""

    def __init__(self, sampler: BaseSampler, showing: Showing) -> None:
        super().__init__(sampler)
        self._showing = showing

    def _shown(self, study: Study, trial: FrozenTrial) -> Study:
        if len(study.directions) > 1:
            return study
        maximize = study.direction == StudyDirection.MAXIMIZE
        return cast(Study, View(study, lambda trials: self._showing(trials, maximize)))


def best_so_far(trials: list[FrozenTrial], maximize: bool) -> list[FrozenTrial]:
    """Returns trials as if each had been complete after its last epoch, with the best value of its epochs.

    A trial that runs, not paused, and has no value yet stays as it is, and so does a failed one.
    """
    return [
        as_complete(trial, [_best(trial, _length(trial), maximize)]) if _counts(trial) else trial for trial in trials
    ]


def longest_first(trials: list[FrozenTrial], maximize: bool) -> list[FrozenTrial]:
    """Returns trials as if complete, with their places as values: a longer one before a shorter, then by best value.

    For pruners that let the better trials train on, so that length is a result too. Complete ones come first, however
    long they took.
    """
    sign = -1.0 if maximize else 1.0

    def place(trial: FrozenTrial) -> tuple[bool, int, float, int]:
        complete, length = trial.state == TrialState.COMPLETE, _length(trial)
        return not complete, 0 if complete else -length, sign * _best(trial, length, maximize), trial.number

    counting = sorted(filter(_counts, trials), key=place)
    places = {trial.number: sign * place for place, trial in enumerate(counting)}
    return [as_complete(trial, [places[trial.number]]) if trial.number in places else trial for trial in trials]


def at_highest_rung(least: int) -> Showing:
    """Returns what shows trials at one length: the longest that at least `least` have reached, else the shortest.

    Each has the best value of its epochs up to there; those that haven't come so far are left out.

    Source: Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (2018), section 3.2.
    """

    def showing(trials: list[FrozenTrial], maximize: bool) -> list[FrozenTrial]:
        counting = [trial for trial in trials if _counts(trial)]
        lengths = sorted((_length(trial) for trial in counting), reverse=True)
        epoch = lengths[min(least, len(lengths)) - 1] if lengths else 0
        shown = []
        for trial in trials:
            if not _counts(trial):
                shown.append(trial)
            elif _length(trial) >= epoch:
                shown.append(as_complete(trial, [_best(trial, epoch, maximize)]))
        return shown

    return showing


# A trial passes a rung of `asha` because it is better, so there length is a result: 5.5 ± 1.0 full trainings to the
# regret of 100 random ones, 7.3 ± 1.5 with the best so far (TaskSet's half to choose by, n = 24). `thaw` gives epochs
# for other reasons, too, as what is hard to foretell.
SHOWINGS: Mapping[str, Showing] = {"longest": longest_first, "best": best_so_far}


def beside(sampler: BaseSampler, showing: str) -> BaseSampler:
    """Returns a sampler that models results such that it sees what paused trials came to, as `showing` names it."""
    if not showing or isinstance(sampler, Multifidelity):
        return sampler
    return Multifidelity(sampler, SHOWINGS[showing])


def _counts(trial: FrozenTrial) -> bool:
    return trial.state != TrialState.FAIL and _length(trial) > 0


def _length(trial: FrozenTrial) -> int:
    """Returns the last epoch that a trial has a value of; of one that was told its value alone, more than any."""
    reported = [epoch for epoch, value in trial.intermediate_values.items() if not math.isnan(value)]
    return max(reported, default=_WHOLE if trial.state == TrialState.COMPLETE else 0)


def _best(trial: FrozenTrial, epoch: int, maximize: bool) -> float:
    values = [v for at, v in trial.intermediate_values.items() if at <= epoch and not math.isnan(v)]
    values = values or [value_of(trial)]
    return max(values) if maximize else min(values)
