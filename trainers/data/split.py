"""Which examples train, which choose, and which judge: a seeded split, and its folds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias, get_args

import numpy as np

from ...errors import DataError, suggestion
from .dividing import Rows, by_class, by_group, by_time, check_classes, groups_of
from .source import Data

By: TypeAlias = Literal["stratified", "grouped", "time"]


@dataclass(frozen=True, eq=False)
class Split:
    """Rows for training, validation and test: disjoint, ascending int64 indices.

    A split covers the data; a fold by time leaves out what came after its validation rows and isn't for test.
    """

    train: Rows
    valid: Rows
    test: Rows
    seed: int
    parts: tuple[int, int, int]
    by: By = "stratified"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the indices, and of how they were drawn if not stratified, in hexadecimal."""
        sha = hashlib.sha256()
        for rows in (self.train, self.valid, self.test):
            sha.update(f"{len(rows)}:".encode())
            sha.update(rows.astype("<i8").tobytes())
        if self.by != "stratified":  # folds are drawn likewise, so equal indices aren't all
            sha.update(self.by.encode())
        return sha.hexdigest()


def split(data: Data, *, seed: int, parts: tuple[int, int, int] = (4, 1, 1), by: By | None = None) -> Split:
    """Returns a split into train, valid and test in the proportion of `parts`.

    by: how it is drawn; None takes "grouped" where the data have groups, "time" where they have an order.

    - "stratified": each class is split alike. Its share of every part is exact but for rounding (less than one
      example), and train has an example of each. A regression is shuffled.
    - "grouped": rows of one group are in one part. Sizes and class shares are as near as `by_group` gets them.
    - "time": train is before valid, valid before test, whatever the seed. Rows of one time are in one part.

    The last two can't promise that train has an example of each class. When the data brings its own test set, that is
    the test part, whenever it was, and the other rows are split by the first two numbers.

    The same data, seed, parts and `by` give the same split for ever: it is drawn from PCG64's raw stream, which numpy
    promises not to change (NEP 19).

    Raises `DataError` where a part isn't at least 1; the rows, groups or times are too few; a class has a single
    example; a group is both in the source's test set and outside it; data have groups and an order and `by`
    doesn't say which of them counts, or it names what they haven't got.

    >>> from leadline.trainers.data import load
    >>> rows = split(load((np.eye(12), [0, 1] * 6)), seed=0)
    >>> len(rows.train), len(rows.valid), len(rows.test)
    (8, 2, 2)
    """
    if len(parts) != 3 or min(parts) < 1:
        raise DataError(f"`parts` must be three whole numbers of at least 1 (train, valid, test), but got {parts}.")
    if by not in (None, *get_args(By)):
        raise DataError(f"Data can't be split by `{by}`. {suggestion(str(by), get_args(By))}")
    by = by or _fitting(data)
    free, shares = np.arange(len(data) - data.test), parts[:2] if data.test else parts
    check_classes(data, free)
    if by == "stratified":
        drawn = _stratified(data, free, parts, seed)
    elif by == "grouped":
        _check_test_groups(data)
        drawn = by_group(data, free, shares, np.random.PCG64(seed))
    else:
        drawn = by_time(data, free, shares)
    train, valid, test = *drawn[:2], np.arange(len(free), len(data)) if data.test else drawn[2]
    if not (len(train) and len(valid) and len(test)):
        raise DataError(
            f"`{data.name}` has too few rows to split {parts[0]}:{parts[1]}:{parts[2]}: {len(free)} rows would give "
            f"{len(train)} for training, {len(valid)} for validation, {len(test)} for test."
        )
    return Split(train, valid, test, seed, parts, by)


def merged(whole: Split) -> Split:
    """Returns the split that a winner is refit by: it trains on all rows that aren't for test.

    Its validation rows are those of `whole`, so they are trained on too: they judge nothing any more.

    >>> from leadline.trainers.data import load
    >>> rows = merged(split(load((np.eye(12), [0, 1] * 6)), seed=0))
    >>> len(rows.train), len(rows.valid), len(rows.test)
    (10, 2, 2)
    """
    return replace(whole, train=np.union1d(whole.train, whole.valid))


