"""Whether a difference is more than luck."""

import numpy as np
import pytest
from scipy.stats import binom

from leadline.search.analysis.significance import mcnemar, paired_bootstrap


def accuracy(outputs, targets):
    return float((outputs.argmax(axis=1) == targets).mean())


def test_rows_that_both_have_right_or_wrong_count_for_nothing():
    first = np.array([True] * 30 + [True] * 7 + [False] * 2 + [False] * 11)
    second = np.array([True] * 30 + [False] * 7 + [True] * 2 + [False] * 11)
    found = mcnemar(first, second)
    assert (found.first, found.second) == (7, 2)
    assert found.p == pytest.approx(2 * binom.cdf(2, 9, 0.5))


def test_two_that_agree_everywhere_are_not_told_apart():
    right = np.array([True, False, True])
    assert mcnemar(right, right).p == 1.0


def test_the_interval_of_a_difference_is_narrower_than_that_of_either_score():
    generator = np.random.default_rng(1)
    targets = generator.integers(2, size=400)
    first = np.eye(2)[np.where(generator.random(400) < 0.7, targets, 1 - targets)]
    second = first.copy()
    second[:12] = second[:12, ::-1]
    found = paired_bootstrap(accuracy, first, second, targets)
    assert found.low < found.difference < found.high
    assert found.high - found.low < 4 * np.sqrt(0.21 / 400)  # the interval of one accuracy of 0.7


def test_a_large_difference_is_no_noise_and_its_sign_is_the_first_ones():
    targets = np.arange(200) % 2
    good, bad = np.eye(2)[targets], np.eye(2)[np.zeros(200, dtype=int)]
    found = paired_bootstrap(accuracy, good, bad, targets)
    assert found.difference == 0.5
    assert not found.noise
    assert paired_bootstrap(accuracy, good, good, targets).noise


def test_the_same_seed_draws_the_same_rows():
    targets = np.arange(50) % 2
    first, second = np.eye(2)[targets], np.eye(2)[(targets + (np.arange(50) < 5)) % 2]
    one, other = (paired_bootstrap(accuracy, first, second, targets, seed=3) for _ in range(2))
    assert one == other
