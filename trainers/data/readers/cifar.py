"""CIFAR-10 and CIFAR-100 as they are distributed: the python and the binary version, unpacked or `.tar.gz`.

Binary: for each image a byte of label (CIFAR-100: coarse, then fine), then 3,072 bytes: red, green and blue, 32 rows of
32. Python: pickled dicts with `data` (n, 3072) in the same order, and labels (https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError
from ..source import Data, Task
from .npz import check_member
from .optional import one_line
from .packed import opened, read_all
from .unpickle import unpickle

_PIXELS = 3 * 32 * 32
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Layout:
    """The files of one version; `labels` is what their labels are called, or how many bytes stand before an image."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    labels: str | int

    @property
    def binary(self) -> bool:
        return isinstance(self.labels, int)


_FIVE = tuple(f"data_batch_{part}" for part in range(1, 6))
_LAYOUTS = (
    _Layout("cifar-10-batches-py", _FIVE, "test_batch", "batches.meta", "labels"),
    _Layout("cifar-10-batches-bin", tuple(f"{part}.bin" for part in _FIVE), "test_batch.bin", "batches.meta.txt", 1),
    _Layout("cifar-100-python", ("train",), "test", "meta", "fine_labels"),
    _Layout("cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 2),
)
_FILES = frozenset(name for layout in _LAYOUTS for name in (*layout.train, layout.test, layout.names))
_NAMES_OF = {"labels": "label_names", "fine_labels": "fine_label_names"}


def is_cifar(path: Path) -> bool:
    """Tells whether a path is a tar archive, or a folder with the names of classes and the first batch of a version."""
    if path.is_file():
        return path.name.lower().endswith((".tar.gz", ".tgz", ".tar"))
    return _unpacked(path) is not None


def read_cifar(path: Path, *, task: Task | None = None) -> Data:
    """Returns the images (n, 3, 32, 32), bytes, the last of them the test set, and their (fine) classes.

    Raises `DataError` where a file is missing or damaged, or an archive's member is a link or lies outside its folder.
    """
    folder = path if path.is_dir() else None
    files = _members(path) if folder is None else _contents(folder)
    layout = next((one for one in _LAYOUTS if one.names in files and one.train[0] in files), None)
    if layout is None:
        raise DataError(
            f"{path}: the archive isn't CIFAR's: it has none of {', '.join(one.names for one in _LAYOUTS)}."
        )
    if missing := [name for name in (*layout.train, layout.test) if name not in files]:
        raise DataError(f"{path}: `{missing[0]}` is missing.")
    classes = _classes(layout, files[layout.names](), f"{path}, {layout.names}")
    images, labels = [], []
    for name in (*layout.train, layout.test):
        where = f"{path}, {name}"
        some, theirs = (_binary if layout.binary else _pickled)(layout, files.pop(name)(), where)
        if wrong := np.flatnonzero((theirs < 0) | (theirs >= len(classes))).tolist():
            raise DataError(
                f"{where}: image {wrong[0]} has label {theirs[wrong[0]]}, but there are {len(classes)} classes."
            )
        images.append(some.reshape(-1, 3, 32, 32))
        labels.append(theirs)
    test = len(labels[-1])
    return Data(path.name.split(".")[0], _joined(images), np.concatenate(labels), classes, test)


def _joined(parts: list[Bytes]) -> Bytes:
    """Returns the parts one after the other; each is let go when it is copied."""
    whole = np.empty((sum(map(len, parts)), 3, 32, 32), np.uint8)
    start = 0
    while parts:
        part = parts.pop(0)
        whole[start : start + len(part)] = part
        start += len(part)
    return whole


def _binary(layout: _Layout, content: bytes, where: str) -> tuple[Bytes, NDArray[np.int64]]:
    before = cast("int", layout.labels)
    rows, rest = divmod(len(content), before + _PIXELS)
    if rest or not rows:
        raise DataError(
            f"{where}: each image takes {before + _PIXELS} bytes, but the file ends {rest} into image {rows}."
        )
    table = np.frombuffer(content, np.uint8).reshape(rows, -1)
    return table[:, before:], table[:, before - 1].astype(np.int64)


def _pickled(layout: _Layout, content: bytes, where: str) -> tuple[Bytes, NDArray[np.int64]]:
    found = unpickle(content, where)
    data, labels = found.get("data"), found.get(layout.labels)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != _PIXELS:
        got = data.shape if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{where}: `data` must be an array of shape (n, {_PIXELS}), but got {got}.")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(one) is int for one in labels):
        raise DataError(f"{where}: `{layout.labels}` must be a list of {len(data)} whole numbers.")
    return data, np.clip(np.array(labels, dtype=object), -1, 1000).astype(np.int64)


def _classes(layout: _Layout, content: bytes, where: str) -> tuple[str, ...]:
    if layout.binary:
        names: object = content.decode("latin-1").split()
    else:
        names = unpickle(content, where).get(_NAMES_OF[cast("str", layout.labels)])
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: there must be a list of two classes' names at least.")
    return tuple(names)


# Where the files are


def _unpacked(folder: Path) -> Path | None:
    for layout in _LAYOUTS:
        for place in (folder, folder / layout.folder):
            if (place / layout.names).is_file() and (place / layout.train[0]).is_file():
                return place
    return None


def _contents(folder: Path) -> dict[str, Callable[[], bytes]]:
    place = _unpacked(folder) or folder
    return {path.name: path.read_bytes for path in place.iterdir() if path.name in _FILES and path.is_file()}


def _members(path: Path) -> dict[str, Callable[[], bytes]]:
    """Returns the contents of an archive's files that are of CIFAR, by name; nothing is unpacked to the disk."""
    found: dict[str, Callable[[], bytes]] = {}
    try:
        with opened(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                check_member(str(path), member.name)
                if not (member.isfile() or member.isdir()) or member.issparse():  # sparse: zeros that nobody packed
                    raise DataError(
                        f"{path}: the member {member.name!r:.200} is a link, a device or a sparse file. "
                        "Don't trust this file."
                    )
                name = PurePosixPath(member.name).name
                if not member.isfile() or name not in _FILES:
                    continue
                if name in found:
                    raise DataError(f"{path}: `{name}` comes twice.")
                content = bytes(read_all(cast("BinaryIO", archive.extractfile(member)), member.size))
                found[name] = partial(_same, content)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise DataError(f"{path}: the archive is damaged: {one_line(error)}") from error
    return found


def _same(content: bytes) -> bytes:
    return content
