from __future__ import annotations

from collections import Counter

import pytest
from contracts.pruner import PrunerContract, Simulation, rising

from leadline.search.pruners import Hyperband, Pruner
from leadline.search.pruners.base import Resume
from leadline.search.trial import Trial


class TestContract(PrunerContract):
    def make(self, epochs: int | None, *, maximize: bool = True, pausing: bool = True) -> Pruner:
        return Hyperband(epochs, maximize=maximize, pausing=pausing)


def test_each_bracket_begins_a_rung_later_and_the_last_has_none() -> None:
    hyperband = Hyperband(81, reduction=3, first=1)
    found = {tuple(sorted(hyperband.rungs(number, 81))) for number in range(200)}
    assert found == {(1, 3, 9, 27), (3, 9, 27), (9, 27), (27,), ()}


@pytest.mark.parametrize(("epochs", "reduction"), [(32, 4), (81, 3), (50, 4)])
def test_brackets_get_like_shares_of_the_epochs(epochs: int, reduction: int) -> None:
    hyperband = Hyperband(epochs, reduction=reduction)
    spent: Counter[int] = Counter()
    done = Simulation(hyperband, rising(seed=0, epochs=epochs, failing=0.0), trials=300, lanes=8).run()
    for trial in done.trials:
        spent[hyperband.bracket(trial.number)] += len(trial.curve)
    assert max(spent.values()) < 1.35 * min(spent.values())


def test_any_first_trials_are_spread_over_the_brackets() -> None:
    hyperband = Hyperband(32)
    whole = Counter(map(hyperband.bracket, range(1000)))
    for start in (0, 137, 500):
        some = Counter(map(hyperband.bracket, range(start, start + 50)))
        assert all(abs(some[bracket] - whole[bracket] / 20) <= 2 for bracket in whole)


def test_a_trial_is_judged_among_those_of_its_bracket_alone() -> None:
    hyperband = Hyperband(16, reduction=2, first=4)
    first, second = ([n for n in range(40) if hyperband.bracket(n) == bracket][:2] for bracket in (0, 1))
    weak = [Trial(n, "paused", {}, curve=dict.fromkeys(range(1, 5), 0.3 / (n + 1))) for n in first]
    good = [Trial(n, "paused", {}, curve=dict.fromkeys(range(1, 9), 0.9 / (n + 1))) for n in second]
    assert hyperband.moves([*weak, *good]) == [Resume(first[0]), Resume(second[0])]
