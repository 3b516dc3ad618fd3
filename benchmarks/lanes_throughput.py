"""Throughput against the number of lanes: leadline's fused and looped stacks, by network and size.

    python benchmarks/lanes_throughput.py --minutes 7
    python benchmarks/lanes_throughput.py --from lanes_throughput.json       # draws and prints again

The networks are the families `mlp` (2 hidden layers) and `convnet` (2 blocks), on images of 8x8 as in scikit-learn's
digits, made up: 1,024 to train on in batches of 64, 256 to validate on, AdamW, a dropout of 0.2. A lane-epoch is one
lane's training and evaluation once through them, metrics and all. Each number of lanes keeps a fused and a looped
stack; after warming up, the rounds go through all of them again and again, the two stacks side by side, in alternating
order, so that a busy minute of the machine hits both. On a CPU a second is one of the process's CPU time, which leaves
out the time that other programs had its core, though not what they did to its caches; elsewhere it is one of the wall
clock, and the JSON has both. Writes each measurement as JSON, the medians as a table on stdout, and medians with ranges
as a plot (with matplotlib, which comes with mlflow).

On a CPU it runs in one thread, with MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ high, as leadline's workers do.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import leadline
from leadline.trainers.data import Dataset, Preparation, Subset
from leadline.trainers.metrics import METRICS
from leadline.trainers.networks import build
from leadline.trainers.recipe import Recipe
from leadline.trainers.stack import Bench, FusedStack, Lane, LoopedStack, Stack
from leadline.trainers.streams import Stream

IN_SHAPE, CLASSES, BATCH, TRAIN, VALID = (1, 8, 8), 10, 64, 1024, 256
SIZES = [("mlp", 16), ("mlp", 32), ("mlp", 64), ("mlp", 128), ("mlp", 256)]
SIZES += [("convnet", 8), ("convnet", 16), ("convnet", 32)]
STACKS: dict[str, type[Stack]] = {"fused": FusedStack, "looped": LoopedStack}
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


class Cell:
    """One stack of so many lanes, and the lane-epochs per second it reached."""

    def __init__(self, bench: Bench, model: str, width: int, kind: str, lanes: int) -> None:
        self.model, self.width, self.kind, self.lanes = model, width, kind, lanes
        self.clock = time.process_time if bench.device.type == "cpu" else time.perf_counter
        self.rates: list[float] = []
        self.wall_rates: list[float] = []
        self.stack = STACKS[kind](bench)
        for number in range(lanes):
            recipe = Recipe(batch_size=BATCH, lr=1e-4 * 10 ** (2 * number / lanes))
            network = build(model, in_shape=IN_SHAPE, classes=CLASSES, depth=2, feature_maps=width, dropout=0.2)
            self.stack.add(Lane(number, {}, recipe, Stream(0, number)), network)
        self.epoch()  # the first allocates, and compiles on some devices

    def epoch(self) -> None:
        """Trains each lane for an epoch; when it returns, the metrics are there, and so the device is done."""
        for epoch in self.stack.train_epoch():
            if epoch.error is not None:
                raise epoch.error

    def measure(self, seconds: float) -> None:
        """Trains for as many epochs as begin within that many seconds, and keeps the rate."""
        began, wall_began, epochs = self.clock(), time.perf_counter(), 0
        while self.clock() - began < seconds:
            self.epoch()
            epochs += 1
        self.rates.append(self.lanes * epochs / (self.clock() - began))
        self.wall_rates.append(self.lanes * epochs / (time.perf_counter() - wall_began))

    def result(self) -> dict[str, Any]:
        """Returns what goes into the JSON."""
        return {name: getattr(self, name) for name in ("model", "width", "kind", "lanes", "rates", "wall_rates")}


def made_up(device: torch.device) -> Bench:
    """Returns a bench with images of noise."""
    generator = torch.Generator().manual_seed(0)
    train, valid = (
        Subset(torch.randn(n, *IN_SHAPE, generator=generator), torch.randint(CLASSES, (n,), generator=generator))
        for n in (TRAIN, VALID)
    )
    preparation = Preparation(IN_SHAPE, torch.zeros(1).double().numpy(), torch.ones(1).double().numpy())
    classes = tuple(map(str, range(CLASSES)))
    data = Dataset("noise", IN_SHAPE, classes, CLASSES, train.to(device), valid.to(device), preparation)
    return Bench((data,), device, F.cross_entropy, METRICS["accuracy"])


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns the results of all cells, after as many rounds as the time allows."""
    deadline, bench = time.monotonic() + args.minutes * 60, made_up(torch.device(args.device))
    torch.manual_seed(0)
    pairs = []
    for model, width in SIZES:
        for lanes in args.lanes:
            pairs.append([Cell(bench, model, width, kind, lanes) for kind in STACKS])
        print(f"{model} {width}: warm", file=sys.stderr, flush=True)
    for count in range(args.repeats):
        for pair in pairs:
            if time.monotonic() > deadline:
                break
            for cell in pair if count % 2 else reversed(pair):
                cell.measure(args.seconds)
        left = deadline - time.monotonic()
        print(f"round {count + 1} of at most {args.repeats}, {left:.0f} s left", file=sys.stderr, flush=True)
        if left < 0:
            break
    return [cell.result() for pair in pairs for cell in pair if cell.rates]


