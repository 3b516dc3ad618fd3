"""What a trial will cost, in seconds and memory."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..footprint import FEW, kept_bytes, saved_bytes
from ..memory import bytes_told
from ..plan import Build
from ..recipe import Recipe
from ..stack import Bench, predict
from ..streams import Stream
from .finding import Finding, Verdict
from .steps import Steps

MOST_STEPS = 16  # in one measurement


@dataclass(frozen=True)
class Cost(Finding):
    """What a training takes: seconds of a step, of an epoch with its validation, and of all epochs; and memory.

    `weights` are bytes of parameters with their gradients, `state` the optimizer's, `activations` what is kept of a
    batch for the backward pass. `memory` is the sum, or on a GPU the peak. All are for one lane by itself.
    """

    parameters: int
    batch_size: int
    step_seconds: float
    epoch_seconds: float
    seconds: float
    weights: int
    state: int
    activations: int
    memory: int
    available: int


def cost(build: Build, bench: Bench, recipe: Recipe, stream: Stream, *, seconds: float = 3.0) -> Cost:
    """Returns what it takes to train the network that `build` makes: a few steps are measured, in about `seconds`.

    A network too slow for that is measured by steps of fewer examples, one too large by those alone.
    """
    network = build()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    weights, state = kept_bytes(network, recipe.optimizer)
    batch, available = bench.batch(recipe), available_memory(bench.device)
    steps = Steps(bench, network, recipe, stream)
    few = min(FEW, batch)
    with saved_bytes(network) as saved:
        steps.take(torch.arange(few, device=bench.device))
    activations = sum(saved.values()) * batch // few
    memory = weights + state + activations
    fits = memory < available
    began = time.perf_counter()
    steps.take(torch.arange(few, device=bench.device))
    estimate = (time.perf_counter() - began) * batch / few
    if fits and estimate < seconds:
        if bench.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(bench.device)
        step_seconds = _step_seconds(steps, bench, batch, seconds)
        if bench.device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(bench.device) - _data_bytes(bench)
    else:
        step_seconds = estimate
    epoch_seconds = bench.steps(recipe) * step_seconds + _validation_seconds(bench, network, seconds / 4)
    whole = epoch_seconds * recipe.epochs
    told = (
        f"{parameters:,} parameters, batches of {batch}: {duration(epoch_seconds)} an epoch, {duration(whole)} for "
        f"{recipe.epochs} epochs, {bytes_told(memory)}"
    )
    if memory >= available:
        told += f", but {bench.device} has {bytes_told(available)}: take smaller batches or networks"
    elif memory >= available / 2:
        told += f" of the {bytes_told(available)} that {bench.device} has: no two of them fit side by side"
    verdict: Verdict = "problem" if memory >= available else "warning" if memory >= available / 2 else "ok"
    numbers = (step_seconds, epoch_seconds, whole, weights, state, activations, memory, available)
    return Cost(verdict, f"{told}.", parameters, batch, *numbers)


def available_memory(device: torch.device) -> int:
    """Returns the bytes that may still be had on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # no Linux: all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _step_seconds(steps: Steps, bench: Bench, batch: int, seconds: float) -> float:
    """Returns the median seconds of a step, of steps in runs long enough that what an epoch adds doesn't count."""
    began = time.perf_counter()
    once = steps.take(torch.arange(batch, device=bench.device)).seconds  # the first at this size: it also warms up
    count = max(1, min(MOST_STEPS, len(bench.data.train) // batch, int(seconds / 4 / max(once, 1e-9))))
    rows = torch.arange(count * batch, device=bench.device)
    taken: list[float] = []
    while len(taken) < 3 and (not taken or time.perf_counter() - began < seconds):
        taken.append(steps.take(rows, steps=count).seconds / count)
    return statistics.median(taken)


def _validation_seconds(bench: Bench, network: nn.Module, seconds: float) -> float:
    """Returns the seconds of a pass over the validation rows, from one over as many of them as there is time for."""
    valid = bench.data.valid.inputs
    rows = min(FEW, len(valid))
    while True:
        began = time.perf_counter()
        predict(bench, network, valid[:rows]).cpu()  # which waits for a GPU
        taken = time.perf_counter() - began
        if rows >= len(valid) or 4 * taken > seconds:
            return taken * len(valid) / rows
        rows = min(len(valid), 4 * rows)


def _data_bytes(bench: Bench) -> int:
    parts = [part for data in bench.folds for part in (data.train, data.valid)]
    tensors = [tensor for part in parts for tensor in (part.inputs, part.targets) if isinstance(tensor, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def duration(seconds: float) -> str:
    """Returns a duration for people.

    >>> duration(0.25), duration(75), duration(7260), duration(200000)
    ('0.25 s', '1.2 min', '2.0 h', '2.3 days')
    """
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"
