"""Pruning by several objectives: `asha` ranks by non-domination."""

from __future__ import annotations

import pytest

from leadline.errors import SettingsError
from leadline.search.goals import Goals
from leadline.search.pruners import PRUNERS, SEVERAL, Asha, make_pruner
from leadline.search.pruners.base import Resume
from leadline.search.trial import Trial

SIZED = Goals("accuracy", ("parameters",), (True, False))
HALVING = {"name": "asha", "reduction": 2, "first": 1}


def reached(*points: tuple[float, int], state: str = "running") -> list[Trial]:
    """Trials with these values at their first epoch, and these sizes."""
    return [Trial(number, state, {}, curve={1: value}, parameters=size) for number, (value, size) in enumerate(points)]


def test_the_dominated_pause_and_the_ends_of_the_front_pass() -> None:
    trials = reached((0.9, 100), (0.8, 100), (0.5, 10), (0.4, 20))
    assert make_pruner(HALVING, 9, SIZED).verdicts([0, 1, 2, 3], trials) == ["go", "pause", "go", "pause"]


def test_of_many_in_the_front_those_most_alone_pass() -> None:
    places = (0.1, 0.9, 0.15, 0.2, 0.25, 0.6)  # none of which dominates another
    trials = reached(*((place, round(100 * place)) for place in places))
    verdicts = make_pruner(HALVING, 9, SIZED).verdicts(list(range(6)), trials)
    assert [place for place, verdict in zip(places, verdicts, strict=True) if verdict == "go"] == [0.1, 0.9, 0.6]


def test_a_paused_trial_goes_on_once_it_is_among_the_best() -> None:
    pruner = make_pruner(HALVING, 9, SIZED)
    assert pruner.moves(reached((0.5, 10), state="paused")) == []
    assert pruner.moves(reached((0.5, 10), (0.4, 20), state="paused")) == [Resume(0)]


@pytest.mark.parametrize("name", PRUNERS)
def test_each_name_can_do_several_objectives_or_says_which_can(name: str) -> None:
    if name in SEVERAL:
        assert isinstance(make_pruner(name, 9, SIZED), Asha) == (name == "asha")
    else:
        with pytest.raises(SettingsError, match=f"`{name}` can't do several objectives; `none`, `asha` can"):
            make_pruner(name, 9, SIZED)


def test_an_unknown_name_is_told_as_ever() -> None:
    with pytest.raises(SettingsError, match=r"no pruner is called `ahsa`\. Did you mean `asha`"):
        make_pruner("ahsa", 9, SIZED)
