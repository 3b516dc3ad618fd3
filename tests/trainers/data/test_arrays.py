import numpy as np
import pandas
import pytest
import torch

from leadline.errors import DataError
from leadline.trainers.data.arrays import from_arrays


def test_arrays_keep_their_shape_and_dtype():
    data = from_arrays(np.zeros((4, 3, 2, 2), dtype=np.uint8), [0, 1, 0, 1], name="mine", test=1)
    assert (data.inputs.shape, data.inputs.dtype) == ((4, 3, 2, 2), np.uint8)
    assert (data.name, data.test, data.classes) == ("mine", 1, ("0", "1"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_tensors_become_arrays(dtype):
    data = from_arrays(torch.ones(4, 2, dtype=dtype), torch.tensor([0, 1, 0, 1]))
    assert isinstance(data.inputs, np.ndarray)
    assert data.inputs.tolist() == [[1, 1]] * 4


def test_tensors_may_require_gradients():
    data = from_arrays(torch.ones(2, 2, requires_grad=True), torch.tensor([[0.5], [1.5]], requires_grad=True))
    assert data.targets.tolist() == [0.5, 1.5]


def test_a_data_frame_stays_one_with_names_of_text():
    frame = pandas.DataFrame({0: [1.0, None], "city": ["Bonn", "Ulm"]})
    data = from_arrays(frame, pandas.Series(["no", "yes"]))
    assert list(data.inputs.columns) == ["0", "city"]
    assert data.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ([[1.0], [2.0, 3.0]], [0, 1], "inputs must form an array"),
        ([[1.0], [2.0]], [0.5, 1.5, 2.5], "2 inputs and 3 targets"),
        (5.0, [0.5, 1.5], r"got \(\)"),
        (pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), [0.5, 1.5], "names of their own, but got a, a"),
        (torch.zeros(2, 2).to_sparse(), [0.5, 1.5], "inputs must be a dense tensor of numbers: "),
        (torch.zeros(2, 2, device="meta"), [0.5, 1.5], "inputs must be a dense tensor of numbers: "),
        (np.ma.masked_array([[1.0], [2.0]], [[False], [True]]), [0.5, 1.5], "inputs are masked in part"),
        ([[1.0], [2.0]], [0.5, 1e300], "targets hold NaN or infinity, first in row 1"),
    ],
)
def test_unusable_arrays_are_refused_with_their_reason(inputs, targets, message):
    with pytest.raises(DataError, match=message):
        from_arrays(inputs, targets)
