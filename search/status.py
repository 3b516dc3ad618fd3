"""How a study gets on, told by who only reads it: from its journal, and its log."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .budget import WORDS, Budget
from .faults import Faults
from .folder import is_shared, lives
from .log import BEGAN, ENDED, FAILED, WORKER, read_log
from .printing import finite
from .progress import clock, compact
from .trial import ENDED as ENDED_STATES
from .trial import Trial
from .words import short

if TYPE_CHECKING:
    from .study import Study

EVERY = 1.0  # seconds between two looks, at least
SHARE = 5  # ... and so many times as long as a look takes
SHOWN = 8  # running trials

Events = list[Mapping[str, Any]]  # lines of the log


class Process(NamedTuple):
    """A process that runs a study, or did."""

    host: str
    number: int

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, one of this machine."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.number}" + ("" if self.is_here else f" on {self.host}")


@dataclass(frozen=True)
class Status:
    """How a study gets on, as it was when it was looked at.

    `state` is "running", "ended", "interrupted", "failed", "died" (its process is gone without a word), "new" (never
    run), or "unknown", where it runs on another machine and was last heard of `seconds` ago; `why` says more. Of a
    study that several drivers run it is "running" while any of them lives. `trials_a_minute` and `left` (seconds, as
    far as can be told) are of the runs that are going on; `devices` says what their workers train on; `faults` are
    those since they began, or the last run did.
    """

    study: str
    state: str
    why: str
    trials: Mapping[str, int]
    of: int | None
    trials_a_minute: float | None
    left: float | None
    best: Trial | None
    metric: str
    devices: Sequence[str]
    running: Sequence[Trial]
    faults: Faults

    @property
    def goes_on(self) -> bool:
        """Whether there is more to come."""
        return self.state in ("running", "unknown")

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        plain = {name: value for name, value in vars(self).items() if name not in ("best", "running", "faults")}
        best = self.best.as_json() if self.best else None
        running = [{"number": trial.number, "epochs": trial.epochs, "last": trial.last} for trial in self.running]
        return {**plain, "best": best, "running": running, "faults": self.faults.as_json()}


def status_of(study: Study) -> Status:
    """Returns how a study gets on. Reads, writes nothing, and imports none of its code."""
    leases = _leases(study)  # before the log: who has no lease any more has told there how it ended
    events: Events = list(read_log(study.folder.path))
    runs = _runs(events)
    going = _going(runs, leases)
    trials = study.trials  # only now: what the log tells of trials they know
    state, why = _state(study, runs, going)
    shown = [runs[process] for process in going if process in runs] or [*runs.values()][-1:]
    since = min((events.index(run[0]) for run in shown), default=0)
    ended = [trial for trial in trials if trial.state in ENDED_STATES]
    complete = any(trial.state == "complete" for trial in trials)
    budget = Budget(**(study.attribute("budget") or {}))
    rate = _rate(shown) if state == "running" else None
    return Status(
        study=study.name,
        state=state,
        why=why,
        trials={name: count for name in _STATES if (count := sum(trial.state == name for trial in trials))},
        of=budget.trials,
        trials_a_minute=rate,
        left=_left(budget, len(ended), rate, study.attribute("seconds") or 0.0) if state == "running" else None,
        best=study.best if complete else None,
        metric=study.metric_name,
        devices=[str(event.get("device")) for run in shown for event in run if event["event"] == WORKER],
        running=[trial for trial in trials if trial.state == "running"] if state == "running" else [],
        faults=Faults.of(events[since:]),
    )


_STATES = (*ENDED_STATES, "running", "paused", "waiting")


def _leases(study: Study) -> list[Process] | None:
    """Returns the processes that have a lease of a shared study; None if it isn't shared."""
    if not is_shared(study.storage):
        return None
    from .shared.ledger import drivers_of

    return [Process(driver.host, driver.pid) for driver in drivers_of(study)]


def _runs(events: Events) -> dict[Process, Events]:
    """Returns what the log tells of each process's last run; who was last heard of comes last."""
    runs: dict[Process, Events] = {}
    for event in events:
        number = event.get("process")
        if isinstance(number, int):
            process = Process(str(event.get("host")), number)
            before = runs.pop(process, [])
            runs[process] = [] if event["event"] == BEGAN else before
            runs[process].append(event)
    return runs


def _going(runs: Mapping[Process, Events], leases: Sequence[Process] | None) -> list[Process]:
    """Returns the processes whose runs go on. Without leases that is the last one at most: a lock sees to it."""
    last = [process for process in [*runs][-1:] if process.is_here]
    over = {process for process, run in runs.items() if run[-1]["event"] in (ENDED, FAILED)}
    return [
        process
        for process in (last if leases is None else leases)
        if process not in over and (lives(process.number) or not process.is_here)
    ]