def table(results: dict[str, Any]) -> str:
    """Returns the medians as Markdown."""
    cells = results["cells"]
    lanes = sorted({cell["lanes"] for cell in cells})
    repeats = sorted({len(cell["rates"]) for cell in cells})
    lines = [
        ", ".join(f"{name} {value}" for name, value in results["environment"].items() if value)
        + f". Lane-epochs per {results['second']}, median of {' or '.join(map(str, repeats))}. Spread: (max - min) / "
        "median of a cell, the median and the greatest of the row. Ratio: fused to looped, the median of the rounds' "
        "ratios, with their range.",
        "",
        f"| network | stack | {' | '.join(map(str, lanes))} lanes | spread |",
        "|---" * (3 + len(lanes)) + "|",
    ]
    for model, width in dict.fromkeys((cell["model"], cell["width"]) for cell in cells):
        for kind in STACKS:
            row = {c["lanes"]: c["rates"] for c in cells if (c["model"], c["width"], c["kind"]) == (model, width, kind)}
            medians = [number(statistics.median(row[count])) if count in row else "" for count in lanes]
            spreads = [(max(rates) - min(rates)) / statistics.median(rates) for rates in row.values()]
            spread = f"{statistics.median(spreads):.0%}, {max(spreads):.0%}"
            lines.append(f"| {model} {width} | {kind} | {' | '.join(medians)} | {spread} |")
        ratios = [ratio([c for c in cells if (c["model"], c["width"], c["lanes"]) == (model, width, n)]) for n in lanes]
        lines.append(f"| {model} {width} | ratio | {' | '.join(ratios)} | |")
    return "\n".join(lines)


def ratio(pair: list[dict[str, Any]]) -> str:
    """Returns how many times faster the fused stack was than the looped one beside it: median and range."""
    fused, looped = (next((cell["rates"] for cell in pair if cell["kind"] == kind), []) for kind in STACKS)
    found = [one / other for one, other in zip(fused, looped, strict=False)]
    return f"{statistics.median(found):.1f} ({min(found):.1f}-{max(found):.1f})" if found else ""


def number(value: float) -> str:
    """Returns a rate with two digits at least."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def plot(results: dict[str, Any], path: Path) -> None:
    """Draws a panel for each network: lane-epochs per second against lanes, median and range."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "leadline", "svg.fonttype": "none"}  # the same numbers give the same file
    mpl.rcParams["font.sans-serif"] = ["DejaVu Sans", "Verdana"]
    from matplotlib import pyplot as plt

    cells = results["cells"]
    sizes = list(dict.fromkeys((cell["model"], cell["width"]) for cell in cells))
    ticks = sorted({cell["lanes"] for cell in cells})
    columns = math.ceil(len(sizes) / 2)
    figure, grid = plt.subplots(2, columns, figsize=(3 * columns, 5.6), sharex=True, squeeze=False)
    for panel in grid.flat[len(sizes) :]:
        panel.set_axis_off()
    for panel, (model, width) in zip(grid.flat, sizes, strict=False):
        for kind, colour, marker in (("fused", "#0b6fb8", "o"), ("looped", "#c8501e", "s")):
            own = [cell for cell in cells if (cell["model"], cell["width"], cell["kind"]) == (model, width, kind)]
            lanes = [cell["lanes"] for cell in own]
            medians = [statistics.median(cell["rates"]) for cell in own]
            lows, highs = ([end(cell["rates"]) for cell in own] for end in (min, max))
            panel.fill_between(lanes, lows, highs, color=colour, alpha=0.2, linewidth=0)
            panel.plot(lanes, medians, color=colour, marker=marker, markersize=4, label=kind)
        panel.set_title(f"{model}, {width} {'units' if model == 'mlp' else 'maps'}", fontsize=10)
        panel.set_xscale("log", base=2)
        panel.set_xticks(ticks, [str(count) for count in ticks], minor=False)
        panel.set_ylim(bottom=0)
        panel.grid(color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, labelbottom=True)
    grid.flat[0].legend(frameon=False, fontsize=9)
    figure.supxlabel("lanes", fontsize=10)
    figure.supylabel(f"lane-epochs per {results['second']} (median, range)", fontsize=10)
    device, torch_version = results["environment"]["device"], results["environment"]["torch"]
    figure.suptitle(
        f"Training {TRAIN:,} images of 8x8, batches of {BATCH}: {device}, torch {torch_version}; higher is better",
        fontsize=10,
    )
    figure.tight_layout()
    figure.savefig(path, **({"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 110}))
    plt.close(figure)


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
        "python": platform.python_version(),
        "leadline": commit.stdout.strip() or None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=7.0, help="begin no measurement after that")
    parser.add_argument("--repeats", type=int, default=7, help="rounds at most")
    parser.add_argument("--seconds", type=float, default=0.1, help="that a measurement takes at least")
    parser.add_argument("--lanes", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--out", type=Path, default=Path("lanes_throughput.json"))
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_suffix(".svg"), help="an .svg or .png")
    parser.add_argument("--from", dest="source", type=Path, help="results to draw instead of measuring")
    args = parser.parse_args()
    if args.source:
        results = json.loads(args.source.read_text())
    else:
        if args.device == "cpu":
            if not MALLOC.keys() <= os.environ.keys():  # read when a process starts
                os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})
            torch.set_num_threads(1)
        second = "second of CPU time" if args.device == "cpu" else "second"
        results = {"environment": environment(torch.device(args.device)), "second": second, "cells": measure(args)}
        args.out.write_text(json.dumps(results, indent=1))
    print(table(results))
    plot(results, args.plot)


if __name__ == "__main__":
    main()
