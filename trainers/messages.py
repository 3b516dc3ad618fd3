"""What driver and worker tell each other. The driver's words are commands, the worker's are events.

driver                                  worker
  <──────────── Ready ────────────────────
  ──── Start, Start, ..., Go ────────────>
  <──────────── AtWork ───────────────────   builds the network of each ...
  <──────────── Planned ──────────────────   (the first trial of a blueprint)
  ──── Adopt ────────────────────────────>
  <──────────── AtWork ───────────────────   trains an epoch ...
  <──────────── Report, Report, ... ──────
  <──────────── Saved, Saved, ... ────────   (now and then)
  <──────────── AtRung ───────────────────   (where trials of the stack are at a rung)
  ──── Decision, Decision, ... ──────────>
  <──────────── Ended ────────────────────
  ──── Start, ..., Go, or Close ─────────>

The worker waits for the answer to each Ready, Planned, AtRung and Ended. So what it trains beside what depends
on the order of these messages, never on when one happens to arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from .time_limits import ANY_TIME, TimeLimits

Outcome = Literal["complete", "pruned", "paused", "stopped", "failed"]
Verdict = Literal["go", "pause", "prune"]


@dataclass(frozen=True)
class Job:
    """What holds for all that one worker does: the study's seed and goal, the device, where files go."""

    seed: int
    metric: Any  # a name from trainers.metrics, a `module:function`, a callable, or None for the task's own
    maximize: bool
    objectives: int = 1  # how many numbers an objective of the user's returns
    metrics: Sequence[str] = ()  # others that are computed of each epoch too
    latency: bool = False  # whether that of each trial's network is measured at its end
    device: str = "auto"
    threads: int | None = None  # torch threads of a CPU worker; None leaves them
    lanes: int | None = 1  # None: as many as pay
    most_lanes: int = 16  # where lanes is None
    stack: str = "auto"  # "fused", "padded", "looped", or whichever is faster
    widths: Mapping[str, Sequence[int]] = field(default_factory=dict)  # what the space may give a family's widths
    plans: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # stack and lanes that were adopted already
    folder: Path | None = None  # the study's folder for weights and checkpoints; None keeps nothing
    driver: str = ""  # the id of the driver, where others share the folder
    keep: int | None = None  # of how many of the best trials weights are kept; None: of all
    study: str = ""  # the study's identity, whatever its name
    split_digest: str | None = None  # what the study recorded of its split; the worker's must agree
    limits: TimeLimits = ANY_TIME


@dataclass(frozen=True)
class Start:
    """Train this trial, from its last checkpoint if there is one; wait for a decision after each epoch in `rungs`.

    One that has a `branch` begins from the state that another trial had, left in its folder as `branch.safetensors`.
    `saved` is the epoch of its last checkpoint that the study knows of.
    """

    number: int
    params: Mapping[str, Any]
    rungs: frozenset[int] = frozenset()
    branch: bool = False
    saved: int | None = None


@dataclass(frozen=True)
class Decision:
    """The pruner's word on a trial at a rung: go on, pause (its state is kept, its lane is free), or end as pruned."""

    number: int
    verdict: Verdict


@dataclass(frozen=True)
class Stop:
    """End this trial at the end of its epoch: the study ends, for this reason."""

    number: int
    reason: str = "the study ended"


@dataclass(frozen=True)
class Adopt:
    """Run the stacks of this blueprint so: the study's word on what a worker Planned."""

    blueprint: str
    stack: str
    lanes: int


@dataclass(frozen=True)
class Go:
    """Nothing more to start for now."""


@dataclass(frozen=True)
class Close:
    """Nothing more to do: leave, at the end of the epoch if one is being trained."""


Command = Start | Decision | Stop | Adopt | Go | Close


@dataclass(frozen=True)
class Ready:
    """The worker has its data and device, and takes up to `lanes` trials at a time; it may say so again with more.

    `process` is the id of its process.
    """

    lanes: int
    device: str
    process: int | None = None


@dataclass(frozen=True)
class Planned:
    """How the worker would run the stacks of a new blueprint (see `plan.Plan`), how many lanes pay, and why."""

    blueprint: str
    stack: str
    lanes: int
    reason: str


@dataclass(frozen=True)
class AtWork:
    """The worker begins an epoch of the stack of these trials, or to build one: until it next says something else."""

    numbers: Sequence[int]


@dataclass(frozen=True)
class Report:
    """What an epoch (counted from 1) came to: the metric's `value`, and other metrics by name."""

    number: int
    epoch: int
    value: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """The trial's checkpoint after this epoch is on the disk, `checksum` being the file's own."""

    number: int
    epoch: int
    checksum: str


@dataclass(frozen=True)
class Fault:
    """Something went wrong with a trial, and was made good."""

    number: int
    what: str


@dataclass(frozen=True)
class AtRung:
    """Trials, by number, that have reported the epoch of a rung, and stand still until the Decision on each of them."""

    epochs: Mapping[int, int]


@dataclass(frozen=True)
class Ended:
    """How a trial ended, or that it is paused.

    `value` is the metric at its best epoch, or what an objective returned; None if it failed. What failed beside others
    may do better alone: for want of memory, say.
    """

    number: int
    outcome: Outcome
    reason: str
    value: float | Sequence[float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # epochs, seconds, parameters, peak memory, ...
    beside_others: bool = False


@dataclass(frozen=True)
class Unfit:
    """The worker leaves, since its device has failed: its trials are to be taken up by another one."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """The worker can't work at all: the study stops with these problems.

    They are the user's settings (its data or model can't be had), or else the machine's (a disk is full).
    """

    problems: Sequence[str]
    settings: bool = True


Event = Ready | Planned | AtWork | Report | Saved | Fault | AtRung | Ended | Unfit | Broken


class Channel(Protocol):
    """The worker's end of the line to its driver."""

    def send(self, event: Event) -> None:
        """Tells the driver."""

    def receive(self, *, wait: bool) -> list[Command]:
        """Returns the commands that have come, in order; if `wait`, not before there is one."""
