import numpy as np
import pandas
import pytest

from leadline.errors import DataError
from leadline.trainers.data.targets import encode, infer_task


def test_classes_are_the_sorted_distinct_values():
    indices, classes = encode(np.array([10, 9, 10, 9]))
    assert (indices.tolist(), indices.dtype, classes) == ([1, 0, 1, 0], np.int64, ("9", "10"))


def test_booleans_become_two_classes():
    indices, classes = encode(np.array([True, False]))
    assert (indices.tolist(), classes) == ([1, 0], ("False", "True"))


def test_a_column_is_squeezed():
    assert encode(np.array([[1], [0], [1], [0]]))[0].shape == (4,)
    assert encode(np.array([[0.5], [1.5]]))[0].shape == (2,)


def test_floats_without_fractions_are_named_as_integers():
    assert encode(np.array([1.0, 0.0, 1.0, 0.0]))[1] == ("0", "1")


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (np.array(["1", "2", "3"]), "classification"),
        (np.array([True, False]), "classification"),
        (np.arange(100).repeat(2), "classification"),
        (np.arange(101).repeat(2), "regression"),
        (np.arange(10), "regression"),
        (np.array([0.0, 0.5]), "regression"),
    ],
)
def test_the_task_is_inferred_from_what_the_values_look_like(targets, task):
    assert infer_task(targets) == task


def test_a_given_task_wins():
    assert encode(np.array([0, 1, 0, 1]), "regression")[1] is None
    assert encode(np.array([3, 1, 2]), "classification")[1] == ("1", "2", "3")
    assert encode(np.array([0.5, 1.0, 0.5]), "classification")[1] == ("0.5", "1.0")


def test_regression_targets_are_float32():
    assert encode(np.array([0.25, 1e6]))[0].dtype == np.float32


@pytest.mark.parametrize(
    ("targets", "task", "message"),
    [
        (np.eye(3), None, r"got \(3, 3\)"),
        (np.array([]), None, r"got \(0,\)"),
        (np.array([0.5, np.nan, np.nan]), None, "2 have none, first in row 1"),
        (np.array(["a", None], dtype=object), None, "1 have none, first in row 1"),
        (np.array(["a", pandas.NA], dtype=object), None, "1 have none, first in row 1"),
        (np.array(["a", "b"]), "regression", "must be numbers, but got 'a' in row 0"),
        (np.array([b"a", b"\xff"]), None, r"that are bytes must be ASCII, but b'\\xff' isn't"),
        (np.array([3, 3, 3, 3]), None, "all targets are `3`"),
    ],
)
def test_unusable_targets_are_refused_with_their_reason(targets, task, message):
    with pytest.raises(DataError, match=message):
        encode(targets, task)
