"""The runners-up: what differs between them and the best trial, and whether their values really do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..predictions import Predictions, kept_predictions
from ..trial import Trial
from .drawing.scales import Scale
from .significance import ALPHA, mcnemar, paired_bootstrap
from .words import setting

if TYPE_CHECKING:
    from .facts import Facts

MOST = 5
LARGEST = 20_000  # outputs of a trial, beyond which a metric isn't computed hundreds of times
ALIKE = 0.1  # of a parameter's range: a number that is nearer to the best's doesn't count as a difference


@dataclass(frozen=True)
class RunnerUp:
    """A trial that came close: what `differs` from the best trial, by how much it is `behind`, and if that is noise.

    `noise` is None where nothing tells; `evidence` says what does.
    """

    trial: Trial
    differs: tuple[str, ...]
    behind: float
    noise: bool | None
    evidence: str


def runners_up(facts: Facts) -> list[RunnerUp]:
    """Returns the next best trials, the best of them first."""
    best = facts.best
    if best is None or best.value is None:
        return []
    own = _kept(facts, best)
    found = []
    for trial in facts.ranked[1 : MOST + 1]:
        noise, evidence = _noise(facts, best, trial, own)
        behind = abs(best.value - (trial.value or 0.0))
        found.append(RunnerUp(trial, tuple(_differences(facts, best, trial)), behind, noise, evidence))
    return found


def _kept(facts: Facts, trial: Trial) -> Predictions | None:
    return kept_predictions(facts.study, trial) if facts.data is not None else None


def _differences(facts: Facts, best: Trial, other: Trial) -> list[str]:
    """Returns in which parameters a trial differs from the best one, and what it has there."""
    found = []
    for name, parameter in facts.space.parameters.items():
        if name not in other.params:
            if name in best.params:
                found.append(f"no {name}")
            continue
        value = other.params[name]
        if name in best.params:
            scale = Scale.of(name, parameter)
            same = best.params[name] == value
            near = not scale.options and abs(scale.unit(value) - scale.unit(best.params[name])) < ALIKE
            if same or (near and not scale.whole):
                continue
        found.append(f"{name} {setting(value)}")
    return found


def _noise(facts: Facts, best: Trial, other: Trial, own: Predictions | None) -> tuple[bool | None, str]:
    """Returns whether the values of two trials may differ by chance alone, and what tells so."""
    theirs = _kept(facts, other) if own is not None else None
    if own is not None and theirs is not None:
        if own.classes is not None and (facts.metric == "accuracy" or own.outputs.size > LARGEST):
            test = mcnemar(own.right, theirs.right)
            told = f"it alone is right on {test.second:,} rows, the best alone on {test.first:,}: p = {test.p:.2g}"
            return test.p >= ALPHA, f"{told} (McNemar)"
        interval = paired_bootstrap(_score(facts), own.outputs, theirs.outputs, own.targets, resamples=200)
        sign = 1 if facts.maximize else -1
        low, high = sorted((sign * interval.low, sign * interval.high))
        return interval.noise, f"the best is ahead by {low:.3g} to {high:.3g} (95 %, rows redrawn)"
    if best.spread is not None and other.spread is not None and best.value is not None and other.value is not None:
        trainer = facts.settings["trainer"] or {}
        times = max(trainer.get("folds", 1), trainer.get("replicates", 1))
        error = math.sqrt((best.spread**2 + other.spread**2) / times)
        return abs(best.value - other.value) < 2 * error, f"the difference has a standard error of {error:.2g}"
    return None, ""


def _score(facts: Facts) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    """Returns the study's metric as a function of arrays: outputs (n, classes) or (n, 1), targets (n,)."""
    import torch

    from ...trainers.worker import threads

    assert facts.study.trainer is not None
    metric = facts.study.trainer.metric(facts.study.metric)

    def score(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
        wanted = torch.from_numpy(targets)
        with threads(1):  # a second one only waits
            return metric(torch.from_numpy(outputs), wanted[:, None] if outputs.shape[1] == 1 else wanted)

    return score
