"""Proposals that know what came of earlier studies, until this one has results enough of its own."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...spaces import Space
from .conditioned import condition
from .views import View

LASTING = 30  # own complete trials after which earlier ones are shown no more
_BEYOND = 2**40  # numbers that no trial of the study has
_LONG_AGO = datetime(2000, 1, 1)  # the same whenever it is shown


class WarmSampler(BaseSampler):
    """Has `sampler` propose as if trials of earlier studies were the study's own.

    `earlier` holds their parameters, as `params`, and their `score`: the distance from their study's median in
    interquartile ranges. They are shown as complete trials before all others. A score s becomes the value a + b s:
    b is the interquartile range of the study's own values (1 before there are four), and a the median of what own
    trials of the same configurations have in excess of b s; without such, the own median. Of n own complete
    trials on, only the part 1 - n / 30 of the earlier ones is shown, evenly spread over their scores: with 30, none.

    Nothing else sees them: they are no trials of the study. With several objectives they aren't shown at all.
    """

    def __init__(self, space: Space, sampler: BaseSampler, earlier: Sequence[Mapping[str, Any]]) -> None:
        self._space, self._sampler = space, sampler
        self._earlier = sorted(earlier, key=lambda entry: cast(float, entry["score"]))

    def conditioned(self, given: Mapping[str, Any]) -> WarmSampler:
        """Returns the sampler of proposals in view of `given`, whose values it leaves to be held by who asks."""
        other = copy.copy(self)
        other._sampler = condition(self._sampler, given)
        return other

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # Optuna's search spaces are of trials numbered from 0 on; its TPE weighs trials by age, which is their number.
        return self._sampler.infer_relative_search_space(self._shown(study, _BEYOND), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(self._shown(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(self._shown(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def _shown(self, study: Study, first: int | None = None) -> Study:
        if len(study.directions) > 1:
            return study
        return cast(Study, View(study, lambda trials: [*self._as_own(trials, first), *trials]))

    def _as_own(self, trials: Sequence[FrozenTrial], first: int | None) -> list[FrozenTrial]:
        own = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None and math.isfinite(t.value)]
        kept = spread(self._earlier, len(self._earlier) * max(0, LASTING - len(own)) // LASTING)
        level, width = self._scale(own)
        start = -len(kept) if first is None else first
        return [self._frozen(start + i, entry, level + width * entry["score"]) for i, entry in enumerate(kept)]

    def _scale(self, own: Sequence[FrozenTrial]) -> tuple[float, float]:
        """Returns the value of a score of 0, and what a score of 1 has more."""
        if not own:
            return 0.0, 1.0
        values = [cast(float, trial.value) for trial in own]
        width = 0.0
        if len(values) >= 4:
            lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
            width = upper - lower
        width = width or 1.0
        scores = [(entry["params"], entry["score"]) for entry in self._earlier]
        excess = [
            value - width * score
            for value, trial in zip(values, own, strict=True)
            for params, score in scores
            if params == trial.params
        ]
        return statistics.median(excess or values), width

    def _frozen(self, number: int, entry: Mapping[str, Any], value: float) -> FrozenTrial:
        params: dict[str, Any] = entry["params"]
        return FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.COMPLETE,
            value=value,
            datetime_start=_LONG_AGO,
            datetime_complete=_LONG_AGO,
            params=params,
            distributions={name: self._space.parameters[name].to_distribution() for name in params},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )


def spread(entries: Sequence[Any], count: int) -> list[Any]:
    """Returns `count` of the entries, evenly spaced, the first and the last among them if there are two or more."""
    if count >= len(entries):
        return list(entries)
    if count <= 1:
        return list(entries[len(entries) // 2 :][:count])
    return [entries[round(index * (len(entries) - 1) / (count - 1))] for index in range(count)]
