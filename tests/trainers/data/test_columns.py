import json

import numpy as np
import pandas
import pytest

from leadline.errors import DataError
from leadline.trainers.data.columns import (
    Category,
    Date,
    Number,
    describe,
    encode_columns,
    explain,
    fit_columns,
    restore,
)


def test_missing_numbers_become_the_median_of_the_training_rows():
    columns = fit_columns(pandas.DataFrame({"x": [1.0, 2.0, 9.0, None]}))
    assert columns == (Number("x", 2.0, missing=True),)
    assert encode_columns(columns, pandas.DataFrame({"x": [None, 5.0]}))[:, 0].tolist() == [2.0, 5.0]


def test_an_indicator_tells_gaps_where_training_had_some():
    with_gaps, without = (fit_columns(pandas.DataFrame({"x": [1.0, 2.0, last]})) for last in (None, 3.0))
    later = pandas.DataFrame({"x": [None, 5.0]})
    assert encode_columns(with_gaps, later).tolist() == [[1.5, 1.0], [5.0, 0.0]]
    assert encode_columns(without, later).tolist() == [[2.0], [5.0]]
    assert with_gaps[0].standardised == (True, False)


def test_dates_become_what_varied_of_them_in_training():
    table = pandas.DataFrame({"day": pandas.to_datetime(["2024-01-31", None, "2024-03-01"])})
    columns = fit_columns(table)
    assert columns == (Date("day", ("days", "month", "weekday"), (19768.0, 2.0, 3.0), missing=True),)
    encoded = encode_columns(columns, pandas.DataFrame({"day": ["1970-01-02", None]}))
    assert encoded.tolist() == [[1.0, 1.0, 4.0, 0.0], [19768.0, 2.0, 3.0, 1.0]]
    assert encode_columns(columns, pandas.DataFrame({"day": [None, None]}))[:, -1].tolist() == [1.0, 1.0]


def test_times_of_the_day_give_hours_and_fractions_of_days():
    table = pandas.DataFrame({"at": pandas.to_datetime(["1970-01-01 06:00", "1970-01-01 18:30"])})
    assert encode_columns(fit_columns(table), table).tolist() == [[0.25, 6.0], [18.5 / 24, 18.0]]


def test_no_more_than_the_hundred_most_frequent_categories_are_kept():
    values = [f"t{place:03}" for place in range(120)] * 3 + ["t119"] * 5 + ["t118"]
    (column,) = fit_columns(pandas.DataFrame({"t": values}))
    assert isinstance(column, Category)
    assert column.categories == tuple(f"t{place:03}" for place in [*range(98), 118, 119])
    assert encode_columns((column,), pandas.DataFrame({"t": ["t098"]})).sum() == 0
    assert column.unknown(pandas.Series(["t999", "t000", None, "t098", "t999"])) == ["t098", "t999"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1.5, 3.0, None], "numbers 1.5 to 3, 1 missing"),
        (["b", "a", None, "a"], "2 categories: a, b, 1 missing"),
        (list("abcdefg"), "7 categories: a, b, c, d, e, ..."),
        (pandas.to_datetime(["2024-01-31", "2025-01-31"]), "dates 2024-01-31 to 2025-01-31 as days, year, weekday"),
        ([f"t{place}" for place in range(101)] * 3, "100 categories and 1 rarer: t0, t1, t10, t100, t11, ..."),
        ([f"id{place}" for place in range(101)], "left out: text that differs in most rows"),
        ([True, True], "left out: always True"),
        ([None, np.nan], "left out: empty"),
    ],
)
def test_each_column_is_told_in_words(values, told):
    assert explain(pandas.DataFrame({"x": values})) == {"x": told}


@pytest.mark.parametrize(
    "values", [[1.5, None, 3.0], ["a", "b", "a"], pandas.to_datetime(["2024-01-31", None, "2025-01-31"])]
)
def test_a_column_survives_json(values):
    (column,) = fit_columns(pandas.DataFrame({"x": values}))
    assert restore(json.loads(json.dumps(describe(column)))) == column


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
    assert encode_columns(fit_columns(table), table).tolist() == [[1.0, 0.0], [3.0, 0.0], [2.0, 1.0]]


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
    with pytest.raises(DataError, match=r"`x` must hold numbers as in training, but row . has 'two'"):
        encode_columns(columns, pandas.DataFrame({"x": ["two"], "y": [1], "z": [1]}))
    columns = fit_columns(pandas.DataFrame({"x": pandas.to_datetime(["2024-01-31", "2025-01-31"])}))
    with pytest.raises(DataError, match=r"`x` must hold dates as in training, but row . has 'soon'"):
        encode_columns(columns, pandas.DataFrame({"x": ["soon"]}))