def _state(study: Study, runs: Mapping[Process, Events], going: Sequence[Process]) -> tuple[str, str]:
    """Returns the state, and why it is so, from the log of the runs; without a log, from the study itself."""
    if going:
        return "running", ", ".join(map(str, going))
    by = study.attribute("ended_by")
    if not runs:
        return ("ended", _words(study, by)) if by else ("new", "")
    process, run = [*runs.items()][-1]
    last = run[-1]
    if last["event"] == FAILED:
        return "failed", str(last.get("reason", ""))
    if last["event"] == ENDED:
        interrupted = last.get("by") == "interrupt"
        return ("interrupted", "") if interrupted else ("ended", _words(study, str(last.get("by"))))
    if not process.is_here and not is_shared(study.storage):
        return "unknown", f"{process} was last heard of {clock(_since(last))} ago"
    return "died", f"{process} is gone"


def _words(study: Study, by: str) -> str:
    """Returns what ended a study, as it was told then."""
    if by == "space":
        return "every configuration has been run"
    budget = Budget(**(study.attribute("budget") or {}))
    return budget.words(by) if by in WORDS else by


def _rate(runs: Sequence[Events]) -> float | None:
    """Returns how many trials end a minute, in all these runs together."""
    counts = [(sum(event["event"] == "trial ended" for event in run), _since(run[0])) for run in runs]
    return sum(60 * ended / seconds for ended, seconds in counts if seconds > 0) or None


def _left(budget: Budget, ended: int, rate: float | None, spent: float) -> float | None:
    """Returns the seconds until the budget's trials or minutes are used up; None where that can't be told."""
    left = []
    if budget.minutes is not None:
        left.append(max(0.0, 60 * budget.minutes - spent))
    if budget.trials is not None and rate:
        left.append(60 * max(0, budget.trials - ended) / rate)
    return min(left, default=None)


def _since(event: Mapping[str, Any]) -> float:
    return max(0.0, time.time() - datetime.fromisoformat(str(event["at"])).timestamp())


def print_status(status: Status) -> None:
    """Prints how a study gets on."""
    print("\n".join(lines_of(status)))


def follow(look: Callable[[], Status], *, as_json: bool) -> None:
    """Shows a study until it has ended: refreshed in its place on a terminal, elsewhere a line for each change.

    As JSON it is an object a line. Looks rest, so that they take little of a machine that trains.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    if console.is_terminal and not as_json:
        with Live(console=console, auto_refresh=False) as live:
            for status in _looks(look):
                live.update(Text("\n".join(lines_of(status))), refresh=True)
        return
    before = ""
    for status in _looks(look):
        now = json.dumps(finite(status.as_json()), allow_nan=False) if as_json else _head(status)
        if now != before:
            print(now, flush=True)
        before = now
    for line in [] if as_json else lines_of(status)[1:]:
        print(line)


def _looks(look: Callable[[], Status]) -> Iterator[Status]:
    while True:
        began = time.monotonic()
        status = look()
        yield status
        if not status.goes_on:
            return
        time.sleep(max(EVERY, SHARE * (time.monotonic() - began)))


def lines_of(status: Status) -> list[str]:
    """Returns a status in words: how it is, how fast, what is best, what is running, what went wrong."""
    lines = [_head(status)]
    pace = [] if status.trials_a_minute is None else [f"{short(status.trials_a_minute)} trials a minute"]
    pace += [] if status.left is None else [f"about {clock(status.left)} left"]
    pace += [f"on {', '.join(status.devices)}"] if status.devices and status.goes_on else []
    lines += ["  " + ", ".join(pace)] if pace else []
    if status.best is not None:
        best = status.best
        lines.append(f"  best: trial {best.number}, {status.metric} {short(best.value)}  {compact(best.params)}")
    for trial in status.running[:SHOWN]:
        last = "" if trial.last is None else f" {short(trial.last)}"
        lines.append(f"  trial {trial.number} at epoch {trial.epochs}{last}  {compact(trial.params)}")
    if (more := len(status.running) - SHOWN) > 0:
        lines.append(f"  ... and {more} more")
    return lines + [f"  {line}" for line in status.faults.lines()]


def _head(status: Status) -> str:
    of = "" if status.of is None else f" of {status.of}"
    ended = sum(status.trials.get(name, 0) for name in ENDED_STATES)
    counts = ", ".join(f"{count} {name}" for name, count in status.trials.items())
    why = f", {status.why};" if status.why else ","
    return f"{status.study}: {status.state}{why} {ended}{of} trials ended" + (f": {counts}" if counts else "")
