"""How the stacks of a blueprint are run, fused or looped: what is possible, and which is faster here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from .blueprint import blueprint
from .capacity import capacity
from .data import Dataset, Subset
from .reasons import device_failed, told
from .recipe import Recipe
from .stack import Bench, FusedStack, Lane, LoopedStack, Stack
from .stack.dropout import replace_dropout
from .stack.kernels import StackedNetwork
from .streams import Stream

CLEARLY = 1.25  # so much slower fused lanes must be to be looped, lest a study's plan change from run to run
STEPS = 4  # of a rehearsal's epoch
Build = Callable[[], nn.Module]  # makes the network anew, the same each time


@dataclass(frozen=True)
class Plan:
    """The kind of stack that a blueprint's trials train in, and why: "fused", "looped", "padded" or "apart".

    Fused stacks are "padded" if networks of all widths share one, or the widths are "apart".
    """

    stack: str
    lanes: int  # how many pay
    reason: str


def name_of(bench: Bench, recipe: Recipe, network: nn.Module) -> str:
    """Returns the name of what lanes of a stack share: blueprint, batch size, optimizer, what is done to examples."""
    return "-".join([blueprint(network), str(bench.batch(recipe)), recipe.optimizer, *recipe.alterations])


def choose(bench: Bench, build: Build, recipe: Recipe, *, lanes: int, fixed: bool, wanted: str = "auto") -> Plan:
    """Returns the plan for the blueprint of the networks that `build` makes.

    A few steps on the first rows of the data tell whether fused lanes come to what each network comes to alone, and,
    where `wanted` is "auto", which kind of stack is faster. `lanes` is how many there are to be; on a GPU, where that
    isn't `fixed`, how many pay is measured, up to so many.
    """
    if wanted == "looped":
        return Plan("looped", 1, "asked for")
    if wanted == "auto" and lanes == 1:
        return Plan("looped", 1, "one lane at a time")
    bench = _excerpt(bench, recipe)
    obstacle = _obstacle(bench, build, recipe)
    if obstacle is not None:
        return Plan("looped", 1, obstacle)
    if bench.device.type == "cuda" and not fixed:
        free, _ = torch.cuda.mem_get_info(bench.device)
        lanes = capacity(partial(_cost, bench, build, recipe), most=lanes, free=free)
    if wanted in ("fused", "padded"):
        return Plan("fused", lanes, "asked for")
    if bench.device.type == "cpu" and not _steady(bench, build, recipe, lanes):
        return Plan("looped", 1, "fused, its last digits would depend on a lane's place: sizes no multiples of 16?")
    fused = _seconds(FusedStack, bench, build, recipe, lanes) / lanes
    looped = _seconds(LoopedStack, bench, build, recipe, 1)
    faster = "fused" if fused < CLEARLY * looped else "looped"
    times = f"{fused * 1e3:.2f} ms a lane and step fused with {lanes} lanes, {looped * 1e3:.2f} ms looped"
    return Plan(faster, lanes if faster == "fused" else 1, f"that is faster here: {times}")


def choose_padding(
    bench: Bench, narrowest: Build, widest: Build, recipe: Recipe, *, lanes: int, widths: int, wanted: str = "auto"
) -> Plan:
    """Returns whether networks of so many `widths` share stacks padded to the widest, or are trained apart.

    Padding makes fuller stacks and wastes arithmetic. What is compared is a padded stack of so many `lanes` with two of
    an even share of them, the one of the narrowest networks and the other of the widest.
    """
    if wanted == "padded":
        return Plan("padded", lanes, "asked for")
    bench, share = _excerpt(bench, recipe), max(1, lanes // widths)
    apart = sum(_seconds(FusedStack, bench, build, recipe, share) for build in (narrowest, widest)) / (2 * share)
    padded = _seconds(FusedStack, bench, widest, recipe, lanes) / lanes
    times = f"{padded * 1e3:.2f} ms a lane and step padded, {apart * 1e3:.2f} ms apart"
    return Plan("padded" if padded < apart else "apart", lanes, f"that is faster here: {times}")


def _excerpt(bench: Bench, recipe: Recipe) -> Bench:
    rows, data = STEPS * bench.batch(recipe), bench.data
    train = Subset(data.train.inputs[:rows], data.train.targets[:rows])
    valid = Subset(data.valid.inputs[:16], data.valid.targets[:16])
    return replace(bench, folds=(Dataset(**{**vars(data), "train": train, "valid": valid}),))


def _rehearsal(kind: type[Stack], bench: Bench, build: Build, recipe: Recipe, numbers: Iterable[int]) -> Stack:
    stack = kind(bench)
    for number in numbers:
        stack.add(Lane(number, {}, recipe, Stream(0, number)), build())
    return stack


def _obstacle(bench: Bench, build: Build, recipe: Recipe) -> str | None:
    """Returns why these networks can't be fused, None if they can.

    Both ways are gone in plain gradient descent and float32, whose rounding doesn't grow as fast as Adam's.
    """
    plain, recipe = replace(bench, autocast=None), replace(recipe, optimizer="sgd", momentum=0.0, lr=1e-2)
    ways: list[tuple[type[Stack], Bench]] = [(LoopedStack, plain), (FusedStack, plain)]
    ways += [(FusedStack, bench)] if bench.autocast else []
    weights, losses = [], []
    for kind, numbers in ways:
        network = build()
        replace_dropout(network)
        before = blueprint(network)
        comparable = before == blueprint(network)
        try:
            stack = _rehearsal(kind, numbers, iter([network, build()]).__next__, recipe, range(2))
            (_, epoch) = stack.train_epoch()
        except torch.OutOfMemoryError:
            return None  # the device is full for the moment; that says nothing of the network
        except Exception as error:  # the network is the user's: what it does to torch.func is known by trying
            if device_failed(error):
                raise  # nor does that
            return _told(error) if kind is FusedStack else None
        if epoch.error is not None:
            if device_failed(epoch.error):
                raise epoch.error
            # What fails alone too isn't an obstacle to fusing; the trial will tell of it.
            return _told(epoch.error) if kind is FusedStack else None
        if comparable and blueprint(network) != before:
            return "its forward changes the module itself, which would count lanes as steps"
        weights.append(stack.weights(epoch.lane))
        losses.append(epoch.metrics["valid/loss"])
    for name, start in build().state_dict().items():
        alone, fused = (found[name].double() - start.to(found[name].device).double() for found in weights[:2])
        most = float(alone.nan_to_num(0.0, 0.0, 0.0).abs().max())  # an attention's mask is infinite before and after
        if not torch.allclose(alone, fused, rtol=0.02, atol=0.02 * most + 1e-6, equal_nan=True):
            return f"its `{name}` comes out otherwise when fused"
    if not math.isclose(losses[0], losses[1], rel_tol=0.02, abs_tol=1e-6) and math.isfinite(losses[0]):
        return "its validation loss comes out otherwise when fused"
    return None


def _told(error: Exception) -> str:
    text = told(error)
    if "randomness error mode" in text:
        place = text.rpartition("(")[2].rstrip(")")
        return f"its forward draws random numbers by itself ({place}): `nn.Dropout` modules can be fused"
    return f"torch can't batch it: {text}"


def _steady(bench: Bench, build: Build, recipe: Recipe, lanes: int) -> bool:
    """Tells whether a lane of these networks comes to the same bits with one neighbour, and last of many.

    Chains of kernels of ours do by construction; what torch batches is tried.
    """
    replace_dropout(network := build())
    if not StackedNetwork(network).vmapped:
        return True
    weights = []
    for count in (2, max(5, lanes)):
        stack = _rehearsal(FusedStack, bench, build, recipe, (*range(1, count), 0))
        stack.train_epoch()
        weights.append(stack.weights(stack.lanes[0]))
    return all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def _cost(bench: Bench, build: Build, recipe: Recipe, lanes: int) -> tuple[float, int]:
    """Returns the seconds of a step of so many fused lanes on a GPU, and the bytes that it needs at its peak."""
    torch.cuda.reset_peak_memory_stats(bench.device)
    before = torch.cuda.memory_allocated(bench.device)
    seconds = _seconds(FusedStack, bench, build, recipe, lanes)
    return seconds, torch.cuda.max_memory_allocated(bench.device) - before


def _seconds(kind: type[Stack], bench: Bench, build: Build, recipe: Recipe, lanes: int) -> float:
    """Returns the seconds of a step of all lanes: of two epochs after the first the faster."""
    stack = _rehearsal(kind, bench, build, recipe, range(lanes))
    stack.train_epoch()
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        stack.train_epoch()  # ends with the metrics, so a device has finished by then
        taken.append(time.perf_counter() - began)
    return min(taken) / bench.steps(recipe)
