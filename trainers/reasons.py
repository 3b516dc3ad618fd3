"""Reasons: what went wrong in a trial, in one line."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from ..errors import LeadlineError

PACKAGE = str(Path(__file__).parent.parent)
OF_DEVICES = ("CUDA error", "CUDA driver error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuDNN error", "NCCL error")


def out_of_memory(error: BaseException) -> bool:
    """Tells whether it was memory that ran out, a device's or the machine's."""
    torch = sys.modules.get("torch")  # an objective may do without; then none of its errors can come from there
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def device_failed(error: BaseException) -> bool:
    """Tells whether a device can't go on: after most of its errors CUDA refuses whatever else the process asks."""
    torch = sys.modules.get("torch")
    fatal = torch is not None and isinstance(error, torch.AcceleratorError)
    said = isinstance(error, RuntimeError) and any(sign in str(error) for sign in OF_DEVICES)
    return (fatal or said) and not out_of_memory(error)


def told(error: BaseException) -> str:
    """Returns an exception in one line: out of memory in plain words, else its kind, message and place."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if out_of_memory(error):
        return f"out of memory: {text or type(error).__name__}"
    if isinstance(error, LeadlineError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith(PACKAGE + os.sep) and "/site-packages/" not in f.filename]
    place = (theirs or frames)[-1:]
    return f"{type(error).__name__}: {text}" + "".join(f" ({Path(f.filename).name}:{f.lineno})" for f in place)
