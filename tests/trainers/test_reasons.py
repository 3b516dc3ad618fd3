import pytest
import torch

from leadline import SettingsError
from leadline.trainers.reasons import PACKAGE, device_failed, told


def caught(function):
    with pytest.raises(BaseException) as raised:
        function()
    return raised.value


def users(code, filename):
    """The error that a user's code of that file raises."""
    return caught(lambda: exec(compile(code, filename, "exec"), {"torch": torch}))


def test_an_error_is_told_with_its_kind_message_and_place():
    assert told(users("\n\nraise ValueError('no good')", "/home/me/net.py")) == "ValueError: no good (net.py:3)"


def test_the_place_is_the_users_line_and_not_torchs():
    error = users("\ntorch.nn.Linear(2, 2)(torch.zeros(3))", "/home/me/net.py")
    assert told(error).endswith("(net.py:2)")


def test_a_folder_whose_name_begins_as_leadlines_does_is_the_users():
    error = users("\ntorch.nn.Linear(2, 2)(torch.zeros(3))", f"{PACKAGE}-studies/net.py")
    assert told(error).endswith("(net.py:2)")


def test_only_the_first_line_of_a_message_is_told():
    assert told(users("raise ValueError('first\\nsecond')", "/home/me/net.py")) == "ValueError: first (net.py:1)"


def test_an_error_without_a_message_is_told_by_its_kind():
    assert told(users("raise KeyError", "/home/me/net.py")).startswith("KeyError: ")


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
