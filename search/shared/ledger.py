"""The ledger of a driver that runs a study together with others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ...errors import SettingsError
from ...trainers.quiet import quiet
from ..folder import open_storage, release
from ..ledger import AllBegun, Ledger
from ..trial import DRIVER, PAUSED, Trial
from .database import retried
from .leases import Driver, Lease, drivers
from .mirror import SharedMirror

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..study import Study

LOOK = 1.0  # seconds between two looks at what the others did, at least

_Result = TypeVar("_Result")


class SharedLedger(Ledger):
    """A ledger whose driver has some of the study's trials, each marked with its id; the others' it only sees.

    A trial is claimed when it is proposed, and is running from then on.
    """

    mirror: SharedMirror
    shared = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.id = self.mirror.lease.id
        self.limit: int | None = None  # how many trials may have begun
        self._looked = time.monotonic()
        self._leads = False
        self._sign: tuple[str, datetime] | None = None  # of life, the last that the leading driver gave
        self._led: list[Callable[[], None]] = []  # what is to be done once this driver leads

    @property
    def leads(self) -> bool:
        return self._leads and not self.mirror.lease.lost

    def holds(self) -> bool:
        return self.mirror.lease.held()

    def hurry(self) -> None:
        self.mirror.hurried = True

    def when_leading(self, act: Callable[[], None]) -> None:
        if self.leads:
            act()
        else:
            self._led.append(act)

    def exclusively(self, act: Callable[[], _Result]) -> _Result:
        return self.mirror.exclusively(act)

    def reserve(self, trials: int | None) -> None:
        self.limit = trials
        if trials is not None:
            self.mirror.reserve(min(trials, self.space.size or trials))  # no more can be proposed
        self.refresh(now=True)

    def owns(self, number: int) -> bool:
        return self._holder(self.mirror.get_trial(self.mirror.trial_id(number))) == self.id

    def unfinished(self) -> list[Trial]:
        return [trial for trial in super().unfinished() if self.owns(trial.number)]

    @property
    def paused(self) -> list[Trial]:
        return [trial for trial in super().paused if self.owns(trial.number)]

    def shelved(self) -> list[Trial]:
        return []  # `propose` gives them out, to one driver each

    @property
    def orphaned(self) -> bool:
        return any(not frozen.system_attrs.get(PAUSED) for frozen in self._orphans())

    @property
    def others_at_work(self) -> bool:
        return bool(self._of_others())

    def stays(self) -> bool:
        self.refresh(now=True)
        first, *others = self.mirror.lease.drivers
        if self.leads:
            return self.others_at_work
        if others[0].id == self.id and not all(frozen.system_attrs.get(PAUSED) for frozen in self._of_others()):
            return True  # should the first one die
        known, self._sign = self._sign, (first.id, first.expires)
        return known is None or known[0] != first.id or known == self._sign

    def refresh(self, *, now: bool = False) -> list[Trial]:
        if not now and time.monotonic() - self._looked < LOOK:
            return []
        self.mirror.refresh()
        self._looked = time.monotonic()
        self._leads = self.mirror.lease.leads
        if self.leads:
            while self._led:
                self._led.pop()()
            if any(frozen.system_attrs.get(PAUSED) for frozen in self._orphans()):
                self.exclusively(self._take_paused)
        changed = [self.trial(number) for number in sorted(self.mirror.changed)]
        self.mirror.changed.clear()
        theirs = [trial for trial in changed if not self.owns(trial.number)]
        for trial in theirs:
            for listener in self.listeners:
                listener.elsewhere(trial)
        return theirs

    def take_up(self) -> list[Trial]:
        return self.exclusively(self._take_one) if self.orphaned else []

    def propose(self, given: Mapping[str, Any] | None = None) -> Trial:
        return self.exclusively(lambda: self._claim(given))

    def shelve(self, trial: Trial) -> Trial:
        return trial

    def put_back(self, trial: Trial) -> None:
        trial_id = self.mirror.trial_id(trial.number)
        self.mirror.set_trial_system_attr(trial_id, DRIVER, None)
        self.mirror.set_trial_state_values(trial_id, TrialState.WAITING)

    def enqueue(self, configurations: Iterable[Mapping[str, Any]]) -> None:
        given = list(configurations)
        self.exclusively(lambda: super(SharedLedger, self).enqueue(given))

    def adopt(self, blueprint: str, stack: str, lanes: int, reason: str) -> tuple[str, int]:
        if blueprint in self.plans:
            return self.plans[blueprint]
        return self.exclusively(lambda: super(SharedLedger, self).adopt(blueprint, stack, lanes, reason))

    def began(self, trial: Trial, place: Mapping[str, Any] | None = None) -> None:
        self._sign = None
        super().began(trial, place)

    def _claim(self, given: Mapping[str, Any] | None) -> Trial:
        if self.limit is not None and self.begun >= self.limit:
            raise AllBegun
        left = [] if given else self._waiting()
        if left:
            self.mirror.set_trial_state_values(self.mirror.trial_id(left[0].number), TrialState.RUNNING)
        return self._hold((left or [super().propose(given)])[0].number)

    def _take_one(self) -> list[Trial]:
        left = [frozen.number for frozen in self._orphans() if not frozen.system_attrs.get(PAUSED)]
        return [self._hold(number) for number in left[:1]]

    def _take_paused(self) -> None:
        for frozen in self._orphans():
            if frozen.system_attrs.get(PAUSED):
                self._hold(frozen.number)

    def _hold(self, number: int) -> Trial:
        self.mirror.set_trial_system_attr(self.mirror.trial_id(number), DRIVER, self.id)
        return self.trial(number)

    def _holder(self, frozen: FrozenTrial) -> str | None:
        return frozen.system_attrs.get(DRIVER)

    def _of_others(self) -> list[FrozenTrial]:
        """Returns the running and paused trials of other drivers that live."""
        others = self.mirror.lease.living - {self.id}
        return [frozen for frozen in self._frozen(TrialState.RUNNING) if self._holder(frozen) in others]

    def _orphans(self) -> list[FrozenTrial]:
        """Returns the running and paused trials whose driver doesn't live."""
        living = self.mirror.lease.living
        return [frozen for frozen in self._frozen(TrialState.RUNNING) if self._holder(frozen) not in living]


