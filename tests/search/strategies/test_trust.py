"""How far results agree with a belief: fully, until trials that it calls good do worse than the others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from leadline.search.strategies.trust import no_worse, trust


def ended(x: float, value: float | None, state: TrialState = TrialState.COMPLETE, **options: Any) -> FrozenTrial:
    distributions = {"x": FloatDistribution(0, 1)}
    return create_trial(params={"x": x}, distributions=distributions, value=value, state=state, **options)


def near(params: Mapping[str, Any]) -> bool:
    return bool(params["x"] < 0.5)


@pytest.mark.parametrize(("direction", "trusted"), [("maximize", False), ("minimize", True)])
def test_worse_is_what_the_direction_says(direction: str, trusted: bool) -> None:
    study = optuna.create_study(direction=direction)
    trials = [ended(x, x) for x in (0.1, 0.2, 0.25, 0.3, 0.7, 0.8, 0.9, 1.0)]
    assert (trust(study, trials, near) == 1.0) is trusted


def test_pruned_trials_are_worse_than_complete_ones_and_failed_ones_worst() -> None:
    study = optuna.create_study(direction="maximize")
    far = [ended(x, 0.1) for x in (0.7, 0.8, 0.9)]
    pruned = [ended(x, None, TrialState.PRUNED, intermediate_values={1: 0.9}) for x in (0.1, 0.2, 0.3)]
    failed = [ended(x, None, TrialState.FAIL) for x in (0.1, 0.2, 0.3)]
    better = [ended(x, 0.2) for x in (0.1, 0.2, 0.3)]
    lost = trust(study, [*far, *pruned], near)
    assert trust(study, [*far, *better], near) == 1.0
    assert trust(study, [*far, *failed], near) == lost < 0.1
    later = [ended(x, None, TrialState.PRUNED, intermediate_values={1: 0.1, 2: 0.1}) for x in (0.7, 0.8, 0.9)]
    assert trust(study, [*pruned, *later], near) == lost


def test_with_several_objectives_only_the_number_of_trials_counts() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    assert trust(study, [ended(0.2, None, TrialState.FAIL), ended(0.9, None, TrialState.FAIL)], near) == 1.0


@pytest.mark.parametrize(
    ("some", "others", "expected"),
    [([], [1], 1.0), ([1], [], 1.0), ([1, 2], [1, 2], 1.0), ([3, 4], [1, 2], 1.0), ([1], [2], 0.3173)],
)
def test_the_chance_of_a_rank_sum_so_bad(some: list[int], others: list[int], expected: float) -> None:
    assert no_worse(some, others) == pytest.approx(expected, abs=1e-4)


def test_the_chance_agrees_with_counting_all_orders() -> None:
    ranks = range(10)
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, 5)]
    some = [0, 1, 3, 4, 6]
    exact = 2 * np.mean([total <= sum(some) for total in sums])
    assert no_worse(some, [rank for rank in ranks if rank not in some]) == pytest.approx(exact, abs=0.05)
