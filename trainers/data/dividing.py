"""Three ways to divide rows: by their class, by groups that stay whole, and by time.

None of them depends on the platform or on numpy's version: they take random keys, and reckon in whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .source import Data

Rows = NDArray[np.int64]


def by_class(data: Data, rows: Rows, keys: NDArray[np.uint64]) -> list[Rows]:
    """Returns the rows (n,) of each class, or all for a regression, in the order of their random keys (n,).

    Raises `DataError` where a class has a single row.
    """
    if data.classes is None:
        return [rows[np.argsort(keys, kind="stable")]]
    targets, counts = data.targets[rows], check_classes(data, rows)
    return np.split(rows[np.lexsort((keys, targets))], np.cumsum(counts)[:-1])


def check_classes(data: Data, rows: Rows) -> NDArray[np.int64]:
    """Returns how many of the rows (n,) each class has, (0,) for a regression.

    Raises `DataError` where a class has a single row, or none.
    """
    if data.classes is None:
        return np.zeros(0, dtype=np.int64)
    targets = data.targets[rows]
    counts = np.bincount(targets, minlength=len(data.classes))
    for place, (name, count) in enumerate(zip(data.classes, counts, strict=True)):
        if count < 2:
            where = f", row {rows[np.argmax(targets == place)]}," if count else ""
            raise DataError(
                f"Each class needs two examples, one to train on and one to validate, but class `{name}` "
                f"of `{data.name}` has {count}{where} in the {len(rows)} rows to split. Leave it out or merge it."
            )
    return counts


def by_group(data: Data, rows: Rows, shares: Sequence[int], source: np.random.PCG64) -> list[Rows]:
    """Returns rows (n,) in parts of about these shares, ascending, no group of `data.groups` in two of them.

    Large groups come first and each goes where most is lacking, summed over its rows: of the row's class, weighed by
    how rare it is, and of rows as such. With one class, so for a regression, no part exceeds its share by more than
    the largest group. Each part has at least one group. Sizes between two powers of two are alike, else the seed
    would decide nothing.

    Raises `DataError` where there are fewer groups than parts, or none.
    """
    groups = groups_of(data, rows)
    if len(groups) < len(shares):
        raise DataError(
            f"{len(shares)} parts need at least a group each, but the {len(rows)} rows of `{data.name}` to divide "
            f"are of {len(groups)}. Take finer groups or fewer folds, or split otherwise."
        )
    labels = np.zeros(len(data), np.int64) if data.classes is None else data.targets
    counts = np.bincount(labels[rows])
    worth = len(rows) // np.maximum(counts, 1)  # of a row of each class
    total = sum(shares)
    lacking = np.outer(shares, counts * worth)  # of each part and class, times `total`
    room = np.array(shares) * len(rows)
    parts: list[list[Rows]] = [[] for _ in shares]
    sizes = [len(group).bit_length() for group in groups]
    order = np.lexsort((source.random_raw(len(groups)), np.negative(sizes)))
    for done, group in enumerate(groups[place] for place in order):
        empty = [part for part, held in enumerate(parts) if not held]
        open_to = empty if len(empty) == len(groups) - done else list(range(len(parts)))
        own = labels[group]
        lack = lacking[:, own].sum(axis=1) + room * len(group)
        part = open_to[int(np.argmax(lack[open_to]))]
        parts[part].append(group)
        np.subtract.at(lacking[part], own, total * worth[own])
        room[part] -= total * len(group)
    return [np.sort(np.concatenate(held)) for held in parts]


def groups_of(data: Data, rows: Rows) -> list[Rows]:
    """Returns the rows (n,) of each group. Raises `DataError` where the data have no groups."""
    if data.groups is None:
        raise DataError(
            f"`{data.name}` has no groups to split by. Tell which group each row is of, or split otherwise."
        )
    groups = data.groups[rows]
    order = np.argsort(groups, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(groups[order])) + 1)


def by_time(data: Data, rows: Rows, shares: Sequence[int]) -> list[Rows]:
    """Returns rows (n,) in parts of about these shares, ascending, each later by `data.order` than those before it.

    It is cut between two times, so rows of one time stay together: at the nearest place that leaves no part empty.

    Raises `DataError` where there are fewer times than parts, or none.
    """
    if data.order is None:
        raise DataError(f"`{data.name}` has no times to split by. Tell when each row was, or split otherwise.")
    rows = rows[np.argsort(data.order[rows], kind="stable")]
    changes = np.flatnonzero(np.diff(data.order[rows])) + 1
    if len(changes) + 1 < len(shares):
        raise DataError(
            f"{len(shares)} parts need at least a time each, but the {len(rows)} rows of `{data.name}` to divide "
            f"are of {len(changes) + 1}. Take finer times or fewer folds, or split otherwise."
        )
    cuts, first = [], 0
    for place in range(1, len(shares)):
        open_to = changes[first : len(changes) - (len(shares) - 1 - place)]  # it leaves a change for each later cut
        nearest = int(np.argmin(np.abs(open_to * sum(shares) - sum(shares[:place]) * len(rows))))
        cuts.append(int(open_to[nearest]))
        first += nearest + 1
    return [np.sort(part) for part in np.split(rows, cuts)]
