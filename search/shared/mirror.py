"""The mirror of a study that other drivers write too: commits under a lease, and a look at what they have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, text

from ..storage import Mirror, Write
from ..trial import DRIVER
from . import leases
from .database import retried, transaction
from .leases import Lease, new_commit

THINKING = 4  # so many times as long as otherwise the server lets a driver think in a transaction: about a proposal
OPEN = (TrialState.RUNNING, TrialState.WAITING)

# What every change of a trial that isn't ended goes along with is a system attribute: the transactions that wrote them
# tell whether the trial has changed. A trial of the budget that nobody has claimed has none.
CHANGES = text("""
    SELECT t.trial_id, t.number, t.state::text AS state, sum(a.xmin::text::bigint) AS written
    FROM trials t LEFT JOIN trial_system_attributes a ON a.trial_id = t.trial_id
    WHERE t.study_id = :study AND (t.trial_id = ANY(:open) OR t.trial_id > :last)
    GROUP BY t.trial_id, t.number, t.state
    HAVING t.trial_id <= :last OR t.state <> 'WAITING' OR count(a.key) > 0
    ORDER BY t.number
""")
ATTRIBUTES = text("SELECT count(*), sum(xmin::text::bigint) FROM study_user_attributes WHERE study_id = :study")
NUMBERED = text("SELECT trial_id FROM trials WHERE study_id = :study AND number = :number")
COUNT = text("SELECT count(*) FROM trials WHERE study_id = :study")
RESERVE = text(
    "INSERT INTO trials (study_id, number, state) "
    "SELECT :study, number, 'WAITING'::trialstate FROM generate_series(CAST(:first AS integer), :last) AS number"
)
LOCK = text("SELECT pg_advisory_xact_lock(:key, :study)")
STUDY = 0x1EAD  # the first half of the key of a study's advisory lock; the second is its id

_Result = TypeVar("_Result")


class Taken(Exception):
    """A trial that waited was begun by another program, which knows no lock of ours."""


class SharedMirror(Mirror):
    """A mirror of a study in PostgreSQL, which other drivers write as well.

    Each `commit` is one transaction, which locks this driver's lease: all of it is written, once, or nothing. What has
    to be decided in view of all the others is done by `exclusively`. `refresh` sees what they did; numbers of trials
    that changed so gather in `changed`.
    """

    durable: RDBStorage

    def __init__(self, durable: BaseStorage) -> None:
        super().__init__(durable)
        self.lease: Lease
        self.changed: set[int] = set()
        self._versions: dict[int, tuple[str, int | None]] = {}  # by memory's id, of trials that others may change
        self._study_version: object = None
        self._doubtful: set[int] = set()  # trials in memory that may be other than in the database
        self.hurried = False  # whether a database that is away is waited for as long as otherwise, or hardly
        self._alone = False  # whether this driver holds the study's lock
        self._begun = 0  # how many trials the database had before what is being done exclusively

    @property
    def stored(self) -> int:
        """The study's id in the database."""
        return self._durable_studies[self.study_id]

    def commit(self) -> None:
        """Makes all changes durable, or none; tries again while the database is away.

        Raises StudyError if it is away for too long, or this driver was taken for dead.
        """
        with self._lock:
            self._new.clear()
            writes = list(self._pending)
        if not writes or self._alone:
            return
        commit = new_commit()

        def attempt() -> None:
            with transaction(self.durable, leases.LEASE) as connection:
                if self.lease.hold(connection, commit):
                    for write in writes:
                        self._perform(write)

        self._retried(attempt)
        self._accept(len(writes))

    def exclusively(self, act: Callable[[], _Result]) -> _Result:
        """Returns what `act` does while no other driver does such, in view of all that they did, and made durable.

        It is done again if the connection is lost, or a trial was taken. What it raises undoes all of it. Raises as
        `commit`.
        """
        if self._alone:
            return act()
        self.commit()
        done: list[_Result] = []
        commit = new_commit()

        def attempt() -> None:
            with transaction(self.durable, THINKING * leases.LEASE) as connection:
                connection.execute(LOCK, {"key": STUDY, "study": self.stored})
                if not self.lease.hold(connection, commit):
                    return  # it was done, and only the answer was lost
                self._undo()
                self._refresh(connection)
                done[:] = [act()]
                self._new.clear()
                for write in list(self._pending):
                    self._perform(write)
                self.lease.renew(connection)

        self._begun, self._alone = self._count, True
        try:
            while True:
                try:
                    self._retried(attempt)
                    break
                except Taken:
                    continue
        except BaseException:
            self._undo()
            raise
        finally:
            self._alone = False
        self._accept(len(self._pending))
        return done[0]

    def reserve(self, count: int) -> None:
        """Sees to it that there are `count` trials, those that nobody has begun waiting."""

        def create() -> None:
            with self.durable.scoped_session() as session:
                there = session.execute(COUNT, {"study": self.stored}).scalar_one()
                if there < count:
                    session.execute(RESERVE, {"study": self.stored, "first": there, "last": count - 1})
                    session.commit()

        self.exclusively(create)

    def refresh(self) -> None:
        """Takes over what others have changed since, and gives a sign of life. Raises as `commit`."""

        def attempt() -> None:
            with transaction(self.durable, leases.LEASE) as connection:
                self.lease.renew(connection)
                self._refresh(connection)

        self._retried(attempt)

    def _retried(self, attempt: Callable[[], None]) -> None:
        retried(attempt, hurried=lambda: self.hurried)

    def _refresh(self, connection: Connection) -> None:
        self.lease.look(connection)
        with self._lock:
            known = {self._durable_trials[t._trial_id]: t._trial_id for t in self._trials if self._may_change(t)}
            last = max(self._durable_trials.values(), default=-1)
        told = {"study": self.stored, "open": list(known), "last": last}
        for row in connection.execute(CHANGES, told).all():
            version = (row.state, row.written)
            trial_id = known.get(row.trial_id)
            if trial_id is None or trial_id in self._doubtful or self._versions.get(trial_id) != version:
                for number in range(
                    self._count, row.number
                ):  # that wait, with one after them that another program made
                    number = self.durable.get_trial_id_from_study_id_trial_number(self.stored, number)
                    self._take(self.durable.get_trial(number), None)
                trial_id = self._take(self.durable.get_trial(row.trial_id), trial_id)
                self._versions[trial_id] = version
                self._doubtful.discard(trial_id)
                self.changed.add(row.number)
        version = connection.execute(ATTRIBUTES, told).one()
        if version == self._study_version:
            return
        attributes = self.durable.get_study_user_attrs(self.stored)
        self._study_version = version
        with self._lock:  # what is still to be written here stays
            study = self._studies[self.study_id]
            own = {write.arguments[0] for write in self._pending if write.method == "set_study_user_attr"}
            study.user_attrs = {**attributes, **{name: study.user_attrs[name] for name in own}}

    def _may_change(self, trial: FrozenTrial) -> bool:
        """Tells whether the trial may be other in the database: it hasn't ended, and isn't this driver's."""
        own = trial.state == TrialState.RUNNING and trial.system_attrs.get(DRIVER) == self.lease.id
        return (trial.state in OPEN and not own) or trial._trial_id in self._doubtful

    def _take(self, stored: FrozenTrial, trial_id: int | None) -> int:
        """Puts a trial of the database into the memory, in its old one's place if it has one; returns its id there."""
        with self._lock:
            durable_id = stored._trial_id
            self._studies[self.study_id].param_distribution.update(stored.distributions)
            if trial_id is None:
                trial_id = super(Mirror, self).create_new_trial(self.study_id, stored)
                self._durable_trials[trial_id] = durable_id
                self._begun = self._count
            else:
                stored._trial_id = trial_id
                self._set_trial(trial_id, stored)
                self._update_cache(trial_id, self.study_id)
                self._prev_waiting_trial_number[self.study_id] = 0
            return trial_id

    @property
    def _trials(self) -> list[FrozenTrial]:
        return self._studies[self.study_id].trials

    @property
    def _count(self) -> int:
        return len(self._trials)

    def _accept(self, count: int) -> None:
        """Takes note that the first `count` changes are durable."""
        with self._lock:
            for _ in range(count):
                self._pending.popleft()

    def _undo(self) -> None:
        """Forgets what was being done exclusively, and has the trials that it touched read again."""
        with self._lock:
            self._study_version = None
            for write in self._pending:
                if write.method.startswith("set_trial_"):
                    self._doubtful.add(write.owner)
            self._pending.clear()
            self._new.clear()
            trials = self._trials
            for trial in trials[self._begun :]:
                self._doubtful.discard(trial._trial_id)
                del self._trial_id_to_study_id_and_number[trial._trial_id]
                self._durable_trials.pop(trial._trial_id, None)
            del trials[self._begun :]

    def _perform(self, write: Write) -> None:
        if write.method == "create_new_trial":
            template = write.arguments[0]
            blank = self._numbered(template.number)
            if blank is None:  # the budget isn't one of trials
                super()._perform(write)
            else:
                self._fill(blank, template)
                self._durable_trials[template._trial_id] = blank
        elif write.method == "set_trial_state_values" and write.arguments[0] == TrialState.RUNNING:
            if not self.durable.set_trial_state_values(self._durable_trials[write.owner], *write.arguments):
                raise Taken
        else:
            super()._perform(write)

    def _numbered(self, number: int) -> int | None:
        """Returns the database's id of a trial, None if there is none. Optuna's own way to ask ends the transaction."""
        with self.durable.scoped_session() as session:
            found = session.execute(NUMBERED, {"study": self.stored, "number": number}).scalar()
        return None if found is None else int(found)

    def _fill(self, blank: int, template: FrozenTrial) -> None:
        """Claims a trial that waits and makes it that of `template`. Raises Taken if it waits no more."""
        if template.state == TrialState.RUNNING and not self.durable.set_trial_state_values(blank, TrialState.RUNNING):
            raise Taken
        for name, value in template.params.items():
            distribution = template.distributions[name]
            self.durable.set_trial_param(blank, name, distribution.to_internal_repr(value), distribution)
        for name, value in template.user_attrs.items():
            self.durable.set_trial_user_attr(blank, name, value)
        for name, value in template.system_attrs.items():
            self.durable.set_trial_system_attr(blank, name, value)
