from __future__ import annotations

import numpy as np
import pytest
from contracts.pruner import PrunerContract, Simulation, rising

from leadline.search.pruners import Asha, Pruner, Thaw
from leadline.search.pruners.base import Resume
from leadline.search.pruners.curves import CurveModel, steps
from leadline.search.pruners.thaw import reservation
from leadline.search.trial import Trial


class TestContract(PrunerContract):
    def make(self, epochs: int | None, *, maximize: bool = True, pausing: bool = True) -> Pruner:
        return Thaw(epochs, maximize=maximize, pausing=pausing)


def lines(n: int = 60, epochs: int = 40) -> list[np.ndarray]:
    """Returns losses that fall from about 1, by a slope of their own in the logarithm of the epoch, with some noise."""
    rng = np.random.default_rng(0)
    time = np.log(np.arange(1, epochs + 1)) / np.log(epochs)
    falls = rng.uniform(0.1, 0.9, size=n)
    curves = 1 + 0.05 * rng.normal(size=(n, 1)) - falls[:, None] * time + 0.01 * rng.normal(size=(n, epochs))
    return [*np.minimum.accumulate(curves, axis=1)]


def test_steps_grow_by_a_third() -> None:
    assert steps(2, 32) == [2, 3, 4, 5, 7, 9, 12, 16, 22, 30]


def test_ends_are_foretold_from_a_few_epochs_and_better_from_more() -> None:
    whole = lines()
    errors = {}
    for seen in (3, 10, 25):
        curves = [curve if number < 10 else curve[:seen] for number, curve in enumerate(whole)]
        model = CurveModel.fit(curves, 40, first=3)
        mean, _ = model.predict(curves)
        ends = np.array([model.standardized(curve[-1]) for curve in whole])
        errors[seen] = np.abs(mean - ends)[10:].mean() / ends.std()
    assert errors[25] < errors[10] < errors[3]
    assert errors[25] < 0.3


def test_a_curve_that_falls_faster_is_expected_to_improve_more() -> None:
    curves = [*lines(), np.array([1.0, 0.99, 0.98]), np.array([1.0, 0.8, 0.7])]
    model = CurveModel.fit(curves, 40)
    slow, fast = model.improvement(curves[-2:], best=0.3)
    assert fast > 10 * slow


def test_losses_that_diverged_dont_stretch_the_scale() -> None:
    model = CurveModel.fit([*lines(), np.array([1e9, 1e9]), np.array([1.0, np.inf])[::-1].copy()], 40)
    assert abs(model.standardized(0.3) - model.standardized(0.9)) > 1


@pytest.mark.parametrize("rest", [0.5, 10.0])
def test_a_try_is_worth_the_rate_at_which_it_just_pays(rest: float) -> None:
    chances = np.array([0.0, 0.1, 0.4, 3.0])
    rate = reservation(chances, 2.0, rest)
    assert np.maximum(chances - rate * rest, 0).mean() == pytest.approx(rate * 2.0)


def test_a_certain_gain_is_worth_what_it_costs() -> None:
    assert reservation(np.array([6.0, 6.0]), 1.0, 2.0) == pytest.approx(2.0)


def trial(number: int, state: str, *curve: float, seconds: float | None = None) -> Trial:
    return Trial(number, state, {}, curve=dict(enumerate(curve, start=1)), seconds=seconds)


def flat(n: int, seconds: float | None = None) -> list[Trial]:
    return [trial(number, "paused", 0.1, 0.1 + number * 1e-3, seconds=seconds) for number in range(n)]


def test_the_first_trials_are_new_ones() -> None:
    assert Thaw(32).moves(flat(7)) == []


def test_a_trial_that_rises_goes_on_where_new_ones_dont() -> None:
    thaw = Thaw(32)
    rises = trial(20, "running", 0.1, 0.6)
    assert thaw.verdicts([20], [*flat(20), rises]) == ["go"]
    assert thaw.verdicts([19], [*flat(20)[:19], trial(19, "running", 0.1, 0.05)]) == ["pause"]
    assert thaw.moves([*flat(20), trial(20, "paused", 0.1, 0.6)])[0] == Resume(20)


def test_of_two_alike_the_one_whose_epochs_take_fewer_seconds_goes_first() -> None:
    others = flat(20, seconds=2.0)
    slow, quick = trial(20, "paused", 0.1, 0.6, seconds=8.0), trial(21, "paused", 0.1, 0.6, seconds=2.0)
    assert Thaw(32).moves([*others, slow, quick])[0] == Resume(21)
    unknown = [trial(20, "paused", 0.1, 0.6), trial(21, "paused", 0.1, 0.6, seconds=2.0)]
    assert Thaw(32).moves([*others, *unknown])[0] == Resume(20)


def test_of_trials_that_wait_together_as_many_go_on_as_are_worth_it() -> None:
    waiting = [trial(20, "running", 0.1, 0.6), trial(21, "running", 0.1, 0.05), trial(22, "running", 0.1, 0.7)]
    assert Thaw(32).verdicts([20, 21, 22], [*flat(20), *waiting]) == ["go", "pause", "go"]


def test_it_finds_a_good_one_of_many_for_less_than_halving_would() -> None:
    def missed(pruner: Pruner) -> tuple[float, int]:
        curves = rising(seed=7, failing=0.0)
        done = Simulation(pruner, curves, trials=100, lanes=2).run()
        best = max(trial.value or 0.0 for trial in done.of("complete"))
        return max(curves(number)[-1] for number in range(100)) - best, done.trained

    gap, epochs = missed(Thaw(32))
    assert gap < 0.15
    assert epochs < missed(Asha(32, reduction=2))[1]
