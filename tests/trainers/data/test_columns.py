import numpy as np
import pandas
import pytest

from leadline.errors import DataError
from leadline.trainers.data.columns import Category, Number, encode_columns, fit_columns


def test_missing_numbers_become_the_median_of_the_training_rows():
    columns = fit_columns(pandas.DataFrame({"x": [1.0, 2.0, 9.0, None]}))
    assert columns == (Number("x", 2.0),)
    assert encode_columns(columns, pandas.DataFrame({"x": [None, 5.0]})).tolist() == [[2.0], [5.0]]


def test_text_is_one_hot_and_what_training_did_not_see_is_all_zeros():
    columns = fit_columns(pandas.DataFrame({"job": ["smith", None, "clerk"]}))
    assert columns == (Category("job", ("clerk", "smith")),)
    encoded = encode_columns(columns, pandas.DataFrame({"job": ["smith", "king", None]}))
    assert encoded.tolist() == [[0, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    "values",
    [
        pandas.Series([True, False, True]),
        pandas.array([True, False, None], dtype="boolean"),
        pandas.Categorical(["True", "False", None]),
        pandas.Series([True, False, None], dtype=object),
    ],
)
def test_booleans_and_categories_are_one_hot(values):
    assert fit_columns(pandas.DataFrame({"b": values})) == (Category("b", ("False", "True")),)


def test_nullable_integers_are_numbers():
    table = pandas.DataFrame({"x": pandas.array([1, 3, None], dtype="Int64")})
    assert encode_columns(fit_columns(table), table).tolist() == [[1.0], [3.0], [2.0]]


def test_constant_columns_and_identifiers_are_left_out():
    n = 150
    table = pandas.DataFrame(
        {
            "constant": [1.0] * n,
            "gaps": [1.0, None] * (n // 2),
            "empty": [np.nan] * n,
            "word": ["x"] * n,
            "identifier": [f"id{row}" for row in range(n)],
            "present": ["x", None] * (n // 2),
            "number": range(n),
            "town": [f"town{row % 75}" for row in range(n)],
        }
    )
    assert [column.name for column in fit_columns(table)] == ["present", "number", "town"]


def test_columns_are_found_by_name_whatever_their_order():
    columns = fit_columns(pandas.DataFrame({"x": [1, 2], "y": [3, 4]}))
    assert encode_columns(columns, pandas.DataFrame({"z": [0], "y": [4], "x": [1]})).tolist() == [[1.0, 4.0]]


def test_what_does_not_fit_the_training_rows_is_refused_with_its_reason():
    with pytest.raises(DataError, match="No column is left"):
        fit_columns(pandas.DataFrame({"x": [1, 1]}))
    columns = fit_columns(pandas.DataFrame({"x": [1, 2], "y": [3, 4], "z": [5, 6]}))
    with pytest.raises(DataError, match="lacks columns that the training had: x, z"):
        encode_columns(columns, pandas.DataFrame({"y": [1]}))
    with pytest.raises(DataError, match=r"`x` must hold numbers as in training, but could not convert .*'two'"):
        encode_columns(columns, pandas.DataFrame({"x": ["two"], "y": [1], "z": [1]}))
