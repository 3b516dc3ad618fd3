"""Listeners of the ledger: the user's callbacks, and the keeper of the best trials' weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .folder import Folder
from .trial import ENDED, Trial

if TYPE_CHECKING:
    from .ledger import Ledger


class Listener:
    """Is told what was recorded. Does nothing itself."""

    def planned(self, blueprint: str, stack: str, reason: str) -> None:
        """It was settled how the stacks of a blueprint are run."""

    def began(self, trial: Trial) -> None:
        """A trial was begun, or taken up again."""

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """A trial reported an epoch."""

    def faulted(self, trial: Trial, what: str) -> None:
        """Something went wrong with a trial, and was made good: it goes on."""

    def paused(self, trial: Trial) -> None:
        """A trial left its lane, to go on later or to be ended."""

    def ended(self, trial: Trial) -> None:
        """A trial ended."""

    def elsewhere(self, trial: Trial) -> None:
        """A trial of another driver changed in some way."""

    def happened(self, event: str, facts: Mapping[str, Any]) -> None:
        """Something happened that no trial's record tells: a worker is ready or lost, MLflow is away, ..."""


class Callbacks(Listener):
    """Calls the user's `on_epoch(trial, epoch, metrics)` and `on_trial_end(trial)`; what they raise ends the run."""

    def __init__(self, on_epoch: Callable[..., Any] | None, on_trial_end: Callable[..., Any] | None) -> None:
        self._on_epoch, self._on_trial_end = on_epoch, on_trial_end

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        if self._on_epoch:
            self._on_epoch(trial, epoch, dict(metrics))

    def ended(self, trial: Trial) -> None:
        if self._on_trial_end:
            self._on_trial_end(trial)


class Sizes(Listener):
    """Records how many parameters a trial's network has when it begins, for a pruner that goes by it."""

    def __init__(self, ledger: Ledger, size: Callable[[Mapping[str, Any]], int | None]) -> None:
        self._mirror, self._size = ledger.mirror, size

    def began(self, trial: Trial) -> None:
        if trial.parameters is None and (size := self._size(trial.params)) is not None:
            self._mirror.set_trial_user_attr(self._mirror.trial_id(trial.number), "parameters", size)


class Tracebacks(Listener):
    """Writes the traceback of a trial that raised an error into its folder, as text; the study has it too."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def ended(self, trial: Trial) -> None:
        if trial.traceback:
            path = self._folder.traceback(trial.number)
            with suppress(OSError):  # on a full disk there is the study's alone
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(trial.traceback)


class Keeper(Listener):
    """Keeps the weights of the best `keep` complete trials, so that hundreds of networks don't fill the disk.

    What they say of the validation rows is kept of all complete ones. Of a study that others run too it may not know
    all trials; but what isn't among the best of some isn't among the best of all.
    """

    def __init__(self, folder: Folder, trials: list[Trial], keep: int, *, maximize: bool) -> None:
        self._folder, self._keep, self._sign = folder, keep, 1 if maximize else -1
        self._kept: list[tuple[float, int]] = []
        for trial in trials:
            if trial.state in ENDED:
                self.ended(trial)

    def ended(self, trial: Trial) -> None:
        if trial.state != "complete" or trial.value is None:
            self._folder.forget(trial.number)
            return
        self._folder.forget(trial.number, but=("best", "refit", "valid"))
        self._kept = sorted([*self._kept, (-self._sign * trial.value, trial.number)])  # of equals the earlier is better
        for _, number in self._kept[self._keep :]:
            self._folder.forget(number, but=("valid",))
        del self._kept[self._keep :]

    def elsewhere(self, trial: Trial) -> None:
        if trial.state in ENDED:
            self.ended(trial)
