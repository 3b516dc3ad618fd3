"""Population-based training: what becomes of a generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from leadline import Choice, Float, Int, Space
from leadline.search.pruners.base import Begin, End, Move, Resume
from leadline.search.pruners.pbt import PopulationBasedTraining
from leadline.search.trial import Trial

SPACE = Space(
    width=Int(4, 64),
    lr=Float(1e-4, 1e-1, log=True),
    dropout=Float(0.0, 0.5, step=0.1),
    patience=Int(1, 9),
    schedule=Choice(["constant", "cosine"]),
)


def structure(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"width": params["width"], "drops": params["dropout"] > 0}


def pbt(**options: Any) -> PopulationBasedTraining:
    given = {"population": 10, "interval": 3, "space": SPACE, "seed": 0, "structure": structure, **options}
    return PopulationBasedTraining(12, **given)


def generation(count: int = 10, epoch: int = 3, state: str = "paused") -> list[Trial]:
    """Trials that stand at an epoch, each better than the one before."""
    return [
        Trial(
            number,
            state,
            {"width": 8, "lr": 0.01, "dropout": 0.2, "patience": 4, "schedule": "cosine"},
            curve={at: number / 100 * at for at in range(1, epoch + 1)},
        )
        for number in range(count)
    ]


def of(kind: type[Move], moves: list[Move]) -> list[Any]:
    return [move for move in moves if isinstance(move, kind)]


def test_all_pause_at_each_interval() -> None:
    assert pbt().rungs(0, 12) == {3, 6, 9}
    assert pbt(interval=None).rungs(0, 12) == set(range(1, 12))
    assert pbt().verdicts([1, 0], generation()) == ["pause", "pause"]


def test_the_worst_end_and_children_of_the_best_take_their_place() -> None:
    moves = pbt().moves(generation())
    assert [move.number for move in of(End, moves)] == [1, 0]
    assert {move.parent for move in of(Begin, moves)} <= {9, 8}
    assert len(of(Begin, moves)) == 2
    assert [move.number for move in of(Resume, moves)] == [9, 8, 7, 6, 5, 4, 3, 2]


def test_where_less_is_better_the_others_end() -> None:
    assert [move.number for move in of(End, pbt(maximize=False).moves(generation()))] == [8, 9]


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_nothing_is_decided_before_the_last_of_a_generation_has_come(state: str) -> None:
    trials = generation()
    trials[4] = replace(trials[4], state=state, curve={1: 0.1})
    assert pbt().moves(trials) == []


def test_nothing_is_decided_before_the_population_is_whole() -> None:
    assert pbt().takes_new(generation(9))
    assert pbt().moves(generation(9)) == []
    assert not pbt().takes_new(generation(10))
    assert not pbt().takes_new([*generation(10), replace(generation(11)[10], parent=3)])


def test_those_that_have_ended_are_no_longer_of_the_population() -> None:
    trials = [replace(trial, state="failed") if trial.number < 5 else trial for trial in generation()]
    moves = pbt().moves(trials)
    assert [move.number for move in of(End, moves)] == [5]
    assert [move.number for move in of(Resume, moves)] == [9, 8, 7, 6]


def test_a_population_that_stays_too_small_goes_on_when_no_new_trial_is_to_come() -> None:
    assert {move.number for move in of(Resume, pbt().last_moves(generation(3)))} == {1, 2}
    assert pbt().last_moves(generation(1)) == [Resume(0)]
    assert pbt().last_moves(generation(3, state="complete")) == []


def test_a_child_keeps_the_structure_and_moves_what_may_move() -> None:
    seen: dict[str, set[Any]] = {name: set() for name in SPACE.names}
    for seed in range(60):
        for move in of(Begin, pbt(seed=seed).moves(generation())):
            assert SPACE.contains(move.params)
            for name, value in move.params.items():
                seen[name].add(value)
    assert seen["width"] == {8}
    assert 0.0 not in seen["dropout"]
    assert {0.008, 0.0125} <= seen["lr"]
    assert len(seen["lr"]) > 10  # some are drawn anew
    assert {3, 5} <= seen["patience"]
    assert seen["schedule"] == {"constant", "cosine"}


def test_the_same_records_lead_to_the_same_children_and_other_seeds_to_others() -> None:
    assert pbt().moves(generation()) == pbt().moves(generation())
    assert pbt().moves(generation()) != pbt(seed=1).moves(generation())
