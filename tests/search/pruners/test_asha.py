from __future__ import annotations

import pytest
from contracts.pruner import PrunerContract, Simulation, rising

from leadline.search.pruners import Asha, Pruner
from leadline.search.pruners.base import Resume
from leadline.search.trial import Trial


class TestContract(PrunerContract):
    def make(self, epochs: int | None, *, maximize: bool = True, pausing: bool = True) -> Pruner:
        return Asha(epochs, reduction=4, maximize=maximize, pausing=pausing)


def trial(number: int, state: str, *curve: float) -> Trial:
    return Trial(number, state, {}, curve=dict(enumerate(curve, start=1)))


@pytest.mark.parametrize(
    ("epochs", "options", "wanted"),
    [
        (32, {}, {2, 16}),
        (50, {}, {3, 24}),
        (50, {"reduction": 4}, {3, 12}),
        (30, {"reduction": 3}, {2, 6}),
        (30, {"reduction": 3, "first": 1}, {1, 3, 9}),
        (16, {"reduction": 4, "first": 2}, {2, 8}),
        (1, {}, set()),
        (2, {}, {1}),
        (10, {"first": 6}, set()),
    ],
)
def test_rungs_grow_by_the_reduction_up_to_half_of_the_epochs(
    epochs: int, options: dict[str, int], wanted: set[int]
) -> None:
    assert Asha(epochs, **options).rungs(0, epochs) == wanted


def test_of_trials_that_report_together_the_best_quarter_goes_on() -> None:
    values = [0.3, 0.8, 0.1, 0.7, 0.2, 0.5, 0.4, 0.6]
    trials = [trial(number, "running", value) for number, value in enumerate(values)]
    verdicts = Asha(16, reduction=4).verdicts(range(8), trials)
    assert [number for number, verdict in enumerate(verdicts) if verdict == "go"] == [1, 3]
    assert verdicts.count("pause") == 6


def test_a_trial_alone_pauses_until_three_others_were_worse() -> None:
    asha = Asha(16, reduction=4)
    trials = [trial(0, "running", 0.9)]
    assert asha.verdicts([0], trials) == ["pause"]
    trials = [trial(0, "paused", 0.9), trial(1, "paused", 0.5), trial(2, "paused", 0.6)]
    assert asha.moves(trials) == []
    trials.append(trial(3, "running", 0.1))
    assert asha.verdicts([3], trials) == ["pause"]
    assert asha.moves([*trials[:3], trial(3, "paused", 0.1)]) == [Resume(0)]


def test_the_highest_rung_is_promoted_first_and_of_a_rung_the_best() -> None:
    asha = Asha(64, reduction=2, first=1)
    low = [trial(number, "paused", 0.1 * number) for number in range(4)]
    high = [trial(number, "paused", 0.5, 0.01 * number) for number in range(4, 8)]
    assert asha.moves([*low, *high]) == [Resume(4), Resume(5)]  # of equally good ones, the first
    mixed = [trial(0, "paused", 0.9), trial(1, "paused", 0.8), trial(2, "paused", 0.1, 0.2), trial(3, "paused", 0, 0.3)]
    assert asha.moves(mixed) == [Resume(3), Resume(0), Resume(1)]


def test_equal_values_are_taken_by_number() -> None:
    trials = [trial(number, "running", 0.5) for number in range(8)]
    assert Asha(16, reduction=4).verdicts([5, 1, 0, 7], trials) == ["pause", "go", "go", "pause"]


def test_a_trial_counts_with_the_best_of_its_epochs() -> None:
    trials = [trial(0, "running", 0.1, 0.9, 0.2), trial(1, "running", 0.8, 0.8, 0.8)]
    assert Asha(12, reduction=2, first=3).verdicts([0, 1], trials) == ["go", "pause"]


def test_failed_trials_count_as_the_worst_and_complete_shorter_ones_with_their_best() -> None:
    trials = [trial(0, "failed"), trial(1, "failed", 0.9), trial(2, "complete", 0.7), trial(3, "running", 0.6, 0.6)]
    assert Asha(32, reduction=4).verdicts([3], trials) == ["pause"]
    better = [*trials[:3], trial(3, "running", 0.6, 0.8)]
    assert Asha(32, reduction=4).verdicts([3], better) == ["go"]


def test_when_no_new_trial_is_to_come_the_best_of_each_rung_still_passes() -> None:
    asha = Asha(16, reduction=4)
    trials = [trial(0, "paused", 0.4), trial(1, "paused", 0.5)]
    assert asha.moves(trials) == []
    assert asha.last_moves(trials) == [Resume(1)]


def test_what_cannot_pause_ends_unless_it_is_the_best_so_far() -> None:
    asha = Asha(16, pausing=False, reduction=4)
    assert asha.verdicts([0], [trial(0, "running", 0.4)]) == ["go"]
    assert asha.verdicts([1], [trial(0, "running", 0.4, 0.4), trial(1, "running", 0.3)]) == ["prune"]


def test_a_quarter_of_a_quarter_trains_to_the_end_and_they_are_good_ones() -> None:
    done = Simulation(Asha(32, reduction=4), rising(seed=5, failing=0.0), trials=160, lanes=8).run()
    levels = sorted(done.trials, key=lambda trial: -rising(seed=5, failing=0.0)(trial.number)[-1])
    complete = {trial.number for trial in done.of("complete")}
    assert 10 <= len(complete) <= 20
    assert levels[0].number in complete
    assert complete <= {trial.number for trial in levels[:60]}
    assert done.trained < 0.25 * 160 * 32
