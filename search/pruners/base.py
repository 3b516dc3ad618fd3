"""The seam: what decides, after the epochs it names, which trials go on, which pause, and which end.

A pruner keeps no state: all its answers follow from the trials' records, so that a resumed study goes on as the
undisturbed one would have. Times and clocks are not among what it may look at, but for the seconds a trial recorded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...trainers.messages import Verdict as Verdict
from ..trial import Trial

if TYPE_CHECKING:
    from optuna.study import Study


@dataclass(frozen=True)
class Resume:
    """Go on with this paused trial, from where it stands."""

    number: int


@dataclass(frozen=True)
class End:
    """End this paused trial as pruned."""

    number: int
    reason: str


@dataclass(frozen=True)
class Begin:
    """Begin a new trial of this configuration from the weights and optimizer state of `parent`, which is paused."""

    params: Mapping[str, Any]
    parent: int


Move = Resume | End | Begin


class Pruner(ABC):
    """Decides about trials after some of their epochs.

    The scheduler asks in this order. After an epoch in `rungs` a trial stands still, until all those of its stack that
    reached a rung in the same epoch have reported; then `verdicts` says what becomes of them. A trial that is paused
    leaves its lane, its state is kept. Whenever a lane is free, `moves` is asked first, and what it says is done;
    where it says nothing, a new trial is proposed if `takes_new`, and the budget has one left. When no trial runs and
    none is to come, `last_moves` is asked instead, until it says nothing; what is paused then is ended as pruned.
    """

    pauses = False  # whether a verdict of it may be "pause"
    alone = False  # whether it needs one driver, which sees all trials end
    showing = ""  # how strategies are shown trials of different lengths beside it: see `strategies.multifidelity`

    def bind(self, study: Study) -> None:  # noqa: B027 (not abstract: most have nothing to do)
        """Tells the Optuna study whose trials it will be asked about; most need no more than the records."""

    @abstractmethod
    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        """Returns the epochs, of 1 ... `epochs`, after which trial `number`, which may take so many, is decided about.

        After its last epoch a trial is complete, and nobody is asked.
        """

    @abstractmethod
    def verdicts(self, waiting: Sequence[int], trials: Sequence[Trial]) -> list[Verdict]:
        """Returns what becomes of the trials with these numbers, whose last epoch (`curve`'s last) is a rung.

        `trials` are all of the study's, by number, the waiting ones with what they have just reported.
        """

    def moves(self, trials: Sequence[Trial]) -> list[Move]:
        """Returns what is to be done with paused trials now, nothing by default."""
        return []

    def last_moves(self, trials: Sequence[Trial]) -> list[Move]:
        """Returns what is still to be done with paused trials when no new one is to come; what `moves` says."""
        return self.moves(trials)

    def takes_new(self, trials: Sequence[Trial]) -> bool:
        """Tells whether a new trial may be proposed now, beside those that the study has."""
        return True
