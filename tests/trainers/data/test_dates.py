import numpy as np
import pandas
import pytest

from leadline.trainers.data.dates import as_dates, days, features


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-01-31", None, "2024-02-01"],
        ["2024-01-31T00:00:00", None, "2024-02-01"],
        ["2024-01-31T02:00:00+02:00", None, "2024-02-01T00:00:00Z"],
        ["2024/01/31", None, "2024/02/01"],
        ["31.01.2024", None, "01.02.2024"],
        ["01/31/2024", None, "02/01/2024"],
        ["31/01/2024", None, "01/02/2024"],
        ["31-01-2024", None, "01-02-2024"],
        ["31.01.2024 00:00", None, "01.02.2024 00:00"],
        pandas.to_datetime(["2024-01-31", None, "2024-02-01"]),
        pandas.to_datetime(["2024-01-31", None, "2024-02-01"]).tz_localize("UTC").tz_convert("Asia/Tokyo"),
        pandas.Categorical(["2024-01-31", None, "2024-02-01"]),
    ],
)
def test_dates_are_told_in_many_forms_and_gaps_kept(cells):
    dates = as_dates(pandas.Series(cells, index=[7, 8, 9]))
    assert dates.index.tolist() == [7, 8, 9]
    assert np.array_equal(days(dates), [19753.0, np.nan, 19754.0], equal_nan=True)


@pytest.mark.parametrize(
    "cells",
    [
        ["soon"],
        ["2024-01-31", "later"],
        ["2024-02-30"],
        ["01/31/2024", "31/01/2024"],
        ["10.0.0"],
        ["1.2.3"],
        [20240131],
        [20240131.0],
        [True],
        [None, None],
        [],
    ],
)
def test_what_is_not_dates_throughout_is_none(cells):
    assert as_dates(pandas.Series(cells)) is None


def test_an_index_with_repeated_labels_is_no_obstacle():
    assert len(as_dates(pandas.Series(["2024-01-31", "2024-02-01"], index=[1, 1]))) == 2


def test_a_date_says_its_days_year_month_weekday_and_hour():
    found = features(pandas.Series(pandas.to_datetime(["1970-01-02 18:00", None])))
    assert {name: values[0] for name, values in found.items()} == {
        "days": 1.75,
        "year": 1970,
        "month": 1,
        "weekday": 4,
        "hour": 18,
    }
    assert all(np.isnan(values[1]) for values in found.values())
