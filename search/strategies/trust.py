"""How far results agree with what was believed before them: what makes a belief wear off if it is wrong."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Rank = tuple[float, float, float]


def trust(study: Study, trials: Sequence[FrozenTrial], believed: Callable[[Mapping[str, Any]], bool]) -> float:
    """Returns a number in (0, 1]: 1 unless trials whose parameters are `believed` good did worse than the others.

    Else it is twice the normal tail at the Mann-Whitney statistic of the two, the chance of a rank sum so bad had the
    belief made no difference. Pruned trials rank below complete ones, by how far they came, and failed ones last. With
    several objectives it is 1.
    """
    if len(study.directions) > 1:
        return 1.0
    sign = -1.0 if study.direction.name == "MINIMIZE" else 1.0
    good: list[Rank] = []
    others: list[Rank] = []
    for trial in trials:
        if trial.state.is_finished():
            (good if believed(trial.params) else others).append(_rank(trial, sign))
    return no_worse(good, others)


def no_worse(some: Sequence[Any], others: Sequence[Any]) -> float:
    """Returns min(1, 2 P(Z <= z)), z being the Mann-Whitney statistic of `some` against `others`; more is better.

    1 where either is empty. Source: Mann and Whitney 1947, with the normal approximation.
    """
    m, k = len(some), len(others)
    if not m or not k:
        return 1.0
    ordered = sorted(others)
    wins = math.fsum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in some) / 2
    z = (wins - m * k / 2) / math.sqrt(m * k * (m + k + 1) / 12)
    return min(1.0, 2 * NormalDist().cdf(z))


def _rank(trial: FrozenTrial, sign: float) -> Rank:
    """Returns what orders trials from bad to good: how they ended, how far they came, and their value."""
    if trial.state == TrialState.COMPLETE and trial.value is not None and not math.isnan(trial.value):
        return (2.0, 0.0, sign * trial.value)
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        epoch = max(trial.intermediate_values)
        return (1.0, float(epoch), sign * trial.intermediate_values[epoch])
    return (0.0, 0.0, 0.0)
