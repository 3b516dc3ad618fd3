"""The worker: owns one device, trains the stacks of its trials in turn, and tells the driver what comes of it."""

from __future__ import annotations

import json
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import LeadlineError
from . import checkpoints
from .early_stopping import EarlyStopping
from .blueprint import blueprint
from .messages import (
    Adopt,
    Broken,
    Channel,
    Close,
    Command,
    Decision,
    Ended,
    Event,
    Go,
    Job,
    Outcome,
    Planned,
    Ready,
    Report,
    Start,
    Stop,
)
from .plan import STACKS, choose
from .reasons import told
from .stack import Bench, Epoch, Lane, Stack
from .stack.dropout import replace_dropout
from .streams import Stream

if TYPE_CHECKING:
    from .trainer import Trainer


class Worker:
    """Trains what it is told to by the commands of `channel`; `serve` runs until Close."""

    def __init__(self, trainer: Trainer, job: Job, channel: Channel, bench: Bench) -> None:
        self.trainer, self.job, self.channel, self.bench = trainer, job, channel, bench
        self.inbox: deque[Command] = deque()
        self.questions = 0  # events to which the driver owes a Go
        self.plans: dict[str, str] = dict(job.plans)  # kind of stack by blueprint
        self.stacks: dict[str, Stack] = {}
        self.waiting: set[int] = set()
        self.thawed: list[tuple[Stack, Lane]] = []  # lanes from a checkpoint that haven't repeated their reports
        self.ending: dict[int, tuple[Outcome, str]] = {}
        self.lanes = job.lanes or 1
        self.ranks: list[tuple[float, int]] = []  # of the best trials that completed here, the best first
        self.closed = False

    def serve(self) -> None:
        """Trains until the driver says Close."""
        with _threads(self.job.threads):
            self._ask(Ready(self.lanes, str(self.bench.device)))
            try:
                while not self.closed:
                    self._listen()
                    while self.thawed and not self.closed:
                        self._repeat(*self.thawed.pop(0))
                    self._drop_empty()
                    for stack in list(self.stacks.values()):
                        if not self.closed:
                            self._train(stack)
            except checkpoints.WriteError as error:
                self.channel.send(Broken([str(error)]))

    # What the driver says

    def _ask(self, event: Event) -> None:
        self.questions += 1
        self.channel.send(event)

    def _listen(self) -> None:
        """Does what the driver has said, until it owes no answer and there is something to train."""
        self.inbox.extend(self.channel.receive(wait=False))
        while not self.closed:
            while self.inbox and not self.closed:
                self._obey(self.inbox.popleft())
            if not (self.questions or self.waiting or not self.stacks):
                return
            if not self.closed:
                self.inbox.extend(self.channel.receive(wait=True))

    def _obey(self, command: Command) -> None:
        match command:
            case Start():
                self._start(command)
            case Go():
                self.questions -= 1
            case Decision(number, prune):
                self.waiting.discard(number)
                if prune:
                    self.ending[number] = "pruned", "the pruner: others did better at this epoch"
            case Stop(number):
                self.ending.setdefault(number, ("stopped", "the study's time was up"))
            case Adopt(name, stack):
                self.plans[name] = stack
            case Close():
                self.closed = True

    def _start(self, start: Start) -> None:
        if self.bench.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.bench.device)
        try:
            lane, network, tensors = self._lane(start)
            stack = self._stack_for(lane, network)
            if stack is not None:
                stack.add(lane, network, tensors)
        except Exception as error:  # the builder is the user's; a device may be full: the trial fails, not the study
            self._fail(start.number, error)
            self._drop_empty()
        else:
            if stack is not None and lane.reports:
                self.thawed.append((stack, lane))

    def _stack_for(self, lane: Lane, network: nn.Module) -> Stack | None:
        """Returns the stack that the lane belongs to; None if the driver said Close meanwhile."""
        replace_dropout(network)
        shared = self.bench.batch(lane.recipe), lane.recipe.optimizer
        name = "-".join([blueprint(network), *map(str, shared)])
        if name in self.stacks:
            return self.stacks[name]
        if name not in self.plans:
            lanes = self.job.lanes or self.job.most_lanes
            plan = choose(self.bench, partial(self._build, lane), lane.recipe, lanes=lanes, wanted=self.job.stack)
            self.channel.send(Planned(name, plan.stack, plan.reason))
            self._await_plan(name)
        if self.closed:
            return None
        if self.job.lanes is None and self.plans[name] == "fused" and self.lanes < self.job.most_lanes:
            self.lanes = self.job.most_lanes
            self._ask(Ready(self.lanes, str(self.bench.device)))
        return self.stacks.setdefault(name, STACKS[self.plans[name]](self.bench))

    def _await_plan(self, name: str) -> None:
        """Waits for the study's word on a blueprint; what else the driver says is done afterwards."""
        kept: list[Command] = []
        while name not in self.plans and not self.closed:
            for command in self.channel.receive(wait=True):
                if isinstance(command, Adopt | Close):
                    self._obey(command)
                else:
                    kept.append(command)
        self.inbox.extend(kept)

    def _build(self, lane: Lane) -> nn.Module:
        with self.bench.seeded(lane.stream.key("weights")):
            return self.trainer.build(lane.params, self.bench.data.in_shape, self.bench.data.outputs)

    def _repeat(self, stack: Stack, lane: Lane) -> None:
        """Reports again what a lane had reported before its checkpoint: the driver may have died before it heard."""
        for report in lane.reports:
            waits = report["epoch"] == lane.epoch and lane.epoch in lane.rungs
            if waits:
                self.waiting.add(lane.number)
            self.channel.send(Report(lane.number, **report, waits=waits))
        self._await_decisions()
        self._settle(stack, lane)

    def _lane(self, start: Start) -> tuple[Lane, nn.Module, Mapping[str, Tensor] | None]:
        recipe = self.trainer.recipe(start.params)
        stream = Stream(self.job.seed, start.number)
        stopping = EarlyStopping(self.job.maximize, recipe.patience)
        lane = Lane(start.number, start.params, recipe, stream, stopping)
        network = self._build(lane)
        lane.rungs, lane.parameters = start.rungs, sum(parameter.numel() for parameter in network.parameters())
        found = checkpoints.read(self._file(start.number, "checkpoint")) if self.job.folder else None
        if found is None or found[1]["identity"] != self._identity(start.params):
            return lane, network, None
        tensors, state = found
        lane.epoch, lane.reports, lane.seconds = state["epoch"], state["reports"], state["seconds"]
        lane.stopping = EarlyStopping(**state["stopping"])
        lane.best_weights = {
            name.removeprefix("best."): tensor.to(self.bench.device)
            for name, tensor in tensors.items()
            if name.startswith("best.")
        }
        return lane, network, tensors

    def _identity(self, params: Mapping[str, Any]) -> list[Any]:
        """Names whose checkpoint it is: a folder may hold one of another study that had the same name."""
        return [self.job.study, self.job.seed, json.loads(json.dumps(dict(params)))]

    def _train(self, stack: Stack) -> None:
        epochs = stack.train_epoch()
        for epoch in epochs:
            self._report(stack, epoch)
        self._await_decisions()
        for epoch in epochs:
            self._settle(stack, epoch.lane)
        self._drop_empty()

    def _await_decisions(self) -> None:
        """Waits for the pruner's word on each report that waits; what else the driver says is done afterwards."""
        kept: list[Command] = []
        while self.waiting and not self.closed:
            for command in self.channel.receive(wait=True):
                if isinstance(command, Start | Go):
                    kept.append(command)
                else:
                    self._obey(command)
        self.inbox.extend(kept)

    def _report(self, stack: Stack, epoch: Epoch) -> None:
        lane = epoch.lane
        if epoch.error is not None:
            stack.remove(lane)
            self._fail(lane.number, epoch.error)
            return
        if epoch.diverged_at is not None:
            self.ending[lane.number] = (
                "failed",
                f"the loss was no number at epoch {lane.epoch}, step {epoch.diverged_at}",
            )
            return
        if epoch.value != epoch.value:
            self.ending[lane.number] = "failed", f"the validation metric was no number at epoch {lane.epoch}"
            return
        metrics = {**epoch.metrics, "seconds": epoch.seconds}
        lane.reports.append({"epoch": lane.epoch, "value": epoch.value, "metrics": metrics})
        if lane.stopping.update(lane.epoch, epoch.value):
            lane.best_weights = stack.weights(lane)
        if lane.finished:
            exhausted = f"no better for {lane.recipe.patience} epochs" if lane.stopping.exhausted else "all epochs done"
            self.ending[lane.number] = "complete", exhausted
        else:
            self._checkpoint(stack, lane)
        waits = lane.epoch in lane.rungs and not lane.finished
        if waits:
            self.waiting.add(lane.number)
        self.channel.send(Report(lane.number, lane.epoch, epoch.value, metrics, waits))

    def _settle(self, stack: Stack, lane: Lane) -> None:
        if self.closed or lane.number not in self.ending:
            return
        outcome, reason = self.ending.pop(lane.number)
        stack.remove(lane)
        if outcome == "complete" and self.job.folder and self._among_the_best(lane):
            checkpoints.write(self._file(lane.number, "best"), lane.best_weights, self._card(lane))
        facts = {
            "epochs": lane.epoch,
            "best_epoch": lane.stopping.best_epoch,
            "last": lane.reports[-1]["value"] if lane.reports else None,
            "seconds": lane.seconds,
            "parameters": lane.parameters,
            "peak_memory": _peak_memory(self.bench.device),
        }
        value = lane.stopping.best if outcome != "failed" else None
        self._forget(lane.number)
        self._ask(Ended(lane.number, outcome, reason, value, facts))

    def _among_the_best(self, lane: Lane) -> bool:
        """Tells whether the study may keep its weights: not if enough trials of this worker alone are better."""
        if self.job.keep is None or lane.stopping.best is None:
            return True
        rank = -lane.stopping.best if self.job.maximize else lane.stopping.best, lane.number
        self.ranks = sorted([*self.ranks, rank])[: self.job.keep]
        return rank in self.ranks

    def _checkpoint(self, stack: Stack, lane: Lane) -> None:
        if self.job.folder is None or time.monotonic() - lane.written < self.trainer.checkpoint:
            return
        best = {f"best.{name}": tensor for name, tensor in lane.best_weights.items()}
        state = {
            "identity": self._identity(lane.params),
            "epoch": lane.epoch,
            "reports": lane.reports,
            "seconds": lane.seconds,
            "stopping": asdict(lane.stopping),
        }
        checkpoints.write(self._file(lane.number, "checkpoint"), {**stack.tensors(lane), **best}, state)
        lane.written = time.monotonic()

    def _card(self, lane: Lane) -> dict[str, Any]:
        return {
            "study": self.job.study,
            "params": dict(lane.params),
            "epoch": lane.stopping.best_epoch,
            "value": lane.stopping.best,
            "metric": self.bench.metric.name,
            "in_shape": list(self.bench.data.in_shape),
            "classes": self.bench.data.classes,
            "preparation": self.bench.data.preparation.describe(),
        }

    def _fail(self, number: int, error: Exception) -> None:
        self._forget(number)
        facts = {} if isinstance(error, LeadlineError) else {"traceback": traceback.format_exc()}
        self._ask(Ended(number, "failed", told(error), facts=facts))

    def _forget(self, number: int) -> None:
        self.ending.pop(number, None)
        self.waiting.discard(number)

    def _drop_empty(self) -> None:
        self.stacks = {blueprint: stack for blueprint, stack in self.stacks.items() if stack.lanes}

    def _file(self, number: int, name: str) -> Path:
        assert self.job.folder is not None
        return self.job.folder / "trials" / f"{number:05d}" / f"{name}.safetensors"


def _peak_memory(device: torch.device) -> int | None:
    """Returns the most bytes of the device's memory in use since the last trial began; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
