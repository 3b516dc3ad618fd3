"""Everything leadline raises on purpose.

LeadlineError
├── UsageError              what the user gave is wrong: exit code 2, nothing was created; holds every problem found
│   ├── SpaceError          ... in a search space, or in a configuration given for one
│   ├── DataError           ... in a data set
│   └── SettingsError       ... in a study file, a trainer, a strategy or a command
├── StudyError              a study can't be opened or can't go on: exit code 1
│   └── StudyFailed         its trials fail, one after another
├── SpaceExhausted          a finite space has no configuration left to propose
└── Pruned                  raised by an objective to end its trial early
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class LeadlineError(Exception):
    """Base of every error that leadline raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `text` says the rule, the value and the fix; `where` is its path in the settings."""

    text: str
    where: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.where))}: {self.text}" if self.where else self.text

    def inside(self, *outer: str | int) -> Problem:
        """Returns the same problem, seen from the settings that hold the part it was found in."""
        return Problem(self.text, (*outer, *self.where))


class UsageError(LeadlineError):
    """What the user gave is wrong; `problems` holds everything found, the message has a line for each."""

    def __init__(self, problems: str | Iterable[str | Problem]) -> None:
        given = [problems] if isinstance(problems, str) else list(problems)
        self.problems = [Problem(problem) if isinstance(problem, str) else problem for problem in given]
        super().__init__("\n".join(map(str, self.problems)))


class SpaceError(UsageError):
    """A search space, or a configuration given for one, breaks a rule."""


class DataError(UsageError):
    """A data set can't be read or can't be used."""


class SettingsError(UsageError):
    """Settings of a study, a trainer, a strategy or a command break a rule."""


class StudyError(LeadlineError):
    """A study can't be opened or can't go on."""


class StudyFailed(StudyError):
    """Trials of the study fail, one after another."""


class SpaceExhausted(LeadlineError):
    """A finite space has no configuration left that the study hasn't run."""


class Pruned(LeadlineError):
    """Raise it in an objective to end the trial as pruned."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns "Did you mean `...`?" for the known word nearest to `word`, else the list of known words.

    >>> suggestion("dropuot", ["dropout", "lr"])
    'Did you mean `dropout`?'
    """
    known = sorted(known)
    listed = f"Known: {', '.join(f'`{name}`' for name in known)}." if known else "None is known."
    return nearest(word, known) or listed


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns "Did you mean `...`?" for the known word nearest to `word`; nothing if none is near.

    >>> nearest("dropuot", ["dropout", "lr"]), nearest("momentum", ["dropout", "lr"])
    ('Did you mean `dropout`?', '')
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean `{near[0]}`?" if near else ""
