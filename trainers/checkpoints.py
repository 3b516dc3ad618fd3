"""Checkpoints: tensors and JSON in one safetensors file that is either whole or not there.

The format's metadata hold one entry, `checked` (of several the order would be chance): eight hexadecimal digits, the
CRC-32 of the whole file with zeros in their place, and the state as JSON. The format itself checks its header alone; a
byte of a tensor that a disk gave back otherwise would be trained on. A CRC is against accidents, not against people,
who could compute it anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .disk import fsync, unfinished, writing

_FIELD = b'"checked":"'  # inside the state's JSON quotes are escaped, so it stands in a header once
_BLANK = b"00000000"


def write(
    path: Path,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    durable: bool = True,
    before: Path | None = None,
) -> str:
    """Writes tensors and a JSON-able state so that a crash at any moment leaves the old file or the new one.

    Order: a temporary file beside it, fsync, rename, fsync of the folder. What isn't `durable` goes without fsync: it
    may be lost if the machine itself stops. The old file is kept as `before`, if that is given; a crash may leave it
    there alone. Returns the file's checksum. Raises WriteError where the disk says no.
    """
    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    # clones: tied weights share memory, which the format can't hold
    content = memoryview(save(whole, {"checked": _BLANK.decode() + json.dumps(state)}))
    place = _place(content)
    checksum = _crc(content, place)
    temporary = unfinished(path)  # a worker that lost its driver may still be writing its own
    with writing(path, len(content)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(content[:place])
                file.write(checksum)
                file.write(content[place + len(_BLANK) :])
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            if before is not None:
                with contextlib.suppress(FileNotFoundError):  # there is none yet
                    os.replace(path, before)
            os.replace(temporary, path)
            if durable:
                fsync(path.parent)
        except OSError:
            with contextlib.suppress(OSError):  # it may be why nothing could be written
                temporary.unlink(missing_ok=True)
            raise
    return checksum.decode()


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Returns (tensors, state) as written, on the CPU; None if there is no file at `path`, or any byte of it is wrong.

    Files of earlier versions, which have a state and no checksum, are read as far as their header tells.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        length = 8 + int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8:length])["__metadata__"]
        if metadata.keys() == {"state"}:
            return load(content), json.loads(metadata["state"])
        if not _checks(memoryview(content)):
            return None
        return load(content), json.loads(metadata["checked"][len(_BLANK) :])
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def _checks(content: memoryview) -> bool:
    place = _place(content)
    return content[place : place + len(_BLANK)] == _crc(content, place)


def _place(content: memoryview) -> int:
    """Returns where the checksum's digits stand; raises ValueError where there are none."""
    length = 8 + int.from_bytes(content[:8], "little")
    return bytes(content[:length]).index(_FIELD) + len(_FIELD)


def _crc(content: memoryview, place: int) -> bytes:
    """Returns the checksum of a file whose checksum stands at `place`."""
    code = zlib.crc32(content[place + len(_BLANK) :], zlib.crc32(_BLANK, zlib.crc32(content[:place])))
    return b"%08x" % code
