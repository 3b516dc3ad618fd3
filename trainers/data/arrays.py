"""Examples given as arrays, tensors or a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DataError
from .frames import is_frame, typed
from .source import Data, Inputs, Task
from .targets import encode

if TYPE_CHECKING:
    from pandas import DataFrame


def from_arrays(
    inputs: Any,
    targets: Any,
    *,
    name: str = "arrays",
    task: Task | None = None,
    test: int = 0,
    groups: NDArray[np.int64] | None = None,
    order: NDArray[np.float64] | None = None,
) -> Data:
    """Returns arrays as `Data`, their shape and dtype kept.

    inputs: (n, ...) numbers, as an array, a memory map, a tensor on any device, nested lists or a pandas data frame.
    targets: (n,) or (n, 1), see `targets.encode`. The last `test` rows are the test set; groups, order: see `Data`.

    Raises `DataError` as `Data`, `encode` and `frames.typed` do.

    >>> from_arrays(torch.zeros(4, 1, 8, 8), ["a", "b", "a", "b"]).classes
    ('a', 'b')
    """
    indices, classes = encode(as_array(targets, "targets"), task)
    return Data(name, _as_inputs(inputs), indices, classes, test, groups, order)


def _as_inputs(inputs: Any) -> Inputs:
    if is_frame(inputs):
        frame: DataFrame = inputs
        return typed(frame)
    return as_array(inputs, "inputs")


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Returns an array, tensor or nested lists as an array; `what` they are is for errors."""
    if isinstance(values, torch.Tensor):
        try:
            values = values.detach().cpu()
            return np.asarray(values.float() if values.dtype == torch.bfloat16 else values)
        except (TypeError, RuntimeError) as error:  # sparse, quantized, nested, on the meta device
            reason = str(error).splitlines()[0]
            raise DataError(f"The {what} must be a dense tensor of numbers: {reason}") from error
    if np.ma.is_masked(values):
        raise DataError(f"The {what} are masked in part, but every number counts: fill or leave out what is masked.")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"The {what} must form an array, one shape for all rows: {error}") from error
