"""What a trial trains and is judged on, as tensors. The test rows are not in it, on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .preparation import Preparation
from .source import Data
from .split import Split
from .streamed import Portion, Streamed


@dataclass(frozen=True, eq=False)
class Subset:
    """Prepared examples: inputs (n, *in_shape) float32; targets (n,) int64, or (n, 1) standardized for a regression.

    The inputs are a tensor, or `Streamed` where they are too large for that.
    """

    inputs: torch.Tensor | Streamed
    targets: torch.Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> Subset:
        """Returns the same examples on that device."""
        return Subset(self.inputs.to(device), self.targets.to(device))

    def batches(self, order: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yields the inputs (B, *in_shape) at each row of `order`, int64 (S, B), which is on their device."""
        if isinstance(self.inputs, Streamed):
            return self.inputs.batches(order)
        return map(partial(self.inputs.index_select, 0), order)


@dataclass(frozen=True)
class Scale:
    """How the targets of a regression are standardized: by mean and deviation of the training rows."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def fit(cls, targets: NDArray[np.float32]) -> Scale:
        """Returns the scale of training targets (n,); the deviation of constants is 1."""
        return cls(float(targets.mean(dtype=np.float64)), float(targets.std(dtype=np.float64)) or 1.0)

    def apply(self, targets: torch.Tensor) -> torch.Tensor:
        """Returns targets, of any shape, as a network learns them."""
        return ((targets.double() - self.mean) / self.deviation).to(targets.dtype)

    def undo(self, outputs: torch.Tensor) -> torch.Tensor:
        """Returns a network's outputs, or standardized targets, in the targets' own units."""
        return (outputs.double() * self.deviation + self.mean).to(outputs.dtype)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The training and validation examples, the shape of one, and how many outputs a network needs (1: regression).

    `scale` is that of a regression's targets, None for classes. `balance` (classes,) are the weights that give all
    classes the same part in the loss, float32, None for a regression.
    """

    name: str
    in_shape: tuple[int, ...]
    classes: tuple[str, ...] | None
    outputs: int
    train: Subset
    valid: Subset
    preparation: Preparation
    scale: Scale | None = None
    balance: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> Dataset:
        """Returns the same data on that device."""
        balance = None if self.balance is None else self.balance.to(device)
        return replace(self, train=self.train.to(device), valid=self.valid.to(device), balance=balance)

    def describe(self) -> dict[str, Any]:
        """Returns, as JSON, all that whoever uses a network trained on these examples needs to know of them."""
        return {
            "in_shape": list(self.in_shape),
            "classes": self.classes,
            "preparation": self.preparation.describe(),
            "scale": None if self.scale is None else asdict(self.scale),
        }

    def in_units(self, outputs: torch.Tensor) -> torch.Tensor:
        """Returns outputs or targets as a metric wants them: those of a regression in the targets' own units."""
        return outputs if self.scale is None else self.scale.undo(outputs)


def prepare(data: Data, split: Split, *, streamed: bool = False, like: Preparation | None = None) -> Dataset:
    """Returns the training and validation rows, prepared by what the training rows alone say.

    A table gets the columns and categories of the preparation `like`, where one is given. `streamed` leaves inputs that
    are an array where they are, to be prepared when needed. Raises `DataError` where nothing is left to learn from.

    >>> from leadline.trainers.data import load, split
    >>> data = load((torch.rand(12, 28, 28), [0, 1] * 6))
    >>> dataset = prepare(data, split(data, seed=0))
    >>> dataset.in_shape, dataset.outputs, len(dataset.train)
    ((1, 28, 28), 2, 8)
    """
    preparation = Preparation.fit(data.inputs, split.train, like)
    scale = Scale.fit(data.targets[split.train]) if data.classes is None else None
    return Dataset(
        name=data.name,
        in_shape=preparation.in_shape,
        classes=data.classes,
        outputs=1 if data.classes is None else len(data.classes),
        train=_subset(data, split.train, preparation, scale, streamed=streamed),
        valid=_subset(data, split.valid, preparation, scale, streamed=streamed),
        preparation=preparation,
        scale=scale,
        balance=None if data.classes is None else _balance(data.targets[split.train], len(data.classes)),
    )


def one_after_another(subsets: Sequence[Subset]) -> Subset:
    """Returns the examples of all subsets as one: nothing is copied where there is one, or where they are streamed."""
    if len(subsets) == 1:
        return subsets[0]
    targets = torch.cat([one.targets for one in subsets])
    portions = [portion for one in subsets if isinstance(one.inputs, Streamed) for portion in one.inputs.portions]
    if portions:
        return Subset(Streamed(tuple(portions), targets.device), targets)
    return Subset(torch.cat([one.inputs for one in subsets if isinstance(one.inputs, torch.Tensor)]), targets)


def open_test(data: Data, split: Split, like: Dataset) -> Subset:
    """Returns the test rows, prepared as those of a data set: the one place where they are touched."""
    streamed = isinstance(like.train.inputs, Streamed)
    device = like.train.targets.device
    return _subset(data, split.test, like.preparation, like.scale, streamed=streamed).to(device)


def _subset(
    data: Data, rows: NDArray[np.int64], preparation: Preparation, scale: Scale | None, *, streamed: bool
) -> Subset:
    targets = torch.from_numpy(data.targets[rows])
    targets = targets if scale is None else scale.apply(targets[:, None])
    if streamed and isinstance(data.inputs, np.ndarray):
        return Subset(Streamed((Portion(data.inputs, rows, preparation),), torch.device("cpu")), targets)
    return Subset(preparation.apply(data.inputs, rows), targets)


def _balance(targets: NDArray[np.int64], classes: int) -> torch.Tensor:
    """Returns n / (classes * count) for each class, as scikit-learn's "balanced"; 0 for one without examples."""
    counts = np.bincount(targets, minlength=classes)
    weights = np.divide(len(targets), classes * counts, out=np.zeros(classes), where=counts > 0)
    return torch.from_numpy(weights.astype(np.float32))
