"""Leases: which drivers run a study, and until when each is believed to live.

They stand in one table of ours, `leadline_drivers`, in the study's database: the one thing beside Optuna's own tables.
All times are the database's. A driver renews its lease with each commit, and from a thread. Another one that finds it
expired fences it: its fence number goes up, and what it was running is taken up by others. Each commit begins by
locking the driver's own row, if it still has the number that the driver knows: so one that slept writes nothing late.
One whose own lease had run out when it was renewed fences nobody for a lease's length: what kept it away from the
database may have kept the others, too.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
import uuid
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import DBAPIError

from ...errors import StudyError
from .database import is_lost, retried

LEASE = 30.0  # seconds without a sign of life after which a driver is taken for dead
KEPT = 86_400.0  # seconds for which a fenced driver's row is kept, so that it can find out

# A server that was away took nobody's renewals: after it started, each lease holds for its whole length once more.
_UNTIL = "greatest(expires, pg_postmaster_start_time() + :lease * interval '1 second')"
_OWN = "study_id = :study AND driver = :driver AND fence = :fence"
_RENEWED = "expires = clock_timestamp() + :lease * interval '1 second'"

JOIN = text(
    "INSERT INTO leadline_drivers (study_id, driver, host, pid, expires) "
    "VALUES (:study, :driver, :host, :pid, clock_timestamp() + :lease * interval '1 second') ON CONFLICT DO NOTHING"
)
FORGET = text(
    "DELETE FROM leadline_drivers WHERE study_id = :study AND fenced_by IS NOT NULL "
    "AND expires < clock_timestamp() - :kept * interval '1 second'"
)
LEAVE = text(f"DELETE FROM leadline_drivers WHERE {_OWN}")
RENEW = text(f"UPDATE leadline_drivers SET {_RENEWED} WHERE {_OWN} RETURNING place")
HOLD = text(
    f"UPDATE leadline_drivers SET {_RENEWED}, committed = :commit "
    f"WHERE {_OWN} AND committed IS DISTINCT FROM :commit RETURNING place"
)
OWN = text(
    "SELECT mine.fence, mine.committed, other.host, other.pid "
    "FROM leadline_drivers mine LEFT JOIN leadline_drivers other ON other.study_id = mine.study_id "
    "AND other.driver = mine.fenced_by WHERE mine.study_id = :study AND mine.driver = :driver"
)
ALL = text(
    f"SELECT driver, place, host, pid, {_UNTIL} < clock_timestamp() AS expired, expires FROM leadline_drivers "
    "WHERE study_id = :study AND fenced_by IS NULL ORDER BY place"
)
# A row that is locked is that of a driver in the middle of a commit: alive, or hung up on by the server soon
FENCE = text(
    "UPDATE leadline_drivers SET fence = fence + 1, fenced_by = :driver WHERE study_id = :study AND driver IN "
    "(SELECT driver FROM leadline_drivers WHERE study_id = :study AND driver <> :driver AND fenced_by IS NULL "
    f"AND {_UNTIL} < clock_timestamp() FOR UPDATE SKIP LOCKED)"
)


class Driver(NamedTuple):
    """A driver that isn't fenced."""

    id: str
    place: int  # in the order in which they joined
    host: str
    pid: int
    expired: bool
    expires: datetime  # another one after each sign of life

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease:
    """This process's part in running the study with the id `study` in Optuna's tables.

    It keeps the name of the driver's last commit, written in that very transaction: so one whose answer was lost is
    known to have been made, and isn't made twice.
    """

    def __init__(self, engine: Engine, study: int) -> None:
        self.engine, self.study, self.id = engine, study, uuid.uuid4().hex[:12]
        self.fence = 0
        self.drivers: list[Driver] = []  # as they were when `look` was last called
        self.lost = ""  # by whom this driver was fenced
        self._renewed = self._lapsed = -math.inf  # when the lease was renewed last, and when last too late
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="leadline-lease", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether this driver is the first of those that live, as far as is known."""
        return not self.lost and bool(self.drivers) and self.drivers[0].id == self.id

    @property
    def living(self) -> set[str]:
        """The ids of the drivers that live, this one included, as far as is known."""
        return {driver.id for driver in self.drivers}

    def join(self) -> None:
        """Takes the lease, and begins to renew it."""

        def insert() -> None:
            with self._connection() as connection:
                connection.execute(FORGET, {"study": self.study, "kept": KEPT})
                connection.execute(JOIN, {**self._own, "host": socket.gethostname(), "pid": os.getpid()})

        retried(insert)
        self._renewed = time.monotonic()
        self._thread.start()

    def leave(self) -> None:
        """Gives the lease back: what this driver still has running is free to be taken up at once.

        Where the database is away the lease runs out by itself.
        """
        self._over.set()
        try:
            with self._connection() as connection:
                connection.execute(LEAVE, self._own)
        except DBAPIError as error:
            if not is_lost(error):
                raise
        finally:
            self._thread.join()  # not before: if the database is away both wait for it
            self.engine.dispose()

    def hold(self, connection: Connection, commit: str) -> bool:
        """Locks the lease until the transaction ends, and renews it; False if the commit of this name was made already.

        Raises StudyError if the driver was fenced.
        """
        if connection.execute(HOLD, {**self._own, "commit": commit}).first():
            self._note_renewal()
            return True
        own = connection.execute(OWN, self._own).first()
        if own is not None and own.fence == self.fence and own.committed == commit:
            return False
        raise self._fenced(own)

    def _fenced(self, own: Row[Any] | None) -> StudyError:
        """Takes note that this driver was taken for dead, as its row says; returns what is to be told."""
        other = f"process {own.pid} on {own.host}" if own is not None and own.pid else "another driver"
        self.lost = (
            f"this driver gave no sign of life for more than {LEASE:.0f} seconds, so {other} took its trials over. "
            "It wrote nothing since; run the study again to join it"
        )
        return StudyError(self.lost)

    def renew(self, connection: Connection) -> bool:
        """Renews the lease; False if it is another's to give by now."""
        renewed = connection.execute(RENEW, self._own).first() is not None
        if renewed:
            self._note_renewal()
        return renewed

    def _note_renewal(self) -> None:
        now = time.monotonic()
        if now - self._renewed > LEASE:
            self._lapsed = now
        self._renewed = now

    def held(self) -> bool:
        """Tells whether the lease is this driver's, and renews it; also False while the database is away."""
        try:
            with self._connection() as connection:
                return self.renew(connection)
        except DBAPIError as error:
            if not is_lost(error):
                raise
            return False

    def look(self, connection: Connection) -> None:
        """Sees who else runs the study, and fences those whose lease has expired. Raises StudyError as `hold`.

        For a lease's length after this driver's own one lapsed it fences nobody.
        """
        others = self._look(connection)
        if any(driver.expired for driver in others) and time.monotonic() - self._lapsed > LEASE:
            connection.execute(FENCE, self._own)
            self._look(connection)
        if self.id not in self.living:
            raise self._fenced(connection.execute(OWN, self._own).first())

    def _look(self, connection: Connection) -> list[Driver]:
        self.drivers = [Driver(*row) for row in connection.execute(ALL, self._own)]
        return [driver for driver in self.drivers if driver.id != self.id]

    @property
    def _own(self) -> dict[str, object]:
        return {"study": self.study, "driver": self.id, "fence": self.fence, "lease": LEASE}

    def _connection(self) -> Connection:
        """Returns a connection whose every statement is committed by itself: one who is stopped then locks nothing."""
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _keep(self) -> None:
        """Renews the lease until it is given back, or lost; a database that is away is tried again."""
        while not self._over.wait(LEASE / 3):
            try:
                with self._connection() as connection:
                    if not self.renew(connection):
                        return  # the next commit says so
            except DBAPIError as error:
                if not is_lost(error):
                    raise


def drivers(engine: Engine, study: int) -> list[Driver]:
    """Returns the drivers of the study with that id whose leases hold, in the order in which they joined."""
    with engine.connect() as connection:
        found = [Driver(*row) for row in connection.execute(ALL, {"study": study, "lease": LEASE})]
    return [driver for driver in found if not driver.expired]


def new_commit() -> str:
    """Returns a name for a commit that no other has."""
    return uuid.uuid4().hex
