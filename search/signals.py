"""SIGINT and SIGTERM: what ends a command, and a study's run in order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .study import Study

received: list[int] = []  # those that ask the program to end


def leave(number: int, frame: FrameType | None) -> None:
    """Ends the program, as its handler of both."""
    received.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


@contextmanager
def stopping(study: Study) -> Iterator[None]:
    """Lets the first one end the study's run, and a second one the program."""

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        study.stop()  # in any case: C code that asks for an attribute may lose what is raised here
        if len(received) > 1 or not study.running:
            sys.exit(128 + number)

    with handled(stop):
        if received:  # and C code has lost it
            sys.exit(128 + received[0])
        yield


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Has both handled so, while the context lasts."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def ignore() -> None:
    """Has those that were received do nothing any more: the program is ending, and they would only disturb that."""
    for number in set(received):
        signal.signal(number, signal.SIG_IGN)
