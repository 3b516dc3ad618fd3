"""Reasons: what went wrong in a trial, in one line; and what may be raised in the user's code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import LeadlineError

PACKAGE = Path(__file__).parent.parent  # a checkout's root too: examples and tests lie beside what is leadline's own
OWN = tuple(str(PACKAGE / part) for part in (f"search{os.sep}", f"spaces{os.sep}", f"trainers{os.sep}", "cli.py"))
PYTHON = str(Path(os.__file__).parent) + os.sep  # its standard library
OF_DEVICES = ("CUDA error", "CUDA driver error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuDNN error", "NCCL error")
MESSAGE, TRACEBACK = 500, 100_000  # characters that are told of a message, and of a traceback: some print whole tensors


class Interruption(BaseException):
    """Ends the user's code from outside, through it: nothing that this code is to catch, nor an error of its own."""


@contextmanager
def users_code() -> Iterator[None]:
    """Has what would end the process, were it raised by the user's code inside, be an ordinary error: `sys.exit`, say.

    What a signal raises there is left as it is.
    """
    try:
        yield
    except (Exception, GeneratorExit, Interruption):
        raise
    except BaseException as error:
        if _of_a_signal(error):
            raise
        said = traceback.format_exception_only(error)[-1].strip()
        raise RuntimeError(f"the code raised {said}").with_traceback(error.__traceback__) from None


def _of_a_signal(error: BaseException) -> bool:
    """Tells whether a signal raised this: by a handler, or as Ctrl-C, which a worker's process is told to ignore."""
    handling = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    if isinstance(error, KeyboardInterrupt) and handling[0] in (signal.default_int_handler, None):
        return True  # which leaves no frame
    handlers = {getattr(handler, "__code__", None) for handler in handling} - {None}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def out_of_memory(error: BaseException) -> bool:
    """Tells whether it was memory that ran out, a device's or the machine's."""
    torch = sys.modules.get("torch")  # an objective may do without; then none of its errors can come from there
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    return isinstance(error, kinds) or "can't allocate memory" in _message(error)


def device_failed(error: BaseException) -> bool:
    """Tells whether a device can't go on: after most of its errors CUDA refuses whatever else the process asks."""
    torch = sys.modules.get("torch")
    fatal = torch is not None and isinstance(error, torch.AcceleratorError)
    said = isinstance(error, RuntimeError) and any(sign in _message(error) for sign in OF_DEVICES)
    return (fatal or said) and not out_of_memory(error)


def told(error: BaseException) -> str:
    """Returns an exception in one line: out of memory in plain words, else its kind, message and place."""
    text = shortened("".join(_message(error).strip().splitlines()[:1]), MESSAGE)
    if out_of_memory(error):
        return writable(f"out of memory: {text or type(error).__name__}")
    if isinstance(error, LeadlineError):
        return writable(text)
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if _is_theirs(frame.filename)]
    in_files = [frame for frame in theirs if not frame.filename.startswith("<")]  # not in code that torch has made
    place = [frame for frame in (in_files or theirs or frames)[-1:] if not frame.filename.startswith("<frozen ")]
    return writable(
        f"{type(error).__name__}: {text}" + "".join(f" ({Path(f.filename).name}:{f.lineno})" for f in place)
    )


def traced(error: BaseException) -> str:
    """Returns an exception's traceback."""
    return writable(shortened("".join(traceback.format_exception(error)), TRACEBACK))


def shortened(text: str, most: int) -> str:
    """Returns text, where it has more than so many characters only as many from both its ends.

    >>> from leadline.trainers.reasons import shortened
    >>> shortened("a" * 10 + "z" * 10, 8)
    'aaaa ... 12 characters more ... zzzz'
    """
    half = most // 2
    left_out = len(text) - 2 * half
    return text if len(text) <= most else f"{text[:half]} ... {left_out} characters more ... {text[-half:]}"


def writable(text: str) -> str:
    r"""Returns text that can be written in UTF-8: lone surrogates, of a file's name in other bytes say, are escaped.

    >>> from leadline.trainers.reasons import writable
    >>> writable("caf\udce9")
    'caf\\udce9'
    """
    return text.encode(errors="backslashreplace").decode()


def _message(error: BaseException) -> str:
    try:
        with users_code():
            return str(error)
    except Exception:  # the exception is of the user's kind, and so is its `__str__`
        return "<exception str() failed>"  # as tracebacks have it


def _is_theirs(filename: str) -> bool:
    """Tells whether a file is the user's, and not of leadline, Python or an installed package."""
    return not filename.startswith((*OWN, PYTHON, "<frozen ")) and "/site-packages/" not in filename
