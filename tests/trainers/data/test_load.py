import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from leadline.errors import DataError
from leadline.trainers.data import Data, load

TABLE = "x,y\n1,0.5\n2,1.5\n"


def my_data():
    return np.eye(4), [0, 1, 0, 1]


def test_a_name_loads_a_registered_data_set():
    assert load("digits").name == "digits"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_relative_to_base(tmp_path, kind):
    (tmp_path / "table.csv").write_text(TABLE)
    assert load(kind("table.csv"), base=tmp_path).name == "table"
    assert load(kind(tmp_path / "table.csv"), base="elsewhere").name == "table"


def test_a_path_without_base_is_relative_to_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "table.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    assert len(load("table.csv")) == 2


def test_table_options_reach_the_table(tmp_path):
    (tmp_path / "table.txt").write_text("1|0.5\n2|1.5\n")
    assert load(tmp_path / "table.txt", label=-1, delimiter="|", header=False).task == "regression"


def test_a_tuple_of_arrays_is_a_data_set():
    assert load(my_data()).name == "arrays"


def test_a_function_is_called_for_its_arrays_or_data():
    data = load(my_data)
    assert (data.name, len(data)) == ("my_data", 4)
    assert load(lambda: data) is data
    assert load(data) is data


def test_the_task_reaches_the_targets():
    assert load(my_data, task="regression").task == "regression"


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("digts", {}, "`digts` is no known data set.*Did you mean `digits`"),
        (None, {}, "a tuple .* but got NoneType None"),
        ((1, 2, 3), {}, "but got tuple"),
        (lambda: "no arrays", {}, "but got str 'no arrays'"),
        ("digits", {"label": "y"}, "Only tables take `label`, and 'digits' is none"),
        (my_data(), {"header": True}, "Only tables take `header`"),
        ("digits", {"lable": "y"}, "`lable` is no option of a data set. Did you mean `label`"),
        ("digits", {"task": "regression"}, "`digits` is a data set for classification, not regression"),
        ("digits", {"task": "regresion"}, "`regresion` is no task. Did you mean `regression`"),
    ],
)
def test_a_wrong_source_or_option_is_refused_with_a_likely_fix(source, options, message):
    with pytest.raises(DataError, match=message):
        load(source, **options)


def test_a_missing_file_is_named_by_the_absolute_path_looked_at(tmp_path):
    with pytest.raises(DataError) as caught:
        load("data/none.csv", base=tmp_path)
    assert str(tmp_path / "data" / "none.csv") in str(caught.value)


def test_importing_needs_neither_pandas_nor_scikit_learn():
    blocked = "import sys; sys.modules.update(dict.fromkeys(['pandas', 'sklearn', 'optuna', 'mlflow', 'pydantic']));"
    use = (
        "from leadline.trainers.data import *; d = load(([[1.0], [2.0]] * 6, [0, 1] * 6)); prepare(d, split(d, seed=0))"
    )
    subprocess.run([sys.executable, "-c", blocked + use], check=True)


def test_data_is_what_every_source_becomes():
    assert isinstance(load(my_data), Data)
