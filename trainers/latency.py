"""Latency: how long a network takes for one example."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from .stack import Bench

WARM_UP, PASSES = 3, 21


@torch.no_grad()
def latency(network: nn.Module, bench: Bench) -> float:
    """Returns the milliseconds of a forward pass of one example, in evaluation mode on the bench's device and numbers.

    It is the median of 21 passes after 3 that don't count, each waited for. Weights don't matter to it; what else the
    machine does, does.
    """
    network = network.to(bench.device).eval()
    example = next(iter(bench.data.valid.inputs.split(1)))
    passes = []
    for _ in range(WARM_UP + PASSES):
        with bench.cast():
            _await(bench.device)
            began = time.perf_counter()
            network(example.clone())  # a network may change its inputs in place
            _await(bench.device)
            passes.append(time.perf_counter() - began)
    return 1000 * statistics.median(passes[WARM_UP:])


def _await(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
