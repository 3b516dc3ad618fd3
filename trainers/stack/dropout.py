"""Dropout whose bits hash the trial's stream, so that they depend neither on the stack nor on the lane's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..networks.layers import StochasticDepth

if TYPE_CHECKING:
    from .base import Lane

KINDS: dict[type[nn.Module], int | None] = {  # how many leading dimensions tell apart what is dropped; None: all
    nn.Dropout: None,
    nn.Dropout1d: 2,
    nn.Dropout2d: 2,
    nn.Dropout3d: 2,
    StochasticDepth: 1,
}
FIRST, SECOND = 0x7FEB352D, 0x846CA68B - 2**32  # multipliers of the hash `lowbias32` (Wellons, 2018), as int32
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class LaneDropout(nn.Module):
    """Stands in for a module of `KINDS`: zeroes each unit with probability `p`, and scales the others up.

    A unit is all that shares the first `dimensions` coordinates: in (B, C, H, W) a number, with 2 a whole map, with 1 a
    whole example.

    Whether a unit is kept is a hash of `key`, of the count of calls in this step, and of the unit's coordinates
    (example, channel, ...), so a network padded to other widths keeps its bits. `key`, `threshold` and `scale` are
    buffers, one value a lane; they are no part of a network's state.
    """

    key: Tensor
    threshold: Tensor
    scale: Tensor

    def __init__(self, p: float, dimensions: int | None = None) -> None:
        super().__init__()
        self.p, self.dimensions, self.calls = p, dimensions, 0
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)
        # Kept are hashes of at least `threshold`, both in [-2**30, 2**30], so that their difference is an int32.
        threshold = round(p * 2**31) - 2**30
        self.register_buffer("threshold", torch.tensor(threshold, dtype=torch.int32), persistent=False)
        self.register_buffer("scale", torch.tensor(0.0 if p == 1 else 1 / (1 - p)), persistent=False)
        self._coordinates: dict[tuple[int, ...], Tensor] = {}

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns inputs (B, ...) with units dropped in training mode, as they are in evaluation mode."""
        if not self.training:
            return inputs
        return inputs * self.mask(inputs.shape, self.key, self.threshold, self.scale).to(inputs.dtype)

    def begin(self, key: Tensor) -> None:
        """Makes `key` that of the step which begins."""
        self.key, self.calls = key, 0

    def mask(self, shape: torch.Size, key: Tensor, threshold: Tensor, scale: Tensor) -> Tensor:
        """Returns what a tensor of `shape` (B, C, ...) is multiplied by in the next call: 0 or `scale`, float32.

        The other arguments are the buffers, each () or, for a mask (K, B, C, ...), of shape (K, 1, 1, ...).
        """
        if self.dimensions is not None:
            shape = torch.Size((*shape[: self.dimensions], *(1 for _ in shape[self.dimensions :])))
        if self.calls:
            key = key + _as_int32(self.calls * 0x9E3779B9)
        self.calls += 1
        bits = (self._hashed_coordinates(shape, key.device) ^ key).mul_(FIRST)
        bits.bitwise_xor_(bits >> 15).mul_(SECOND).bitwise_right_shift_(1)
        # From here to the float there is no boolean: comparing and selecting would take longer than all the rest.
        kept = bits.sub_(threshold).bitwise_not_().bitwise_right_shift_(31)  # -1 from the threshold on, else 0
        return kept.to(torch.float32).mul_(-scale)

    def _hashed_coordinates(self, shape: torch.Size, device: torch.device) -> Tensor:
        found = self._coordinates.get(shape)
        if found is None or found.device != device:
            found = torch.zeros(shape, dtype=torch.int32, device=device)
            for dimension, size in enumerate(shape):
                along = torch.arange(size, dtype=torch.int32, device=device) * _as_int32(
                    0x9E3779B1 * (2 * dimension + 1)
                )
                found += along.view([size if other == dimension else 1 for other in range(len(shape))])
                found = (found ^ (found >> 15)) * SECOND
            self._coordinates[shape] = found
        return found


def replace_dropout(network: nn.Module) -> None:
    """Puts a LaneDropout in the place of each dropout module of the network."""
    replaced: dict[nn.Module, LaneDropout] = {}
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):  # `named_children` would leave out a child's second place
            if child is not None and type(child) in KINDS:
                stand_in = replaced.setdefault(child, LaneDropout(child.p, KINDS[type(child)]))  # type: ignore[arg-type]
                setattr(parent, name, stand_in.train(child.training))


def dropouts(network: nn.Module) -> list[LaneDropout]:
    """Returns the dropout modules of a network in which they were replaced, in the order of `modules()`."""
    return [module for module in network.modules() if isinstance(module, LaneDropout)]


def keys(lane: Lane, steps: int, modules: int) -> NDArray[np.int32]:
    """Returns the keys of the lane's dropout modules at the steps of its epoch, int32 (steps, modules).

    Source: SplitMix64 (Steele, Lea and Flood, 2014), seeded by the trial's stream for this epoch.
    """
    seed = np.uint64(lane.stream.key("dropout", lane.epoch))
    with np.errstate(over="ignore"):
        z = seed + GOLDEN * np.arange(1, steps * modules + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32).view(np.int32).reshape(steps, modules)


def _as_int32(number: int) -> int:
    number &= 0xFFFFFFFF
    return number - 2**32 if number >= 2**31 else number
