"""A trial under way: its lanes, and what their epochs come to together."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from .early_stopping import EarlyStopping
from .messages import Outcome
from .stack import Epoch, Lane, Stack, part

Tensors = dict[str, Tensor]
WEIGHTS, OUTPUTS = BEST = (
    "best.",
    "outputs.",
)  # of a checkpoint's tensors: at the best epoch


@dataclass(eq=False)
class Training:
    """One trial being trained: one lane, or one for each fold or replicate. Its value is their mean.

    The lanes share a stack and step together, so each epoch of all of them is one report. What they were is restored
    from `state()` and `tensors()`.
    """

    number: int
    params: Mapping[str, Any]
    lanes: list[Lane]
    stack: Stack
    stopping: EarlyStopping
    parameters: int  # weights of one lane's network
    rungs: frozenset[int] = frozenset()  # epochs after which it awaits a decision
    keeps_outputs: bool = False
    reports: list[dict[str, Any]] = field(default_factory=list)  # epoch, value and metrics of each epoch so far
    spreads: list[float] = field(default_factory=list)  # of the lanes' values, by epoch
    best_lane: int = 0  # whose weights at the best epoch are kept: the best of them
    best_lane_value: float | None = None  # and what it came to there
    best_weights: Tensors = field(default_factory=dict)
    best_outputs: list[Tensor] = field(default_factory=list)  # each lane's, of its validation rows, at the best epoch
    ending: tuple[Outcome, str] | None = None
    waiting: bool = False  # for a decision
    written: float = field(default_factory=time.monotonic)  # when its last checkpoint was, or it began

    @property
    def epoch(self) -> int:
        """How many epochs its lanes have had."""
        return self.lanes[0].epoch

    @property
    def seconds(self) -> float:
        """What it took of the device's time."""
        return sum(lane.seconds for lane in self.lanes)

    @property
    def finished(self) -> bool:
        """Whether its epochs or its patience are used up."""
        return self.epoch >= self.lanes[0].recipe.epochs or self.stopping.exhausted

    @property
    def awaits_decision(self) -> bool:
        """Whether its epoch is a rung, and not its last epoch."""
        return self.epoch in self.rungs and not self.finished

    def take(self, epochs: Sequence[Epoch]) -> bool:
        """Takes what an epoch came to for each of its lanes; returns whether there is something to report."""
        for epoch in epochs:
            if epoch.diverged_at is not None:
                self.ending = "failed", f"the loss was no number at epoch {self.epoch}, step {epoch.diverged_at}"
                return False
        values = [epoch.value for epoch in epochs]
        if any(map(math.isnan, values)):
            self.ending = "failed", f"the validation metric was no number at epoch {self.epoch}"
            return False
        value = statistics.fmean(values)
        metrics = {name: statistics.fmean(epoch.metrics[name] for epoch in epochs) for name in epochs[0].metrics}
        metrics["seconds"] = sum(epoch.seconds for epoch in epochs)
        if len(epochs) > 1:
            self.spreads.append(statistics.stdev(values))
            metrics["spread"] = self.spreads[-1]
        self.reports.append({"epoch": self.epoch, "value": value, "metrics": metrics})
        if self.stopping.update(self.epoch, value):
            self.best_lane_value = (max if self.stopping.maximize else min)(values)
            self.best_lane = values.index(self.best_lane_value)
            self.best_weights = self.stack.weights(self.lanes[self.best_lane])
            if self.keeps_outputs:
                self.best_outputs = [epoch.outputs.clone() for epoch in epochs if epoch.outputs is not None]
        if self.finished:
            exhausted = f"no better for {self.lanes[0].recipe.patience} epochs"
            self.ending = "complete", exhausted if self.stopping.exhausted else "all epochs done"
        return True

    def facts(self) -> dict[str, Any]:
        """Returns what is kept of it beside its value."""
        best = self.stopping.best_epoch
        facts = {
            "epochs": self.epoch,
            "best_epoch": best,
            "last": self.reports[-1]["value"] if self.reports else None,
            "seconds": self.seconds,
            "parameters": self.parameters,
        }
        if self.spreads and best:
            return {**facts, "spread": self.spreads[best - self.reports[0]["epoch"]]}
        return facts

    def state(self) -> dict[str, Any]:
        """Returns, as JSON, all but the tensors that a checkpoint needs."""
        return {
            "epoch": self.epoch,
            "reports": self.reports,
            "spreads": self.spreads,
            "seconds": [lane.seconds for lane in self.lanes],
            "stopping": asdict(self.stopping),
            "best_lane": self.best_lane,
            "best_lane_value": self.best_lane_value,
        }

    def tensors(self) -> Tensors:
        """Returns the tensors that a checkpoint needs: the `BEST`, and of lane i `i.model.*` and `i.optimizer.*`."""
        best = {f"{WEIGHTS}{name}": tensor for name, tensor in self.best_weights.items()}
        best |= {f"{OUTPUTS}{place}": outputs for place, outputs in enumerate(self.best_outputs)}
        lanes = [(f"{place}.", self.stack.tensors(lane)) for place, lane in enumerate(self.lanes)]
        return {**best, **{prefix + name: tensor for prefix, part in lanes for name, tensor in part.items()}}

    def restore(self, state: Mapping[str, Any], tensors: Tensors) -> None:
        """Goes on from what `state()` and `tensors()` (those of the `BEST`) told; the rest is the stack's affair."""
        self.reports, self.spreads = state["reports"], state["spreads"]
        self.best_lane, self.best_lane_value = state["best_lane"], state["best_lane_value"]
        self.stopping = EarlyStopping(**state["stopping"])
        self.best_weights, outputs = part(tensors, WEIGHTS), part(tensors, OUTPUTS)
        self.best_outputs = [outputs[str(place)] for place in range(len(outputs))]
        for lane, seconds in zip(self.lanes, state["seconds"], strict=True):
            lane.epoch, lane.seconds = state["epoch"], seconds

    def branch(self, state: Mapping[str, Any]) -> None:
        """Begins at the epoch where another trial's `state` stood; what that one reported isn't its own."""
        for lane in self.lanes:
            lane.epoch = state["epoch"]


def comparable(params: Mapping[str, Any]) -> Any:
    """Returns a configuration as it comes back from JSON."""
    return json.loads(json.dumps(dict(params)))
