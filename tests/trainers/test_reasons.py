import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from leadline import SettingsError
from leadline.trainers.reasons import (
    MESSAGE,
    PACKAGE,
    TRACEBACK,
    Interruption,
    device_failed,
    out_of_memory,
    told,
    traced,
    users_code,
)


def caught(function):
    with pytest.raises(BaseException) as raised:
        function()
    return raised.value


def users(code, filename):
    """The error that a user's code of that file raises."""
    return caught(lambda: exec(compile(code, filename, "exec"), {"json": json, "torch": torch}))


def test_an_error_is_told_with_its_kind_message_and_place():
    assert told(users("\n\nraise ValueError('no good')", "/home/me/net.py")) == "ValueError: no good (net.py:3)"


def test_the_place_is_the_users_line_and_not_torchs():
    error = users("\ntorch.nn.Linear(2, 2)(torch.zeros(3))", "/home/me/net.py")
    assert told(error).endswith("(net.py:2)")


def test_the_place_is_the_users_line_and_not_pythons_own():
    error = users("\njson.loads('{')", "/home/me/net.py")
    assert told(error).endswith("(net.py:2)")


def test_the_place_is_a_line_of_a_file_and_not_of_code_that_was_made_meanwhile():
    error = users("\nexec(compile('json.loads(1)', '<string>', 'exec'))", "/home/me/net.py")
    assert told(error).endswith("(net.py:2)")


def test_a_folder_whose_name_begins_as_leadlines_does_is_the_users():
    error = users("\ntorch.nn.Linear(2, 2)(torch.zeros(3))", f"{PACKAGE}-studies/net.py")
    assert told(error).endswith("(net.py:2)")


@pytest.mark.parametrize("file", ["examples/net.py", "tests/test_net.py", "net.py"])
def test_a_file_of_a_checkout_that_is_not_leadlines_own_is_the_users(file):
    error = users("\ntorch.nn.Linear(2, 2)(torch.zeros(3))", str(PACKAGE / file))
    assert told(error).endswith(f"({Path(file).name}:2)")


@pytest.mark.parametrize("file", ["search/net.py", "trainers/stack/net.py", "spaces/net.py", "cli.py"])
def test_leadlines_own_line_is_not_the_users(file):
    error = users(f"\nexec(compile('json.loads(1)', {str(PACKAGE / file)!r}, 'exec'))", "/home/me/net.py")
    assert told(error).endswith("(net.py:2)")


def test_only_the_first_line_of_a_message_is_told():
    assert told(users("raise ValueError('first\\nsecond')", "/home/me/net.py")) == "ValueError: first (net.py:1)"


def test_an_error_without_a_message_is_told_by_its_kind():
    assert told(users("raise KeyError", "/home/me/net.py")).startswith("KeyError: ")


def test_of_a_long_message_both_ends_are_told_and_the_place():
    error = users("raise ValueError('first' + 'x' * 10**6 + 'last')", "/home/me/net.py")
    assert told(error).startswith("ValueError: firstxxx")
    assert told(error).endswith("xxxlast (net.py:1)")
    assert len(told(error)) < MESSAGE + 100


def test_of_a_long_traceback_both_ends_are_kept():
    error = users("raise ValueError('x' * 10**6 + 'last')", "/home/me/net.py")
    assert traced(error).startswith("Traceback (most recent call last):")
    assert traced(error).endswith("xxxlast\n")
    assert len(traced(error)) < TRACEBACK + 100


def test_what_utf8_has_no_bytes_for_is_escaped():
    error = users("raise ValueError('bad \\udcff name')", "/home/me/net.py")
    assert told(error) == r"ValueError: bad \udcff name (net.py:1)"
    assert r"bad \udcff name" in traced(error)
    assert traced(error).encode()


class Unspeakable(RuntimeError):
    def __str__(self):
        raise self.args[0]


@pytest.mark.parametrize("reason", [ValueError("no words"), SystemExit(3)])
def test_an_error_whose_message_cannot_be_had_is_told_by_its_kind(reason):
    error = caught(lambda: exec(compile("raise error", "/home/me/net.py", "exec"), {"error": Unspeakable(reason)}))
    assert told(error) == "Unspeakable: <exception str() failed> (net.py:1)"
    assert not out_of_memory(error)
    assert not device_failed(error)


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory: 9 GB")]
)
def test_out_of_memory_is_told_in_plain_words(error):
    assert told(error).startswith("out of memory: ")


def test_what_leadline_raises_speaks_for_itself():
    assert told(SettingsError("`lr > 0` must hold, but got 0")) == "`lr > 0` must hold, but got 0"


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling ..."),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_an_error_after_which_a_device_cannot_go_on_is_the_devices(error):
    assert device_failed(error)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("CUDA error"), KeyError("x")]
)
def test_want_of_memory_and_a_users_error_are_not(error):
    assert not device_failed(error)


# What else may be raised in the user's code


@pytest.fixture
def handling():
    """Sets signals' handlers, for the test alone."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield signal.signal
    for number, handler in before.items():
        signal.signal(number, handler)


def guarded(function, *arguments):
    with users_code():
        function(*arguments)


def raises(error):
    raise error


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit(0)", "SystemExit: 0"),
        ("sys.exit()", "SystemExit"),
        ("raise BaseException('odd')", "BaseException: odd"),
    ],
)
def test_what_would_end_the_process_is_an_ordinary_error_of_that_place(code, said):
    program = compile(f"\n{code}", "/home/me/net.py", "exec")
    error = caught(lambda: guarded(exec, program, {"sys": sys}))
    assert isinstance(error, Exception)
    assert told(error) == f"RuntimeError: the code raised {said} (net.py:2)"
    assert 'File "/home/me/net.py", line 2' in traced(error)


@pytest.mark.parametrize("error", [ValueError("no good"), StopIteration(), GeneratorExit(), Interruption()])
def test_errors_and_interruptions_stay_what_they_are(error):
    assert caught(lambda: guarded(raises, error)) is error


def test_ctrl_c_ends_the_process(handling):
    handling(signal.SIGINT, signal.default_int_handler)
    assert isinstance(caught(lambda: guarded(os.kill, os.getpid(), signal.SIGINT)), KeyboardInterrupt)


def test_where_ctrl_c_is_ignored_nobody_else_ends_the_process_in_its_name(handling):
    handling(signal.SIGINT, signal.SIG_IGN)
    assert isinstance(caught(lambda: guarded(raises, KeyboardInterrupt())), RuntimeError)


def test_a_handler_of_another_signal_may_not(handling):
    handling(signal.SIGALRM, lambda number, frame: raises(SystemExit(9)))
    assert isinstance(caught(lambda: guarded(signal.raise_signal, signal.SIGALRM)), RuntimeError)


def test_a_handler_of_a_signal_may_end_the_process(handling):
    handling(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    error = caught(lambda: guarded(os.kill, os.getpid(), signal.SIGTERM))
    assert isinstance(error, SystemExit)
    assert error.code == 143
