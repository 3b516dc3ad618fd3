"""A PostgreSQL that keeps studies: whole commits in one transaction each, and connections that come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, OperationalError
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from ...errors import StudyError

SCHEMA = 0x1EAD  # the advisory lock under which tables are made
AWAY = 120.0  # seconds for which a database that is away is tried
HURRIED = 3.0  # ... by a driver that was interrupted
UNDONE = 10  # times that a transaction may be rolled back from inside before it is taken for a defect
PAUSES = (0.05, 2.0)  # seconds between two tries, from the first on
STARTING = ("57P01", "57P02", "57P03", "53300")  # SQLSTATEs: it is shutting down, starting up, or has no room
# A connection through which nothing comes any more is given up within half a minute, and one that doesn't take what is
# sent in ten seconds: Linux itself would try for a quarter of an hour, and at ever longer intervals
PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}
# The server does as much while a transaction lasts: whoever goes silent within one holds its locks no longer
BOUNDS = text(
    "SELECT set_config('idle_in_transaction_session_timeout', :idle, true), "
    "set_config('tcp_user_timeout', '10s', true), set_config('tcp_keepalives_idle', '10s', true), "
    "set_config('tcp_keepalives_interval', '5s', true), set_config('tcp_keepalives_count', '3', true)"
)
THERE = text("SELECT to_regclass('leadline_drivers') IS NOT NULL")  # the last one that is made
DRIVERS = """
CREATE TABLE IF NOT EXISTS leadline_drivers (
    study_id integer NOT NULL REFERENCES studies ON DELETE CASCADE,
    driver text NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    fence bigint NOT NULL DEFAULT 0,
    committed text,
    host text NOT NULL,
    pid integer NOT NULL,
    expires timestamptz NOT NULL,
    fenced_by text,
    PRIMARY KEY (study_id, driver)
)
"""

_Result = TypeVar("_Result")


def open_postgresql(url: str) -> RDBStorage:
    """Returns Optuna's storage in the database, with its tables and ours, made by one process if they aren't there.

    Raises SQLAlchemyError if the database can't be reached.
    """
    address = make_url(url)
    known = PATIENCE if address.get_driver_name() in ("psycopg", "psycopg2") else {}
    patience = {name: value for name, value in known.items() if name not in address.query}
    options = {"pool_pre_ping": True, "connect_args": patience}

    def opened() -> RDBStorage:
        engine = create_engine(url, poolclass=NullPool, connect_args=patience)
        with engine.connect() as connection:
            if connection.execute(THERE).scalar():
                return RDBStorage(url, engine_kwargs=dict(options))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": SCHEMA})
            storage = RDBStorage(url, engine_kwargs=dict(options))
            with storage.engine.begin() as making:
                making.execute(text(DRIVERS))
        return storage

    return retried(
        opened, lambda error: getattr(getattr(error.__cause__ or error, "orig", error), "sqlstate", "") in STARTING
    )


def is_lost(error: BaseException) -> bool:
    """Tells whether an error says that the connection or the transaction was lost: the same may work again."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OperationalError | InterfaceError | InvalidRequestError):
            return True
        if isinstance(seen, DBAPIError) and seen.connection_invalidated:
            return True
        seen = seen.__cause__
    return False


def retried(
    call: Callable[[], _Result],
    again: Callable[[BaseException], bool] = is_lost,
    hurried: Callable[[], bool] = lambda: False,
) -> _Result:
    """Returns what `call` does, which is made again, for `AWAY` seconds, where it raises what may pass.

    Once it is `hurried`, it is tried for `HURRIED` seconds. Raises StudyError if the database is away for longer.
    """
    failed, pause, undone = None, PAUSES[0], 0
    while True:
        try:
            return call()
        except (DBAPIError, StorageInternalError, InvalidRequestError) as error:
            undone += isinstance(error.__cause__ or error, InvalidRequestError)
            if not again(error) or undone > UNDONE:
                raise
            failed = failed or time.monotonic()  # for the first time: a call may have slept before
            away = time.monotonic() - failed
            if away > (HURRIED if hurried() else AWAY):
                reason = str(error.__cause__ or error).splitlines()[0]
                raise StudyError(
                    f"the database has been away for {away:.0f} seconds ({reason}). What was acknowledged is safe; "
                    "the study can be resumed when it is back"
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, PAUSES[1])


@contextmanager
def transaction(storage: RDBStorage, idle: float) -> Iterator[Connection]:
    """Has all that is asked of the storage inside take part in one transaction, which is committed at the end.

    Optuna's own commits do nothing then, and its rollbacks end the transaction, also those that it doesn't tell of
    (when another driver made a row at the same moment): InvalidRequestError is raised. The server rolls back and hangs
    up on a transaction that says nothing for `idle` seconds: one of a stopped process holds no lock for longer, and one
    of a host that is cut off hardly as long.
    """
    sessions = storage.scoped_session
    with storage.engine.begin() as connection:
        connection.execute(BOUNDS, {"idle": f"{int(1000 * idle)}ms"})
        storage.scoped_session = scoped_session(sessionmaker(connection, join_transaction_mode="rollback_only"))
        try:
            yield connection
        finally:
            storage.scoped_session = sessions
        whole = connection.get_transaction()
        if whole is None or not whole.is_active:
            raise InvalidRequestError("the transaction was rolled back inside")
