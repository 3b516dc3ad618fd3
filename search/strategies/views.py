"""Views of a study: what a sampler is shown of the trials, where that isn't all of them as they are."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState


class View:
    """A study that shows a sampler only some trials, as Optuna's own does under the Hyperband pruner."""

    def __init__(self, study: Study, choose: Callable[[list[FrozenTrial]], list[FrozenTrial]]) -> None:
        self._study = study
        self._chosen = functools.cache(lambda: choose(study.get_trials(deepcopy=False)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        chosen = [trial for trial in self._chosen() if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)


def value_of(trial: FrozenTrial) -> float:
    """Returns a trial's value; a pruned one's last report; NaN if there is none."""
    if trial.state == TrialState.PRUNED:
        reports = trial.intermediate_values
        return reports[max(reports)] if reports else math.nan
    return math.nan if trial.state != TrialState.COMPLETE or not trial.values else trial.values[0]


def as_complete(trial: FrozenTrial, values: Sequence[float]) -> FrozenTrial:
    """Returns a trial as if it had come to these values."""
    shown = copy.copy(trial)
    shown.state, shown.values = TrialState.COMPLETE, values
    return shown


def seen_space(study: Study) -> dict[str, BaseDistribution]:
    """Returns the newest distribution of every parameter that a trial with a value had, in order of name."""
    seen: dict[str, BaseDistribution] = {}
    for past in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        seen.update(past.distributions)
    return dict(sorted(seen.items()))


def first_space(study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
    """Returns the distributions of the earliest ended trial that has parameters, `trial` left out."""
    for past in study.get_trials(deepcopy=False):
        if past.number != trial.number and past.state.is_finished() and past.distributions:
            return dict(past.distributions)
    return {}


def telling(study: Study, trials: list[FrozenTrial], most: int, seed: int) -> list[FrozenTrial]:
    """Returns, by number, all trials if at most `most` have ended; else a third each of best, newest, and random ones.

    The best show where to look and the newest what has just been learnt; the random ones, which stay the same while
    the study grows, hold the model down elsewhere. Of several objectives there is no best: the random ones are more.
    Trials that run are shown too, up to `most` of the newest.
    """
    ended = [trial for trial in trials if trial.state.is_finished()]
    running = [trial for trial in trials if not trial.state.is_finished()][-most:]
    if len(ended) <= most:
        return sorted(ended + running, key=lambda trial: trial.number)
    kept = {trial.number: trial for trial in ended[-(most // 3) :]}
    if len(study.directions) == 1:
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        valued = [trial for trial in ended if not math.isnan(value_of(trial))]
        best = sorted(valued, key=lambda trial: sign * value_of(trial))[: most // 3]
        kept.update({trial.number: trial for trial in best})
    draws = np.random.default_rng(seed).random(ended[-1].number + 1)
    for trial in sorted(ended, key=lambda trial: draws[trial.number]):
        if len(kept) >= most:
            break
        kept[trial.number] = trial
    return sorted([*kept.values(), *running], key=lambda trial: trial.number)
