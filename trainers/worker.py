"""The worker: owns one device, trains the stacks of its trials in turn, and tells the driver what comes of it."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import LeadlineError, StudyError
from . import checkpoints
from .disk import WriteError
from .early_stopping import EarlyStopping
from .latency import latency
from .memory import memory_told
from .messages import (
    Adopt,
    AtRung,
    AtWork,
    Broken,
    Channel,
    Close,
    Command,
    Decision,
    Ended,
    Event,
    Fault,
    Go,
    Job,
    Outcome,
    Planned,
    Ready,
    Report,
    Start,
    Stop,
    Unfit,
    Verdict,
)
from .plan import Plan, choose, choose_padding, name_of
from .reasons import device_failed, out_of_memory, told, traced, users_code
from .saves import Saves, fault
from .stack import Bench, Epoch, FusedStack, Lane, LoopedStack, Stack, part
from .streams import Stream
from .training import BEST, Training

if TYPE_CHECKING:
    from .trainer import Trainer

MOST_OUTPUTS = 2**24  # bytes of a trial's outputs for its validation rows that are kept
VERDICTS: dict[Verdict, Outcome] = {"pause": "paused", "prune": "pruned"}


class DeviceFailed(Exception):
    """The device has failed, and with it all that this process would still compute on it."""


class Worker:
    """Trains what it is told to by the commands of `channel`; `serve` runs until Close."""

    def __init__(self, trainer: Trainer, job: Job, channel: Channel, bench: Bench) -> None:
        self.trainer, self.job, self.channel, self.bench = trainer, job, channel, bench
        self.inbox: deque[Command] = deque()
        self.questions = 0  # events to which the driver owes a Go
        self.plans: dict[str, tuple[str, int]] = dict(job.plans)  # kind of stack, and lanes that pay, by blueprint
        self.stacks: dict[str, Stack] = {}
        self.room: dict[str, int] = {}  # trials that fit into one stack, by blueprint, where memory ran out
        self.trainings: dict[int, Training] = {}
        self.thawed: list[Training] = []  # from a checkpoint, their reports not repeated yet
        self.ranks: list[tuple[float, int]] = []  # of the best trials that completed here, the best first
        self.saves = Saves(job.folder, (job.study, job.seed), trainer.checkpoint)
        self.lanes = job.lanes or trainer.lanes_a_trial
        self.closed = False

    def serve(self) -> None:
        """Trains until the driver says Close."""
        with threads(self.job.threads):
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
            except WriteError as error:
                self.channel.send(Broken([str(error)], settings=False))
            except DeviceFailed as error:
                self.channel.send(Unfit(str(error)))

    # What the driver says

    def _ready(self, lanes: int) -> None:
        self.lanes = lanes
        self._ask(Ready(max(1, lanes // self.trainer.lanes_a_trial), str(self.bench.device), os.getpid()))

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
            case Decision(number, verdict):
                if number in self.trainings:
                    self.trainings[number].waiting = False
                    if verdict != "go":
                        self.trainings[number].ending = VERDICTS[verdict], "the pruner: others did better at this epoch"
            case Stop(number, reason):
                if number in self.trainings and self.trainings[number].ending is None:
                    self.trainings[number].ending = "stopped", reason
            case Adopt(name, stack, lanes):
                self.plans[name] = stack, lanes
            case Close():
                self.closed = True

    # A trial begins

    def _start(self, start: Start) -> None:
        self.channel.send(AtWork([start.number]))
        if self.bench.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.bench.device)
        lanes: list[Lane] = []
        try:
            recipe = self.trainer.recipe(start.params)
            for fold in range(self.trainer.lanes_a_trial):
                lanes.append(Lane(start.number, start.params, recipe, Stream(self.job.seed, start.number, fold)))
            networks = [self._build(lane) for lane in lanes]
            stack = self._stack_for(lanes[0], networks[0])
            if stack is not None:
                self.trainings[start.number] = self._join_with_room(stack, start, lanes, networks)
        except Exception as error:  # the builder is the user's; a device may be full: the trial fails, not the study
            for stack in self.stacks.values():
                _take_out(stack, lanes)
            self._fail(start.number, error)
            self._drop_empty()

    def _join_with_room(self, stack: Stack, start: Start, lanes: list[Lane], networks: list[nn.Module]) -> Training:
        """Puts the lanes of a trial into this stack, or into another where there is no memory for one more row."""
        try:
            return self._join(stack, start, lanes, networks)
        except torch.OutOfMemoryError:
            _take_out(stack, lanes)
            if not stack.lanes:
                raise
            name = self._name_of(stack)
            self.room[name] = len(stack.lanes) // self.trainer.lanes_a_trial
            return self._join(self._stack_with_room(name, stack.another), start, lanes, networks)

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
            keeps_outputs=self._keeps_outputs,
        )
        found = self.saves.find(start.number, start.params)
        if what := fault(found, start.saved):
            self.channel.send(Fault(start.number, what))
        if found is not None:
            best = {name: tensor.to(self.bench.device) for name, tensor in found[0].items() if name.startswith(BEST)}
            training.restore(found[1], best)
        elif start.branch:
            found = self.saves.branch(start.number)
            if found is None:
                raise StudyError("the state of the trial that it was to begin from is gone, or can't be read")
            training.branch(found[1])
        for place, (lane, network) in enumerate(zip(lanes, networks, strict=True)):
            stack.add(lane, network, None if found is None else part(found[0], f"{place}."))
        self.thawed += [training] if training.reports else []
        return training

    def _stack_for(self, lane: Lane, network: nn.Module) -> Stack | None:
        """Returns the stack that the lane belongs to; None if the driver said Close meanwhile."""
        widest = self._widest(lane)
        network = widest or network
        name = name_of(self.bench, lane.recipe, network)
        choosing = partial(choose, self.bench, partial(self._build, lane), lane.recipe)
        self._plan(name, partial(choosing, lanes=self._most, fixed=self.job.lanes is not None, wanted=self.job.stack))
        if self.closed:
            return None
        kind, lanes = self.plans[name]
        if self.job.lanes is None and lanes > self.lanes:
            self._ready(lanes)
        made = partial(LoopedStack, self.bench) if kind == "looped" else partial(FusedStack, self.bench, widest)
        return self._stack_with_room(name, made)

    def _widest(self, lane: Lane) -> nn.Module | None:
        """Returns the network to which the lane's is padded; None if the plan is to keep widths apart."""
        names = set(self.trainer.widths_of(lane.params)) & set(lane.params)
        widths = {name: options for name, options in self.job.widths.items() if name in names}
        on_gpu = self.bench.device.type == "cuda"  # on a CPU padding has lost wherever it was measured
        if not widths or not (self.job.stack == "padded" or (self.job.stack == "auto" and on_gpu)):
            return None
        ends = [{name: end(options) for name, options in widths.items()} for end in (min, max)]
        narrowest, widest = (partial(self._build, lane, **end) for end in ends)
        network = widest()
        name = f"{name_of(self.bench, lane.recipe, network)}-widths"
        choosing = partial(choose_padding, self.bench, narrowest, widest, lane.recipe)
        count = max(map(len, widths.values()))
        self._plan(name, partial(choosing, lanes=self._most, widths=count, wanted=self.job.stack))
        return network if self.plans.get(name, ("apart", 0))[0] == "padded" else None

    @property
    def _most(self) -> int:
        return max(self.job.lanes or self.job.most_lanes, self.trainer.lanes_a_trial)

    def _plan(self, name: str, chosen: Callable[[], Plan]) -> None:
        """Has the study adopt a plan of that name, if it hasn't any."""
        if name not in self.plans:
            plan = chosen()
            self.channel.send(Planned(name, plan.stack, plan.lanes, plan.reason))
            self._wait_for(lambda: name in self.plans, Adopt)

    def _build(self, lane: Lane, **widths: int) -> nn.Module:
        return self.trainer.network(lane, self.bench, **widths)

    def _repeat(self, training: Training) -> None:
        """Reports again what a trial had reported before its checkpoint: the driver may have died before it heard."""
        for report in training.reports:
            self.channel.send(Report(training.number, **report))
        training.waiting = training.awaits_decision
        self._await_decisions()
        self._settle(training)

    # An epoch, and what comes of it

    def _train(self, stack: Stack) -> None:
        began = time.monotonic()
        self.channel.send(AtWork(list(dict.fromkeys(lane.number for lane in stack.lanes))))
        try:
            epochs = stack.train_epoch()
        except torch.OutOfMemoryError as error:
            self._halve(stack, error)
            return
        self.saves.trained += time.monotonic() - began
        trained = [self.trainings[number] for number, _ in groupby(epochs, key=lambda epoch: epoch.lane.number)]
        for training in trained:
            self._report(training, [epoch for epoch in epochs if epoch.lane in training.lanes])
        self._save(trained)
        self._await_decisions()
        for training in trained:
            self._settle(training)
        self._drop_empty()

    def _halve(self, stack: Stack, error: torch.OutOfMemoryError) -> None:
        """Moves half of a stack's trials to one of their own, to be stepped in turn: no trial is lost or begun anew."""
        within = [training for training in self.trainings.values() if training.stack is stack]
        if len(within) == 1:
            self._leave(within[0])
            self._fail(within[0].number, error)
            return
        if self.bench.device.type == "cuda":
            torch.cuda.empty_cache()
        name = self._name_of(stack)
        self.room[name] = len(within) // 2
        for training in within[self.room[name] :]:
            moved = [(lane, stack.tensors(lane)) for lane in training.lanes]
            for lane in training.lanes:
                stack.remove(lane)
            training.stack = self._stack_with_room(name, stack.another)
            for lane, tensors in moved:
                training.stack.add(lane, self._build(lane), tensors)

    def _name_of(self, stack: Stack) -> str:
        return next(name for name, other in self.stacks.items() if other is stack).partition("#")[0]

    def _stack_with_room(self, name: str, make: Callable[[], Stack]) -> Stack:
        """Returns a stack of that name with room for a trial, a new one if there is none."""
        room = self.room.get(name, math.inf) * self.trainer.lanes_a_trial
        names = (f"{name}#{count}" if count else name for count in itertools.count())
        free = next(key for key in names if key not in self.stacks or len(self.stacks[key].lanes) < room)
        return self.stacks[free] if free in self.stacks else self.stacks.setdefault(free, make())

    def _report(self, training: Training, epochs: list[Epoch]) -> None:
        for epoch in epochs:
            if epoch.error is not None:
                self._leave(training)
                self._fail(training.number, epoch.error)
                return
        if training.take(epochs):
            took = sum(epoch.seconds for epoch in epochs)
            broken = self.job.limits.broken_by(training.seconds, took, training.epoch)
            if broken and not training.finished:  # the time of one that doesn't come back is for the driver to see
                training.ending = "failed", broken
            training.waiting = training.awaits_decision and not broken
            self.channel.send(Report(training.number, **training.reports[-1]))

    def _await_decisions(self) -> None:
        waiting = {number: training.epoch for number, training in sorted(self.trainings.items()) if training.waiting}
        if waiting:
            self.channel.send(AtRung(waiting))
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
        if outcome == "paused":
            # Before it is said: the driver may hand it to another worker at once
            self.channel.send(self.saves.write(training))
        self._leave(training)
        if outcome == "complete" and self.job.folder:
            self._keep(training)
        facts = {**training.facts(), "peak_memory": _peak_memory(self.bench.device)}
        value = training.stopping.best if outcome != "failed" else None
        if self.job.latency and outcome != "failed":
            try:
                with users_code():
                    facts["latency"] = latency(self.trainer.network(training.lanes[0], self.bench), self.bench)
            except Exception as error:  # the network is the user's: it may not take one example alone
                self._fail(training.number, error)
                return
        self._ask(Ended(training.number, outcome, reason, value, facts))

    def _leave(self, training: Training) -> None:
        for lane in training.lanes:
            training.stack.remove(lane)
        del self.trainings[training.number]

    def _fail(self, number: int, error: Exception) -> None:
        """Says that a trial has failed of an error. Raises DeviceFailed where it is the device that has."""
        reason, memory = told(error), out_of_memory(error)
        if device_failed(error):
            raise DeviceFailed(f"{self.bench.device} failed: {reason}") from error
        if memory:
            reason = f"{reason}; {memory_told(self.bench.device)}"
        facts = {} if isinstance(error, LeadlineError) else {"traceback": traced(error)}
        self._ask(Ended(number, "failed", reason, facts=facts, beside_others=memory and bool(self.trainings)))

    def _drop_empty(self) -> None:
        self.stacks = {blueprint: stack for blueprint, stack in self.stacks.items() if stack.lanes}

    # What is written

    def _keep(self, training: Training) -> None:
        """Keeps what a complete trial's network says of the validation rows, and of one of the best its weights."""
        card = self._card(training)
        if training.best_outputs:
            outputs = {
                str(place): self.bench.data_of(lane).in_units(outputs)
                for place, (lane, outputs) in enumerate(zip(training.lanes, training.best_outputs, strict=True))
            }
            checkpoints.write(self.saves.file(training.number, "valid"), outputs, card, durable=False)
        if self._among_the_best(training):
            checkpoints.write(self.saves.file(training.number, "best"), training.best_weights, card)

    @property
    def _keeps_outputs(self) -> bool:
        """Whether the outputs for the validation rows are kept of each trial: not where they'd fill a disk."""
        values = sum(len(data.valid) * data.outputs for data in self.bench.folds) * self.trainer.replicates
        return self.job.folder is not None and 4 * values <= MOST_OUTPUTS

    def _among_the_best(self, training: Training) -> bool:
        """Tells whether the study may keep its weights: not if enough trials of this worker alone are better."""
        best = training.stopping.best
        if self.job.keep is None or best is None:
            return True
        rank = -best if self.job.maximize else best, training.number
        self.ranks = sorted([*self.ranks, rank])[: self.job.keep]
        return rank in self.ranks

    def _save(self, trained: list[Training]) -> None:
        """Writes checkpoints of those that go on and whose turn it is, the oldest first."""
        for training in sorted(trained, key=lambda training: training.written):
            if training.number in self.trainings and training.ending is None and self.saves.is_due(training):
                self.channel.send(self.saves.write(training))

    def _card(self, training: Training) -> dict[str, Any]:
        data = self.bench.data_of(training.lanes[training.best_lane])
        return {
            "study": self.job.study,
            "params": dict(training.params),
            "fold": training.best_lane,
            "epoch": training.stopping.best_epoch,
            "value": training.stopping.best,
            "fold_value": training.best_lane_value,
            "metric": self.bench.metric.name,
            **data.describe(),
        }


def _take_out(stack: Stack, lanes: list[Lane]) -> None:
    """Removes those of the lanes that the stack has."""
    for lane in set(lanes) & set(stack.lanes):
        stack.remove(lane)


def _peak_memory(device: torch.device) -> int | None:
    """Returns the most bytes of the device's memory in use since the last trial began; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Has torch compute with so many threads inside; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
