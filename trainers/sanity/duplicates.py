"""Do examples occur twice, within the training rows or, worse, on both sides of the split?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data import Data, Split
from .finding import Finding, Verdict

LEAK, FLOOD = 0.001, 0.05  # shares of validation or test rows seen in training that are to be told, that spoil a study
MANY = 0.1  # share of training rows that repeat another
CEILING = 0.99  # below it, what equal inputs with different targets leave to be reached is told


@dataclass(frozen=True)
class Duplicates(Finding):
    """How many training rows repeat another, and how many rows of other parts have inputs that training rows have.

    `ceiling` is the best accuracy (or R2) that any function of the inputs can have on training and validation rows,
    given that equal inputs have different targets there. Of test rows only inputs are looked at, never targets.
    """

    within_train: int
    valid_in_train: int
    test_in_train: int
    ceiling: float


def duplicates(data: Data, split: Split) -> Duplicates:
    """Returns how examples repeat each other, told by a hash of all of a row's inputs."""
    keys = row_keys(data)
    train, valid, test = keys[split.train], keys[split.valid], keys[split.test]
    within = len(train) - len(np.unique(train))
    in_valid, in_test = (int(np.isin(part, train).sum()) for part in (valid, test))
    known = np.concatenate([split.train, split.valid])
    ceiling = _ceiling(keys[known], data.targets[known], data.classes is not None)
    shares = (in_valid / max(1, len(valid)), in_test / max(1, len(test)))
    told = (
        f"{within:,} of {len(train):,} training rows repeat another; of the validation rows {in_valid:,}, of the test "
        f"rows {in_test:,} have inputs that training rows have"
    )
    leak = max(shares)
    verdict: Verdict = "problem" if leak > FLOOD else "warning" if leak > LEAK or within / len(train) > MANY else "ok"
    if leak > LEAK:
        told += ": what is learned by heart counts as learned. Remove them, or keep what belongs together in one part"
    if ceiling < CEILING:
        verdict = "problem" if ceiling < 0.5 else "warning" if verdict == "ok" else verdict
        measure = "an R2" if data.classes is None else "an accuracy"
        told += f". Equal inputs have different targets: more than {measure} of {ceiling:.3f} can't be reached"
    if not within and not in_valid and not in_test:
        told = "No example occurs twice"
    return Duplicates(verdict, f"{told}.", within, in_valid, in_test, ceiling)


def row_keys(data: Data) -> NDArray[np.uint64]:
    """Returns a number for each row (n,) that is equal for equal inputs, and by all odds for them alone."""
    if not isinstance(data.inputs, np.ndarray):
        from pandas.util import hash_pandas_object

        return np.asarray(hash_pandas_object(data.inputs, index=False), dtype=np.uint64)
    rows = np.ascontiguousarray(data.inputs).reshape(len(data), -1)
    hashes = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(hashes, dtype=np.uint64)


def _ceiling(keys: NDArray[np.uint64], targets: NDArray[np.generic], classes: bool) -> float:
    """Returns the accuracy of answering each key's most frequent class, or the R2 of answering its mean."""
    _, groups = np.unique(keys, return_inverse=True)
    if classes:
        pairs, counts = np.unique(np.stack([groups, targets]), axis=1, return_counts=True)
        most = np.zeros(groups.max() + 1, dtype=np.int64)
        np.maximum.at(most, pairs[0], counts)
        return float(most.sum() / len(keys))
    values = targets.astype(np.float64)
    means = np.bincount(groups, values) / np.bincount(groups)
    total = float(((values - values.mean()) ** 2).sum())
    return 1.0 - float(((values - means[groups]) ** 2).sum()) / total if total else 1.0
