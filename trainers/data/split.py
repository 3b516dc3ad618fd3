"""Which examples train, which choose, and which judge: a seeded split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
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
    groups = _groups(data, source.random_raw(free))
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


def _groups(data: Data, keys: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Returns the rows of each class, or all rows for a regression, in the order of their random keys (n,)."""
    if data.classes is None:
        return [np.argsort(keys, kind="stable")]
    targets = data.targets[: len(keys)]
    counts = np.bincount(targets, minlength=len(data.classes))
    for name, count in zip(data.classes, counts, strict=True):
        if count < 2:
            raise DataError(
                f"Each class needs two examples, one to train on and one to validate, but class `{name}` "
                f"of `{data.name}` has {count} in the {len(keys)} rows to split. Leave it out or merge it."
            )
    return np.split(np.lexsort((keys, targets)), np.cumsum(counts)[:-1])


def _cuts(rows: int, shares: tuple[int, int, int], offset: int) -> tuple[int, int]:
    """Returns where to cut `rows` rows into three shares, each rounded up or down as `offset` has it.

    A share is the count of multiples of `total` in an interval of length `share * rows`, so the floor or the ceiling of
    its exact size, whatever the offset in 0 .. total - 1; the first is at least one row.
    """
    total = sum(shares)
    offset = max(offset, total - shares[0] * rows)
    return (shares[0] * rows + offset) // total, ((shares[0] + shares[1]) * rows + offset) // total
