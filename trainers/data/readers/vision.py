"""Data sets of torchvision by the names of their classes, downloaded into the cache (https://docs.pytorch.org/vision)."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError, suggestion
from ..source import Data, Task
from .cache import cache_folder
from .optional import needed, one_line
from .pairs import channels_first


def read_torchvision(name: str, *, task: Task | None = None) -> Data:
    """Returns the images (n, H, W) or (n, C, H, W) of a data set such as `CIFAR10`, its test set last.

    Read are those that torchvision keeps in one array: MNIST and its kin, CIFAR, SVHN, STL10, USPS.

    Raises `DataError` where torchvision isn't installed, has no such data set, or can't download it.
    """
    source = f"torchvision:{name}"
    datasets = needed("torchvision.datasets", "torchvision", f"`{source}`")
    known = [one for one in dir(datasets) if inspect.isclass(getattr(datasets, one))]
    if name not in known:
        raise DataError(f"`{source}`: torchvision has no data set of that name. {suggestion(name, known)}")
    parts = [_part(getattr(datasets, name), source, test=test) for test in (False, True)]
    inputs, targets = ([_array(part, names, source) for part in parts] for names in (("data",), ("targets", "labels")))
    if inputs[0].shape[1:] != inputs[1].shape[1:]:
        raise DataError(f"`{source}`: images of training and test are of shapes {inputs[0].shape}, {inputs[1].shape}.")
    labels = np.concatenate(targets).astype(np.int64)
    names = getattr(parts[0], "classes", None)
    classes = tuple(names) if names and len(names) > labels.max() else tuple(map(str, range(labels.max() + 1)))
    return Data(name, channels_first(np.concatenate(inputs)), labels, classes, len(targets[1]))


def _part(kind: Any, source: str, *, test: bool) -> Any:
    takes = inspect.signature(kind).parameters
    options: dict[str, Any] = {"download": True} if "download" in takes else {}
    if "train" in takes:
        options["train"] = not test
    elif "split" in takes:
        options["split"] = "test" if test else "train"
    try:
        return kind(str(cache_folder() / "torchvision"), **options)
    except Exception as error:  # whatever the package and the network may raise
        raise DataError(f"`{source}` can't be had: {type(error).__name__}: {one_line(error)}") from error


def _array(part: Any, names: tuple[str, ...], source: str) -> NDArray[Any]:
    found = next((getattr(part, name) for name in names if hasattr(part, name)), None)
    array = np.asarray(found)
    if array.dtype.kind not in "iuf" or array.ndim == 0:
        raise DataError(f"`{source}` isn't kept in one array. Give the folder of its images, as `path`.")
    return array
