import numpy as np
import pytest
import torch
from contracts.stack import blobs

from leadline.trainers.sanity import rates
from leadline.trainers.sanity.rates import smoothed

DATA = blobs(600)


def found_for(case, low, high, optimizer="adamw", **trainer):
    one = case("mlp", DATA, {"optimizer": optimizer, **trainer}, depth=2, feature_maps=16)
    return rates(one.build, one.bench, one.recipe, one.stream, low=low, high=high, seconds=60.0)


def test_a_usual_range_is_sensible_and_the_curve_is_told(case):
    found = found_for(case, 1e-4, 1e-1)
    assert found.verdict == "ok"
    assert found.learns_from < found.steepest <= found.lowest < found.breaks_at
    assert 1e-5 < found.learns_from < 1e-1 < found.breaks_at <= 10
    assert len(found.rates) == len(found.losses) == len(found.smooth) > 60
    assert np.allclose(np.diff(np.log(found.rates)), np.log(found.rates[1] / found.rates[0]))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_a_range_far_too_high_is_a_problem(case, optimizer):
    found = found_for(case, 50.0, 5000.0, optimizer)
    assert found.verdict == "problem"
    assert found.text.startswith(f"lr 50 to 5e+03: all too high, with {optimizer} the loss breaks down")


def test_a_range_far_too_low_is_a_problem(case):
    found = found_for(case, 1e-9, 1e-7)
    assert found.verdict == "problem"
    assert "all too low" in found.text


def test_a_low_range_that_longer_trials_can_use_is_a_warning_at_most(case):
    assert found_for(case, 1e-7, 1e-6, epochs=100_000).verdict == "warning"


def test_a_range_of_which_much_is_wasted_is_a_warning(case):
    found = found_for(case, 1e-3, 1e6)
    assert found.verdict == "warning"
    assert "wasted" in found.text


def test_a_single_rate_is_judged_alike(case):
    assert found_for(case, 1e-2, 1e-2).verdict == "ok"
    assert found_for(case, 1e3, 1e3).text.startswith("lr 1e+03: all too high")


def test_what_cant_be_learned_falls_at_no_rate(case):
    inputs, _ = DATA
    lots = torch.randint(2, (len(inputs),), generator=torch.Generator().manual_seed(3))
    one = case("mlp", (torch.zeros_like(inputs) + torch.arange(6.0), lots), feature_maps=4)
    found = rates(one.build, one.bench, one.recipe, one.stream, low=1e-4, high=1e-2)
    assert found.verdict != "ok"


def test_it_comes_to_the_same_again_and_leaves_torchs_generator_alone(case):
    before = torch.get_rng_state()
    assert found_for(case, 1e-3, 1e-2) == found_for(case, 1e-3, 1e-2)
    assert torch.equal(torch.get_rng_state(), before)


def test_where_time_is_short_there_are_fewer_steps(case):
    one = case("mlp", DATA, feature_maps=8)
    found = rates(one.build, one.bench, one.recipe, one.stream, low=1e-3, high=1e-2, seconds=0.0)
    assert len(found.rates) <= 30


def test_smoothing_moves_nothing_along_and_keeps_what_is_level():
    assert np.allclose(smoothed(np.full(20, 3.0)), 3.0)
    step = np.where(np.arange(41) < 20, 1.0, 0.0)
    step[20] = 0.5
    assert smoothed(step)[20] == pytest.approx(0.5)
