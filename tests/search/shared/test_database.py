"""Connections to a PostgreSQL, as they are made."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from sqlalchemy import text

from leadline.search.shared.database import open_postgresql, transaction

pytestmark = pytest.mark.usefixtures("closed_at_once")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no TCP_USER_TIMEOUT")
@pytest.mark.parametrize(("asked", "milliseconds"), [("", 10_000), ("?tcp_user_timeout=60000", 60_000)])
def test_a_connection_gives_up_in_seconds_on_a_network_that_went_silent_unless_told_otherwise(
    postgresql: Any, asked: str, milliseconds: int
) -> None:
    storage = open_postgresql(postgresql.url + asked)
    with storage.engine.connect() as connection:
        number = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(number)) as same:
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds
    storage.engine.dispose()


def test_the_server_hangs_up_in_seconds_on_whoever_went_silent_within_a_transaction(postgresql: Any) -> None:
    storage = open_postgresql(postgresql.url)
    shown = text("SELECT current_setting('tcp_user_timeout'), current_setting('tcp_keepalives_idle')")
    with transaction(storage, idle=30.0) as connection:
        assert connection.execute(shown).one() == ("10000", "10")
    with storage.engine.connect() as connection:
        assert connection.execute(shown).one() != ("10000", "10")
    storage.engine.dispose()
