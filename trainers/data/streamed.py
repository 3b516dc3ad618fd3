"""Inputs too large for the device: they stay where they are, and are prepared as they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .preparation import Preparation

AHEAD = 2  # batches that are prepared while one is trained on


@dataclass(frozen=True, eq=False)
class Portion:
    """Rows (n,) of a source's inputs (N, ...), with the preparation that they get."""

    source: NDArray[np.generic]
    rows: NDArray[np.int64]
    preparation: Preparation


@dataclass(frozen=True, eq=False)
class Streamed:
    """Inputs that behave like a tensor (n, *in_shape), float32 on `device`, as far as training and evaluation need it.

    What is asked for is read from the source (a memory map, say), prepared, and copied to the device, on CUDA from
    pinned memory. The numbers are those of the tensor that preparing everything at once would give.
    """

    portions: tuple[Portion, ...]
    device: torch.device

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def shape(self) -> torch.Size:
        """Of all inputs together: (n, *in_shape)."""
        return torch.Size((len(self), *self.portions[0].preparation.in_shape))

    def to(self, device: torch.device | str) -> Streamed:
        """Returns the same inputs, handed out on that device."""
        return replace(self, device=torch.device(device))

    def __getitem__(self, which: slice) -> Tensor:
        """Returns a run of inputs."""
        return self._moved(self._prepared(np.arange(*which.indices(len(self)))))

    def split(self, size: int) -> Iterator[Tensor]:
        """Yields all inputs in their order, `size` at a time."""
        starts = range(0, len(self), size)
        return self._ahead(np.arange(start, min(start + size, len(self))) for start in starts)

    def batches(self, order: Tensor) -> Iterator[Tensor]:
        """Yields the inputs at each row of `order`, int64 (S, B), while those after it are being prepared."""
        return self._ahead(iter(order.cpu().numpy()))

    def _ahead(self, wanted: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        waiting: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="leadline-prefetch") as pool:
            for places in wanted:
                waiting.append(pool.submit(self._prepared, places))
                if len(waiting) > AHEAD:
                    yield self._moved(waiting.popleft().result())
            while waiting:
                yield self._moved(waiting.popleft().result())

    def _prepared(self, places: NDArray[np.int64]) -> Tensor:
        """Returns the inputs at these places, on the CPU, pinned where they are for CUDA."""
        if len(places) and not 0 <= places.min() <= places.max() < len(self):
            raise IndexError(f"places must be from 0 to {len(self) - 1}, but got {places.min()} to {places.max()}")
        inputs = torch.empty(len(places), *self.shape[1:])
        portion_of = np.searchsorted(self._ends, places, side="right")
        for number, portion in enumerate(self.portions):
            own = np.flatnonzero(portion_of == number)
            if len(own):
                first = self._ends[number] - len(portion.rows)
                rows = portion.rows[places[own] - first]
                inputs[torch.from_numpy(own)] = portion.preparation.apply(portion.source, rows)
        return inputs.pin_memory() if self.device.type == "cuda" else inputs

    def _moved(self, inputs: Tensor) -> Tensor:
        return inputs.to(self.device, non_blocking=True)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([len(portion.rows) for portion in self.portions])
