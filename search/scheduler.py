"""The scheduler: answers each event of a worker with the commands it calls for. It waits for nothing and nobody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import SettingsError, SpaceExhausted, StudyError, StudyFailed
from ..trainers.messages import (
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
    Planned,
    Ready,
    Report,
    Saved,
    Start,
    Stop,
    Unfit,
)
from ..trainers.time_limits import ANY_TIME, TimeLimits
from .budget import Budget, Tally
from .ledger import AllBegun, Ledger
from .log import LOST, RETRY, WORKER
from .pruners.base import Begin, End, Move, Resume
from .trial import ENDED, Trial
from .watch import Watch

TOGETHER = 0.5  # seconds for which reports that nobody waits for are held together
NOTED = 5.0  # seconds of running that a crash may leave uncounted
SHARING = 4  # trials in a row of one structure, where a strategy learns: more cost regret (benchmarks/README.md)
AHEAD = 8  # proposals ready for each lane, where a strategy doesn't learn from results, so that they can be grouped
HOPELESS = 8  # so many failures at the beginning, and nothing else, stop the study: it is the study that is wrong


class Work(Protocol):
    """What trains trials: a `Trainer`, or an `Objective`."""

    def serve(self, job: Job, channel: Channel) -> None:
        """Trains what the driver sends, until it says Close."""

    def structure(self, params: Mapping[str, Any], *, padded: bool) -> Mapping[str, Any]:
        """Returns the part of a configuration that trials must share to share a stack, or a padded one."""

    def weight(self, params: Mapping[str, Any]) -> int:
        """Returns how much work a trial is, compared with others."""


Rungs = Callable[[int, Mapping[str, Any]], frozenset[int]]


class Scheduler:
    """Keeps the workers busy until the study's budget is used up.

    `rungs` tells the epochs after which a trial of that number and configuration awaits a decision, `structure` what
    trials of one stack have in common, `weight` how much work a trial is; `leave(parent, child)` leaves the state of a
    paused trial for another one to begin from. What comes back from each method is a list of (worker, command).

    Proposed trials wait in a pool until a worker with a stack of their structure has a lane free; a worker begins a new
    stack when it has lanes free for half a group of trials. A strategy that doesn't learn from results is asked ahead,
    which groups its trials and changes none of them; a group is as many as the worker has lanes. One that learns is
    asked for a structure first, and then for a few more trials given that structure. Before all these come paused
    trials that the pruner has go on.

    A trial whose worker was lost under it, or that failed for want of room beside others, is retried once: from its
    last checkpoint, by itself, and on another device if there is one. It is those that the worker was at which may be
    to blame; the others it held just go on. Trials of a stack whose time is up are retried too, as nobody knows which
    of them keeps it; one by itself has failed. `limits` are what a trial's time may be.
    """

    def __init__(
        self,
        ledger: Ledger,
        rungs: Rungs = lambda number, params: frozenset(),
        structure: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda params: {},
        weight: Callable[[Mapping[str, Any]], int] = lambda params: 1,
        leave: Callable[[int, int], None] = lambda parent, child: None,
        *,
        budget: Budget,
        limits: TimeLimits = ANY_TIME,
    ) -> None:
        self.ledger, self.rungs, self.structure, self.weight, self.leave = ledger, rungs, structure, weight, leave
        self.budget, self.trials = budget, budget.trials
        self.tally = Tally(ledger.trials, maximize=ledger.maximize)
        self.before: float = ledger.attribute("seconds") or 0.0  # of running, in earlier runs
        self.since = self.noted = time.monotonic()
        # To be begun before all others: left running, put in line to begin from another's state, or the pruner's move
        self.first = [*ledger.unfinished(), *ledger.branched()]
        self.pool: list[Trial] = []  # proposed and not begun in this run
        self.shelved = ledger.shelved()  # the same, of an earlier run, whose budget was another
        self.alone = {trial.number for trial in self.first if ledger.retried(trial.number)}
        self.shunned: dict[int, str] = {}  # the device on which a trial was lost
        self.watch = Watch(limits)
        self.killed: dict[int, dict[int, str]] = {}  # worker -> its trials whose time is up, and why
        self.workers: dict[int, Ready] = {}  # those at work, as each last said that it is ready
        self.running: dict[int, tuple[int, str]] = {}  # trial -> worker, structure
        self.batches: dict[int, tuple[Mapping[str, Any], int]] = {}  # worker -> structure, proposals to come of it
        self.keys: dict[int, str] = {}  # the structure of each trial in the pool
        self.weights: dict[str, int] = {}  # the work of a trial of each structure
        self.closed: set[int] = set()
        self.idle: set[int] = set()  # workers without a trial, while others may come to leave one
        self.over = False  # whether the budget is used up, apart from its trials
        self.interrupted = False
        self.hopeful = False  # whether a trial has ended otherwise than by failing
        self.ended_by = "trials"  # a part of the budget, "space", "population" or "interrupt"
        self.tick()

    def handle(self, worker: int, *events: Event) -> list[tuple[int, Command]]:
        """Answers what a worker has said. Raises what ends the study: a broken worker, or nothing but failures.

        Whatever an answer builds on is durable before it is given. Reports that nobody waits for are made durable
        together: a trial that lost them would report them again.
        """
        return self.handle_all([(worker, events)])

    def handle_all(self, said: Iterable[tuple[int, Sequence[Event]]]) -> list[tuple[int, Command]]:
        """Answers what several workers have said, as `handle` does, with one wait for the disk."""
        commands = [answer for worker, events in said for event in events for answer in self._answer(worker, event)]
        self.ledger.commit(older_than=0.0 if commands else TOGETHER)
        return commands

    def _answer(self, worker: int, event: Event) -> list[tuple[int, Command]]:
        if isinstance(event, Unfit):
            return self.lost(worker, event.reason)
        self.watch.rest(worker)
        match event:
            case AtWork(numbers):
                self.watch.begin(worker, numbers)
                return []
            case Saved(number, epoch, checksum):
                self.ledger.saved(number, epoch, checksum)
                return []
            case Fault(number, what):
                self.ledger.fault(number, what)
                return []
            case Ready():
                if worker not in self.workers:
                    self.ledger.happened(WORKER, worker=worker, device=event.device, lanes=event.lanes)
                self.workers[worker] = event
                self.closed.discard(worker)
                return self._fill(worker) + self._wake()
            case Planned(blueprint, stack, lanes, reason):
                return [(worker, Adopt(blueprint, *self.ledger.adopt(blueprint, stack, lanes, reason)))]
            case Report(number, epoch, value, metrics):
                self.ledger.report(number, epoch, value, metrics)
                self.watch.reported(number, epoch)
                self.tally.take(self.ledger.trial(number))
                return self.tick()
            case AtRung(epochs):
                return [(worker, Decision(number, said)) for number, said in self.ledger.decide(epochs).items()]
            case Ended(number, outcome, reason, value, facts, beside_others):
                del self.running[number]
                if beside_others and not self.ledger.retried(number):
                    self._retry(number, reason, self.workers[worker].device)
                elif outcome == "paused":
                    self.tally.take(self.ledger.pause(number, facts))
                    self.hopeful = True
                else:
                    self.tally.take(self.ledger.end(number, outcome, value, reason, facts))
                    self._give_up_if_hopeless()
                return self.tick() + self._fill(worker) + self._wake()
            case Broken(problems, settings):
                raise SettingsError(problems) if settings else StudyError("\n".join(problems))

    def overdue(self, workers: Iterable[int]) -> list[int]:
        """Returns those of the workers, none of whose words is unheard, that are to be killed: a trial's time is up.

        They are told as `lost` then, like others.
        """
        over = {worker: trials for worker in workers if (trials := self.watch.over(worker))}
        self.killed |= over
        return list(over)

    def lost(
        self, worker: int, reason: str, *, memory: bool = False, blameless: bool = False
    ) -> list[tuple[int, Command]]:
        """Takes note that a worker is gone: its trials go on elsewhere, or have failed, and others may wait for them.

        `memory` if it was killed for want of it, which all its trials together may be to blame for; `blameless` if
        none of them can be (its machine is gone).
        """
        held, at, over = self._held_by(worker), self.watch.rest(worker), self.killed.pop(worker, {})
        place = self.workers.pop(worker, None)
        blamed = set() if blameless else set(over or (held if memory else at or held))
        self.ledger.happened(LOST, worker=worker, reason=reason, trials=held)
        for number in held:
            del self.running[number]
        for number in held:
            certain = len(at) == 1 if over else memory and len(held) == 1 and not self.running
            if number not in blamed:
                self.first.append(self.ledger.trial(number))
            elif certain or self.ledger.retried(number):
                self.tally.take(self.ledger.end(number, "failed", None, over.get(number, reason)))
            else:
                self._retry(number, over.get(number, reason), place.device if place else "")
        self.first.sort(key=lambda trial: trial.number)
        self.idle.discard(worker)
        self.ledger.commit()
        self._give_up_if_hopeless()
        commands = self._wake()
        self.ledger.commit()
        return commands

    def _retry(self, number: int, reason: str, device: str) -> None:
        """Puts a trial in line to go on by itself, and elsewhere than on this device if there is another."""
        self.first.append(self.ledger.fault(number, reason, retried=True))
        self.ledger.happened(RETRY, trial=number, reason=reason)
        self.alone.add(number)
        self.shunned[number] = device

    def tick(self) -> list[tuple[int, Command]]:
        """Looks at the budget: when it is used up all trials end with their epoch, unless it is one of trials."""
        if time.monotonic() - self.noted > NOTED and self.ledger.leads:
            self.note_time()
        for trial in self.ledger.refresh():
            self.tally.take(trial)
        ended_by = self.budget.used_up(self.tally, self.seconds / 60)
        if self.over or self.interrupted or ended_by in (None, "trials"):
            return []
        self.over, self.ended_by = True, ended_by
        reason = f"the study ended: {self.budget.words(ended_by)}"
        return [(worker, Stop(number, reason)) for number, (worker, _) in self.running.items()]

    @property
    def seconds(self) -> float:
        """How long the study has been running, earlier runs included."""
        return self.before + time.monotonic() - self.since

    def note_time(self) -> None:
        """Keeps with the study how long it has been running."""
        self.noted = time.monotonic()
        self.ledger.set_attribute("seconds", round(self.seconds, 3))

    def interrupt(self) -> None:
        """Starts no more trials; those running stay running in the study, to be taken up by the next run."""
        self.interrupted = True
        self.ended_by = "interrupt"
        self.ledger.hurry()

    @property
    def has_work(self) -> bool:
        """Whether there may be another trial to start."""
        if self.interrupted or self.over:
            return False
        return bool(self.first or self.pool or self._may_propose or self.ledger.orphaned or self._moves())

    def conclude(self) -> None:
        """Ends the trials that are still paused, unless the run was interrupted, and notes what ended it, and when.

        A driver that doesn't lead leaves all that to the one that does.
        """
        for trial in self.pool:
            self.ledger.put_back(trial)
        if not self.ledger.leads:
            self.ledger.commit()
            return
        if not self.interrupted:
            while self.over and (left := self.ledger.take_up()):
                self.first += left
            for trial in self.ledger.paused:
                self.ledger.end_early(trial.number, f"paused at epoch {trial.epochs}: others did better")
            for trial in self.first if self.over else []:  # left by a crash, and there is no budget to go on with them
                self.ledger.end_early(trial.number, f"the study ended: {self.budget.words(self.ended_by)}")
            if self.ended_by == "trials" and not self._had_all:
                self.ended_by = "population"
        self.note_time()
        self.ledger.set_attribute("ended_by", self.ended_by)
        self.ledger.commit()

    def _fill(self, worker: int) -> list[tuple[int, Command]]:
        """Begins what the worker has lanes for; Close if it has nothing to do and there is nothing left for it."""
        commands: list[tuple[int, Command]] = []
        place = self.workers[worker]
        while len(held := self._held_by(worker)) < place.lanes and (trial := self._next(worker)) is not None:
            (self.first if trial in self.first else self.pool).remove(trial)
            self.running[trial.number] = worker, self._key(trial)
            self.ledger.began(trial, {"device": place.device, "lanes": place.lanes, "worker": worker})
            self.watch.expect(trial.number, trial.seconds or 0.0, max(trial.curve, default=0))
            rungs, branch = self.rungs(trial.number, trial.params), trial.parent is not None
            saved = self.ledger.saved_epoch(trial.number)
            commands.append((worker, Start(trial.number, trial.params, rungs, branch, saved)))
        self.idle.discard(worker)
        if held or commands:
            return [*commands, (worker, Go())]
        if self.running and self.ledger.pruner.pauses and not (self.interrupted or self.over):
            self.idle.add(worker)  # it goes on waiting for its answer
            return []
        self.closed.add(worker)
        return [(worker, Close())]

    def _wake(self) -> list[tuple[int, Command]]:
        """Sees to the workers that wait for a trial of another's: there may be one now, or none will come."""
        return [command for worker in sorted(self.idle) for command in self._fill(worker)]

    def _next(self, worker: int) -> Trial | None:
        """Returns the trial of the pool that the worker should take in now, if any."""
        if self.interrupted or self.over:
            return None
        held = self._held_by(worker)
        stacks = {self.running[number][1] for number in held}
        self._make_moves()
        if self.alone & set(held):
            return None
        if first := [trial for trial in self.first if not self._shuns(trial, worker)]:
            suiting = [trial for trial in first if not (held and trial.number in self.alone)]  # else it must get empty
            return next((trial for trial in suiting if self._key(trial) in stacks), next(iter(suiting), None))
        self._fill_pool(worker)
        fitting = [trial for trial in self.pool if self._key(trial) in stacks]
        if not fitting and 2 * (self.workers[worker].lanes - len(held)) >= self._group(worker):
            work: Counter[str] = Counter()
            for trial in self.pool:
                work[self._key(trial)] += self._weight(trial)
            most = max(work.values(), default=0)
            fitting = [trial for trial in self.pool if work[self._key(trial)] == most]
        return fitting[0] if fitting else None

    def _shuns(self, trial: Trial, worker: int) -> bool:
        """Tells whether a trial that was lost on the device of this worker may wait for one that has another."""
        lost_on = self.shunned.get(trial.number)
        others = (place.device for other, place in self.workers.items() if other not in self.closed)
        return self.workers[worker].device == lost_on and any(device != lost_on for device in others)

    def _moves(self) -> list[Move]:
        """Returns what the pruner would have done with paused trials now."""
        pruner, busy = self.ledger.pruner, self.running or self.pool or self._may_propose
        last = not (busy or self.ledger.others_at_work)
        moves = (pruner.last_moves if last else pruner.moves)(self.ledger.trials)
        return [move for move in moves if isinstance(move, Begin) or self.ledger.owns(move.number)]

    def _make_moves(self) -> None:
        if not self.first:
            self.first += self.ledger.take_up()
        for move in self._moves() if not self.first else []:
            match move:
                case Resume(number):
                    self.first.append(self.ledger.resume(number))
                case Begin(params, parent) if not self._had_all:
                    self.first.append(self.ledger.branch(params, parent, self.leave))
                case End(number, reason):
                    self.ledger.end_early(number, reason)

    def _fill_pool(self, worker: int) -> None:
        lanes = self.workers[worker].lanes
        if self.ledger.strategy.learns or lanes == 1:
            if not self.pool:
                given, left = self.batches.get(worker, ({}, 0))
                trial = self._propose(given) if left else None
                if trial is None:
                    left, trial = 0, self._propose()
                if trial is not None:
                    group = self._group(worker)
                    self.batches[worker] = (given, left - 1) if left else (self._varying(trial), group - 1)
        else:
            # What is left when the time is up stays in line; what one driver has ahead the others have not
            ahead = AHEAD if self.trials is not None and not self.ledger.shared else 1
            while len(self.pool) < ahead * lanes and self._propose() is not None:
                pass

    def _group(self, worker: int) -> int:
        """Returns how many trials of one structure a worker is given together."""
        lanes = self.workers[worker].lanes
        return min(SHARING, lanes) if self.ledger.strategy.learns else lanes

    def _propose(self, given: Mapping[str, Any] | None = None) -> Trial | None:
        """Puts a new trial into the pool, and returns it; None if there is none to be had."""
        if not self._may_propose:
            return None
        if self.shelved and not given:
            self.pool.append(self.shelved.pop(0))
            return self.pool[-1]
        try:
            trial = self.ledger.shelve(self.ledger.propose(given))
        except SpaceExhausted:
            if given:
                return None  # nothing is left of that structure
            self.ended_by = "space"
            return None
        except AllBegun:
            return None
        self.pool.append(trial)
        return trial

    @property
    def _may_propose(self) -> bool:
        there_are_more = self.ended_by != "space" and not self._had_all
        return there_are_more and self.ledger.pruner.takes_new(self.ledger.trials)

    @property
    def _had_all(self) -> bool:
        begun = self.ledger.begun + sum(trial.state == "waiting" for trial in (*self.first, *self.pool))
        return self.trials is not None and begun >= self.trials

    def _held_by(self, worker: int) -> list[int]:
        return [number for number, (holder, _) in self.running.items() if holder == worker]

    def _key(self, trial: Trial) -> str:
        if trial.number not in self.keys:
            self.keys[trial.number] = repr(sorted(self.structure(trial.params).items()))
        return self.keys[trial.number]

    def _weight(self, trial: Trial) -> int:
        """Returns how much work a trial is: the longest groups go first, so that workers end together."""
        key = self._key(trial)
        if key not in self.weights:
            self.weights[key] = self.weight(trial.params)
        return self.weights[key]

    def _varying(self, trial: Trial) -> dict[str, Any]:
        """Returns the structure of a trial as far as the space varies it, and values tell it, not their kind."""
        structure, varied = self.structure(trial.params), self.ledger.space.parameters
        return {n: value for n, value in structure.items() if n in varied and value is trial.params[n]}

    def _give_up_if_hopeless(self) -> None:
        if self.hopeful:
            return
        trials = self.ledger.trials
        ended = [trial for trial in trials if trial.state in ENDED]
        self.hopeful = any(trial.state in ("complete", "pruned", "paused") for trial in trials)
        if not self.hopeful and len(ended) >= HOPELESS:
            self.ledger.commit()
            raise StudyFailed(f"the first {len(ended)} trials all failed; the last one: {ended[-1].reason}")
