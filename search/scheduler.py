"""The scheduler: answers each event of a worker with the commands it calls for. It waits for nothing and nobody."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import SettingsError, SpaceExhausted, StudyFailed
from ..trainers.messages import Broken, Channel, Close, Command, Decision, Ended, Event, Job, Ready, Report, Start, Stop
from .ledger import Ledger
from .trial import ENDED, Trial

TOGETHER = 0.5  # seconds for which reports that nobody waits for are held together
HOPELESS = 8  # so many failures at the beginning, and nothing else, stop the study: it is the study that is wrong


class Work(Protocol):
    """What trains trials: a `Trainer`, or an `Objective`."""

    def serve(self, job: Job, channel: Channel) -> None:
        """Trains what the driver sends, until it says Close."""


class Scheduler:
    """Keeps the workers busy until the study has had its trials, or its time.

    `rungs` tells the epochs after which a trial of that configuration awaits a decision. What comes back from each
    method is a list of (worker, command).
    """

    def __init__(
        self,
        ledger: Ledger,
        rungs: Callable[[dict[str, Any]], frozenset[int]],
        *,
        trials: int | None,
        seconds: float | None,
    ) -> None:
        self.ledger, self.rungs, self.trials = ledger, rungs, trials
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.left_running = deque(ledger.unfinished())
        self.running: dict[int, int] = {}  # trial -> worker
        self.closed: set[int] = set()
        self.out_of_time = False
        self.interrupted = False
        self.hopeful = False  # whether a trial has ended otherwise than by failing
        self.ended_by = "trials"  # "trials", "minutes", "space" or "interrupt"

    def handle(self, worker: int, event: Event) -> list[tuple[int, Command]]:
        """Answers an event. Raises what ends the study: a broken worker, or nothing but failures.

        Whatever an answer builds on is durable before it is given. Reports that nobody waits for are made durable
        together: a trial that lost them would report them again.
        """
        commands = self._answer(worker, event)
        self.ledger.commit(older_than=0.0 if commands else TOGETHER)
        return commands

    def _answer(self, worker: int, event: Event) -> list[tuple[int, Command]]:
        match event:
            case Ready(lanes=lanes):
                return self._fill(worker, lanes)
            case Report(number, epoch, value, metrics, waits):
                prune = self.ledger.report(number, epoch, value, metrics, decide=waits)
                answer: list[tuple[int, Command]] = [(worker, Decision(number, prune))] if waits else []
                return answer + self.tick()
            case Ended(number, outcome, reason, value, facts):
                del self.running[number]
                self.ledger.end(number, outcome, value, reason, facts)
                self._give_up_if_hopeless()
                return self.tick() + self._fill(worker, 1)
            case Broken(problems):
                raise SettingsError(problems)

    def lost(self, worker: int, reason: str) -> None:
        """Takes note that a worker died: the trials it was training have failed."""
        for number in [number for number, holder in self.running.items() if holder == worker]:
            del self.running[number]
            self.ledger.end(number, "failed", None, reason)
        self.ledger.commit()
        self._give_up_if_hopeless()

    def tick(self) -> list[tuple[int, Command]]:
        """Looks at the clock: when the time is up, all trials end with their epoch."""
        if self.out_of_time or self.deadline is None or time.monotonic() < self.deadline:
            return []
        self.out_of_time = True
        self.ended_by = "minutes"
        return [(worker, Stop(number)) for number, worker in self.running.items()]

    def interrupt(self) -> None:
        """Starts no more trials; those running stay running in the study, to be taken up by the next run."""
        self.interrupted = True
        self.ended_by = "interrupt"

    @property
    def has_work(self) -> bool:
        """Whether there may be another trial to start."""
        if self.interrupted or self.out_of_time:
            return False
        return bool(self.left_running) or (self.ended_by != "space" and not self._had_all())

    def _fill(self, worker: int, lanes: int) -> list[tuple[int, Command]]:
        commands: list[tuple[int, Command]] = []
        while len(commands) < lanes and (trial := self._next()) is not None:
            self.running[trial.number] = worker
            commands.append((worker, Start(trial.number, trial.params, self.rungs(trial.params))))
        if not commands and worker not in self.running.values():
            self.closed.add(worker)
            commands.append((worker, Close()))
        return commands

    def _next(self) -> Trial | None:
        if not self.has_work:
            return None
        if self.left_running:
            trial = self.left_running.popleft()
            self.ledger.began(trial)
            return trial
        try:
            return self.ledger.propose()
        except SpaceExhausted:
            self.ended_by = "space"
            return None

    def _had_all(self) -> bool:
        return self.trials is not None and self.ledger.begun >= self.trials

    def _give_up_if_hopeless(self) -> None:
        if self.hopeful:
            return
        ended = [trial for trial in self.ledger.trials if trial.state in ENDED]
        self.hopeful = any(trial.state != "failed" for trial in ended)
        if not self.hopeful and len(ended) >= HOPELESS:
            self.ledger.commit()
            raise StudyFailed(f"the first {len(ended)} trials all failed; the last one: {ended[-1].reason}")
