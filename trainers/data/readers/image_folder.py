"""Folders of images: a folder for each class, as of ImageNet and of torchvision's `ImageFolder`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ....errors import DataError
from ..source import Data, Task
from .images import Size, read_images

_VALID = ("val", "valid", "validation")
_PARTS = ("train", *_VALID, "test")
_NOT_MEANT = ("thumbs.db", "desktop.ini")  # what file managers leave; hidden files are passed over as well
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm")


def read_image_folder(folder: Path, *, task: Task | None = None, size: Size | None = None) -> Data:
    """Returns the images (n, C, H, W) in a folder's folders, each of which is a class; bytes, C is 1 (all grey) or 3.

    A folder that holds `train`, and perhaps `val` and `test`, each with a folder for each class, brings its own test
    set: `test`, with `val` among the rows to split, or else `val`. size: see `images.read_images`.

    Raises `DataError` where there are fewer than two classes, a class without images, a file that is no image, one that
    can't be read, or images of several sizes and no `size`.
    """
    parts = _parts(folder)
    learn = [_classes(part) for part in parts[0]]
    tests = [_classes(part) for part in parts[1]]
    classes = tuple(sorted({name for found in learn for name in found}))
    if len(classes) < 2:
        raise DataError(f"{folder}: a classification needs two folders with images at least, but got {classes}.")
    for part, found in zip(parts[1], tests, strict=True):
        if unknown := sorted(set(found) - set(classes)):
            raise DataError(f"{part / unknown[0]}: the class has no images to learn from.")
    rows = [(classes.index(name), path) for found in (*learn, *tests) for name in found for path in found[name]]
    paths = [path for _, path in rows]
    images = read_images([str(path) for path in paths], lambda at: paths[at].read_bytes(), size)
    targets = np.array([place for place, _ in rows], dtype=np.int64)
    return Data(folder.name, images, targets, classes, sum(len(files) for found in tests for files in found.values()))


def _parts(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the folders that hold the classes: those to split, and those to test on."""
    inner = {path.name: path for path in _entries(folder) if path.is_dir()}
    if "train" not in inner or not set(inner) <= set(_PARTS):
        return [folder], []
    valid = [inner[name] for name in _VALID if name in inner]
    if "test" in inner:
        return [inner["train"], *valid], [inner["test"]]
    return [inner["train"]], valid


def _classes(folder: Path) -> Mapping[str, list[Path]]:
    """Returns the files of each class, in order."""
    entries = _entries(folder)
    if stray := [path for path in entries if path.is_file() and path.suffix.lower() in SUFFIXES]:
        raise DataError(f"{stray[0]}: the image lies in no class's folder.")
    classes = {path.name: list(files_in(path)) for path in entries if path.is_dir()}
    if not classes:
        raise DataError(f"{folder}: the folder is {'empty' if not entries else 'no data set'}. {HOLDS}")
    for name, files in classes.items():
        if not files:
            raise DataError(f"{folder / name}: the class's folder is empty.")
    return classes


HOLDS = (
    "A data set's folder holds a folder of images for each class, or `inputs.npy` and `targets.npy`, or the IDX files "
    "of MNIST, or the batches of CIFAR."
)


def files_in(folder: Path) -> Iterator[Path]:
    """Yields the files in a folder and its folders, in order, but for hidden ones. Raises DataError for a pipe, say."""
    for path in _entries(folder):
        if path.is_dir():
            yield from files_in(path)
        elif path.is_file():
            yield path
        else:  # reading it might wait for ever
            raise DataError(f"{path}: neither a file nor a folder, or a link that leads nowhere. Remove it.")


def _entries(folder: Path) -> list[Path]:
    names = sorted(os.listdir(folder))
    return [folder / name for name in names if not name.startswith(".") and name.lower() not in _NOT_MEANT]
