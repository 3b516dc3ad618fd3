"""Can the network reach zero training error on a few examples? If not, no search will make it learn many."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data import Dataset
from ..plan import Build
from ..recipe import Recipe
from ..stack import Bench
from ..streams import Stream
from .activations import DROPOUTS
from .finding import Finding, Verdict
from .steps import Steps

ROWS = 32
RATES = {1e-3: 0.5, 1e-2: 0.8, 3e-4: 1.0}  # of Adam, tried in this order, each until so much of the time is over
STEPS = 300  # with each of them
R2 = 0.99  # of a regression, whose error never is zero


@dataclass(frozen=True)
class Fits(Finding):
    """How far a network came in learning `rows` training examples by heart: the best `reached` of `metric`.

    `guessing` is what the best constant comes to on them.
    """

    metric: str
    rows: int
    guessing: float
    reached: float
    lr: float
    steps: int


def fits(build: Build, bench: Bench, stream: Stream, *, init: str = "default", seconds: float = 10.0) -> Fits:
    """Returns whether the network that `build` makes learns a few examples by heart, in `seconds` at most.

    It does without dropout, weight decay, augmentation and the like, by Adam at one of a few learning rates.
    """
    data, began = bench.data, time.perf_counter()
    rows = distinct_rows(data, stream)
    metric, goal = ("r2", R2) if data.classes is None else ("accuracy", 1.0)
    guessing = (
        0.0 if data.classes is None else Counter(data.train.targets[rows].tolist()).most_common(1)[0][1] / len(rows)
    )
    best, tried, enough = (-float("inf"), 0.0, 0), 0, True
    for lr, until in RATES.items():
        steps = Steps(bench, _undropped(build()), Recipe(optimizer="adam", lr=lr, init=init), stream)
        for step in range(1, STEPS + 1):
            reached = steps.take(rows).metrics[f"train/{metric}"]
            best = max(best, (reached, lr, step), key=lambda one: one[0])
            tried += 1
            if reached >= goal:
                text = f"{len(rows)} training examples were learned by heart in {step} steps ({metric} {reached:.3g})."
                return Fits("ok", text, metric, len(rows), guessing, reached, lr, step)
            if time.perf_counter() - began > seconds * until:
                enough = enough and step > STEPS // 3
                break
    reached, lr, step = best
    verdict: Verdict = "warning"
    text = f"{len(rows)} training examples weren't learned by heart in {tried} steps: {metric} {reached:.3g} at best"
    if not enough:
        advice = "; that was all the time there was, so it may still be well."
    elif reached > (guessing + goal) / 2:
        advice = ". It learns, but has little room: more units or layers would help."
    else:
        verdict = "problem"
        advice = (
            f", where guessing comes to {guessing:.3g}. Do its outputs depend on its inputs, do gradients pass, does "
            "the loss fit the last layer? First reach zero training error, then regularize."
        )
    return Fits(verdict, text + advice, metric, len(rows), guessing, reached, lr, step)


def distinct_rows(data: Dataset, stream: Stream) -> Tensor:
    """Returns a few training rows (N,) of different inputs, of all classes alike."""
    generator = torch.Generator().manual_seed(stream.key("order"))
    candidates = torch.randperm(len(data.train), generator=generator)[: 8 * ROWS].to(data.train.targets.device)
    (found,) = data.train.batches(candidates[None])
    seen: dict[bytes, int] = {}
    for row, inputs in zip(candidates.tolist(), found.cpu(), strict=True):
        seen.setdefault(inputs.numpy().tobytes(), row)
    chosen = list(seen.values())
    if data.classes is not None:
        of_class: Counter[int] = Counter()
        turns: list[tuple[int, int, int]] = []
        for row, target in zip(chosen, data.train.targets[chosen].tolist(), strict=True):
            of_class[target] += 1
            turns.append((of_class[target], len(turns), row))
        chosen = [row for _, _, row in sorted(turns)]
    return torch.tensor(chosen[:ROWS], device=candidates.device)


def _undropped(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, DROPOUTS):
            module.p = 0.0
    return network
