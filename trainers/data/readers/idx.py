"""Folders of IDX files, the format of MNIST and its successors.

A file is: two zero bytes, a byte for the type, a byte for the number of dimensions, each dimension as a big-endian
uint32, then the values (http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError
from ..arrays import from_arrays
from ..source import Data, Task
from .packed import count_rest, opened, read_all

_MOST = 32  # dimensions, of which images have three
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx_folder(folder: Path, *, task: Task | None = None) -> Data:
    """Returns the images (n, H, W) and labels of a folder of IDX files, bytes left as bytes.

    Read are `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, each also as `.gz`, and, where the folder has
    them, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` as its test set.

    Raises `DataError` where a file is missing or damaged, and where images and labels differ in number.
    """
    images, labels = _read_pair(folder, "train")
    test = 0
    if any(folder.glob("t10k-*")):
        test_images, test_labels = _read_pair(folder, "t10k")
        if test_images.shape[1:] != images.shape[1:]:
            raise DataError(
                f"{folder}: images for training and test must be of one shape, "
                f"but got {images.shape[1:]} and {test_images.shape[1:]}."
            )
        images, labels = np.concatenate([images, test_images]), np.concatenate([labels, test_labels])
        test = len(test_images)
    return from_arrays(images, labels, name=folder.name, task=task or "classification", test=test)


def read_idx(path: Path) -> NDArray[Any]:
    """Returns the array in an IDX file, gzipped or not.

    Raises `DataError` where the file isn't IDX, or holds fewer or more bytes than its header says; memory is taken for
    what is there, whatever the header says.
    """
    with opened(path) as stream:
        begin = stream.read(4)
        if len(begin) < 4 or begin[:2] != b"\0\0" or begin[2] not in _DTYPES or not 1 <= begin[3] <= _MOST:
            raise DataError(
                f"{path}: an IDX file starts with 00 00, its type and dimensions, but got {begin.hex(' ')}."
            )
        dtype, start = np.dtype(_DTYPES[begin[2]]), 4 + 4 * begin[3]
        sides = stream.read(start - 4)
        if len(sides) < start - 4:
            raise DataError(f"{path}: the file ends within its header of {start} bytes, after {4 + len(sides)}.")
        shape = tuple(int.from_bytes(sides[at : at + 4]) for at in range(0, len(sides), 4))
        expected = math.prod(shape) * dtype.itemsize
        content = read_all(stream, expected)
        there = len(content) + count_rest(stream)
    if there != expected:
        raise DataError(
            f"{path}: the header says {shape}, that is {start + expected} bytes, but the file has {start + there}."
        )
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_pair(folder: Path, part: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the images and the labels of "train" or "t10k"."""
    images_path, labels_path = _find(folder, f"{part}-images-idx3-ubyte"), _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"Each image needs one label, but {images_path} is of shape {images.shape} "
            f"and {labels_path.name} of shape {labels.shape}."
        )
    return images, labels


def _find(folder: Path, name: str) -> Path:
    dotted = name.replace("-idx", ".idx")  # as some archives unpack
    for path in (folder / known for stem in (name, dotted) for known in (stem, f"{stem}.gz")):
        if path.is_file():
            return path
    raise DataError(f"{folder.absolute()}: the folder has no file `{name}` or `{name}.gz`.")
