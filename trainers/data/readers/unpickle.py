"""Pickled dicts of arrays, lists and text, as CIFAR's batches are, read without running anything they say.

A pickle is a program. This one can build lists, tuples, dicts, numbers, text and bytes, and describe an array of bytes;
every other name it asks for is refused, numpy's own functions included: the array is made from the bytes that the file
really holds. https://docs.python.org/3/library/pickle.html#restricting-globals
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

from ....errors import DataError
from .optional import one_line

_ARRAYS = ("numpy.core.multiarray", "numpy._core.multiarray")


def unpickle(content: bytes, where: str) -> dict[Any, Any]:
    """Returns the dict in a pickle file's content; Python 2's text comes as text, in Latin-1.

    Raises `DataError` where the file is damaged, holds something else, or asks for any other name.
    """
    try:
        found = _Reader(io.BytesIO(content), encoding="latin-1").load()
        if isinstance(found, dict):
            return {key: value.array if isinstance(value, _Array) else value for key, value in found.items()}
    except pickle.UnpicklingError as error:
        raise DataError(f"{where}: the pickle can't be read: {one_line(error)}") from error
    except Exception as error:  # a damaged program may go wrong in any way
        raise DataError(f"{where}: the pickle is damaged: {type(error).__name__}: {one_line(error)}") from error
    raise DataError(f"{where}: the pickle must hold a dict, but holds a {type(found).__name__}.")


class _Reader(pickle._Unpickler):
    """Python's own reader, not the one in C: that one makes room for as many objects as a file claims to have."""

    def find_class(self, module: str, name: str) -> Any:
        # Made anew for each file: a pickle can set attributes of what it is given.
        if (module, name) == ("numpy", "ndarray"):
            return type("_Type", (), {"__slots__": ()})
        if (module, name) == ("numpy", "dtype"):
            return type("_Dtype", (_Dtype,), {"__slots__": ()})
        if module in _ARRAYS and name == "_reconstruct":
            return lambda *ignored: type("_Array", (_Array,), {"__slots__": ()})()
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 of Python 3 writes bytes
            return lambda text, encoding: text.encode("latin-1")
        raise pickle.UnpicklingError(f"it asks for `{module}.{name}`, which no data set needs. Don't trust this file")


class _Dtype:
    __slots__ = ("text",)

    def __init__(self, text: str, *ignored: object) -> None:
        self.text = text

    def __setstate__(self, state: object) -> None:
        pass  # byte order and the like: one byte has none


class _Array:
    __slots__ = ("array",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype) or dtype.text not in ("u1", "|u1"):
            raise pickle.UnpicklingError("it holds an array of other than bytes")
        content = content.encode("latin-1") if isinstance(content, str) else content
        if math.prod(shape) != len(content):
            raise pickle.UnpicklingError(f"it holds an array of shape {shape}, but {len(content)} bytes for it")
        self.array = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")
