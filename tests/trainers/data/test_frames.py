from decimal import Decimal

import numpy as np
import pandas
import pytest

from leadline.errors import DataError
from leadline.trainers.data.frames import typed


def one(values):
    return typed(pandas.DataFrame({"x": values}))["x"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "i"),
        (pandas.Series([1, 2], dtype=object), "i"),
        ([Decimal("1.5"), None], "f"),
        (pandas.to_timedelta(["1 day", "36h"]), "f"),
        (["2024-01-31", None], "M"),
        ([True, False], "b"),
        (["u", None], "O"),
        (pandas.Categorical(["u", "v"]), "O"),
        ([None, None], "O"),
    ],
)
def test_columns_are_numbers_booleans_dates_or_text(values, kind):
    assert one(values).dtype.kind == kind


def test_vast_integers_become_floats_and_those_beyond_all_floats_are_refused():
    assert one([1, 10**30, None]).tolist()[:2] == [1.0, 1e30]
    with pytest.raises(DataError, match="`x` holds a number beyond all floats in row 1"):
        one([1, 10**400])


def test_spans_of_time_become_days():
    assert one(pandas.to_timedelta(["1 day", "36h"])).tolist() == [1.0, 1.5]


def test_the_given_table_is_left_alone():
    frame = pandas.DataFrame({0: ["2024-01-31", "2024-02-01"]})
    assert list(typed(frame).columns) == ["0"]
    assert frame[0].tolist() == ["2024-01-31", "2024-02-01"]


def test_a_few_words_among_numbers_are_an_error_and_many_are_categories():
    numbers = [str(number) for number in range(40)]
    assert one([*numbers, *["few"] * 3]).dtype.kind == "O"
    with pytest.raises(DataError, match=r"Column `x` holds numbers, but 'oops' in row 41\. Empty that cell"):
        one([*numbers[:20], None, *numbers[20:], "oops"])


def test_a_word_among_dates_is_an_error():
    with pytest.raises(DataError, match=r"Column `x` holds dates, but 'soon' in row 30\. Empty that cell"):
        one([*["2024-01-31"] * 30, "soon"])


@pytest.mark.parametrize(
    ("value", "what"), [([1, 2], "list"), ({"a": 1}, "dict"), (np.zeros(2), "ndarray"), (b"raw", "bytes")]
)
def test_a_cell_that_is_no_single_value_is_refused(value, what):
    with pytest.raises(DataError, match=rf"column `x` holds a {what} in row 1\. Leave it out with `drop`"):
        one(pandas.Series(["u", value], dtype=object))
