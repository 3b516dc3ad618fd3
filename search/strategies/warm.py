"""Proposals that know what came of earlier studies, until this one has results enough of its own."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...spaces import Space
from .conditioned import condition
from .encoding import encoded, varying
from .trust import trust
from .views import View
from .wrapper import Wrapper

Params = Mapping[str, Any]
Entry = Mapping[str, Any]  # `params` and `score` of an earlier trial

SHARED = 10  # trials after which half of the proposals see earlier trials
LASTING = 30  # own trials with a value after which earlier ones are shown no more
MOST = 100  # earlier trials that are shown: models cost by the trial
NEAREST = 3  # earlier trials whose mean score tells what is expected of a configuration
GOOD = 0.75  # part of the earlier scores that a good one is above
_WARM = 0x7761726D  # "warm": sets these draws apart from the strategy's own of the same seed
_BEYOND = 2**40  # numbers that no trial of the study has
_LONG_AGO = datetime(2000, 1, 1)  # the same whenever it is shown


class WarmSampler(Wrapper):
    """Has `sampler` propose as if trials of earlier studies were the study's own.

    `earlier` holds their parameters, as `params`, and their `score`: the distance from their study's median in
    interquartile ranges. They are shown as complete trials before all others. A score s becomes the value a + b s:
    b is the interquartile range of the study's own values (1 before there are four), and a the median of what own
    trials of the same configurations have in excess of b s; without such, the own median.

    What `sampler` is shown of them wears off: trial n sees them with probability trust x 10 / (10 + n), n counting the
    trials that have begun, else none; after m complete or pruned trials only the part 1 - m / 30, evenly spread over
    the scores, and never more than 100.
    `trust` is 1 while trials near to what did well earlier (the mean score of the three nearest is in the upper
    quarter) did no worse than the others, and falls fast once they do (see `leadline.search.strategies.trust`). The
    proposals made without earlier trials are what tells the two apart.

    Nothing else sees them: they are no trials of the study. With several objectives they aren't shown at all.
    """

    def __init__(self, space: Space, sampler: BaseSampler, earlier: Sequence[Entry], seed: int) -> None:
        super().__init__(sampler)
        self._space, self._seed = space, seed
        self._earlier = thinned(earlier, MOST)
        self._known: tuple[int, list[tuple[Params, float]]] | None = None

    def conditioned(self, given: Mapping[str, Any]) -> WarmSampler:
        """Returns the sampler of proposals in view of `given`, whose values it leaves to be held by who asks."""
        other = copy.copy(self)
        other._sampler, other._known = condition(self._sampler, given), None
        return other

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # Optuna's search spaces are of trials numbered from 0 on; its TPE weighs trials by age, which is their number.
        return self._sampler.infer_relative_search_space(self._shown(study, trial, first=_BEYOND), trial)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._known = None
        super().before_trial(study, trial)

    def _shown(self, study: Study, trial: FrozenTrial, first: int | None = None) -> Study:
        """Returns the study as it looks with what this trial may know of earlier ones, numbered from `first` on."""
        if self._known is None or self._known[0] != trial.number:  # decided once, whatever ends meanwhile
            self._known = trial.number, self._known_to(study, trial)
        known = self._known[1]
        start = -len(known) if first is None else first
        shown = [self._frozen(start + index, params, value) for index, (params, value) in enumerate(known)]
        return cast(Study, View(study, lambda trials: [*shown, *trials])) if shown else study

    def _known_to(self, study: Study, trial: FrozenTrial) -> list[tuple[Params, float]]:
        trials = study.get_trials(deepcopy=False)
        begun = [past for past in trials if past.number != trial.number and past.state != TrialState.WAITING]
        known = [] if len(study.directions) > 1 else as_own(self._earlier, begun)
        share = SHARED / (SHARED + len(begun))
        luck = np.random.default_rng((self._seed, trial.number, _WARM)).random()
        if not known or luck >= share or luck >= share * trust(study, begun, self._promising(study)):
            return []
        return known

    def _promising(self, study: Study) -> Callable[[Params], bool]:
        """Returns what tells whether a configuration is near to what did well in earlier studies."""
        space = varying(self._space.to_distributions())
        unordered = np.array([isinstance(d, CategoricalDistribution) for d in space.values()])
        sign = -1.0 if study.direction.name == "MINIMIZE" else 1.0
        scores = sign * np.array([entry["score"] for entry in self._earlier])
        points = np.array([encoded(space, entry["params"]) for entry in self._earlier])

        def promising(params: Params) -> bool:
            apart = np.abs(points - np.array(encoded(space, params)))
            nearest = np.argsort(np.where(unordered, apart != 0, apart).sum(axis=1), kind="stable")[:NEAREST]
            return bool(scores[nearest].mean() > np.quantile(scores, GOOD))

        return promising

    def _frozen(self, number: int, params: Params, value: float) -> FrozenTrial:
        return FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.COMPLETE,
            value=value,
            datetime_start=_LONG_AGO,
            datetime_complete=_LONG_AGO,
            params=dict(params),
            distributions={name: self._space.parameters[name].to_distribution() for name in params},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )


def as_own(earlier: Sequence[Entry], trials: Sequence[FrozenTrial]) -> list[tuple[Params, float]]:
    """Returns parameters and values of those `earlier` trials, in order, that are shown beside a study's own `trials`.

    They are fewer the more of these are complete or pruned, and their values are on the scale of the complete ones.
    """
    valued = sum(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials)
    kept = thinned(earlier, len(earlier) * max(0, LASTING - valued) // LASTING)
    own = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None and math.isfinite(t.value)]
    values = [cast(float, trial.value) for trial in own]
    width = 1.0
    if len(values) >= 4:
        lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
        width = upper - lower or 1.0
    excess = [
        value - width * entry["score"]
        for value, trial in zip(values, own, strict=True)
        for entry in earlier
        if entry["params"] == trial.params
    ]
    level = statistics.median(excess or values or [0.0])
    return [(entry["params"], level + width * entry["score"]) for entry in kept]


def thinned(earlier: Sequence[Entry], count: int) -> list[Entry]:
    """Returns `count` of the trials, in their order, evenly spread over their scores."""
    by_score = sorted(range(len(earlier)), key=lambda index: cast(float, earlier[index]["score"]))
    return [earlier[index] for index in sorted(spread(by_score, count))]


def spread(entries: Sequence[Any], count: int) -> list[Any]:
    """Returns `count` of the entries, evenly spaced, the first and the last among them if there are two or more."""
    if count >= len(entries):
        return list(entries)
    if count <= 1:
        return list(entries[len(entries) // 2 :][:count])
    return [entries[round(index * (len(entries) - 1) / (count - 1))] for index in range(count)]
