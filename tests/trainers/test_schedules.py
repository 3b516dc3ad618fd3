import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leadline.trainers.recipe import Recipe
from leadline.trainers.schedules import SCHEDULES, learning_rates

schedules = st.sampled_from(sorted(SCHEDULES))
lrs = st.floats(1e-8, 1e3)
epoch_counts, step_counts = st.integers(1, 40), st.integers(1, 30)
warmups = st.one_of(st.just(0.0), st.floats(0.001, 50), st.integers(0, 50))


def whole(recipe, steps):
    """Returns the learning rates of all steps of a training."""
    return np.concatenate([learning_rates(recipe, epoch, steps) for epoch in range(1, recipe.epochs + 1)])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    {
        "constant": [0.8, 0.8, 0.8, 0.8, 0.8, 0.8],
        "cosine": [0.8, 0.4 * (1 + 3**0.5 / 2), 0.6, 0.4, 0.2, 0.4 * (1 - 3**0.5 / 2)],
        "linear": [0.8, 0.8 * 5 / 6, 0.8 * 4 / 6, 0.4, 0.8 * 2 / 6, 0.8 / 6],
        "step": [0.8, 0.8, 0.4, 0.4, 0.2, 0.2],
    }.items(),
)
def test_each_schedule_goes_its_way_over_three_epochs_of_two_steps(schedule, expected):
    np.testing.assert_allclose(whole(Recipe(epochs=3, lr=0.8, schedule=schedule, gamma=0.5), steps=2), expected)


def test_there_is_no_schedule_without_a_known_way():
    assert set(SCHEDULES) == {"constant", "cosine", "linear", "onecycle", "step"}


def test_one_cycle_is_torchs():
    epochs, steps = 4, 250
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=epochs * steps + 1)
    expected = []
    for _ in range(epochs * steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    found = whole(Recipe(epochs=epochs, lr=0.3, schedule="onecycle"), steps)
    np.testing.assert_allclose(found, expected, atol=0.3 * 0.02)  # they count the rise in whole steps


def test_warmup_grows_linearly_to_the_rate_and_reaches_it_with_its_last_step():
    rates = whole(Recipe(epochs=4, lr=0.8, warmup=2), steps=4)
    np.testing.assert_allclose(rates[:8], np.arange(1, 9) / 8 * 0.8)
    np.testing.assert_allclose(rates[8:], 0.8)


def test_warmup_may_end_within_an_epoch():
    rates = whole(Recipe(epochs=2, lr=1.0, warmup=0.5), steps=4)
    np.testing.assert_allclose(rates, [0.5, *[1.0] * 7])


def test_warmup_grows_to_what_the_schedule_says():
    plain = whole(Recipe(epochs=4, schedule="cosine"), steps=5)
    warm = whole(Recipe(epochs=4, schedule="cosine", warmup=1), steps=5)
    np.testing.assert_allclose(warm, plain * [0.2, 0.4, 0.6, 0.8, *[1.0] * 16])


def test_a_warmup_longer_than_the_training_never_reaches_the_rate():
    np.testing.assert_allclose(whole(Recipe(epochs=2, lr=1.0, warmup=4), steps=1), [0.25, 0.5])


@pytest.mark.parametrize("epochs", [3, 9, 30, 99])
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_the_step_schedule_falls_at_a_third_and_at_two_thirds_of_the_epochs(epochs, steps):
    recipe = Recipe(epochs=epochs, lr=1.0, schedule="step", gamma=0.1)
    by_epoch = [set(learning_rates(recipe, epoch, steps).tolist()) for epoch in range(1, epochs + 1)]
    assert [len(rates) for rates in by_epoch] == [1] * epochs
    factors = [round(rates.pop(), 9) for rates in by_epoch]
    assert factors == [1.0] * (epochs // 3) + [0.1] * (epochs // 3) + [0.01] * (epochs // 3)


def test_a_gamma_of_zero_ends_learning_after_a_third():
    assert whole(Recipe(epochs=3, lr=1.0, schedule="step", gamma=0), steps=1).tolist() == [1.0, 0.0, 0.0]


@given(schedules, lrs, epoch_counts, step_counts, warmups, st.floats(0, 1))
def test_rates_are_between_0_and_the_recipes(schedule, lr, epochs, steps, warmup, gamma):
    rates = whole(Recipe(schedule=schedule, lr=lr, epochs=epochs, warmup=warmup, gamma=gamma), steps)
    assert rates.shape == (epochs * steps,)
    assert rates.dtype == np.float64
    assert (rates >= 0).all()
    assert (rates <= lr * (1 + 1e-12)).all()


@given(schedules.filter(lambda name: name != "onecycle"), lrs, epoch_counts, step_counts, st.floats(0, 1))
def test_without_warmup_the_first_rate_is_the_recipes_and_rates_never_grow(schedule, lr, epochs, steps, gamma):
    rates = whole(Recipe(schedule=schedule, lr=lr, epochs=epochs, gamma=gamma), steps)
    assert rates[0] == lr
    assert (np.diff(rates) <= lr * 1e-12).all()


@given(lrs, epoch_counts, step_counts, st.floats(0.01, 50))
def test_under_warmup_a_constant_rate_never_falls(lr, epochs, steps, warmup):
    rates = whole(Recipe(lr=lr, epochs=epochs, warmup=warmup), steps)
    assert (np.diff(rates) >= 0).all()
    assert rates[0] > 0


@given(st.sampled_from(["cosine", "linear"]), epoch_counts, step_counts)
def test_the_last_rate_is_near_zero(schedule, epochs, steps):
    assert whole(Recipe(schedule=schedule, lr=1.0, epochs=epochs), steps)[-1] <= (1 + 1e-12) / (epochs * steps)


@given(schedules, epoch_counts, step_counts, warmups)
def test_an_epochs_rates_are_the_same_whatever_was_asked_before(schedule, epochs, steps, warmup):
    recipe = Recipe(schedule=schedule, epochs=epochs, warmup=warmup)
    assert learning_rates(recipe, epochs, steps).tolist() == whole(recipe, steps)[-steps:].tolist()
