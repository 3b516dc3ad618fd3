"""Inputs and targets among named arrays, as `.npz` files and folders of `.npy` files hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError
from ..arrays import from_arrays
from ..source import Data, Task
from .npy import Stored

NAMES = (("inputs", "targets"), ("images", "labels"), ("x", "y"), ("data", "labels"), ("data", "target"))
"""What inputs and targets may be called, in any case."""

_LEARN = ("{}", "{}_train", "train_{}")
_VALID = ("{}_val", "val_{}", "{}_valid", "valid_{}")
_TEST = ("{}_test", "test_{}")


@dataclass(frozen=True)
class Pairs:
    """The names of inputs and targets: one pair or more to split, and the source's test set if there is one."""

    learn: tuple[tuple[str, str], ...]
    test: tuple[str, str] | None


def find_pairs(names: Mapping[str, Any], where: str) -> Pairs:
    """Returns which of the named arrays are inputs and targets.

    They are called as in `NAMES`, or so with `_train`, `_val` and `_test` after the name, or `train_` before it.

    Raises `DataError` where there are none.

    >>> find_pairs(dict.fromkeys(["x_train", "y_train", "x_test", "y_test"]), "mnist.npz")
    Pairs(learn=(('x_train', 'y_train'),), test=('x_test', 'y_test'))
    """
    known = {name.lower(): name for name in names}
    for pair in NAMES:

        def of(patterns: tuple[str, ...], pair: tuple[str, str] = pair) -> tuple[str, str] | None:
            spelled = (tuple(pattern.format(word) for word in pair) for pattern in patterns)
            return next(((known[x], known[y]) for x, y in spelled if x in known and y in known), None)

        if learn := of(_LEARN):
            valid = of(_VALID)
            return Pairs((learn, valid) if valid else (learn,), of(_TEST))
    raise DataError(
        f"{where}: inputs and targets must be called {', '.join('/'.join(pair) for pair in NAMES)}, perhaps with "
        f"_train and _test, but there are: {', '.join(sorted(names)[:20]) or 'none'}."
    )


def read_pairs(
    name: str,
    where: str,
    arrays: Mapping[str, Stored],
    task: Task | None,
    joined: Callable[[list[Stored]], NDArray[Any]],
) -> Data:
    """Returns named arrays as `Data`; `joined` makes one array of the inputs' parts, which are of one shape and dtype.

    Images whose channels come last (n, H, W, 1 or 3 or 4) are given with their channels first.

    Raises `DataError` where inputs and targets differ in number, or parts in shape or dtype.
    """
    pairs = find_pairs(arrays, where)
    chosen = [*pairs.learn, *([pairs.test] if pairs.test else [])]
    inputs, targets = ([arrays[pair[side]] for pair in chosen] for side in (0, 1))
    for x, y in zip(inputs, targets, strict=True):
        if not x.shape:
            raise DataError(f"{x.where} is a single number: inputs must be of shape (n, ...).")
        if x.shape[:1] != y.shape[:1]:
            raise DataError(f"{x.where} is of shape {x.shape} and {y.where} of shape {y.shape}: they differ in number.")
    first = inputs[0]
    for part in inputs[1:]:
        if (part.shape[1:], part.dtype) != (first.shape[1:], first.dtype):
            raise DataError(
                f"Parts of a data set must be alike, but {first.where} holds {first.dtype} of shape {first.shape} "
                f"and {part.where} {part.dtype} of shape {part.shape}."
            )
    labels = [join([part]).reshape(part.shape[0], -1) for part in targets]
    if {one.shape[1] for one in labels} != {1}:
        shapes = ", ".join(f"{part.where} of shape {part.shape}" for part in targets)
        raise DataError(f"Targets must be of shape (n,) or (n, 1), but got {shapes}.")
    test = inputs[-1].shape[0] if pairs.test else 0
    return from_arrays(channels_first(joined(inputs)), np.concatenate(labels), name=name, task=task, test=test)


def join(parts: list[Stored]) -> NDArray[Any]:
    """Returns arrays (n, ...) of one dtype one after the other, in memory, where each is read to its place."""
    whole = np.empty((sum(part.shape[0] for part in parts), *parts[0].shape[1:]), parts[0].dtype)
    start = 0
    for part in parts:
        part.read_into(whole[start : start + part.shape[0]])
        start += part.shape[0]
    return whole


def channels_first(inputs: NDArray[Any]) -> NDArray[Any]:
    """Returns images (n, H, W, C) with 1, 3 or 4 channels as a view (n, C, H, W), and other arrays as they are."""
    if inputs.ndim == 4 and inputs.shape[3] in (1, 3, 4) and inputs.shape[1] not in (1, 3, 4):
        return np.moveaxis(inputs, 3, 1)
    return inputs
