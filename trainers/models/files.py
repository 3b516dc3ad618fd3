"""Predictions for what lies in files: images, arrays, tables; read as the data that the model was trained on were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..data.readers import naming
from ..data.readers.image_folder import SUFFIXES, files_in
from ..data.readers.images import decoded
from ..data.readers.npy import open_npy
from ..data.readers.npz import read_inputs
from ..data.readers.tables import read_frame
from ..data.source import chunks
from .model import Model

ARRAYS = (".npy", ".npz")
SHOWN = 3  # of a column's values that training hadn't


@dataclass(frozen=True)
class Predicted:
    """What a model says of an example: probabilities (classes,) or a value (); `row` None: the file is one example."""

    file: Path
    row: int | None
    answer: NDArray[np.float32]


def predict_files(
    model: Model, paths: Iterable[str | Path], tell: Callable[[str], object] = lambda text: None
) -> Iterator[Predicted]:
    """Yields what the model says of each example in files, in their order; of folders all images, however deep.

    Images are resized and made grey or coloured as those of training; `.npy` and `.npz` hold an array (n, ...), tables
    the columns of training, of which the label's may be missing. Raises DataError, naming file and row, where one can't
    be read or is of another kind; those that aren't there or not of the kind are told before anything is computed.
    `tell` hears, in a line a file, which categories in a table training hadn't.
    """
    found = [file for path in paths for file in _files(model, Path(path))]
    for suffix, group in groupby(found, key=lambda path: path.suffix.lower()):
        if suffix in SUFFIXES:
            yield from _of_images(model, list(group))
        else:
            for path in group:
                yield from _of_rows(model, path, tell)


def _files(model: Model, path: Path) -> list[Path]:
    """Returns the files that a path stands for. Raises DataError where there are none that the model can read."""
    if path.is_dir():
        images = [file for file in files_in(path) if file.suffix.lower() in SUFFIXES]
        if not images:
            raise DataError(f"{path}: the folder holds no image ({', '.join(SUFFIXES)}).")
        return [file for image in images for file in _files(model, image)]
    if not path.is_file():
        raise DataError(f"{path}: there is no such file or folder.")
    suffix, spec = path.suffix.lower(), model.inputs
    if spec.columns is not None and suffix in (*SUFFIXES, *ARRAYS):
        raise DataError(f"{path}: the model was trained on a table, so it takes tables (CSV, TSV, Parquet).")
    if suffix in SUFFIXES and spec.image is None:
        raise DataError(
            f"{path}: an image file holds bytes from 0 to 255, but the model was trained on {spec.dtype} of shape "
            f"{spec.shape}. Give such an array, as .npy or .npz."
        )
    if spec.columns is None and suffix not in (*SUFFIXES, *ARRAYS):
        kinds = "images, " if spec.image else ""
        raise DataError(f"{path}: the model takes {kinds}.npy and .npz files of {spec.dtype}, {spec.rows}.")
    return [path]


def _of_images(model: Model, paths: Sequence[Path]) -> Iterator[Predicted]:
    shape = model.inputs.image
    assert shape is not None
    for part in chunks(len(paths), int(np.prod(shape))):
        some = paths[part]
        with naming(some[0]):
            images = decoded(some, shape)
        for path, answer in zip(some, _answers(model, model.inputs.taken(images)), strict=True):
            yield Predicted(path, None, answer)


def _of_rows(model: Model, path: Path, tell: Callable[[str], object]) -> Iterator[Predicted]:
    with naming(path):
        read = _read(model, path)
        inputs = model.inputs.taken(read)
        if model.inputs.columns is not None and (unknown := model.inputs.unknown(read)):
            found = ", ".join(f"`{name}` has {_listed(values)}" for name, values in unknown.items())
            tell(f"{path}: {found}: not among training's categories, so taken as missing")
        for row, answer in enumerate(_answers(model, inputs)):
            yield Predicted(path, row, answer)


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(f"'{value:.30}'" for value in values[:SHOWN]) + more


def _answers(model: Model, inputs: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    return (answer for batch in model.batches(inputs) for answer in batch)


def _read(model: Model, path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_inputs(path)
    if suffix == ".npy":
        array = open_npy(path)
        return array[None] if array.shape == model.inputs.shape else array  # one example alone
    columns = [column.name for column in model.inputs.columns or ()]
    return read_frame(path, label=columns[0], text=model.inputs.text, **model.card["data"]["read"])
