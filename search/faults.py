"""What went wrong in a study's run, counted: trials that failed by why, workers lost, retries, MLflow, the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .listeners import Listener
from .log import LOST, RETRY, TRACKER, UNWRITTEN
from .trial import Trial

MOST = 5  # reasons that are told, the most frequent first
NAMED = 5  # trials of a reason that are named


@dataclass
class Faults(Listener):
    """A listener of the ledger that gathers them; `lines` tells them.

    >>> from leadline import Trial
    >>> from leadline.search.faults import Faults
    >>> faults = Faults()
    >>> for number, epoch in ((3, 2), (5, 9)):
    ...     faults.ended(Trial(number, "failed", {}, reason=f"the loss is NaN at epoch {epoch}"))
    >>> faults.lines()
    ['2 trials failed: the loss is NaN at epoch 2, and alike (trials 3, 5)']
    """

    failed: dict[int, str] = field(default_factory=dict)  # reason, by trial
    lost: list[str] = field(default_factory=list)  # how workers died
    retried: list[int] = field(default_factory=list)  # trials that were given another go
    tracker: list[str] = field(default_factory=list)  # each time the tracking store was away, or refused
    unwritten: list[str] = field(default_factory=list)  # why, of each traceback that couldn't be written as a file

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Faults:
        """Returns the faults that these lines of a log tell."""
        faults = cls()
        for event in events:
            if event["event"] == "trial ended" and event.get("state") == "failed":
                faults.failed[int(event.get("trial", -1))] = str(event.get("reason", ""))
            else:
                faults.happened(event["event"], event)
        return faults

    def ended(self, trial: Trial) -> None:
        if trial.state == "failed":
            self.failed[trial.number] = trial.reason

    def happened(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == LOST:
            self.lost.append(str(facts.get("reason", "")))
        elif event == RETRY:
            self.retried.append(int(facts.get("trial", -1)))
        elif event == TRACKER:
            self.tracker.append(str(facts.get("problem", "")))
        elif event == UNWRITTEN:
            self.unwritten.append(str(facts.get("reason", "")))

    def lines(self) -> list[str]:
        """Returns them in words, nothing where all went well."""
        kinds: dict[str, list[int]] = {}
        for number, reason in sorted(self.failed.items()):
            kinds.setdefault(_kind(reason), []).append(number)
        often = sorted(kinds.values(), key=len, reverse=True)
        lines = [f"{_trials(numbers)} failed: {self._why(numbers)}" for numbers in often[:MOST]]
        if rest := [number for numbers in often[MOST:] for number in numbers]:
            lines.append(f"{_trials(rest)} failed for {len(often) - MOST} other reasons")
        if self.lost:
            lines.append(f"{len(self.lost)} {_plural('worker', self.lost)} lost: {self.lost[-1]}")
        if self.retried:
            lines.append(f"{_trials(self.retried)} given another go")
        if self.tracker:
            lines.append(f"MLflow was in trouble {_times(len(self.tracker))}: {self.tracker[-1]}")
        if self.unwritten:
            many = f"{len(self.unwritten)} {_plural('traceback', self.unwritten)}"
            lines.append(f"{many} not written, but kept with the study: {self.unwritten[-1]}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Returns them as plain JSON."""
        return {
            "failed": {str(number): reason for number, reason in sorted(self.failed.items())},
            "workers_lost": list(self.lost),
            "retried": list(self.retried),
            "tracker": list(self.tracker),
            "unwritten": list(self.unwritten),
        }

    def _why(self, numbers: list[int]) -> str:
        reasons = [self.failed[number] for number in numbers]
        alike = "" if len(set(reasons)) == 1 else ", and alike"
        named = ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")
        return f"{reasons[0]}{alike} ({'trial' if len(numbers) == 1 else 'trials'} {named})"


def _kind(reason: str) -> str:
    """Returns a reason without its numbers: those are of one trial."""
    return re.sub(r"\d+([.,]\d+)*", "#", reason)


def _trials(numbers: list[int]) -> str:
    return f"{len(numbers)} {_plural('trial', numbers)}"


def _plural(word: str, of: list[Any]) -> str:
    return word if len(of) == 1 else f"{word}s"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
