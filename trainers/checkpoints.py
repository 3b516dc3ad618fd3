"""Checkpoints: tensors and JSON in one safetensors file that is either whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import StudyError
from .disk import fsync


class WriteError(StudyError):
    """A checkpoint couldn't be written; the one before it is still there."""


def write(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], *, durable: bool = True) -> None:
    """Writes tensors and a JSON-able state so that a crash at any moment leaves the old file or the new one.

    Order: a temporary file beside it, fsync, rename, fsync of the folder. What isn't `durable` goes without fsync: it
    may be lost if the machine itself stops. Raises WriteError where the disk says no.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    content = save(
        whole, {"state": json.dumps(state)}
    )  # clones: tied weights share memory, which the format can't hold
    temporary = path.with_name(
        f"{path.name}.{os.getpid()}"
    )  # a worker that lost its driver may still be writing its own
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            fsync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise WriteError(
            f"{path} can't be written ({error.strerror}): {len(content):,} bytes are needed. "
            "Nothing acknowledged is lost; the study resumes when there is room"
        ) from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Returns (tensors, state) as written, on the CPU; None if there is no readable checkpoint at `path`."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 (no mapping)
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
