"""Capacity: how many lanes a device has room for, and how many still raise its throughput."""

from __future__ import annotations

from collections.abc import Callable

import torch

GAIN = 1.1  # so much more throughput each doubling must bring
SPARE = 0.8  # the share of free memory that may be planned for: the allocator's blocks don't fit together exactly

Measure = Callable[[int], tuple[float, int]]  # lanes -> seconds of a step of them all, bytes it needs at its peak


def capacity(measure: Measure, *, most: int, free: int | None = None) -> int:
    """Returns how many lanes, up to `most`, pay on a device with `free` bytes (None: no matter).

    Lanes are doubled as long as that brings throughput. Before each doubling the memory is predicted from the last two
    sizes, and a size that is predicted not to fit isn't tried; one that runs out of memory in spite of that ends it.
    """
    lanes, (seconds, needed) = 1, measure(1)
    slope = needed
    while 2 * lanes <= most:
        if free is not None and needed + slope * lanes > SPARE * free:
            break
        try:
            next_seconds, next_needed = measure(2 * lanes)
        except torch.OutOfMemoryError:
            break
        if 2 * lanes / next_seconds < GAIN * lanes / seconds:
            break
        slope = max(0, next_needed - needed) // lanes
        lanes, seconds, needed = 2 * lanes, next_seconds, next_needed
    return lanes
