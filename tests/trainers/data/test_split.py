import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.errors import DataError
from leadline.trainers.data.source import Data
from leadline.trainers.data.split import folds, merged, split

CLASS_SIZES = st.lists(st.integers(2, 60), min_size=1, max_size=8).map(lambda sizes: [*sizes, 60])
PARTS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
SEEDS = st.integers(0, 2**63)
COUNTS = st.integers(2, 7)
FOLDABLE = st.lists(st.integers(9, 60), min_size=1, max_size=8)  # of 9 rows, 7 or 8 aren't for test
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
        (
            classified([1, 30]),
            (4, 1, 1),
            "two examples, .* class `0` of `classified` has 1, row .*, in the 31 rows to split",
        ),
        (measured(3), (4, 1, 1), "too few rows to split 4:1:1: 3 rows would give"),
        (measured(30), (4, 0, 1), r"three whole numbers of at least 1 .* got \(4, 0, 1\)"),
        (measured(30), (4, 1), "three whole numbers"),
    ],
)
def test_what_cannot_be_split_is_refused_with_its_reason(data, parts, message):
    with pytest.raises(DataError, match=message):
        split(data, seed=0, parts=parts)


@untimed
@given(FOLDABLE, SEEDS, COUNTS)
def test_the_folds_validate_once_on_each_row_that_is_not_for_test(sizes, seed, count):
    data = classified(sizes)
    whole = split(data, seed=seed)
    made = folds(data, whole, count)
    assert len(made) == count
    rows = np.union1d(whole.train, whole.valid)
    assert np.array_equal(np.sort(np.concatenate([fold.valid for fold in made])), rows)
    for fold in made:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.valid])), rows)
        assert (np.diff(fold.train) > 0).all()
        assert (np.diff(fold.valid) > 0).all()


@untimed
@given(FOLDABLE, SEEDS, COUNTS)
def test_the_folds_parts_differ_by_at_most_one_row_in_all_and_in_each_class(sizes, seed, count):
    data = classified(sizes)
    made = folds(data, split(data, seed=seed), count)
    parts = np.array([np.bincount(data.targets[fold.valid], minlength=len(sizes)) for fold in made])
    assert (np.ptp(parts, axis=0) <= 1).all()
    assert np.ptp(parts.sum(axis=1)) <= 1
    assert len(made[0].train) == min(len(fold.train) for fold in made)


@untimed
@given(st.lists(st.integers(3, 9), min_size=1, max_size=8), SEEDS)
def test_as_many_folds_as_the_smallest_class_has_rows_each_train_and_validate_on_each_class(sizes, seed):
    data = classified([*sizes, 60])
    whole = split(data, seed=seed)
    rows = np.union1d(whole.train, whole.valid)
    for fold in folds(data, whole, int(np.bincount(data.targets[rows]).min())):
        for part in (fold.train, fold.valid):
            assert set(data.targets[part]) == set(range(len(sizes) + 1))


@untimed
@given(st.integers(6, 500), SEEDS, st.integers(2, 5))
def test_a_regression_is_folded_evenly(n, seed, count):
    data = measured(n)
    whole = split(data, seed=seed)
    made = folds(data, whole, count)
    sizes = [len(fold.valid) for fold in made]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(row for fold in made for row in fold.valid) == np.union1d(whole.train, whole.valid).tolist()


@untimed
@given(FOLDABLE, SEEDS, COUNTS)
def test_the_folds_have_the_test_rows_the_seed_and_the_parts_of_the_whole(sizes, seed, count):
    data = classified(sizes)
    whole = split(data, seed=seed)
    made = folds(data, whole, count)
    assert all(np.array_equal(fold.test, whole.test) for fold in made)
    assert {(fold.seed, fold.parts) for fold in made} == {(seed, (4, 1, 1))}


def test_the_sources_own_test_set_is_no_folds_business():
    data = classified([30, 30], test=10)
    made = folds(data, split(data, seed=0), 4)
    assert sorted(row for fold in made for row in fold.valid) == list(range(50))
    assert all(fold.test.tolist() == list(range(50, 60)) for fold in made)


@untimed
@given(SEEDS, COUNTS)
def test_the_same_seed_gives_the_same_folds_and_each_its_own_digest(seed, count):
    data = classified([40, 50])
    whole, other = split(data, seed=seed), split(data, seed=seed + 1)
    digests = [fold.digest for fold in folds(data, whole, count)]
    assert digests == [fold.digest for fold in folds(data, split(data, seed=seed), count)]
    assert len({whole.digest, *digests, *(fold.digest for fold in folds(data, other, count))}) == 2 * count + 1


def test_folds_never_change():
    data = Data("pinned", np.zeros((12, 1)), np.arange(12) % 2, ("even", "odd"))
    made = folds(data, split(data, seed=7), 3)
    assert [fold.valid.tolist() for fold in made] == [[4, 5, 7, 10], [0, 6, 9], [2, 3, 11]]
    assert [fold.digest for fold in made] == [
        "5af743d4cdbe018b0a88d7f903612f10709ab2ad1de6fa41366382e674f93bcc",
        "b56869079fb50e457310202b6a28ee6a03af0d478ef81acd975db7b43a41339b",
        "59ce52f09b9ceb3fc499d54a80341049c6aac39066a47fca9ced91a525d7acd4",
    ]
    assert all(part.dtype == np.int64 for fold in made for part in parts_of(fold))


@pytest.mark.parametrize(
    ("data", "count", "message"),
    [
        (classified([30, 30]), 1, "`folds` must be at least 2, but got 1"),
        (classified([30, 30]), -1, "`folds` must be at least 2, but got -1"),
        (
            classified([30, 6]),
            6,
            r"one row of class `1` of `classified`, but its 5 rows .* into 6\. Take at most 5 folds",
        ),
        (measured(6), 6, r"one row of `measured`, but its 5 rows .* into 6\. Take at most 5 folds"),
    ],
)
def test_what_cannot_be_folded_is_refused_with_its_reason(data, count, message):
    with pytest.raises(DataError, match=message):
        folds(data, split(data, seed=0), count)


def test_a_class_that_the_split_left_a_single_row_cannot_be_folded():
    data = classified([2, 60])
    wholes = (split(data, seed=seed) for seed in range(100))
    whole = next(whole for whole in wholes if (data.targets[whole.test] == 0).any())
    with pytest.raises(DataError, match=r"two examples, .* class `0` of `classified` has 1, row .*, in the"):
        folds(data, whole, 2)


@untimed
@given(CLASS_SIZES, SEEDS)
def test_a_merged_split_trains_on_all_rows_that_are_not_for_test(sizes, seed):
    whole = split(classified(sizes), seed=seed)
    both = merged(whole)
    assert np.array_equal(both.train, np.sort(np.concatenate([whole.train, whole.valid])))
    assert np.array_equal(both.valid, whole.valid)
    assert np.array_equal(both.test, whole.test)
    assert (both.seed, both.parts, both.by) == (whole.seed, whole.parts, whole.by)
    assert both.digest != whole.digest