@contextmanager
def joined(study: Study, agree: Callable[[Ledger], None]) -> Iterator[Ledger]:
    """Has this process be one of the drivers of a study in PostgreSQL; yields its ledger.

    `agree(ledger)` keeps the settings with a new study, or raises; one driver at a time does. Raises SettingsError if
    there is another driver and the pruner can't do with two.
    """
    with quiet("optuna"):
        storage = open_storage(study.storage, study.folder, write=True)
        try:
            mirror = retried(lambda: SharedMirror.open(storage, study.name, study.goals.directions))
            mirror.lease = Lease(mirror.durable.engine, mirror.stored)
            kind = Ledger if study.pruner.alone else SharedLedger
            mirror.lease.join()
        except BaseException:
            release(storage)
            raise
    try:
        ledger = kind(mirror, study.space, study.strategy, study.pruner, study.seed, study.goals)
        mirror.exclusively(lambda: _begin(study, ledger, mirror, agree))
        yield ledger
    finally:
        mirror.lease.leave()


def drivers_of(study: Study) -> list[Driver]:
    """Returns the drivers that run a study in PostgreSQL, the one that leads first, as their leases say."""
    with quiet("optuna"):
        storage = open_storage(study.storage, study.folder, write=False)
    assert isinstance(storage, RDBStorage)  # what a shared study is kept in
    try:
        return drivers(storage.engine, storage.get_study_id_from_name(study.name))
    finally:
        release(storage)


def _begin(study: Study, ledger: Ledger, mirror: SharedMirror, agree: Callable[[Ledger], None]) -> None:
    if study.pruner.alone and not mirror.lease.leads:
        raise SettingsError(
            f"the study `{study.name}` is being run by {mirror.lease.drivers[0]}, and `{study.strategy.name}` needs "
            f"one driver that sees all its trials end; `leadline show {study.name}` reads it meanwhile"
        )
    agree(ledger)
