"""Data sets of the Hugging Face hub, by name, through the package `datasets` (https://huggingface.co/docs/datasets)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ....errors import DataError, suggestion
from ..source import Data, Task
from .images import Size, read_images
from .optional import needed, one_line
from .tables import from_frame

_VALID = ("validation", "valid", "val", "dev")


def read_huggingface(
    name: str, *, task: Task | None = None, label: str | int | None = None, size: Size | None = None, **roles: Any
) -> Data:
    """Returns the images, or the columns of the table, that a data set of the hub holds; its code is never run.

    Its `test` split is the test set, with its validation split among the rows to split; or else the validation split.

    label: the targets' column; without it, the only one of classes. size: see `images.read_images`. roles: group, time
    and drop, for tables, see `tables.from_frame`.

    Raises `DataError` where `datasets` isn't installed, the data set can't be had, or its columns don't fit.
    """
    source = f"hf:{name}"
    datasets = needed("datasets", "datasets", f"`{source}`")
    try:
        found = datasets.load_dataset(name)
    except Exception as error:  # whatever the package, the network and the hub may raise
        raise DataError(f"`{source}` can't be had: {type(error).__name__}: {one_line(error)}") from error
    parts, test = _parts(found, source)
    features = parts[0].features
    pictures = [column for column, feature in features.items() if type(feature).__name__ == "Image"]
    if not pictures:
        if size is not None:
            raise DataError(f"`{source}` holds no images, and takes no `size`.")
        import pandas

        frame = pandas.concat([_with_names(part.to_pandas(), features) for part in parts], ignore_index=True)
        return from_frame(frame, name=_short(name), where=source, label=label, task=task, test=test, **roles)
    if roles:
        raise DataError(f"`{source}` holds images, and takes no `{'`, `'.join(roles)}`.")
    target = _target(features, label, source)
    raw = [part.cast_column(pictures[0], datasets.Image(decode=False)) for part in parts]
    starts = np.cumsum([0, *map(len, raw)])

    def read(at: int) -> bytes:
        part = int(np.searchsorted(starts, at, side="right")) - 1
        cell = raw[part][int(at - starts[part])][pictures[0]]
        return bytes(cell["bytes"] or Path(cell["path"]).read_bytes())

    images = read_images([f"{source}, row {row}" for row in range(starts[-1])], read, size)
    targets = np.concatenate([np.asarray(part[target], dtype=np.int64) for part in parts])
    return Data(_short(name), images, targets, tuple(features[target].names), test)


def _parts(found: Any, source: str) -> tuple[list[Any], int]:
    """Returns the splits to use, the test set last, and its length."""
    if "train" not in found:
        raise DataError(f"`{source}` must have a split called `train`, but has: {', '.join(found)}.")
    valid = [found[name] for name in _VALID if name in found][:1]
    if "test" in found:
        return [found["train"], *valid, found["test"]], len(found["test"])
    return [found["train"], *valid], len(valid[0]) if valid else 0


def _target(features: Any, label: str | int | None, source: str) -> str:
    classes = [column for column, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    if label in classes:
        return str(label)
    if label is None and len(classes) == 1:
        return str(classes[0])
    hint = suggestion(str(label), classes) if label is not None else f'Say label="...", one of: {", ".join(classes)}.'
    raise DataError(f"`{source}`: which column holds the classes? {hint}")


def _with_names(frame: Any, features: Any) -> Any:
    """Returns a table whose classes stand by their names."""
    for column, feature in features.items():
        if type(feature).__name__ == "ClassLabel":
            frame[column] = frame[column].map(dict(enumerate(feature.names)))
    return frame


def _short(name: str) -> str:
    return name.rpartition("/")[2]
