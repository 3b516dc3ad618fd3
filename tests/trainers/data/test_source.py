from dataclasses import replace

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.errors import DataError
from leadline.trainers.data.source import Data, chunks


def pair(inputs, targets=(0, 1), classes=("a", "b"), test=0):
    return Data("pair", np.asarray(inputs), np.array(targets), classes, test)


def test_the_digest_is_the_same_for_equal_content_whatever_its_name_and_memory_layout():
    inputs = np.arange(12.0).reshape(2, 6)
    again = Data("other", np.asfortranarray(inputs.copy()), np.array([0, 1]), ("a", "b"))
    assert pair(inputs).digest == again.digest
    assert len(again.digest) == 64


@pytest.mark.parametrize(
    "other",
    [
        pair(np.ones((2, 4))),
        pair(np.ones((2, 2, 2))),
        pair(np.ones((2, 4), dtype=np.float32)),
        pair(np.zeros((2, 4)), targets=(1, 0)),
        pair(np.zeros((2, 4)), classes=("a", "c")),
        Data("pair", np.zeros((2, 4)), np.array([0, 1], dtype=np.float32), None),
    ],
)
def test_the_digest_tells_values_shapes_dtypes_targets_and_classes_apart(other):
    assert other.digest != pair(np.zeros((2, 4))).digest


def test_the_digest_of_a_table_covers_names_numbers_text_and_gaps():
    def digest(**columns):
        return Data("table", pandas.DataFrame(columns), np.array([0, 1]), ("a", "b")).digest

    digests = [
        digest(x=[1.0, 2.0], t=["u", "v"]),
        digest(x=[1.0, None], t=["u", "v"]),
        digest(x=[1.0, 2.0], t=["u", None]),
        digest(x=[1.0, 2.0], t=["u", "w"]),
        digest(z=[1.0, 2.0], t=["u", "v"]),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == digest(x=[1.0, 2.0], t=["u", "v"])


def test_a_table_of_nullable_columns_has_a_digest():
    table = pandas.DataFrame({"x": pandas.array([1, None], dtype="Int64"), "f": pandas.array([True, None])})
    assert Data("table", table, np.array([0, 1]), ("a", "b")).digest


def test_rows_takes_arrays_and_tables_alike():
    table = pandas.DataFrame({"x": [1, 2]}, index=[7, 9])
    rows = np.array([1, 0])
    assert pair([[1], [2]]).rows(rows).tolist() == [[2], [1]]
    assert Data("table", table, np.array([0, 1]), ("a", "b")).rows(rows)["x"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: pair(np.zeros((3, 1))), "has 3 inputs and 2 targets"),
        (lambda: pair([[0.0], [np.nan]]), "inputs hold NaN or infinity, first in row 1"),
        (lambda: pair([["x"], ["y"]]), "must be numbers, but their dtype is <U1"),
        (lambda: pair(np.zeros((2, 1), dtype=complex)), "complex128"),
        (lambda: pair([1.0, 2.0]), r"must be of shape \(n, ...\)"),
        (lambda: pair(np.zeros((2, 0))), r"got \(2, 0\)"),
        (lambda: pair([[1.0], [2.0]], test=2), "test=2, n=2"),
        (lambda: replace(pair([[1.0], [2.0]]), groups=np.array([0])), r"`groups` .* shape \(2,\), .* of shape \(1,\)"),
        (lambda: replace(pair([[1.0], [2.0]]), order=np.array([0, 1])), r"`order` of `pair` must be float64 .* int64"),
        (
            lambda: replace(pair([[1.0], [2.0]]), order=np.array([0, np.inf])),
            "`order` hold NaN or infinity, first in row 1",
        ),
        (lambda: pair([[1.0], [2.0]], targets=(0, 2)), "indices of its 2 classes, but are int64, 0 to 2"),
        (lambda: pair([[1.0], [2.0]], targets=(0.0, 1.0), classes=None), "must be float32"),
        (
            lambda: Data("t", pandas.DataFrame({"x": [1.0, np.inf]}), np.array([0, 1]), ("a", "b")),
            "numbers of column `x` hold NaN or infinity, first in row 1",
        ),
    ],
)
def test_unusable_examples_are_refused_with_their_reason(broken, message):
    with pytest.raises(DataError, match=message):
        broken()


def test_a_table_may_have_missing_numbers():
    assert len(Data("t", pandas.DataFrame({"x": [1.0, None]}), np.array([0, 1]), ("a", "b"))) == 2


def test_groups_and_order_count_in_the_digest_only_where_given():
    plain = pair([[1.0], [2.0]])
    groups = replace(plain, groups=np.array([0, 1]))
    order = replace(plain, order=np.array([0.0, 1.0]))
    assert len({plain.digest, groups.digest, order.digest, replace(groups, order=order.order).digest}) == 4
    assert plain.digest == "88d85ef48598f8d4e90d7ebb95874876b7249b88596ed195ec39725d89154fc5"


def test_a_table_with_dates_has_a_digest_of_them():
    days = pandas.to_datetime(["2024-01-31", None])
    digests = [Data("t", pandas.DataFrame({"d": d}), np.array([0, 1]), ("a", "b")).digest for d in (days, days[::-1])]
    assert digests[0] != digests[1]


def test_a_memory_map_is_like_the_array_it_maps(tmp_path):
    array = np.random.default_rng(0).normal(size=(300, 70, 80))  # more than a chunk
    np.save(tmp_path / "x.npy", array)
    targets = np.arange(300) % 2
    mapped = Data("m", np.load(tmp_path / "x.npy", mmap_mode="r"), targets, ("a", "b"))
    assert mapped.digest == Data("a", array, targets, ("a", "b")).digest
    array[299, 69, 79] = np.nan
    with pytest.raises(DataError, match="first in row 299"):
        Data("a", array, targets, ("a", "b"))


@given(st.integers(0, 50), st.integers(0, 3 * 2**20))
def test_chunks_cover_all_rows_once(rows, values):
    assert [row for part in chunks(rows, values) for row in range(rows)[part]] == list(range(rows))
