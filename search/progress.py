"""Progress: a live table on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .listeners import Listener
from .trial import ENDED, Trial

SHOWN = 8  # running trials in the table


class Progress(Listener):
    """A listener of the ledger that shows how a run gets on, on standard error; use it as a context manager.

    `trials` and `seconds` are the run's budget, None where there is none; `epochs` the length of a trial.
    """

    def __init__(
        self,
        done: list[Trial],
        *,
        maximize: bool,
        trials: int | None,
        seconds: float | None,
        epochs: int | None,
        console: Console | None = None,
    ) -> None:
        self.console = console or Console(stderr=True)
        self.maximize, self.trials, self.seconds, self.epochs = maximize, trials, seconds, epochs
        self.counts = {state: sum(trial.state == state for trial in done) for state in ENDED}
        self.before = sum(self.counts.values())
        self.best: Trial | None = None
        for trial in done:
            self._compare(trial)
        self.running: dict[int, Trial] = {}
        self.paused_trials = {trial.number for trial in done if trial.state == "paused"}
        self._told: set[str] = set()
        self.since = time.monotonic()
        self._live = Live(get_renderable=self._table, console=self.console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self._live.start()
        return self

    def status(self, text: str) -> AbstractContextManager[object]:
        """Shows what is being done, on a terminal, while the context lasts."""
        return self.console.status(text) if self.console.is_terminal else nullcontext()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def planned(self, blueprint: str, stack: str, reason: str) -> None:
        kind, _, details = reason.partition(":")
        if stack == "looped" and kind not in (*self._told, "asked for", "one lane at a time"):
            self._told.add(kind)
            all_of_them = "`leadline show NAME --json` has them all, under `plans`"
            text = f"Some networks are trained one after another, for {kind}:{details} ({all_of_them})"
            self.console.print(Text(text, style="dim"), soft_wrap=True)

    def began(self, trial: Trial) -> None:
        self.running[trial.number] = trial
        self.paused_trials.discard(trial.number)

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        self.running[trial.number] = trial

    def paused(self, trial: Trial) -> None:
        self.running.pop(trial.number, None)
        self.paused_trials.add(trial.number)
        if not self.console.is_terminal:
            value = "" if trial.last is None else f" {places(trial.last)}"
            text = f"{self._of}  trial {trial.number} paused at epoch {trial.epochs}{value}  {compact(trial.params)}"
            self.console.print(Text(text), soft_wrap=True)

    def ended(self, trial: Trial) -> None:
        self.running.pop(trial.number, None)
        self.paused_trials.discard(trial.number)
        self.counts[trial.state] += 1
        self._compare(trial)
        if not self.console.is_terminal:
            self.console.print(Text(self._line(trial)), soft_wrap=True)

    def elsewhere(self, trial: Trial) -> None:
        if trial.state in ENDED:
            self.counts[trial.state] += 1
            self._compare(trial)

    def _compare(self, trial: Trial) -> None:
        if trial.state != "complete" or trial.value is None:
            return
        if (
            self.best is None
            or self.best.value is None
            or (trial.value > self.best.value if self.maximize else trial.value < self.best.value)
        ):
            self.best = trial

    @property
    def _ended(self) -> int:
        return sum(self.counts.values())

    @property
    def _of(self) -> str:
        """How many trials have ended, of how many."""
        return f"{self._ended}/{self.trials}" if self.trials else str(self._ended)

    def _line(self, trial: Trial) -> str:
        value = "" if trial.value is None else f" {places(trial.value)}"
        best = (
            ""
            if self.best is None or self.best.value is None
            else f", best {places(self.best.value)} (trial {self.best.number})"
        )
        why = f": {trial.reason}" if trial.state == "failed" else ""
        return f"{self._of}  trial {trial.number} {trial.state}{value}{why}{best}  {compact(trial.params)}"

    def _table(self) -> Group:
        counts = [f"{count} {state}" for state, count in self.counts.items() if count]
        head = Text.assemble(
            (f"{self._ended}" + (f" of {self.trials}" if self.trials else ""), "bold"),
            " trials",
            f" ({', '.join(counts)})" if counts else "",
            f", {len(self.running)} running",
            f", {len(self.paused_trials)} paused" if self.paused_trials else "",
            f"  {self._clock()}",
        )
        lines = [head]
        if self.best is not None and self.best.value is not None:
            found = f"trial {self.best.number}: {compact(self.best.params)}"
            lines.append(Text.assemble("best ", (places(self.best.value), "bold green"), f"  {found}"))
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column, width in (("trial", 5), ("epoch", 7), ("value", 6)):
            table.add_column(column, justify="right", no_wrap=True, min_width=width)
        table.add_column("configuration", no_wrap=True, overflow="ellipsis")
        for trial in list(self.running.values())[:SHOWN]:
            of = f"/{self.epochs}" if self.epochs else ""
            value = places(trial.last) if trial.last is not None else ""
            table.add_row(str(trial.number), f"{trial.epochs}{of}", value, Text(compact(trial.params)))
        return Group(*lines, table)

    def _clock(self) -> str:
        elapsed = time.monotonic() - self.since
        left = [] if self.seconds is None else [max(0.0, self.seconds - elapsed)]
        if self.trials and self._ended > self.before:
            left.append(elapsed / (self._ended - self.before) * (self.trials - self._ended))
        return f"{clock(elapsed)} so far" + (f", about {clock(min(left))} left" if left else "")


def compact(params: Mapping[str, Any]) -> str:
    """Returns a configuration in one short line, without what is empty: a whole network has nothing to `remove`.

    >>> from leadline.search.progress import compact
    >>> compact({"depth": 3, "lr": 0.00123456})
    'depth=3 lr=0.001235'
    """
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
        if value != ""
    )


def places(value: float) -> str:
    """Returns a value to four places, as they stand in columns; a small one to four digits.

    >>> from leadline.search.progress import places
    >>> places(1), places(0.98765), places(0.000123456)
    ('1.0000', '0.9877', '0.0001235')
    """
    return f"{value:.4g}" if 0 < abs(value) < 0.01 else f"{value:.4f}"


def clock(seconds: float) -> str:
    """Returns a duration for people.

    >>> from leadline.search.progress import clock
    >>> clock(75), clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
