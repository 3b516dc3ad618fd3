"""Which configurations fail, learnt from those that did."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from leadline.search.strategies.feasibility import Feasibility

CUBE: dict[str, BaseDistribution] = {name: FloatDistribution(0, 1) for name in "abcdef"}
MEMORY: dict[str, BaseDistribution] = {
    "depth": IntDistribution(1, 16),
    "maps": IntDistribution(8, 256, log=True),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "kind": CategoricalDistribution(["plain", "residual"]),
}


def at(value: float) -> dict[str, float]:
    return dict.fromkeys(CUBE, value)


def trial(params: dict[str, Any], succeeds: bool, space: dict[str, BaseDistribution] = CUBE) -> FrozenTrial:
    return optuna.create_trial(
        params=params,
        distributions={name: space[name] for name in params},
        state=TrialState.COMPLETE if succeeds else TrialState.FAIL,
        value=0.0 if succeeds else None,
    )


def drawn(rng: np.random.Generator) -> dict[str, float]:
    return dict(zip(CUBE, map(float, rng.random(6)), strict=True))


def test_while_nothing_has_failed_everything_succeeds() -> None:
    model = Feasibility(CUBE, [trial(at(0.3), True)])
    assert model.probabilities([at(0.1), at(0.9)]).tolist() == [1, 1]


def test_one_failure_repels_its_neighbourhood_and_no_more() -> None:
    model = Feasibility(CUBE, [trial(at(0.5), False)])
    itself, beside, away = model.probabilities([at(0.5), at(0.55), at(0.1)])
    assert itself < 0.6
    assert itself < beside < away
    assert away > 0.7


def test_an_accident_is_forgiven_as_its_neighbours_succeed() -> None:
    rng = np.random.default_rng(0)
    near = [trial({n: float(0.6 + 0.1 * rng.normal()) for n in CUBE}, True) for _ in range(12)]
    chances = [Feasibility(CUBE, [trial(at(0.6), False), *near[:n]]).probabilities([at(0.6)])[0] for n in (0, 4, 12)]
    assert chances[0] < chances[1] < chances[2]
    assert chances[2] > 0.75


def test_a_limit_is_learnt_and_known_beyond_what_was_seen() -> None:
    """a + b + c > 1.75 fails, 30 % of the space, in six dimensions."""
    rng = np.random.default_rng(0)
    trials = [trial(p, p["a"] + p["b"] + p["c"] <= 1.75) for p in (drawn(rng) for _ in range(40))]
    asked = [drawn(rng) for _ in range(500)]
    fails = np.array([p["a"] + p["b"] + p["c"] > 1.75 for p in asked])
    chances = Feasibility(CUBE, trials).probabilities(asked)
    assert np.mean((chances < 0.5) == fails) > 0.9
    assert fails[chances > 0.75].mean() < 0.03
    assert (chances > 0.75).mean() > 0.4  # most of what succeeds stays open
    assert Feasibility(CUBE, trials).probabilities([{**at(1.0)}])[0] < 0.05


def test_numbers_choices_and_what_a_trial_lacks_are_modelled_together() -> None:
    def params(depth: int, maps: int, kind: str) -> dict[str, Any]:
        return {"depth": depth, "maps": maps, "kind": kind}  # no rate: a condition

    grid = [params(d, m, k) for d in range(1, 17, 3) for m in (8, 32, 128, 256) for k in ("plain", "residual")]

    def fits(p: dict[str, Any]) -> bool:
        return bool(p["depth"] * p["maps"] * (2 if p["kind"] == "residual" else 1) < 600)

    model = Feasibility(MEMORY, [trial(p, fits(p), MEMORY) for p in grid[::2] + grid[1::4]])
    right = (model.probabilities(grid) > 0.5) == [fits(p) for p in grid]
    assert right.mean() > 0.85


def test_a_value_that_its_range_no_longer_has_is_as_if_lacking() -> None:
    narrower = {**MEMORY, "kind": CategoricalDistribution(["plain", "dense"])}
    trials = [
        trial({"depth": 16, "kind": "residual"}, False, MEMORY),
        trial({"depth": 1, "kind": "plain"}, True, MEMORY),
    ]
    deep, flat = Feasibility(narrower, trials).probabilities([{"depth": 16, "kind": "dense"}, {"depth": 1}])
    assert deep < flat


def test_running_and_waiting_trials_do_not_count() -> None:
    failed = trial(at(0.5), False)
    running = optuna.create_trial(params=at(0.5), distributions=CUBE, state=TrialState.RUNNING)
    asked = [at(0.5), at(0.2)]
    alone = Feasibility(CUBE, [failed]).probabilities(asked)
    assert Feasibility(CUBE, [failed, running]).probabilities(asked).tolist() == alone.tolist()


@pytest.mark.parametrize("succeeds", [0, 300])
def test_hundreds_of_failures_at_one_place_are_fitted(succeeds: int) -> None:
    trials = [trial(at(0.9), False) for _ in range(300)] + [trial(at(0.1), True) for _ in range(succeeds)]
    bad, good = Feasibility(CUBE, trials).probabilities([at(0.9), at(0.1)])
    assert bad < 0.05
    assert good > (0.95 if succeeds else 0.5)


def test_parameters_with_one_value_and_spaces_of_nothing_else_are_survived() -> None:
    space: dict[str, BaseDistribution] = {"n": IntDistribution(3, 3), "x": FloatDistribution(0, 1)}
    model = Feasibility(space, [trial({"n": 3, "x": 0.9}, False, space)])
    assert model.probabilities([{"n": 3, "x": 0.9}])[0] < model.probabilities([{"n": 3, "x": 0.1}])[0]
    only = {"n": space["n"]}
    assert 0 <= Feasibility(only, [trial({"n": 3}, False, only)]).probabilities([{"n": 3}])[0] <= 1


def test_a_trial_that_runs_or_is_paused_has_succeeded_as_far_as_it_has_reported() -> None:
    failures = [trial(at(0.5 + 0.01 * index), False) for index in range(4)]
    running = [
        optuna.create_trial(params=at(0.3), distributions=CUBE, state=TrialState.RUNNING, intermediate_values=values)
        for values in [{1: 0.5}] * 6
    ]
    begun = optuna.create_trial(params=at(0.3), distributions=CUBE, state=TrialState.RUNNING)
    chance, unknown = (
        Feasibility(CUBE, failures + others).probabilities([at(0.3)])[0] for others in (running, [begun])
    )
    assert chance > unknown
