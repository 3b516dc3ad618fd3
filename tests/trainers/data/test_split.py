import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.errors import DataError
from leadline.trainers.data.source import Data
from leadline.trainers.data.split import split

CLASS_SIZES = st.lists(st.integers(2, 60), min_size=1, max_size=8).map(lambda sizes: [*sizes, 60])
PARTS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
SEEDS = st.integers(0, 2**63)
untimed = settings(deadline=None)


def classified(sizes, test=0):
    targets = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return Data("classified", np.zeros((len(targets), 1)), targets, tuple(map(str, range(len(sizes)))), test)


def measured(n):
    return Data("measured", np.zeros((n, 1)), np.zeros(n, dtype=np.float32), None)


def parts_of(rows):
    return rows.train, rows.valid, rows.test


@untimed
@given(CLASS_SIZES, PARTS, SEEDS)
def test_the_parts_are_disjoint_and_cover_all_rows(sizes, parts, seed):
    data = classified(sizes)
    rows = split(data, seed=seed, parts=parts)
    assert np.array_equal(np.sort(np.concatenate(parts_of(rows))), np.arange(len(data)))


@untimed
@given(CLASS_SIZES, PARTS, SEEDS)
def test_each_class_has_its_share_of_every_part_within_one_example(sizes, parts, seed):
    data = classified(sizes)
    rows = split(data, seed=seed, parts=parts)
    for part, chosen in zip(parts, parts_of(rows), strict=True):
        counts = np.bincount(data.targets[chosen], minlength=len(sizes))
        assert (np.abs(counts - np.array(sizes) * part / sum(parts)) < 1).all()
    assert set(data.targets[rows.train]) == set(range(len(sizes)))


@untimed
@given(st.integers(20, 200), st.integers(2, 30), SEEDS)
def test_the_roundings_of_equal_classes_cancel_out(size, classes, seed):
    rows = split(classified([size] * classes), seed=seed)
    for part, chosen in zip((4, 1, 1), parts_of(rows), strict=True):
        assert abs(len(chosen) - size * classes * part / 6) <= 1


@untimed
@given(st.integers(6, 500), SEEDS)
def test_a_regression_is_split_in_proportion(n, seed):
    rows = split(measured(n), seed=seed)
    assert np.array_equal(np.sort(np.concatenate(parts_of(rows))), np.arange(n))
    for part, chosen in zip((4, 1, 1), parts_of(rows), strict=True):
        assert abs(len(chosen) - n * part / 6) < 1


@untimed
@given(SEEDS)
def test_the_same_seed_gives_the_same_split_and_another_seed_another(seed):
    data = classified([40, 50])
    assert split(data, seed=seed).digest == split(data, seed=seed).digest
    assert split(data, seed=seed).digest != split(data, seed=seed + 1).digest


def test_a_split_never_changes():
    rows = split(Data("pinned", np.zeros((12, 1)), np.arange(12) % 2, ("even", "odd")), seed=7)
    assert [part.tolist() for part in parts_of(rows)] == [[0, 3, 4, 6, 7, 9, 10, 11], [2, 5], [1, 8]]
    assert rows.digest == "b46b530ea3cadca2c4dac71d4d1b04dc87fb75afb7b6a839f0c326cb98296533"
    assert all(part.dtype == np.int64 for part in parts_of(rows))


def test_the_split_of_a_regression_is_shuffled():
    rows = split(measured(60), seed=0)
    assert rows.train.tolist() != list(range(40))


def test_the_sources_own_test_set_is_the_test_part():
    rows = split(classified([30, 30], test=10), seed=0)
    assert rows.test.tolist() == list(range(50, 60))
    assert len(rows.valid) == pytest.approx(10, abs=1)
    assert np.array_equal(np.sort(np.concatenate(parts_of(rows))), np.arange(60))


@pytest.mark.parametrize(
    ("data", "parts", "message"),
    [
        (classified([1, 30]), (4, 1, 1), "two examples, .* class `0` of `classified` has 1 in the 31 rows to split"),
        (measured(3), (4, 1, 1), "too few rows to split 4:1:1: 3 rows would give"),
        (measured(30), (4, 0, 1), r"three whole numbers of at least 1 .* got \(4, 0, 1\)"),
        (measured(30), (4, 1), "three whole numbers"),
    ],
)
def test_what_cannot_be_split_is_refused_with_its_reason(data, parts, message):
    with pytest.raises(DataError, match=message):
        split(data, seed=0, parts=parts)
