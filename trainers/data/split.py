"""Which examples train, which choose, and which judge: a seeded split, and its folds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .source import Data


@dataclass(frozen=True, eq=False)
class Split:
    """Rows for training, validation and test: disjoint, ascending int64 indices that cover the data."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int
    parts: tuple[int, int, int]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the indices, in hexadecimal."""
        sha = hashlib.sha256()
        for rows in (self.train, self.valid, self.test):
            sha.update(f"{len(rows)}:".encode())
            sha.update(rows.astype("<i8").tobytes())
        return sha.hexdigest()


def split(data: Data, *, seed: int, parts: tuple[int, int, int] = (4, 1, 1)) -> Split:
    """Returns a split into train, valid and test in the proportion of `parts`.

    Each class is split alike: its share of every part is exact but for rounding (less than one example), and train has
    an example of each. When the data brings its own test set, that is the test part, and the other rows are split by
    the first two numbers.

    The same data, seed and parts give the same split for ever: it is drawn from PCG64's raw stream, which numpy
    promises not to change (NEP 19).

    Raises `DataError` where a part isn't at least 1, a class has a single example, or the rows are too few.

    >>> from leadline.trainers.data import load
    >>> rows = split(load((np.eye(12), [0, 1] * 6)), seed=0)
    >>> len(rows.train), len(rows.valid), len(rows.test)
    (8, 2, 2)
    """
    if len(parts) != 3 or min(parts) < 1:
        raise DataError(f"`parts` must be three whole numbers of at least 1 (train, valid, test), but got {parts}.")
    free = len(data) - data.test
    shares = (parts[0], parts[1], 0) if data.test else parts
    source = np.random.PCG64(seed)
    chosen: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    groups = _groups(data, np.arange(free), source.random_raw(free))
    total = sum(shares)
    start = int(source.random_raw()) % total
    for place, rows in enumerate(groups):
        offset = (start + place * total // len(groups)) % total  # evenly spaced: the classes' roundings cancel out
        for part, its_rows in zip(chosen, np.split(rows, _cuts(len(rows), shares, offset)), strict=True):
            part.append(its_rows)
    train, valid, test = (np.sort(np.concatenate(part)) for part in chosen)
    if data.test:
        test = np.arange(free, len(data))
    if not (len(train) and len(valid) and len(test)):
        raise DataError(
            f"`{data.name}` has too few rows to split {parts[0]}:{parts[1]}:{parts[2]}: {free} rows would give "
            f"{len(train)} for training, {len(valid)} for validation, {len(test)} for test."
        )
    return Split(train, valid, test, seed, parts)


def folds(data: Data, whole: Split, count: int) -> tuple[Split, ...]:
    """Returns `count` splits that together validate once on each row of `whole` that isn't for test.

    Those rows are divided into `count` parts, each class alike, whose sizes differ by at most one, in all and in each
    class; fold i validates on part i and trains on the others, so on each class. The first fold trains on no more rows
    than any other. Test rows, seed and parts are those of `whole`.

    The same data, whole and count give the same folds for ever, as `split` does.

    Raises `DataError` where count isn't at least 2, or exceeds the rows of the smallest class, or of a regression.

    >>> from leadline.trainers.data import load
    >>> data = load((np.eye(12), [0, 1] * 6))
    >>> [(len(fold.train), len(fold.valid)) for fold in folds(data, split(data, seed=0), 3)]
    [(6, 4), (7, 3), (7, 3)]
    """
    if count < 2:
        raise DataError(f"`folds` must be at least 2, but got {count}.")
    rows = np.union1d(whole.train, whole.valid)
    groups = _groups(data, rows, np.random.PCG64((whole.seed, count)).random_raw(len(rows)))
    fewest, smallest = min((len(group), place) for place, group in enumerate(groups))
    if count > fewest:
        whose = f"`{data.name}`" if data.classes is None else f"class `{data.classes[smallest]}` of `{data.name}`"
        raise DataError(
            f"Each fold validates on at least one row of {whose}, but its {fewest} rows that aren't for test "
            f"can't be divided into {count}. Take at most {fewest} folds."
        )
    deck = np.concatenate(groups)  # dealt like cards, one class after the other: their roundings cancel out
    valids = (np.sort(deck[fold::count]) for fold in range(count))
    return tuple(replace(whole, train=np.setdiff1d(rows, valid), valid=valid) for valid in valids)


def _groups(data: Data, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Returns the rows (n,) of each class, or all for a regression, in the order of their random keys (n,)."""
    if data.classes is None:
        return [rows[np.argsort(keys, kind="stable")]]
    targets = data.targets[rows]
    counts = np.bincount(targets, minlength=len(data.classes))
    for name, count in zip(data.classes, counts, strict=True):
        if count < 2:
            raise DataError(
                f"Each class needs two examples, one to train on and one to validate, but class `{name}` "
                f"of `{data.name}` has {count} in the {len(rows)} rows to split. Leave it out or merge it."
            )
    return np.split(rows[np.lexsort((keys, targets))], np.cumsum(counts)[:-1])


def _cuts(rows: int, shares: tuple[int, int, int], offset: int) -> tuple[int, int]:
    """Returns where to cut `rows` rows into three shares, each rounded up or down as `offset` has it.

    A share is the count of multiples of `total` in an interval of length `share * rows`, so the floor or the ceiling of
    its exact size, whatever the offset in 0 .. total - 1; the first is at least one row.
    """
    total = sum(shares)
    offset = max(offset, total - shares[0] * rows)
    return (shares[0] * rows + offset) // total, ((shares[0] + shares[1]) * rows + offset) // total
