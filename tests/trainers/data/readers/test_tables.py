import gzip
import string
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.errors import DataError
from leadline.trainers.data.readers.tables import read_table


@pytest.fixture
def table(tmp_path):
    def write(text, name="table.csv", encoding="utf-8"):
        content = text.encode(encoding)
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return tmp_path / name

    return write


PEOPLE = "age,job,Class\n58,clerk,no\n44,,yes\n?,smith,no\n33,clerk,yes\n"


@pytest.mark.parametrize("name", ["people.csv", "people.csv.gz"])
def test_the_label_column_becomes_the_targets_and_the_rest_the_inputs(table, name):
    data = read_table(table(PEOPLE, name))
    assert (data.name, list(data.inputs.columns)) == ("people", ["age", "job"])
    assert (data.targets.tolist(), data.classes) == ([0, 1, 0, 1], ("no", "yes"))


def test_empty_cells_and_question_marks_are_missing(table):
    data = read_table(table(PEOPLE))
    assert data.inputs["age"].isna().tolist() == [False, False, True, False]
    assert data.inputs["job"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_told_from_the_first_lines_or_given(table, delimiter):
    path = table(PEOPLE.replace(",", delimiter))
    data = read_table(path, delimiter="|" if delimiter == "|" else None)
    assert list(data.inputs.columns) == ["age", "job"]


def test_commas_inside_text_do_not_delimit(table):
    data = read_table(table("note;size;y\na, b, c;1;u\n'd, e', f;2;v\n"))
    assert list(data.inputs.columns) == ["note", "size"]


def test_byte_order_marks_carriage_returns_blank_lines_and_spaces_are_skipped(table):
    data = read_table(
        table("\n a, b , label\r\n\r\n1, u, 0\r\n2, v, 1\r\n1, u, 0\r\n2, v, 1\r\n", encoding="utf-8-sig")
    )
    assert list(data.inputs.columns) == ["a", "b"]
    assert data.inputs["b"].tolist() == ["u", "v", "u", "v"]


@pytest.mark.parametrize("label", ["c2", 2, -1])
def test_columns_without_names_are_numbered(table, label):
    data = read_table(table("0.5\t1\t7.5\n0.25\t2\t8.25\n"), label=label)
    assert list(data.inputs.columns) == ["c0", "c1"]
    assert (data.targets.tolist(), data.classes) == ([7.5, 8.25], None)


def test_a_first_line_of_repeated_text_is_no_header(table):
    assert len(read_table(table("p,x,x\ne,x,s\n"), label=0)) == 2


def test_header_overrides_the_detection(table):
    text = "2020,2021,y\n1,2,a\n3,4,b\n"
    assert list(read_table(table(text), header=True).inputs.columns) == ["2020", "2021"]
    assert len(read_table(table("a,b\nc,d\n"), label="c1", header=False)) == 2


def test_the_task_may_be_given(table):
    assert read_table(table("x,y\n1,0\n2,1\n3,0\n4,1\n"), task="regression").classes is None


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n3,4\n", {}, "which column is the label.*`label: NAME`, one of: a, b"),
        ("class,target,x\n1,2,3\n4,5,6\n", {}, "which column is the label"),
        (PEOPLE, {"label": "jop"}, "no column is called `jop`. Did you mean `job`"),
        (PEOPLE, {"label": 3}, "a column from 0 to 2, but got 3"),
        ("a,y\n1,0.5\n2,\n", {}, "label `y`: Every example needs a target, but 1 have none, first in row 1"),
        ("", {}, "two lines and two columns"),
        ("a,b\n", {}, "two lines and two columns"),
        ("a\n1\n", {}, r"have \[1, 1\] cells"),
        ("a,b\n1,2,3\n", {}, r"have \[2, 3\] cells"),
        ("a,y\n1,2\n1,2,3\n", {}, "as many cells as the first, 2, but line 3 has 3"),
        ("a,y\n1,inf\n2,3.5\n", {}, "targets hold NaN or infinity, first in row 0"),
        (PEOPLE, {"delimiter": "tab"}, "must be a single character, but got 'tab'"),
    ],
)
def test_an_unusable_table_is_refused_with_its_reason(table, text, options, message):
    with pytest.raises(DataError, match=message):
        read_table(table(text), **options)


