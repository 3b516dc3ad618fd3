"""The worker: owns one device, trains the stacks of its trials in turn, and tells the driver what comes of it."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import LeadlineError
from . import checkpoints
from .blueprint import blueprint
from .early_stopping import EarlyStopping
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
    Planned,
    Ready,
    Report,
    Start,
    Stop,
)
from .plan import Plan, choose, choose_padding
from .reasons import told
from .stack import Bench, Epoch, FusedStack, Lane, LoopedStack, Stack, part
from .streams import Stream
from .training import Training, comparable

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
        self.trainings: dict[int, Training] = {}
        self.thawed: list[Training] = []  # from a checkpoint, their reports not repeated yet
        self.ranks: list[tuple[float, int]] = []  # of the best trials that completed here, the best first
        self.lanes = job.lanes or trainer.lanes_a_trial
        self.closed = False

    def serve(self) -> None:
        """Trains until the driver says Close."""
        with _threads(self.job.threads):
            self._ready(self.lanes)
            try:
                while not self.closed:
                    self._listen()
                    while self.thawed and not self.closed:
                        self._repeat(self.thawed.pop(0))
                    self._drop_empty()
                    for stack in list(self.stacks.values()):
                        if not self.closed:
                            self._train(stack)
            except checkpoints.WriteError as error:
                self.channel.send(Broken([str(error)]))

    # What the driver says

    def _ready(self, lanes: int) -> None:
        self.lanes = lanes
        self._ask(Ready(max(1, lanes // self.trainer.lanes_a_trial), str(self.bench.device)))

    def _ask(self, event: Event) -> None:
        self.questions += 1
        self.channel.send(event)

    def _listen(self) -> None:
        """Does what the driver has said, until it owes no answer and there is something to train."""
        self.inbox.extend(self.channel.receive(wait=False))
        while not self.closed:
            while self.inbox and not self.closed:
                self._obey(self.inbox.popleft())
            if not self.questions and self.stacks:
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
                if number in self.trainings:
                    self.trainings[number].waiting = False
                    if prune:
                        self.trainings[number].ending = "pruned", "the pruner: others did better at this epoch"
            case Stop(number):
                if number in self.trainings and self.trainings[number].ending is None:
                    self.trainings[number].ending = "stopped", "the study's time was up"
            case Adopt(name, stack):
                self.plans[name] = stack
            case Close():
                self.closed = True

    # A trial begins

    def _start(self, start: Start) -> None:
        if self.bench.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.bench.device)
        recipe = self.trainer.recipe(start.params)
        lanes = [
            Lane(start.number, start.params, recipe, Stream(self.job.seed, start.number, fold))
            for fold in range(self.trainer.lanes_a_trial)
        ]
        try:
            networks = [self._build(lane) for lane in lanes]
            stack = self._stack_for(lanes[0], networks[0])
            if stack is not None:
                self.trainings[start.number] = self._join(stack, start, lanes, networks)
        except Exception as error:  # the builder is the user's; a device may be full: the trial fails, not the study
            for lane in [lane for stack in self.stacks.values() for lane in stack.lanes if lane in lanes]:
                next(stack for stack in self.stacks.values() if lane in stack.lanes).remove(lane)
            self._fail(start.number, error)
            self._drop_empty()

    def _join(self, stack: Stack, start: Start, lanes: list[Lane], networks: list[nn.Module]) -> Training:
        """Puts the lanes of a trial into a stack, where they go on from the trial's checkpoint if there is one."""
        training = Training(
            start.number,
            start.params,
            lanes,
            stack,
            EarlyStopping(self.job.maximize, lanes[0].recipe.patience),
            sum(parameter.numel() for parameter in networks[0].parameters()),
            start.rungs,
        )
        found = checkpoints.read(self._file(start.number, "checkpoint")) if self.job.folder else None
        kept = found is not None and found[1]["identity"] == self._identity(start.params)
        tensors, state = found if found is not None and kept else ({}, {})
        if kept:
            best = {name: tensor.to(self.bench.device) for name, tensor in part(tensors, "best.").items()}
            training.restore(state, best)
            self.thawed.append(training)
        for place, (lane, network) in enumerate(zip(lanes, networks, strict=True)):
            stack.add(lane, network, part(tensors, f"{place}.") if kept else None)
        return training

    def _stack_for(self, lane: Lane, network: nn.Module) -> Stack | None:
        """Returns the stack that the lane belongs to; None if the driver said Close meanwhile."""
        widest = self._widest(lane)
        network = widest or network
        name = self._name(lane, network)
        if name in self.stacks:
            return self.stacks[name]
        how = {"lanes": self.job.lanes or self.job.most_lanes, "wanted": self.job.stack}
        self._plan(name, lambda: choose(self.bench, partial(self._build, lane), lane.recipe, **how))
        if self.closed:
            return None
        if self.job.lanes is None and self.plans[name] == "fused" and self.lanes < self.job.most_lanes:
            self._ready(self.job.most_lanes)
        looped = self.plans[name] == "looped"
        return self.stacks.setdefault(name, LoopedStack(self.bench) if looped else FusedStack(self.bench, widest))

    def _widest(self, lane: Lane) -> nn.Module | None:
        """Returns the network to which the lane's is padded; None if the plan is to keep widths apart."""
        widths = {name: options for name, options in self.job.widths.items() if name in lane.params}
        on_gpu = self.bench.device.type == "cuda"  # on a CPU padding has lost wherever it was measured
        if not widths or not (self.job.stack == "padded" or (self.job.stack == "auto" and on_gpu)):
            return None
        ends = [{name: end(options) for name, options in widths.items()} for end in (min, max)]
        narrowest, widest = (partial(self._build, lane, **end) for end in ends)
        network = widest()
        name = f"{self._name(lane, network)}-widths"
        how = {"lanes": self.job.lanes or self.job.most_lanes, "wanted": self.job.stack}
        count = max(map(len, widths.values()))
        self._plan(name, lambda: choose_padding(self.bench, narrowest, widest, lane.recipe, widths=count, **how))
        return network if self.plans.get(name) == "padded" else None

    def _name(self, lane: Lane, network: nn.Module) -> str:
        """Returns the name of all that lanes of a stack share."""
        return "-".join([blueprint(network), str(self.bench.batch(lane.recipe)), lane.recipe.optimizer])

    def _plan(self, name: str, chosen: Callable[[], Plan]) -> None:
        """Has the study adopt a plan of that name, if it hasn't any."""
        if name not in self.plans:
            plan = chosen()
            self.channel.send(Planned(name, plan.stack, plan.reason))
            self._wait_for(lambda: name in self.plans, Adopt)

    def _build(self, lane: Lane, **widths: int) -> nn.Module:
        with self.bench.seeded(lane.stream.key("weights")):
            return self.trainer.build({**lane.params, **widths}, self.bench.data.in_shape, self.bench.data.outputs)

    def _repeat(self, training: Training) -> None:
        """Reports again what a trial had reported before its checkpoint: the driver may have died before it heard."""
        for report in training.reports:
            training.waiting = report["epoch"] == training.epoch and training.awaits_decision
            self.channel.send(Report(training.number, **report, waits=training.waiting))
        self._await_decisions()
        self._settle(training)

    # An epoch, and what comes of it

    def _train(self, stack: Stack) -> None:
        epochs = stack.train_epoch()
        trained = [self.trainings[number] for number, _ in groupby(epochs, key=lambda epoch: epoch.lane.number)]
        for training in trained:
            self._report(training, [epoch for epoch in epochs if epoch.lane in training.lanes])
        self._await_decisions()
        for training in trained:
            self._settle(training)
        self._drop_empty()

    def _report(self, training: Training, epochs: list[Epoch]) -> None:
        for epoch in epochs:
            if epoch.error is not None:
                self._leave(training)
                self._fail(training.number, epoch.error)
                return
        if training.take(epochs):
            if not training.finished:
                self._checkpoint(training)
            training.waiting = training.awaits_decision
            report = training.reports[-1]
            self.channel.send(Report(training.number, **report, waits=training.waiting))

    def _await_decisions(self) -> None:
        self._wait_for(lambda: not any(training.waiting for training in self.trainings.values()), Decision, Stop)

    def _wait_for(self, done: Callable[[], bool], *kinds: type[Command]) -> None:
        """Waits until `done`, doing these kinds of commands; what else the driver says is done afterwards."""
        kept: list[Command] = []
        while not done() and not self.closed:
            for command in self.channel.receive(wait=True):
                if isinstance(command, (*kinds, Close)):
                    self._obey(command)
                else:
                    kept.append(command)
        self.inbox.extend(kept)

    def _settle(self, training: Training) -> None:
        if self.closed or training.ending is None or training.number not in self.trainings:
            return
        outcome, reason = training.ending
        self._leave(training)
        if outcome == "complete" and self.job.folder and self._among_the_best(training):
            checkpoints.write(self._file(training.number, "best"), training.best_weights, self._card(training))
        facts = {**training.facts(), "peak_memory": _peak_memory(self.bench.device)}
        self._ask(Ended(training.number, outcome, reason, training.stopping.best if outcome != "failed" else None, facts))

    def _leave(self, training: Training) -> None:
        for lane in training.lanes:
            training.stack.remove(lane)
        del self.trainings[training.number]

    def _fail(self, number: int, error: Exception) -> None:
        facts = {} if isinstance(error, LeadlineError) else {"traceback": "".join(traceback.format_exception(error))}
        self._ask(Ended(number, "failed", told(error), facts=facts))

    def _drop_empty(self) -> None:
        self.stacks = {blueprint: stack for blueprint, stack in self.stacks.items() if stack.lanes}

    # What is written

    def _among_the_best(self, training: Training) -> bool:
        """Tells whether the study may keep its weights: not if enough trials of this worker alone are better."""
        best = training.stopping.best
        if self.job.keep is None or best is None:
            return True
        rank = -best if self.job.maximize else best, training.number
        self.ranks = sorted([*self.ranks, rank])[: self.job.keep]
        return rank in self.ranks

    def _checkpoint(self, training: Training) -> None:
        if self.job.folder is None or time.monotonic() - training.written < self.trainer.checkpoint:
            return
        state = {"identity": self._identity(training.params), **training.state()}
        checkpoints.write(self._file(training.number, "checkpoint"), training.tensors(), state)
        training.written = time.monotonic()

    def _identity(self, params: Mapping[str, Any]) -> list[Any]:
        """Names whose checkpoint it is: a folder may hold one of another study that had the same name."""
        return [self.job.study, self.job.seed, comparable(params)]

    def _card(self, training: Training) -> dict[str, Any]:
        data = self.bench.data_of(training.lanes[training.best_lane])
        return {
            "study": self.job.study,
            "params": dict(training.params),
            "fold": training.best_lane,
            "epoch": training.stopping.best_epoch,
            "value": training.stopping.best,
            "metric": self.bench.metric.name,
            "in_shape": list(data.in_shape),
            "classes": data.classes,
            "preparation": data.preparation.describe(),
        }

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
