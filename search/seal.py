"""A journal's seal: how many of its bytes are acknowledged, and their CRC-32, in a small file beside it.

The journal itself stays exactly Optuna's, so that any of Optuna's tools may read it and append to it; a checksum in
each record would be lost on those, and wouldn't tell that the last records are gone. The seal is written after the
journal's fsync and has none of its own: after a crash it may lag behind, never run ahead. So it costs microseconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from pathlib import Path

from ..errors import StudyError

_LINE = re.compile(rb"(\d{15} [0-9a-f]{8}) ([0-9a-f]{8})\n")
_PIECE = 2**20


class Seal:
    """The seal of the journal at `path`. A journal that an earlier version wrote has none until it grows."""

    def __init__(self, path: Path) -> None:
        self.journal, self.path = path, path.with_suffix(".crc")
        self._known = (0, 0)  # bytes, and their CRC-32: as it was written or checked last

    def read(self) -> tuple[int, int] | None:
        """Returns the acknowledged bytes and their CRC-32; None where no seal is, or its own checksum is wrong."""
        try:
            found = _LINE.fullmatch(self.path.read_bytes()[:64])
        except FileNotFoundError:
            return None
        if found is None or zlib.crc32(found[1]) != int(found[2], 16):
            return None
        size, code = found[1].split()
        return int(size), int(code, 16)

    def check(self) -> None:
        """Raises StudyError where the journal is shorter than what was acknowledged, or differs from it."""
        sealed = self.read()  # first, as the journal may be growing
        if sealed is None:
            return
        there, code = self._crc(sealed[0])
        if there < sealed[0]:
            raise self._broken(f"{sealed[0]:,} bytes of it were, and {there:,} are there")
        if code != sealed[1]:
            raise self._broken(f"something in its first {there:,} bytes has changed")
        self._known = sealed

    def extend(self, length: int, data: bytes) -> None:
        """Notes that the journal of `length` bytes has got `data` behind them, durably."""
        if length != self._known[0]:  # there was no seal, or somebody else has written
            self._known = self._crc(length)
        self._known = length + len(data), zlib.crc32(data, self._known[1])
        line = b"%015d %08x" % self._known
        with contextlib.suppress(OSError):  # on a full disk the seal lags behind
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.pwrite(descriptor, b"%s %08x\n" % (line, zlib.crc32(line)), 0)
            finally:
                os.close(descriptor)

    def _crc(self, size: int) -> tuple[int, int]:
        """Returns how many of the journal's first `size` bytes there are, and their CRC-32."""
        done = code = 0
        with open(self.journal, "rb") as file:
            while piece := file.read(min(_PIECE, size - done)):
                done, code = done + len(piece), zlib.crc32(piece, code)
        return done, code

    def _broken(self, what: str) -> StudyError:
        return StudyError(
            f"{self.journal} isn't as it was acknowledged: {what}. Was it edited, or is the disk failing? Restore a "
            f"copy of it; or delete {self.path} to go on with what is there, right or wrong."
        )
