"""A network that does wrong while it trains, in a way that its configuration names. A study's `network:build`."""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn

HANGS = ("hang-sleep", "hang-busy", "hang-deaf", "hang-fork")
BYTES = 2**28  # that are taken at a time


class Faulty(nn.Module):
    """A layer that commits `fault` ("nan-3": in epoch 3) in its training, and else does what it should."""

    def __init__(self, features: int, classes: int, fault: str, steps: int) -> None:
        super().__init__()
        self.layer = nn.Linear(features, classes)
        self.fault, _, epoch = fault.rpartition("-") if fault[-1].isdigit() else (fault, "", "2")
        self.steps, self.epoch = steps, int(epoch)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # steps, a resumed training's too

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs.flatten(1))
        if self.training:
            self.count += 1
            if int(self.count) == (self.epoch - 1) * self.steps + 2:
                outputs = outputs * commit(self.fault)
        return outputs


def build(in_shape: tuple[int, ...], classes: int, fault: str, steps: int) -> nn.Module:
    """Returns the network; an epoch has so many `steps`."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))  # as before a fault
    return Faulty(math.prod(in_shape), classes, fault, steps)


def commit(fault: str) -> float:
    """Does it; returns what the outputs are multiplied by."""
    if os.environ.get("FAULTLESS"):
        return 1.0
    if fault == "nan":
        return math.nan
    if fault == "kill-once" and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "raise":
        raise ValueError("the network's own error")
    if fault == "rlimit":
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, resource.RLIM_INFINITY))
        torch.empty(4 * BYTES)
    if fault == "cgroup":
        taken = []
        while True:
            taken.append(torch.ones(BYTES // 4))
    if fault == "hang-fork":
        for _ in range(2):
            if not os.fork():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(1000)
    if fault == "hang-deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while fault == "hang-busy":
        pass
    if fault.startswith("hang"):
        time.sleep(1000)
    return 1.0
