"""Are inputs and targets of the training rows plausible?"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..data import Data, Dataset
from .finding import Finding, Verdict

EXTREME = 50.0  # deviations from the mean, of an input
FAR = 10.0  # interquartile ranges from the median, of a regression's target
SKEWED = 3.0
UNEVEN = 10.0  # times the smallest class that the largest may have
TELLING = 0.999  # share of an input's variance that the targets explain
LOOKED_AT = 2**25  # numbers of the inputs, at most, that are looked at where they aren't at hand, or looked at closely
NAMED = 5  # names in a sentence


@dataclass(frozen=True)
class Inputs(Finding):
    """What is odd about the training inputs.

    `constant` are inputs (of images: channels) with one value only, `left_out` columns of a table that are constant or
    name single rows, `telling` inputs that all but are the target. `constant_share` is that of all inputs, pixels too;
    `extreme` is the largest input, in deviations from its mean.
    """

    constant: tuple[str, ...]
    left_out: tuple[str, ...]
    telling: tuple[str, ...]
    constant_share: float
    extreme: float


@dataclass(frozen=True)
class Targets(Finding):
    """How the training targets are distributed.

    Of classes, `counts` by name, and `majority`, the share of the largest: the accuracy to beat. Of a regression,
    `quantiles` (0, 1, 25, 50, 75, 99, 100 %), the skewness, and how many lie far from the others.
    """

    counts: dict[str, int] | None = None
    majority: float | None = None
    quantiles: tuple[float, ...] | None = None
    skewness: float | None = None
    far: int | None = None


def inputs(data: Data, dataset: Dataset) -> Inputs:
    """Returns what is odd about the prepared training inputs of a data set, and about the columns they came from."""
    held, names = dataset.train.inputs, _names(data, dataset)
    values = held if isinstance(held, Tensor) else held[: _rows(dataset)]
    steady = (values.amin(dim=0) == values.amax(dim=0)).cpu()
    whole = steady.flatten(1).all(dim=1) if steady.ndim > 1 else steady
    constant = tuple(name for name, still in zip(names, whole.tolist(), strict=True) if still)
    kept = {column.name for column in dataset.preparation.columns or ()}
    columns = () if isinstance(data.inputs, np.ndarray) else map(str, data.inputs.columns)
    left_out = tuple(name for name in columns if name not in kept)
    telling = _telling(dataset, names)
    extreme = float(values.abs().max())
    odd = []
    if telling:
        odd.append(f"{_listed(telling)} all but gives the target away: is it known when predictions are made?")
    if constant:
        odd.append(f"{_listed(constant)} never changes: leave it out.")
    if left_out:
        odd.append(f"{_listed(left_out)} is left out, being constant or different in most rows.")
    if extreme > EXTREME:
        odd.append(f"An input lies {extreme:.0f} deviations from its mean: is it a slip, or should it be a logarithm?")
    verdict: Verdict = "warning" if telling or constant or extreme > EXTREME else "ok"
    share = float(steady.float().mean())
    fine = f"Inputs vary, the farthest by {extreme:.0f} deviations" + (f"; {share:.0%} never change." if share else ".")
    return Inputs(verdict, " ".join(odd) or fine, constant, left_out, telling, share, extreme)


def targets(data: Data, dataset: Dataset) -> Targets:
    """Returns how the training targets of a data set are distributed."""
    return _classes(dataset) if dataset.classes else _numbers(dataset)


def _classes(dataset: Dataset) -> Targets:
    names = dataset.classes or ()
    found = torch.bincount(dataset.train.targets, minlength=len(names)).tolist()
    counts = dict(zip(names, found, strict=True))
    (most, large), (least, small) = (end(counts.items(), key=lambda pair: pair[1]) for end in (max, min))
    majority = large / sum(found)
    told = f"{len(names)} classes, always answering `{most}` gives an accuracy of {majority:.3f}: the one to beat"
    if large > UNEVEN * max(1, small):
        told += (
            f". They are uneven: {large:,} rows are `{most}`, {small:,} `{least}`. Judge by `balanced_accuracy` or "
            "`f1`, and try `class_weights: balanced`"
        )
        return Targets("warning", f"{told}.", counts, majority)
    return Targets("ok", f"{told}.", counts, majority)


def _numbers(dataset: Dataset) -> Targets:
    values = dataset.in_units(dataset.train.targets).flatten().double().cpu().numpy()
    low, _, lower, median, upper, _, high = quantiles = np.quantile(values, (0, 0.01, 0.25, 0.5, 0.75, 0.99, 1))
    numbers = tuple(map(float, quantiles))
    if low == high:
        text = f"All targets are {low:.4g}: there is nothing to learn. Is this the right column?"
        return Targets("problem", text, quantiles=numbers, skewness=0.0, far=0)
    skewness = float((((values - values.mean()) / values.std()) ** 3).mean())
    far = int((np.abs(values - median) > FAR * (upper - lower)).sum()) if upper > lower else 0
    told = f"Targets from {low:.4g} to {high:.4g}, half of them from {lower:.4g} to {upper:.4g}"
    odd = []
    if far:
        odd.append(f"{far:,} lie far from all others: are they slips? `huber` minds them less than `squared`")
    if abs(skewness) > SKEWED:
        odd.append(f"they are skewed ({skewness:.1f}): try their logarithm")
    return Targets(
        "warning" if odd else "ok", ". ".join([told, *odd]) + ".", quantiles=numbers, skewness=skewness, far=far
    )


def _names(data: Data, dataset: Dataset) -> list[str]:
    """Returns what to call each input, or each channel of images."""
    columns = dataset.preparation.columns
    if columns is not None:
        return [f"`{column.name}`" for column in columns for _ in column.standardised]
    what = "channel" if len(dataset.in_shape) > 1 else "input"
    return [f"{what} {place}" for place in range(dataset.in_shape[0])]


def _telling(dataset: Dataset, names: list[str]) -> tuple[str, ...]:
    """Returns the inputs that are all but a function of the targets: by epsilon squared (Kelley, 1935), or by R2."""
    if len(dataset.in_shape) > 1:
        return ()
    rows = _rows(dataset)
    values, wanted = dataset.train.inputs[:rows].double(), dataset.train.targets[:rows]
    shares = (
        _explained(values, wanted, len(dataset.classes)) if dataset.classes else _squared_correlation(values, wanted)
    )
    return tuple(dict.fromkeys(name for name, share in zip(names, shares.tolist(), strict=True) if share >= TELLING))


def _rows(dataset: Dataset) -> int:
    return max(1, min(len(dataset.train), LOOKED_AT // prod(dataset.in_shape)))


def _explained(values: Tensor, classes: Tensor, count: int) -> Tensor:
    """Returns the share of variance (F,) of values (N, F) that lies between classes (N,), corrected for chance."""
    sums = values.new_zeros(count, values.shape[1]).index_add_(0, classes, values)
    means = sums / torch.bincount(classes, minlength=count).clamp(min=1)[:, None]
    within = (values - means[classes]).square().sum(dim=0)
    total = (values - values.mean(dim=0)).square().sum(dim=0)
    free = max(1, len(values) - count)
    return torch.where(total > 0, 1 - (within / total) * (len(values) - 1) / free, 0.0)


def _squared_correlation(values: Tensor, numbers: Tensor) -> Tensor:
    """Returns the squared correlation (F,) of values (N, F) with numbers (N, 1)."""
    a, b = values - values.mean(dim=0), numbers.double() - numbers.double().mean()
    scale = a.square().sum(dim=0) * b.square().sum()
    return torch.where(scale > 0, (a * b).sum(dim=0).square() / scale, 0.0)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