def test_a_file_that_is_no_text_is_refused_by_name(table, tmp_path):
    with pytest.raises(DataError, match=r"table\.csv: the table can't be read: it must be UTF-8, but line 2 has"):
        read_table(table("a,b\n1,ä\n", encoding="latin-1"))
    (tmp_path / "t.csv.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match=r"t\.csv\.gz: the gzip file is damaged: Not a gzipped file"):
        read_table(tmp_path / "t.csv.gz")


VISITS = "patient,day,dose,note,y\nb,2024-01-03,1,u,0.5\na,2024-01-01,2,v,1.5\nb,2024-01-02 12:00,3,w,2.5\n"


def test_a_group_gives_equal_codes_to_equal_values_and_is_no_input(table):
    data = read_table(table(VISITS), group="patient")
    assert (data.groups.tolist(), data.groups.dtype) == ([0, 1, 0], np.int64)
    assert list(data.inputs.columns) == ["day", "dose", "note"]


@pytest.mark.parametrize(
    ("time", "order"), [("day", [19725.0, 19723.0, 19724.5]), ("dose", [1.0, 2.0, 3.0]), (1, None)]
)
def test_time_gives_the_order_of_rows_and_stays_an_input(table, time, order):
    data = read_table(table(VISITS), time=time)
    assert data.order.tolist() == (order or [19725.0, 19723.0, 19724.5])
    assert list(data.inputs.columns) == ["patient", "day", "dose", "note"]


@pytest.mark.parametrize("drop", ["note", ["note"], (3,), -2])
def test_columns_may_be_dropped(table, drop):
    assert list(read_table(table(VISITS), drop=drop).inputs.columns) == ["patient", "day", "dose"]


def test_the_column_of_time_may_be_dropped_from_the_inputs(table):
    data = read_table(table(VISITS), time="day", drop=["day", "note"])
    assert data.order is not None
    assert list(data.inputs.columns) == ["patient", "dose"]


def test_groups_and_order_change_the_digest(table):
    path = table(VISITS)
    made = [read_table(path, drop=["patient", "day"], **options) for options in ({}, {"group": 0}, {"time": 1})]
    assert len({data.digest for data in made}) == 3


def test_text_that_is_dates_becomes_dates(table):
    assert read_table(table(VISITS)).inputs["day"].dtype.kind == "M"


@pytest.mark.parametrize("suffix", [".parquet", ".pq"])
def test_parquet_keeps_its_types(tmp_path, suffix):
    frame = pandas.DataFrame(
        {
            "number": [1.5, None, 3.0, 4.0],
            "whole": pandas.array([1, 2, None, 4], dtype="Int64"),
            "day": [date(2024, 1, 31), None, date(2024, 2, 1), date(2024, 2, 2)],
            "price": [Decimal("1.50"), Decimal("2.25"), None, Decimal("0.75")],
            "kind": pandas.Categorical(["u", "v", "u", None]),
            "flag": [True, False, True, True],
            "target": ["yes", "no", "yes", "no"],
        }
    )
    frame.to_parquet(tmp_path / f"t{suffix}")
    data = read_table(tmp_path / f"t{suffix}")
    assert "".join(data.inputs.dtypes.map(lambda dtype: dtype.kind)) == "ffMfOb"
    assert (data.name, data.classes, len(data)) == ("t", ("no", "yes"), 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "patiant"}, "no column is called `patiant`. Did you mean `patient`"),
        ({"time": 9}, "`time` must be a column from 0 to 4, but got 9"),
        (
            {"time": "note"},
            "`time` must be a column of numbers, or of dates of one form, but `note` holds 'u' in row 0",
        ),
        ({"drop": ["day", "nope"]}, "no column is called `nope`"),
        ({"drop": 2.5}, "no column is called `2.5`"),
        ({"drop": "y"}, "column `y` can't be the label and also"),
        ({"drop": [0, 1, 2, 3]}, "a table needs a column that is an input beside its label `y`"),
        ({"header": "yes"}, "`header` must be true or false, but got 'yes'"),
    ],
)
def test_wrong_roles_of_columns_are_refused_with_their_reason(table, options, message):
    with pytest.raises(DataError, match=message):
        read_table(table(VISITS), **options)


def test_a_first_line_that_names_the_label_is_the_header_whatever_else_it_holds(table):
    assert list(read_table(table("2020,2021,y\n1,2,0.5\n3,4,1.5\n"), label="y").inputs.columns) == ["2020", "2021"]


def test_the_labels_of_parquet_rows_are_no_input(tmp_path):
    pandas.DataFrame({"x": [1, 2, 3], "y": [0.5, 1.5, 2.5]}, index=[7, 9, 8]).to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").inputs.columns) == ["x"]


def test_parquet_takes_no_options_of_text_files(tmp_path):
    pandas.DataFrame({"x": [1, 2], "y": [0.5, 1.5]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: `delimiter` and `header` are for tables in text files"):
        read_table(tmp_path / "t.parquet", delimiter=",")


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False), st.text(string.ascii_letters, min_size=1), st.booleans()
        ),
        min_size=2,
        max_size=20,
    ),
    st.sampled_from(",;\t"),
)
def test_what_pandas_writes_is_read_back(rows, delimiter):
    frame = pandas.DataFrame(rows, columns=["x", "t", "b"]).assign(y=[place + 0.5 for place in range(len(rows))])
    frame["t"] = "_" + frame["t"]  # no NA, no inf
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(f"{folder}/t.csv", sep=delimiter, index=False)
        data = read_table(Path(folder, "t.csv"))
    assert data.inputs["t"].tolist() == frame["t"].tolist()
    assert np.allclose(data.inputs["x"], frame["x"], rtol=1e-12)
    assert data.inputs["b"].tolist() == frame["b"].tolist()