def folds(data: Data, whole: Split, count: int) -> tuple[Split, ...]:
    """Returns `count` splits of the rows of `whole` that aren't for test, drawn as `whole` was.

    - "stratified": the rows are divided into `count` parts, each class alike, whose sizes differ by at most one, in all
      and in each class; fold i validates on part i and trains on the others, so on each class.
    - "grouped": likewise, but rows of one group are in one part, and sizes and classes are as near as `by_group` gets
      them.
    - "time": the rows are divided into `count` + 1 blocks, one after the other in time; fold i, counted from 1, trains
      on the first i and validates on the next.

    So all but the rows of time's first block are validated on once. The first fold trains on no more rows than any
    other. Test rows, seed, parts and `by` are those of `whole`.

    The same data, whole and count give the same folds for ever, as `split` does.

    Raises `DataError` where count isn't at least 2, or exceeds the groups, the times less one, or else the rows of the
    smallest class, or of a regression.

    >>> from leadline.trainers.data import load
    >>> data = load((np.eye(12), [0, 1] * 6))
    >>> [(len(fold.train), len(fold.valid)) for fold in folds(data, split(data, seed=0), 3)]
    [(6, 4), (7, 3), (7, 3)]
    """
    if count < 2:
        raise DataError(f"`folds` must be at least 2, but got {count}.")
    rows = np.union1d(whole.train, whole.valid)
    if whole.by == "time":
        blocks = by_time(data, rows, [1] * (count + 1))
        trains = [np.sort(np.concatenate(blocks[:place])) for place in range(1, count + 1)]
        return tuple(replace(whole, train=train, valid=valid) for train, valid in zip(trains, blocks[1:], strict=True))
    source = np.random.PCG64((whole.seed, count))
    if whole.by == "grouped":
        valids = sorted(by_group(data, rows, [1] * count, source), key=len, reverse=True)
    else:
        valids = _dealt(data, rows, count, source)
    return tuple(replace(whole, train=np.setdiff1d(rows, valid), valid=valid) for valid in valids)


def _fitting(data: Data) -> By:
    """Returns how data are split where nobody says: by what they have."""
    if data.groups is not None and data.order is not None:
        raise DataError(
            f"`{data.name}` has groups and an order, but a split keeps groups whole or times apart, not both. Say "
            "which, `trainer: {split_by: grouped}` or `time`, or leave one of them out."
        )
    return "grouped" if data.groups is not None else "time" if data.order is not None else "stratified"


def _check_test_groups(data: Data) -> None:
    """Raises `DataError` where a group has rows both in the source's own test set and outside it."""
    cut = len(data) - data.test
    shared = [group for group in groups_of(data, np.arange(len(data))) if group[0] < cut <= group[-1]]
    if shared:
        raise DataError(
            f"No group may be both in the test set of `{data.name}` and outside it, but {len(shared)} are, as that of "
            f"rows {shared[0][0]} and {shared[0][-1]}. Leave such rows out on one side, or split otherwise."
        )


def _stratified(data: Data, rows: Rows, parts: tuple[int, int, int], seed: int) -> list[Rows]:
    """Returns rows (n,) in parts of these shares, each class alike; the third is empty where data bring a test set."""
    shares = (parts[0], parts[1], 0) if data.test else parts
    source = np.random.PCG64(seed)
    chosen: tuple[list[Rows], ...] = ([], [], [])
    classes = by_class(data, rows, source.random_raw(len(rows)))
    total = sum(shares)
    start = int(source.random_raw()) % total
    for place, own in enumerate(classes):
        offset = (start + place * total // len(classes)) % total  # evenly spaced: the classes' roundings cancel out
        for part, its_rows in zip(chosen, np.split(own, _cuts(len(own), shares, offset)), strict=True):
            part.append(its_rows)
    return [np.sort(np.concatenate(part)) for part in chosen]


def _dealt(data: Data, rows: Rows, count: int, source: np.random.PCG64) -> list[Rows]:
    """Returns rows (n,) in parts whose sizes differ by at most one, in all and in each class."""
    classes = by_class(data, rows, source.random_raw(len(rows)))
    fewest, smallest = min((len(own), place) for place, own in enumerate(classes))
    if count > fewest:
        whose = f"`{data.name}`" if data.classes is None else f"class `{data.classes[smallest]}` of `{data.name}`"
        raise DataError(
            f"Each fold validates on at least one row of {whose}, but its {fewest} rows that aren't for test "
            f"can't be divided into {count}. Take at most {fewest} folds."
        )
    deck = np.concatenate(classes)  # dealt like cards, one class after the other: their roundings cancel out
    return [np.sort(deck[fold::count]) for fold in range(count)]


def _cuts(rows: int, shares: tuple[int, int, int], offset: int) -> tuple[int, int]:
    """Returns where to cut `rows` rows into three shares, each rounded up or down as `offset` has it.

    A share is the count of multiples of `total` in an interval of length `share * rows`, so the floor or the ceiling of
    its exact size, whatever the offset in 0 .. total - 1; the first is at least one row.
    """
    total = sum(shares)
    offset = max(offset, total - shares[0] * rows)
    return (shares[0] * rows + offset) // total, ((shares[0] + shares[1]) * rows + offset) // total
