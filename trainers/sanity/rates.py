"""Is the range of learning rates a sensible one? A range test (Smith, 2017)."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..plan import Build
from ..recipe import Recipe
from ..stack import Bench
from ..streams import Stream
from .finding import Finding, Verdict
from .steps import Steps

LEAST, MOST = 1e-6, 10.0  # rates that are tried at any rate
STEPS = 100
CALM = 10  # first steps, at rates where nothing happens: they tell where the loss begins, and how it scatters
WIDTH = 2.0  # steps, of the bell by which losses are smoothed


@dataclass(frozen=True)
class Rates(Finding):
    """The loss while the learning rate grows by the same factor each step, and what it says of the range (low, high).

    `learns_from` is the rate where the loss clearly begins to fall, `steepest` where it falls fastest, `lowest` where
    it is lowest, `breaks_at` where half of what was gained is lost again; None where that wasn't seen. `losses` are as
    they were, `smooth` smoothed; one that isn't finite ends them.
    """

    optimizer: str
    low: float
    high: float
    learns_from: float | None
    steepest: float | None
    lowest: float | None
    breaks_at: float | None
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]


def rates(
    build: Build, bench: Bench, recipe: Recipe, stream: Stream, *, low: float, high: float, seconds: float = 15.0
) -> Rates:
    """Returns how the network that `build` makes takes learning rates, and what that says of those from low to high.

    It is trained as `recipe` says but for its schedule. Where `seconds` don't suffice for all steps, there are fewer.
    """
    steps, size = Steps(bench, build(), recipe, stream), bench.batch(recipe)
    generator = torch.Generator().manual_seed(stream.key("order"))
    order = torch.randperm(len(bench.data.train), generator=generator).to(bench.device)
    order = order[: len(order) // size * size].view(-1, size)
    tried, losses, fastest = _spaced(low, high, STEPS), [], math.inf
    for step in range(STEPS):
        if step == 4 and fastest * STEPS > seconds:
            tried = _spaced(low, high, max(3 * CALM, int(seconds / fastest)))
        if step == len(tried):
            break
        began = time.perf_counter()
        losses.append(steps.take(order[step % len(order)], lr=float(tried[step])).metrics["train/loss"])
        fastest = min(fastest, time.perf_counter() - began)
        calm = float(np.mean(losses[:CALM]))
        if not math.isfinite(losses[-1]) or (step > CALM and losses[-1] - calm > 10 * (abs(calm) + 1e-12)):
            break
    trial = recipe.epochs * bench.steps(recipe)
    return _judged(recipe.optimizer, low, high, tried[: len(losses)], np.array(losses), trial)


def _spaced(low: float, high: float, count: int) -> NDArray[np.float64]:
    return np.geomspace(min(LEAST, low / 10), max(MOST, high * 10), count)


def smoothed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns losses (N,) averaged over their neighbours, weighted by a bell that no rate is moved by."""
    steps = np.arange(len(losses))
    bells = np.exp(-(((steps[:, None] - steps) / WIDTH) ** 2) / 2)
    averages: NDArray[np.float64] = bells @ losses / bells.sum(axis=1)
    return averages


def _judged(
    optimizer: str, low: float, high: float, tried: NDArray[np.float64], losses: NDArray[np.float64], trial: int
) -> Rates:
    finite = int(np.argmin(np.isfinite(losses))) if not np.isfinite(losses).all() else len(losses)
    smooth = smoothed(losses[:finite])
    learns_from, steepest, lowest, breaks_at = _turns(tried, losses[:finite], smooth)
    if finite < len(losses) and breaks_at is None:
        breaks_at = float(tried[finite])
    verdict, text = _told(optimizer, low, high, learns_from, steepest, breaks_at, tried, trial)
    curve = (tuple(map(float, part)) for part in (tried[:finite], losses[:finite], smooth))
    return Rates(verdict, text, optimizer, low, high, learns_from, steepest, lowest, breaks_at, *curve)


def _turns(
    tried: NDArray[np.float64], losses: NDArray[np.float64], smooth: NDArray[np.float64]
) -> tuple[float | None, float | None, float | None, float | None]:
    """Returns where the loss begins to fall, falls fastest, is lowest, and has climbed back: rates or None."""
    if len(losses) <= CALM:
        return None, None, None, None
    start, scatter = losses[:CALM].mean(), losses[:CALM].std(ddof=1)
    bottom = int(smooth.argmin())
    gain = start - smooth[bottom]
    clear = max(scatter, 0.02 * abs(start))
    if gain < 2 * clear:
        climbed = np.flatnonzero(smooth > start + 3 * clear)
        return None, None, None, float(tried[climbed[0]]) if len(climbed) else None
    begins = int(np.flatnonzero(smooth[: bottom + 1] < start - max(clear, gain / 10))[0])
    fastest = begins + int(np.gradient(smooth)[begins : bottom + 1].argmin())
    lost = bottom + np.flatnonzero(smooth[bottom:] > smooth[bottom] + gain / 2)
    breaks_at = float(tried[lost[0]]) if len(lost) else None
    return float(tried[begins]), float(tried[fastest]), float(tried[bottom]), breaks_at


def _told(
    optimizer: str,
    low: float,
    high: float,
    learns_from: float | None,
    steepest: float | None,
    breaks_at: float | None,
    tried: NDArray[np.float64],
    trial: int,
) -> tuple[Verdict, str]:
    one = low == high
    asked = f"lr {low:.2g}" if one else f"lr {low:.2g} to {high:.2g}"
    if breaks_at is not None and low >= breaks_at:
        better = f"; it falls fastest at {steepest:.1g}" if steepest else ""
        return "problem", f"{asked}: all too high, with {optimizer} the loss breaks down from {breaks_at:.1g}{better}."
    if learns_from is None or steepest is None:
        return "warning", f"The loss falls clearly at no learning rate from {tried[0]:.1g} to {tried[-1]:.1g}."
    told = f"With {optimizer} the loss falls from lr {learns_from:.1g} on, fastest at {steepest:.1g}"
    told += f", and breaks down at {breaks_at:.1g}" if breaks_at is not None else ""
    # A smaller rate gets as far as this one did in a few steps if it has so many more of them.
    few = sum(learns_from / 10 < rate <= learns_from for rate in tried)
    if high * trial < learns_from * few:
        return (
            "problem",
            f"{asked}: all too low, hardly anything would change in the {trial:,} steps of a trial. {told}.",
        )
    if high < learns_from / 10:
        return "warning", f"{asked}: all low. {told}: a higher end would save epochs."
    above = 0.0 if breaks_at is None or one else math.log(high / min(high, breaks_at)) / math.log(high / low)
    if above > 1 / 3:
        return "warning", f"{told}: {above:.0%} of the range {low:.2g} to {high:.2g} are above that, and wasted."
    return "ok", f"{told}: {asked} is sensible."
