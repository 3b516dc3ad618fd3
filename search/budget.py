"""The budget: how long a study goes on, over all its runs and workers, and what of it is used up."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import Problem
from ..spaces.parameters import MOST
from .trial import ENDED, Trial

WORDS = {
    "trials": "all its trials are done",
    "minutes": "its time is up",
    "device_hours": "its device hours are used up",
    "total_epochs": "its epochs are used up",
    "target": "the target of {0.target} is reached",
    "stall": "no improvement in {0.stall} trials",
    "population": "its population is trained",
}
"""What to tell people when that part of a budget has ended a study."""

WHOLE = ("trials", "total_epochs", "stall")  # those that are counted, not measured


@dataclass(frozen=True)
class Budget:
    """How long a study goes on; whichever is used up first ends it, None is no matter.

    All hold over the whole study, however many runs and workers it takes: `trials` that have begun; `minutes` of
    running; `device_hours` of training, all trials' seconds together; `total_epochs` of all trials. And it ends when a
    complete trial's value is as good as `target`, or the best one has been the best for `stall` ended trials; both need
    a study of one objective.
    """

    trials: int | None = None
    minutes: float | None = None
    device_hours: float | None = None
    total_epochs: int | None = None
    target: float | None = None
    stall: int | None = None

    @property
    def bounds(self) -> bool:
        """Whether a study with this budget is sure to end: a target may never be reached."""
        return any(value is not None for name, value in asdict(self).items() if name != "target")

    def problems(self) -> list[Problem]:
        """Returns what is wrong with it."""
        found = []
        for name, value in self.as_json().items():
            kind = int if name in WHOLE else int | float
            if isinstance(value, bool) or not isinstance(value, kind) or value != value:
                rule = "an integer" if name in WHOLE else "a finite number"
                found.append(Problem(f"`{name}` must be {rule}, but got {value!r}", (name,)))
            elif abs(value) > MOST:
                found.append(Problem(f"`{name}` is so large that it bounds nothing; leave it out", (name,)))
            elif name != "target" and value <= 0:
                found.append(Problem(f"`{name} > 0` must hold, but got {value!r}", (name,)))
        return found

    def as_json(self) -> dict[str, Any]:
        """Returns what is given of it, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def ended_by(self, trials: Sequence[Trial], *, maximize: bool, minutes_spent: float) -> str | None:
        """Returns the name of what is used up when these are the study's trials; None if it may go on."""
        return self.used_up(Tally(trials, maximize=maximize), minutes_spent)

    def used_up(self, tally: Tally, minutes_spent: float) -> str | None:
        """Returns the same from what the trials add up to."""
        if self.target is not None and tally.reaches(self.target):
            return "target"
        for name, spent in (
            ("stall", tally.since_best),
            ("total_epochs", tally.epochs),
            ("device_hours", tally.seconds / 3600),
            ("minutes", minutes_spent),
            ("trials", tally.begun),
        ):
            given = getattr(self, name)
            if given is not None and spent >= given:
                return name
        return None

    def words(self, name: str) -> str:
        """Returns what to tell people when the part called `name` has ended the study.

        >>> Budget(stall=20).words("stall")
        'no improvement in 20 trials'
        """
        return WORDS[name].format(self)


UNBOUNDED = Budget()


class Tally:
    """What a study's trials add up to, kept as they report and end."""

    def __init__(self, trials: Iterable[Trial] = (), *, maximize: bool) -> None:
        self._sign = 1.0 if maximize else -1.0
        self._seen: dict[int, tuple[float, int]] = {}  # seconds and epochs of each trial that has begun
        self._ended: list[int] = []  # numbers, in order; a paused one has been judged as well as an ended one
        self._judged: set[int] = set()
        self._best: tuple[float, int] | None = None  # value, the greater the better, and minus the number
        self.seconds = 0.0
        self.epochs = 0
        for trial in trials:
            self.take(trial)

    def take(self, trial: Trial) -> None:
        """Takes a trial in as it is now: new, or further than it was. One that ends is taken once."""
        if trial.state == "waiting":
            return
        seconds, epochs = self._seen.get(trial.number, (0.0, 0))
        now = trial.seconds or 0.0, len(trial.curve)  # `epochs` of one that began from another's state hold that one's
        self._seen[trial.number] = now
        self.seconds += now[0] - seconds
        self.epochs += now[1] - epochs
        if trial.state in (*ENDED, "paused") and trial.number not in self._judged:
            self._judged.add(trial.number)
            insort(self._ended, trial.number)
        if trial.state == "complete" and trial.value is not None:
            found = self._sign * trial.value, -trial.number  # of equals the earlier is better
            self._best = found if self._best is None else max(self._best, found)

    @property
    def begun(self) -> int:
        """How many trials have begun."""
        return len(self._seen)

    @property
    def since_best(self) -> int:
        """How many ended or paused trials come, by number, after the best; all of them where none is complete."""
        return len(self._ended) - (0 if self._best is None else bisect_right(self._ended, -self._best[1]))

    def reaches(self, target: float) -> bool:
        """Tells whether a complete trial is as good as `target`."""
        return self._best is not None and self._best[0] >= self._sign * target
