"""How a study gets on, told by who only reads it: from its journal, and its log."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .budget import WORDS, Budget
from .faults import Faults
from .folder import lives
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


@dataclass(frozen=True)
class Status:
    """How a study gets on, as it was when it was looked at.

    `state` is "running", "ended", "interrupted", "failed", "died" (its process is gone without a word), "new" (never
    run), or "unknown", where it runs on another machine and was last heard of `seconds` ago; `why` says more.
    `trials_a_minute` and `left` (seconds, as far as can be told) are of the run that is going on; `devices` says what
    its workers train on; `faults` are those of the last run.
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
    events = list(read_log(study.folder.path))
    trials = study.trials  # only now: what the log tells of trials they know
    began = max((place for place, event in enumerate(events) if event["event"] == BEGAN), default=None)
    run = [] if began is None else events[began:]
    state, why = _state(study, run)
    ended = [trial for trial in trials if trial.state in ENDED_STATES]
    complete = any(trial.state == "complete" for trial in trials)
    budget = Budget(**(study.attribute("budget") or {}))
    rate = _rate(run) if state == "running" else None
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
        devices=[str(event.get("device")) for event in run if event["event"] == WORKER],
        running=[trial for trial in trials if trial.state == "running"] if state == "running" else [],
        faults=Faults.of(run),
    )


_STATES = (*ENDED_STATES, "running", "paused", "waiting")


def _state(study: Study, run: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Returns the state, and why it is so, from the log of the last run; without a log, from the study itself."""
    by = study.attribute("ended_by")
    if not run:
        return ("ended", _words(study, by)) if by else ("new", "")
    first, last = run[0], run[-1]
    if last["event"] == FAILED:
        return "failed", str(last.get("reason", ""))
    if last["event"] == ENDED:
        interrupted = last.get("by") == "interrupt"
        return ("interrupted", "") if interrupted else ("ended", _words(study, str(last.get("by"))))
    process, host = first.get("process"), first.get("host")
    if host != socket.gethostname():
        return "unknown", f"process {process} on {host} was last heard of {clock(_since(last))} ago"
    if isinstance(process, int) and lives(process):
        return "running", f"process {process}"
    return "died", f"process {process} is gone"


def _words(study: Study, by: str) -> str:
    """Returns what ended a study, as it was told then."""
    if by == "space":
        return "every configuration has been run"
    budget = Budget(**(study.attribute("budget") or {}))
    return budget.words(by) if by in WORDS else by


def _rate(run: Sequence[Mapping[str, Any]]) -> float | None:
    """Returns how many trials end a minute."""
    ended = sum(event["event"] == "trial ended" for event in run)
    seconds = _since(run[0])
    return 60 * ended / seconds if ended and seconds > 0 else None


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
