import gzip

import pytest

from leadline.errors import DataError
from leadline.trainers.data.tables import read_table


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
        ("a,b\n1,2\n3,4\n", {}, 'which column is the label.*label="...", one of: a, b'),
        ("class,target,x\n1,2,3\n4,5,6\n", {}, "which column is the label"),
        (PEOPLE, {"label": "jop"}, "no column is called `jop`. Did you mean `job`"),
        (PEOPLE, {"label": 3}, "a column from 0 to 2, but got 3"),
        ("a,y\n1,0.5\n2,\n", {}, "label `y`: Every example needs a target, but 1 have none, first in row 1"),
        ("", {}, "two lines and two columns"),
        ("a,b\n", {}, "two lines and two columns"),
        ("a\n1\n", {}, r"have \[1, 1\] cells"),
        ("a,b\n1,2,3\n", {}, r"have \[2, 3\] cells"),
        ("a,y\n1,2\n1,2,3\n", {}, "can't be read: .*Expected 2 fields in line 3, saw 3"),
        ("a,y\n1,inf\n2,3.5\n", {}, "targets hold NaN or infinity, first in row 0"),
        (PEOPLE, {"delimiter": "tab"}, "must be a single character, but got 'tab'"),
    ],
)
def test_an_unusable_table_is_refused_with_its_reason(table, text, options, message):
    with pytest.raises(DataError, match=message):
        read_table(table(text), **options)


def test_a_file_that_is_no_text_is_refused_by_name(table, tmp_path):
    with pytest.raises(DataError, match=r"table\.csv: the table can't be read: 'utf-8'"):
        read_table(table("ä,ö\n1,2\n", encoding="latin-1"))
    (tmp_path / "t.csv.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match=r"t\.csv\.gz: the table can't be read: Not a gzipped file"):
        read_table(tmp_path / "t.csv.gz")
