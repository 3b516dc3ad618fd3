"""Augmentation: what is done to training examples on the device, to each image anew in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from .stack import Lane

OF_IMAGES = ("flip", "shift", "cutout")  # the recipe's settings that only images can have


class Augmentation:
    """What is done to the examples of K lanes at the S steps of an epoch, B a step.

    `flip` mirrors an image left to right with that probability. `shift` moves it by up to so many pixels each way,
    zeros coming in: the same as padding by so many and cropping. `cutout` sets a square of that side to zero, its
    centre anywhere in the image (DeVries & Taylor, 2017). `mixup` makes of each example and the next one of its batch
    a weighted mean, the weight being Beta(mixup, mixup), one a batch (Zhang et al., 2018). Zero is the mean of the
    training images, which are standardized.

    All is drawn from the lane's own streams, each kind from one of its own. `table` holds what differs from step to
    step and lane to lane, (S, K, ...) by name: `flip` (S, K, B), `shift` (S, K, B, 2), `cutout` (S, K, B, 2, 2),
    `mixup` (S, K); only what a lane uses.
    """

    def __init__(self, lanes: Sequence[Lane], steps: int, batch: int, shape: tuple[int, ...], device: torch.device):
        self.table: dict[str, Tensor] = {}
        for kind, draw in DRAWS.items():
            if any(getattr(lane.recipe, kind) for lane in lanes):
                drawn = [draw(_generator(lane, kind), (steps, batch), shape, lane) for lane in lanes]
                self.table[kind] = torch.stack(drawn, dim=1).to(device)


def augmented(inputs: Tensor, now: Mapping[str, Tensor]) -> Tensor:
    """Returns inputs (K, B, ...) as they are trained on, `now` being the table's numbers at this step."""
    if any(kind in now for kind in OF_IMAGES):
        inputs = _moved(inputs, now)
    if "mixup" in now:
        share = now["mixup"].to(inputs.dtype).view(-1, *(1 for _ in inputs.shape[1:]))
        inputs = share * inputs + (1 - share) * inputs.roll(-1, dims=1)
    return inputs


def mixed(targets: Tensor, now: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Returns what was mixed into examples with targets (K, B, ...): the others' targets, and the own shares (K,)."""
    return (targets.roll(-1, dims=1), now["mixup"]) if "mixup" in now else None


def _moved(images: Tensor, now: Mapping[str, Tensor]) -> Tensor:
    """Returns images (K, B, C, H, W) flipped, shifted and cut: each pixel is another one of its image, or zero."""
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device).expand(*images.shape[:2], height)
    x = torch.arange(width, device=images.device).expand(*images.shape[:2], width)
    within: Tensor | None = None
    if "flip" in now:
        x = torch.where(now["flip"].unsqueeze(2), width - 1 - x, x)
    if "shift" in now:
        down, right = now["shift"].unsqueeze(3).unbind(2)
        y, x = y + down, x + right
        inside = (_between(y, 0, height).unsqueeze(3)) & (_between(x, 0, width).unsqueeze(2))
        y, x, within = y.clamp(0, height - 1), x.clamp(0, width - 1), inside
    pixels = (y.unsqueeze(3) * width + x.unsqueeze(2)).flatten(2).unsqueeze(2)
    moved = images.flatten(3).gather(3, pixels.expand(*images.shape[:3], -1)).view_as(images)
    if "cutout" in now:
        first, last = now["cutout"].unsqueeze(4).unbind(2)  # (K, B, 2, 1) each
        rows = _between(torch.arange(height, device=images.device), first[:, :, 0], last[:, :, 0])
        columns = _between(torch.arange(width, device=images.device), first[:, :, 1], last[:, :, 1])
        left = ~(rows.unsqueeze(3) & columns.unsqueeze(2))
        within = left if within is None else within & left
    return moved if within is None else moved.masked_fill(~within.unsqueeze(2), 0.0)


def _between(places: Tensor, first: Tensor | int, beyond: Tensor | int) -> Tensor:
    return (places >= first) & (places < beyond)


# What each kind draws for a lane: generator, (steps, batch), the shape of an example -> (steps, batch, ...)


def _flips(generator: torch.Generator, count: tuple[int, int], shape: tuple[int, ...], lane: Lane) -> Tensor:
    return torch.rand(count, generator=generator) < lane.recipe.flip


def _shifts(generator: torch.Generator, count: tuple[int, int], shape: tuple[int, ...], lane: Lane) -> Tensor:
    most = lane.recipe.shift
    return torch.randint(-most, most + 1, (*count, 2), generator=generator)


def _squares(generator: torch.Generator, count: tuple[int, int], shape: tuple[int, ...], lane: Lane) -> Tensor:
    """Returns the first row and column of each square, and those after its last: (steps, batch, 2, 2)."""
    centres = [torch.randint(0, side, count, generator=generator) for side in shape[-2:]]
    first = torch.stack(centres, dim=-1) - lane.recipe.cutout // 2
    return torch.stack([first, first + lane.recipe.cutout], dim=2)


def _shares(generator: torch.Generator, count: tuple[int, int], shape: tuple[int, ...], lane: Lane) -> Tensor:
    steps, _ = count
    if not lane.recipe.mixup:
        return torch.ones(steps)
    numbers = np.random.Generator(np.random.PCG64(generator.initial_seed()))
    return torch.from_numpy(numbers.beta(lane.recipe.mixup, lane.recipe.mixup, steps)).float()


DRAWS: dict[str, Callable[[torch.Generator, tuple[int, int], tuple[int, ...], Lane], Tensor]] = {
    "flip": _flips,
    "shift": _shifts,
    "cutout": _squares,
    "mixup": _shares,
}


def _generator(lane: Lane, kind: str) -> torch.Generator:
    return torch.Generator().manual_seed(lane.stream.key(kind, lane.epoch))
