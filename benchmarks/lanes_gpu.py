"""How many trials' epochs an hour a device trains: plain PyTorch, the same as a CUDA graph, and leadline's lanes.

    python benchmarks/lanes_gpu.py --minutes 20 --out lanes_gpu.json
    python benchmarks/lanes_gpu.py --device cpu --quick        # every path at a tiny size: its numbers say nothing

Needs torch, numpy, safetensors and leadline alone. Where that isn't installed: `mkdir /tmp/site`, in the checkout
`ln -s "$PWD" /tmp/site/leadline`, and PYTHONPATH=/tmp/site. Networks: a CIFAR ResNet-20 (He et al., 2016, shortcuts
without weights), written below as a user would, and leadline's family `convnet` (depth 3), with 16, 32 and 64 feature
maps. Data: noise of CIFAR-10's shape (3x32x32, 50,000 + 10,000 images, 10 classes), made on the device. AdamW, batches
of 128, bfloat16 autocast. The rows:

    eager               what a careful engineer writes: fused AdamW, channels_last, cudnn.benchmark, data on the device,
                        the order drawn there, no waiting for the device within an epoch
    CUDA graph          the same, the training step captured once and replayed (evaluation as in eager)
    looped, K lanes     leadline's LoopedStack
    fused, K lanes      leadline's FusedStack
    ... cudnn.benchmark the same with torch.backends.cudnn.benchmark, which leadline leaves as it finds it (off)

An epoch is one pass through the training images and an evaluation on the validation images; the stacks also compute
their metrics. To save time it is measured on fewer images, in that proportion and never fewer than ten batches, and
scaled: what a stack does once an epoch therefore weighs up to 39 times more than it would, which errs against leadline.
After warming up, a cell is timed `--repeats` times, the device synchronized before and after: the table gives the
median and the range.

"of matrix" is the arithmetic that the eager program needs (torch.utils.flop_counter; the same for every row of a
network) as a share of what a big product of matrices reached in this run. "of memory" are the bytes that the row's own
program moves if each of its operations reads its inputs and writes its outputs once, as a share of what a big copy
reached; caches may take it above what memory alone would give. "peak" leaves out the images.

The cells that tell most come first. --minutes ends the run, --resume goes on with what is missing in --out. On a CPU it
runs in one thread, with MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ high, as leadline's workers do.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import leadline
from leadline.trainers.data import Dataset, Preparation, Subset
from leadline.trainers.metrics import METRICS
from leadline.trainers.networks.convnet import convnet
from leadline.trainers.recipe import Recipe
from leadline.trainers.stack import Bench, FusedStack, Lane, LoopedStack
from leadline.trainers.streams import Stream

IN_SHAPE, CLASSES = (3, 32, 32), 10
UNIT = 10  # steps: an epoch has a multiple of them, so that the validation images are a fifth of the training images
METHODS = ("eager", "CUDA graph", "looped", "fused")
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


# The user's network


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: (B, C, H, W) -> (B, maps, H / stride, W / stride)."""

    def __init__(self, channels: int, maps: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, maps, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(maps)
        self.stride, self.added = stride, maps - channels

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(self.conv1(inputs)))
        hidden = self.norm2(self.conv2(hidden))
        if self.stride > 1:
            inputs = F.pad(inputs[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return F.relu(hidden + inputs)


class ResNet(nn.Module):
    """The residual network for CIFAR of depth 6n + 2: (B, 3, 32, 32) -> (B, classes). He et al., 2016, section 4.2."""

    def __init__(self, channels: int, classes: int, depth: int, feature_maps: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, feature_maps, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(feature_maps)
        maps, blocks = feature_maps, []
        for stage in range(3):
            for block in range((depth - 2) // 6):
                first = stage > 0 and block == 0
                blocks.append(Block(maps, 2 * maps if first else maps, stride=2 if first else 1))
                maps = 2 * maps if first else maps
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(maps, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.blocks(F.relu(self.norm(self.conv(inputs))))
        return self.head(hidden.mean(dim=(2, 3)))


def resnet20(in_shape: tuple[int, ...], classes: int, feature_maps: int = 16) -> nn.Module:
    """Returns a ResNet-20 whose three stages have `feature_maps`, twice and four times as many maps."""
    return ResNet(in_shape[0], classes, depth=20, feature_maps=feature_maps)


NETWORKS: dict[str, Callable[..., nn.Module]] = {"resnet20": resnet20, "convnet": convnet}


# What is measured


@dataclass(frozen=True)
class Images:
    """Images (N, 3, 32, 32) float32 on the device, and their classes (N,) int64."""

    train: Subset
    valid: Subset

    @classmethod
    def made(cls, train: int, valid: int, device: torch.device) -> Images:
        """Returns that many images of noise."""
        with device:
            subsets = (Subset(torch.randn(n, *IN_SHAPE), torch.randint(CLASSES, (n,))) for n in (train, valid))
            return cls(*subsets)

    def first(self, train: int, valid: int) -> Images:
        """Returns the first of them, without copying."""
        subsets = ((self.train, train), (self.valid, valid))
        return Images(*(Subset(subset.inputs[:n], subset.targets[:n]) for subset, n in subsets))


@dataclass(frozen=True)
class Cell:
    """One measurement: a network and what trains it."""

    network: str
    maps: int
    method: str
    lanes: int = 1
    benchmark: bool = False  # cudnn.benchmark for a stack

    @property
    def row(self) -> str:
        """Its name in the table."""
        lanes = f", {self.lanes} lane{'s' * (self.lanes > 1)}" if self.method in ("looped", "fused") else ""
        return f"{self.method}{lanes}{', cudnn.benchmark' * self.benchmark}"


class Program(Protocol):
    """A way to train."""

    image_bytes: int  # that its own copy of the images takes

    def epoch(self) -> None:
        """Trains and evaluates once through the images, and waits for the results."""


class Eager:
    """An ordinary loop, as a careful engineer writes it."""

    def __init__(
        self, network: nn.Module, images: Images, batch: int, precision: torch.dtype, capturable: bool
    ) -> None:
        self.device, self.batch, self.precision = images.train.inputs.device, batch, precision
        self.network = network.to(self.device, memory_format=torch.channels_last)
        # Channels last in memory, so that a batch of rows is a channels_last batch.
        self.inputs, self.valid_inputs = (
            s.inputs.permute(0, 2, 3, 1).contiguous() for s in (images.train, images.valid)
        )
        self.image_bytes = self.inputs.nbytes + self.valid_inputs.nbytes
        self.targets, self.valid_targets = images.train.targets, images.valid.targets
        parameters = self.network.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=True, capturable=capturable)
        self.loss = torch.zeros((), device=self.device)

    def train_step(self, rows: Tensor) -> None:
        inputs = self.inputs.index_select(0, rows).permute(0, 3, 1, 2)
        self.optimizer.zero_grad()
        # Autocast's cache of cast weights must not outlive a capture; within a step no weight is cast twice.
        with torch.autocast(self.device.type, self.precision, self.precision != torch.float32, cache_enabled=False):
            loss = F.cross_entropy(self.network(inputs), self.targets.index_select(0, rows))
        loss.backward()
        self.optimizer.step()
        self.loss += loss.detach()

    @torch.no_grad()
    def evaluate(self) -> float:
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        for inputs, targets in zip(self.valid_inputs.split(1024), self.valid_targets.split(1024), strict=True):
            with torch.autocast(self.device.type, self.precision, self.precision != torch.float32):
                outputs = self.network(inputs.permute(0, 3, 1, 2))
            right += (outputs.argmax(1) == targets).sum()
        return right.item() / len(self.valid_targets)

    def epoch(self) -> None:
        self.network.train()
        self.loss.zero_()
        for rows in torch.randperm(len(self.targets), device=self.device).split(self.batch):
            self.train_step(rows)
        self.network.eval()
        self.evaluate()
        self.loss.item()


class Graphed(Eager):
    """The same loop with its training step captured as a CUDA graph."""

    def __init__(self, network: nn.Module, images: Images, batch: int, precision: torch.dtype) -> None:
        super().__init__(network, images, batch, precision, capturable=True)
        self.rows = torch.zeros(batch, dtype=torch.int64, device=self.device)
        self.network.train()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                super().train_step(self.rows)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            super().train_step(self.rows)

    def train_step(self, rows: Tensor) -> None:
        self.rows.copy_(rows)
        self.graph.replay()


class Lanes:
    """A stack of leadline's, its lanes of different learning rates."""

    image_bytes = 0

    def __init__(self, cell: Cell, images: Images, batch: int, precision: torch.dtype) -> None:
        device = images.train.inputs.device
        preparation = Preparation(IN_SHAPE, torch.zeros(3).double().numpy(), torch.ones(3).double().numpy())
        classes = tuple(map(str, range(CLASSES)))
        data = Dataset("noise", IN_SHAPE, classes, CLASSES, images.train, images.valid, preparation)
        autocast = None if precision == torch.float32 else precision
        bench = Bench((data,), device, F.cross_entropy, METRICS["accuracy"], autocast)
        self.stack = {"fused": FusedStack, "looped": LoopedStack}[cell.method](bench)
        for number in range(cell.lanes):
            recipe = Recipe(batch_size=batch, lr=1e-4 * 10 ** (2 * number / cell.lanes), weight_decay=0.01)
            lane = Lane(number, {}, recipe, Stream(0, number))
            self.stack.add(lane, built(cell, device))

    def epoch(self) -> None:
        for epoch in self.stack.train_epoch():
            if epoch.error is not None:
                raise epoch.error


def built(cell: Cell, device: torch.device) -> nn.Module:
    """Returns the cell's network, made on the device."""
    with device:
        return NETWORKS[cell.network](IN_SHAPE, CLASSES, feature_maps=cell.maps)


def program(cell: Cell, images: Images, batch: int, precision: torch.dtype) -> Program:
    """Returns what the cell measures, ready to train."""
    device = images.train.inputs.device
    if cell.method == "eager":
        return Eager(built(cell, device), images, batch, precision, capturable=False)
    if cell.method == "CUDA graph":
        return Graphed(built(cell, device), images, batch, precision)
    return Lanes(cell, images, batch, precision)


# What the device can do, and what a program needs


class CountedBytes(TorchDispatchMode):
    """Counts the bytes that operations move if each reads its inputs and writes its outputs once; views are free."""

    EMPTY = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
    FREE = frozenset([*EMPTY, "detach", "alias", "_unsafe_view", "lift_fresh"])
    GATHERING = frozenset(["index_select", "index", "gather"])  # these read only the rows they return
    FILLING = frozenset(["copy_", "_foreach_copy_", "zero_", "fill_"])  # these don't read what they overwrite

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        name, schema = func._schema.name.removeprefix("aten::"), func._schema
        fresh = not any(returned.alias_info is not None for returned in schema.returns)
        written = [arg.alias_info is not None and arg.alias_info.is_write for arg in schema.arguments]
        if name in self.FREE or not (fresh or any(written)):
            return results
        outputs = _bytes(results) if fresh else 0
        changed = sum(_bytes(arg) for arg, writes in zip(args, written, strict=False) if writes)
        inputs = outputs if name in self.GATHERING else _bytes([args, kwargs])
        self.total += inputs + outputs + changed - (changed if name in self.FILLING else 0)
        return results


def _bytes(tree: Any) -> int:
    tensors = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
    return sum(min(t.numel() * t.element_size(), t.untyped_storage().nbytes()) for t in tensors)


def arithmetic(cell: Cell, batch: int, device: torch.device) -> tuple[int, int]:
    """Returns the floating point operations an image of the network takes in training, and in evaluation."""
    network = built(cell, device)
    inputs, targets = torch.randn(batch, *IN_SHAPE, device=device), torch.zeros(batch, dtype=torch.int64, device=device)
    counts = []
    for training in (True, False):
        network.train(training)
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
            loss = F.cross_entropy(network(inputs), targets)
            if training:
                loss.backward()
        counts.append(counter.get_total_flops() // batch)
    return counts[0], counts[1]


def ceilings(device: torch.device, quick: bool) -> dict[str, float]:
    """Returns what the device reaches: operations a second in products of matrices, bytes a second in a copy."""
    found, on_gpu = {}, device.type == "cuda"
    side = 512 if quick else 8192 if on_gpu else 2048
    kinds = {"bfloat16": (torch.bfloat16, "highest"), "float32": (torch.float32, "highest")}
    if on_gpu:
        kinds["tf32"] = (torch.float32, "high")
    for name, (dtype, precision) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        found[name] = 2 * side**3 / fastest(partial(torch.mm, a, b), device)
    torch.set_float32_matmul_precision("highest")
    source = torch.zeros(2 ** (22 if quick else 29 if on_gpu else 26), device=device)
    target = torch.empty_like(source)
    found["copy"] = 2 * source.numel() * source.element_size() / fastest(partial(target.copy_, source), device)
    return found


def fastest(function: Callable[[], Any], device: torch.device) -> float:
    """Returns the seconds of one call, the best of five measurements of ten calls."""

    def ten() -> None:
        for _ in range(10):
            function()

    ten()
    return min(timed(ten, device) for _ in range(5)) / 10


def timed(function: Callable[[], Any], device: torch.device) -> float:
    """Returns the seconds of a call, the device idle before and after."""
    synchronize(device)
    began = time.perf_counter()
    function()
    synchronize(device)
    return time.perf_counter() - began


def synchronize(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# Measuring


class Benchmark:
    """The cells, in order, and what came of them: `results` is what is written as JSON."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, torch.device(args.device)
        self.precision = getattr(torch, args.precision)
        self.deadline = time.monotonic() + args.minutes * 60
        self.results: dict[str, Any] = {"settings": vars(args), "environment": environment(self.device)}
        self.results |= {"ceilings": {}, "arithmetic": {}, "cells": []}
        if args.resume and Path(args.out).exists():
            kept = json.loads(Path(args.out).read_text())
            self.results |= {name: kept[name] for name in ("ceilings", "arithmetic", "cells")}

    def cells(self) -> Iterator[Cell]:
        """Yields what is to be measured, the most telling first."""
        maps = sorted(self.args.maps, key=lambda maps: (maps != min(self.args.maps), -maps))  # 16, 64, 32
        sizes = [(network, width) for width in maps for network in self.args.networks]
        lanes = sorted(self.args.lanes)
        middle = lanes[min(1, len(lanes) - 1)]
        rounds: list[list[tuple[str, int, bool]]] = [
            [("eager", 1, False), ("fused", middle, False), ("CUDA graph", 1, False)],
            [("fused", count, False) for count in lanes if count > middle],
            [("looped", lanes[0], False), *(("fused", count, False) for count in lanes if count < middle)],
            [("fused", count, True) for count in lanes if count >= middle],
        ]
        for kinds in rounds:
            for network, width in sizes:
                for method, count, benchmark in kinds:
                    if not benchmark or self.device.type == "cuda":
                        yield Cell(network, width, method, count, benchmark)

    def run(self) -> None:
        """Measures what isn't measured yet, until the time is up; writes the results after each cell."""
        if not self.results["ceilings"]:
            self.results["ceilings"] = ceilings(self.device, self.args.quick)
            say(f"ceilings: {', '.join(f'{k} {v / 1e12:.3f}' for k, v in self.results['ceilings'].items())} T/s")
        self.images = Images.made(self.args.images, self.args.images // 5, self.device)
        for cell in self.cells():
            if self._found(cell) is not None:
                continue
            problem = self._hopeless(cell)
            outcome: dict[str, Any] = {"problem": problem} if problem else self._tried(cell)
            if outcome.get("problem") == "no time left":
                say(f"{cell.network} {cell.maps}, {cell.row}: no time left")
                continue
            self.results["cells"].append({**asdict(cell), **outcome})
            self.write()
            rate = outcome.get("trial_epochs_per_hour", {}).get("median")
            told = outcome["problem"] if rate is None else f"{rate:,.0f} trial-epochs an hour, n = {outcome['n']}"
            left = (self.deadline - time.monotonic()) / 60
            say(f"{cell.network} {cell.maps}, {cell.row}: {told} ({left:.1f} minutes left)")
            if outcome.get("problem", "").startswith("failed") and broken(self.device):
                arguments = [*sys.argv, "--resume", "--minutes", f"{max(left, 0):.2f}"]  # this process is lost
                os.execv(sys.executable, [sys.executable, *arguments])

    def write(self) -> None:
        """Writes the results so far."""
        Path(self.args.out).write_text(json.dumps(self.results, indent=1))

    def _found(self, cell: Cell) -> dict[str, Any] | None:
        own = asdict(cell).items()
        return next((found for found in self.results["cells"] if own <= found.items()), None)

    def _hopeless(self, cell: Cell) -> str | None:
        """Returns why the cell needn't be tried, if so."""
        if cell.method == "CUDA graph" and self.device.type != "cuda":
            return "needs CUDA"
        now = time.monotonic()
        for fewer in sorted((count for count in self.args.lanes if count < cell.lanes), reverse=True):
            found = self._found(Cell(cell.network, cell.maps, cell.method, fewer, cell.benchmark))
            if found is None:
                continue
            if "problem" in found:
                if found["problem"] == "out of memory":
                    return "out of memory"
                continue
            predicted = cell.lanes / fewer * min(found["seconds"]) / found["steps"] * UNIT
            return "no time left" if now + 3 * predicted > self.deadline else None
        return "no time left" if now > self.deadline else None

    def _tried(self, cell: Cell) -> dict[str, Any]:
        torch.backends.cudnn.benchmark = cell.benchmark or cell.method in ("eager", "CUDA graph")
        try:
            return self._measured(cell)
        except torch.OutOfMemoryError:
            return {"problem": "out of memory"}
        except Exception as error:  # whatever a device or a network does, the other cells go on
            return {"problem": f"failed: {type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        finally:
            gc.collect()
            if self.device.type == "cuda" and not broken(self.device):
                torch.cuda.empty_cache()

    def _measured(self, cell: Cell) -> dict[str, Any]:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        held, began, steps = memory(self.device), time.monotonic(), UNIT
        training = self._program(cell, steps)
        with CountedBytes() as counted:  # also warms up
            training.epoch()
        seconds = [timed(training.epoch, self.device)]
        wanted = int(min(self.args.seconds / seconds[0] * UNIT, self.args.images / self.args.batch)) // UNIT * UNIT
        if wanted > steps:
            del training
            steps, seconds = wanted, []
            training = self._program(cell, steps)
            training.epoch()
        limit = min(self.deadline, began + self.args.cell_seconds)
        while not seconds or (len(seconds) < self.args.repeats and time.monotonic() + seconds[-1] < limit):
            seconds.append(timed(training.epoch, self.device))
        moved = counted.total / (UNIT * self.args.batch * cell.lanes)
        if cell.method == "CUDA graph":  # its operations aren't seen; they are the eager program's
            eager = self._found(Cell(cell.network, cell.maps, "eager"))
            moved = eager["bytes_an_image"] if eager and "problem" not in eager else None
        peak = memory(self.device, peak=True) - held - training.image_bytes if self.device.type == "cuda" else None
        return {"steps": steps, "seconds": seconds, "bytes_an_image": moved, "peak_bytes": peak} | self._rates(
            cell, seconds, steps, moved
        )

    def _program(self, cell: Cell, steps: int) -> Program:
        count = steps * self.args.batch
        return program(cell, self.images.first(count, count // 5), self.args.batch, self.precision)

    def _rates(self, cell: Cell, seconds: list[float], steps: int, moved: float | None) -> dict[str, Any]:
        """Returns trial-epochs an hour, scaled to all images, and the shares of the device's ceilings."""
        size = f"{cell.network} {cell.maps}"
        if size not in self.results["arithmetic"]:
            self.results["arithmetic"][size] = arithmetic(cell, 2, self.device)
        training, evaluation = self.results["arithmetic"][size]
        images = steps * self.args.batch * cell.lanes / statistics.median(seconds)  # of training, a second
        hourly = [3600 * cell.lanes * steps * self.args.batch / self.args.images / one for one in seconds]
        ceiling = self.results["ceilings"]
        # Convolutions in float32 use TF32 where there is such a thing: torch's default.
        kind = "tf32" if self.args.precision == "float32" and "tf32" in ceiling else self.args.precision
        return {
            "n": len(seconds),
            "trial_epochs_per_hour": {"median": statistics.median(hourly), "min": min(hourly), "max": max(hourly)},
            "of_matrix": images * (training + evaluation / 5) / ceiling[kind],
            "of_memory": None if moved is None else images * moved / ceiling["copy"],
        }

    # The table

    def table(self) -> str:
        """Returns the results as Markdown."""
        lines = [", ".join(f"{name} {value}" for name, value in self.results["environment"].items() if value) + "."]
        reached = self.results["ceilings"]
        if not reached:
            return "nothing was measured"
        lines += [
            ", ".join(f"{name} product {value / 1e12:.3g} TFLOP/s" for name, value in reached.items() if name != "copy")
            + f", copy {reached['copy'] / 1e9:.4g} GB/s, all measured in this run. {self.args.precision}, batches of "
            f"{self.args.batch}, epochs of {self.args.images} + {self.args.images // 5} images.",
        ]
        for size in dict.fromkeys((cell["network"], cell["maps"]) for cell in self.results["cells"]):
            lines += ["", *self._size_table(*size)]
        return "\n".join(lines)

    def _size_table(self, network: str, maps: int) -> list[str]:
        found = [cell for cell in self.results["cells"] if (cell["network"], cell["maps"]) == (network, maps)]
        found.sort(key=lambda cell: (METHODS.index(cell["method"]), cell["benchmark"], cell["lanes"]))
        eager = next((c["trial_epochs_per_hour"]["median"] for c in found if c["method"] == "eager" and "n" in c), None)
        columns = ["trial-epochs an hour", "range", "n", "x eager", "of matrix", "of memory", "peak GiB"]
        lines = [f"| {network}, {maps} maps | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for cell in found:
            row = Cell(network, maps, cell["method"], cell["lanes"], cell["benchmark"]).row
            if "problem" in cell:
                lines.append(f"| {row} | {cell['problem']} | | | | | | |")
                continue
            rate = cell["trial_epochs_per_hour"]
            times = f"{rate['median'] / eager:.2f}" if eager else ""
            memory_share = "" if cell["of_memory"] is None else f"{cell['of_memory']:.1%}"
            peak = "" if cell["peak_bytes"] is None else f"{cell['peak_bytes'] / 2**30:.2f}"
            columns = [row, number(rate["median"]), f"{number(rate['min'])} - {number(rate['max'])}", str(cell["n"])]
            lines.append("| " + " | ".join([*columns, times, f"{cell['of_matrix']:.1%}", memory_share, peak]) + " |")
        return lines


def number(value: float) -> str:
    """Returns a rate with three digits at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def memory(device: torch.device, peak: bool = False) -> int:
    """Returns the bytes in use on the device, or the most that were; 0 on a CPU."""
    if device.type != "cuda":
        return 0
    return torch.cuda.max_memory_allocated(device) if peak else torch.cuda.memory_allocated(device)


def broken(device: torch.device) -> bool:
    """Whether an error has made the device unusable for this process."""
    try:
        synchronize(device)
    except RuntimeError:
        return True
    return False


def processor() -> str:
    """Returns what the CPU is called, where Linux tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def environment(device: torch.device) -> dict[str, Any]:
    """Returns where this runs."""
    here = Path(leadline.__file__).parent
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True)
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else f"{processor()}, 1 thread",
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
        "python": platform.python_version(),
        "leadline": commit.stdout.strip() or None,
    }


def say(text: str) -> None:
    """Tells how far it is."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see whether the script works")
    parser.add_argument("--minutes", type=float, default=20.0, help="begin no cell after that")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="that a timed epoch is to take")
    parser.add_argument("--cell-seconds", type=float, default=40.0, help="after which a cell isn't timed again")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=50_000, help="of an epoch, and a fifth as many to evaluate")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--maps", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--lanes", nargs="+", type=int, default=[4, 16, 64, 256])
    parser.add_argument("--out", default="lanes_gpu.json")
    parser.add_argument("--resume", action="store_true", help="measure only what is missing in --out")
    args = parser.parse_args()
    if args.quick:
        args.maps, args.lanes, args.batch, args.images = [4, 8], [2, 3, 4], 4, 40
        args.repeats, args.seconds = 2, 0.01
    return args


def main() -> None:
    args = arguments()
    if args.device == "cpu":
        if not MALLOC.keys() <= os.environ.keys():  # read when a process starts
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})
        torch.set_num_threads(1)
    benchmark = Benchmark(args)

    def give_up() -> None:  # the device hangs, or an epoch takes longer than anybody foresaw
        say("the time is long up")
        print(benchmark.table(), flush=True)
        os._exit(3)

    timer = threading.Timer(args.minutes * 60 + 120, give_up)
    timer.daemon = True
    timer.start()
    benchmark.run()
    print(benchmark.table())


if __name__ == "__main__":
    main()
