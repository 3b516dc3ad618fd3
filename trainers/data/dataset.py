"""What a trial trains and is judged on, as tensors. The test rows are not in it, on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from .preparation import Preparation
from .source import Data
from .split import Split


@dataclass(frozen=True, eq=False)
class Subset:
    """Prepared examples: inputs (n, *in_shape) float32; targets (n,) int64, or (n, 1) float32 for a regression."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> Subset:
        """Returns the same examples on that device."""
        return Subset(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """The training and validation examples, the shape of one, and how many outputs a network needs (1: regression)."""

    name: str
    in_shape: tuple[int, ...]
    classes: tuple[str, ...] | None
    outputs: int
    train: Subset
    valid: Subset
    preparation: Preparation

    def to(self, device: torch.device | str) -> Dataset:
        """Returns the same data on that device."""
        return replace(self, train=self.train.to(device), valid=self.valid.to(device))


def prepare(data: Data, split: Split) -> Dataset:
    """Returns the training and validation rows, prepared by what the training rows alone say.

    Raises `DataError` where nothing is left to learn from.

    >>> from leadline.trainers.data import load, split
    >>> data = load((torch.rand(12, 28, 28), [0, 1] * 6))
    >>> dataset = prepare(data, split(data, seed=0))
    >>> dataset.in_shape, dataset.outputs, len(dataset.train)
    ((1, 28, 28), 2, 8)
    """
    preparation = Preparation.fit(data.rows(split.train))
    return Dataset(
        name=data.name,
        in_shape=preparation.in_shape,
        classes=data.classes,
        outputs=1 if data.classes is None else len(data.classes),
        train=_subset(data, split.train, preparation),
        valid=_subset(data, split.valid, preparation),
        preparation=preparation,
    )


def open_test(data: Data, split: Split, preparation: Preparation) -> Subset:
    """Returns the test rows, prepared: the one place where they are touched."""
    return _subset(data, split.test, preparation)


def _subset(data: Data, rows: NDArray[np.int64], preparation: Preparation) -> Subset:
    targets = torch.from_numpy(data.targets[rows])
    return Subset(preparation.apply(data.rows(rows)), targets if data.classes else targets[:, None])
