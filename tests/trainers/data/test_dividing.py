from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.errors import DataError
from leadline.trainers.data.source import Data
from leadline.trainers.data.split import folds, split

SEEDS = st.integers(0, 2**63)
CLASSES = st.integers(0, 4)
COUNTS = st.integers(2, 6)
PARTS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
untimed = settings(deadline=None)


@st.composite
def grouped(draw, fewest=3, most=40, classes=CLASSES):
    """Data whose groups are of any size, their rows mixed; of `classes` classes, or a regression where it is 0."""
    sizes = draw(st.lists(st.integers(1, 20), min_size=fewest, max_size=most))
    many, rng = draw(classes), np.random.default_rng(draw(st.integers(0, 99)))
    groups = rng.permutation(np.repeat(rng.permutation(7 * len(sizes))[: len(sizes)], sizes)).astype(np.int64)
    return data_of(len(groups), many, rng, groups=groups)


@st.composite
def timed(draw, fewest=3, most=40, classes=CLASSES):
    """Data of at least `fewest` times, many rows at some of them, in no order."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=fewest, max_size=most))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    order = rng.permutation(np.repeat(rng.normal(size=len(sizes)), sizes))
    return data_of(len(order), draw(classes), rng, order=order)


def data_of(n, classes, rng, **own):
    classes = min(classes, n // 2)
    if classes:
        targets = rng.permutation(np.concatenate([np.repeat(np.arange(classes), 2), rng.integers(classes, size=n)])[:n])
        return Data("told", np.zeros((n, 1)), targets, tuple(map(str, range(classes))), **own)
    return Data("measured", np.zeros((n, 1)), np.zeros(n, dtype=np.float32), None, **own)


def parts_of(rows):
    return rows.train, rows.valid, rows.test


def share_a_group(data, one, other):
    return bool(set(data.groups[one]) & set(data.groups[other]))


def check_cover(rows, expected):
    parts = parts_of(rows)
    assert np.array_equal(np.sort(np.concatenate(parts)), expected)
    assert all(len(part) and part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)


@untimed
@given(grouped(), PARTS, SEEDS)
def test_no_group_is_in_two_parts_and_no_row_is_left_out(data, parts, seed):
    rows = split(data, seed=seed, parts=parts)
    assert rows.by == "grouped"
    check_cover(rows, np.arange(len(data)))
    for one, other in ((rows.train, rows.valid), (rows.train, rows.test), (rows.valid, rows.test)):
        assert not share_a_group(data, one, other)


@untimed
@given(grouped(classes=st.integers(0, 1)), PARTS, SEEDS)
def test_no_part_exceeds_its_share_by_more_than_the_largest_group(data, parts, seed):
    rows, largest = split(data, seed=seed, parts=parts), np.unique(data.groups, return_counts=True)[1].max()
    for part, chosen in zip(parts, parts_of(rows), strict=True):
        assert len(chosen) <= len(data) * part / sum(parts) + largest


@untimed
@given(st.integers(0, 999), SEEDS)
def test_many_small_groups_give_sizes_and_class_shares_as_a_stratified_split_does(content, seed):
    rng = np.random.default_rng(content)
    groups = np.repeat(np.arange(200), rng.integers(1, 6, size=200))
    rare = rng.random(200)[groups] * 0.6  # the share of the second class differs from group to group
    targets = (rng.random(len(groups)) < rare).astype(np.int64)
    data = Data("told", np.zeros((len(groups), 1)), targets, ("0", "1"), groups=groups)
    rows = split(data, seed=seed)
    for part, chosen in zip((4, 1, 1), parts_of(rows), strict=True):
        expected = np.bincount(targets) * part / 6
        assert (np.abs(np.bincount(targets[chosen], minlength=2) - expected) <= 5).all()  # a group's most


@untimed
@given(grouped(fewest=3), SEEDS)
def test_a_group_that_is_a_row_by_its_own_is_no_special_case(data, seed):
    data = replace(data, groups=np.arange(len(data)))
    check_cover(split(data, seed=seed), np.arange(len(data)))


def test_the_seed_decides_where_groups_go_whatever_their_sizes():
    data = data_of(10 * 31, 0, None, groups=np.repeat(np.arange(20), np.arange(6, 26))[: 10 * 31])
    digests = {split(data, seed=seed).digest for seed in range(10)}
    assert len(digests) == 10
    assert split(data, seed=3).digest in digests


def test_a_split_by_groups_never_changes():
    data = Data("pinned", np.zeros((12, 1)), np.arange(12) % 2, ("even", "odd"), groups=np.arange(12) * 7 // 12)
    rows = split(data, seed=7)
    assert [part.tolist() for part in parts_of(rows)] == [[0, 1, 4, 5, 7, 8, 9, 10], [2, 3], [6, 11]]
    assert rows.digest == "b3804c86cfd154c1af2963d996c81abea975872c9a2ab4e2fc0495150d18e534"
    assert [fold.valid.tolist() for fold in folds(data, rows, 3)] == [[2, 3, 4, 5], [0, 1, 9, 10], [7, 8]]


@untimed
@given(grouped(fewest=8), SEEDS, COUNTS)
def test_folds_keep_groups_whole_and_validate_on_each_row_once(data, seed, count):
    whole = split(data, seed=seed)
    rows = np.union1d(whole.train, whole.valid)
    if len(np.unique(data.groups[rows])) < count:
        return
    made = folds(data, whole, count)
    assert np.array_equal(np.sort(np.concatenate([fold.valid for fold in made])), rows)
    for fold in made:
        check_cover(fold, np.arange(len(data)))
        assert not share_a_group(data, fold.train, fold.valid)
        assert (fold.by, fold.seed, fold.test.tolist()) == ("grouped", seed, whole.test.tolist())
    assert len(made[0].train) == min(len(fold.train) for fold in made)
    assert [fold.digest for fold in made] == [fold.digest for fold in folds(data, whole, count)]


@untimed
@given(timed(), PARTS, SEEDS)
def test_what_is_later_judges_what_is_earlier(data, parts, seed):
    rows = split(data, seed=seed, parts=parts)
    assert rows.by == "time"
    check_cover(rows, np.arange(len(data)))
    train, valid, test = (data.order[part] for part in parts_of(rows))
    assert train.max() < valid.min()
    assert valid.max() < test.min()


@untimed
@given(st.integers(3, 300), PARTS, SEEDS)
def test_where_no_two_rows_are_of_one_time_sizes_are_exact_but_for_rounding(n, parts, seed):
    data = data_of(n, 0, None, order=np.random.default_rng(n).permutation(n).astype(float))
    rows = split(data, seed=seed, parts=parts)
    if n >= 2 * sum(parts):
        for part, chosen in zip(parts, parts_of(rows), strict=True):
            assert abs(len(chosen) - n * part / sum(parts)) <= 1
    other = split(data, seed=seed + 1, parts=parts)
    assert rows.digest == other.digest


def test_a_split_by_time_is_cut_at_the_nearest_change():
    order = np.array([0.0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3])[::-1].copy()
    rows = split(data_of(12, 0, None, order=order), seed=0)
    assert [part.tolist() for part in parts_of(rows)] == [[4, 5, 6, 7, 8, 9, 10, 11], [2, 3], [0, 1]]


@untimed
@given(timed(fewest=9), SEEDS, COUNTS)
def test_folds_by_time_train_on_ever_more_of_the_past(data, seed, count):
    whole = split(data, seed=seed, parts=(6, 1, 1))
    rows = np.union1d(whole.train, whole.valid)
    if len(np.unique(data.order[rows])) < count + 1:
        return
    made = folds(data, whole, count)
    assert len(made) == count
    seen = made[0].train
    for fold in made:
        assert np.array_equal(fold.train, seen)
        assert data.order[fold.train].max() < data.order[fold.valid].min()
        assert data.order[fold.valid].max() < data.order[fold.test].min()
        assert fold.by == "time"
        assert np.array_equal(fold.test, whole.test)
        seen = np.union1d(seen, fold.valid)
    assert np.array_equal(seen, rows)
    assert len(made[0].train) == min(len(fold.train) for fold in made)


def test_folds_by_time_are_of_even_blocks():
    data = data_of(18, 0, None, order=np.arange(18.0))
    made = folds(data, split(data, seed=0), 4)
    assert [(len(fold.train), fold.valid.tolist()) for fold in made] == [
        (3, [3, 4, 5]),
        (6, [6, 7, 8]),
        (9, [9, 10, 11]),
        (12, [12, 13, 14]),
    ]


@pytest.mark.parametrize("own", [{"groups": np.arange(30) // 5}, {"order": np.arange(30.0)}])
def test_the_sources_own_test_set_stays_the_test_part(own):
    data = data_of(30, 2, np.random.default_rng(0), test=10, **own)
    rows = split(data, seed=0, parts=(3, 1, 9))
    check_cover(rows, np.arange(30))
    assert rows.test.tolist() == list(range(20, 30))
    assert len(rows.train) == 15
    assert all(fold.test.tolist() == list(range(20, 30)) for fold in folds(data, rows, 3))


def test_how_a_split_is_drawn_may_be_chosen():
    groups, order = np.arange(30) // 3, np.arange(30.0)
    both = data_of(30, 2, np.random.default_rng(0), groups=groups, order=order)
    neither = replace(both, groups=None, order=None)
    assert split(neither, seed=5).by == "stratified"
    assert split(both, seed=5, by="stratified").digest == split(neither, seed=5).digest
    assert split(both, seed=5, by="grouped").digest == split(replace(both, order=None), seed=5).digest
    assert split(both, seed=5, by="time").digest == split(replace(both, groups=None), seed=5).digest


def test_splits_of_the_same_rows_differ_where_their_folds_would():
    data = data_of(12, 0, None, order=np.arange(12.0), groups=np.repeat([0, 1, 2], [8, 2, 2]))
    rows = split(data, seed=0, by="time")
    assert rows.digest != replace(rows, by="grouped").digest != replace(rows, by="stratified").digest


BOTH = {"groups": np.zeros(9, np.int64), "order": np.arange(9.0)}


@pytest.mark.parametrize(
    ("own", "by", "message"),
    [
        (BOTH, None, "`measured` has groups and an order, .* Say which, `trainer: .split_by: grouped.`"),
        (BOTH, "grouped", "3 parts need at least a group each, but the 9 rows of `measured` to divide are of 1"),
        ({"order": np.arange(9) // 5.0}, None, "3 parts need at least a time each, but the 9 rows .* are of 2"),
        ({}, "grouped", "`measured` has no groups to split by"),
        ({}, "time", "`measured` has no times to split by"),
        ({}, "tmie", "can't be split by `tmie`. Did you mean `time`"),
        ({}, "", "can't be split by ``"),
        (
            {"groups": np.arange(9) // 2, "test": 4},
            None,
            "both in the test set of `measured` and outside it, but 1 are, as that of rows 4 and 5",
        ),
    ],
)
def test_what_cannot_be_split_so_is_refused_with_its_reason(own, by, message):
    with pytest.raises(DataError, match=message):
        split(data_of(9, 0, None, **own), seed=0, by=by)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"groups": np.arange(18) // 3}, "6 parts need at least a group each, but the 15 rows .* are of 5"),
        ({"order": np.arange(18) // 3.0}, "7 parts need at least a time each, but the 15 rows .* are of 5"),
    ],
)
def test_more_folds_than_groups_or_times_are_refused(own, message):
    data = data_of(18, 0, None, **own)
    with pytest.raises(DataError, match=message):
        folds(data, split(data, seed=0), 6)
