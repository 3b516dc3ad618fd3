"""What a model takes, and what it says of anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from leadline.errors import DataError
from leadline.trainers.data import Preparation
from leadline.trainers.models import Model
from leadline.trainers.models.inputs import InputSpec

from .conftest import SOURCES

Make = Callable[..., Model]
TABLE = SOURCES["table"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_description_gives_it_back(source: str) -> None:
    spec = InputSpec.of(Preparation.fit(SOURCES[source]))
    assert InputSpec.from_description(spec.describe()) == spec


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("grey images", SOURCES["grey images"][:, None]),
        ("grey images", SOURCES["grey images"][..., None]),
        ("grey images", torch.from_numpy(SOURCES["grey images"])),
        ("grey images", SOURCES["grey images"].astype(float)),
        ("grey images", SOURCES["grey images"].tolist()),
        ("images", np.moveaxis(SOURCES["images"], 1, 3)),
        ("numbers", torch.from_numpy(SOURCES["numbers"])),
        ("counts", SOURCES["counts"].astype(np.int16)),
        ("table", TABLE.assign(age=TABLE["age"].astype(object), born=TABLE["born"].astype(str), other=1)),
        ("table", TABLE[["tall", "job", "born", "age"]]),
    ],
)
def test_the_same_inputs_in_another_guise_give_the_same_answers(make: Make, source: str, given: Any) -> None:
    model = make(source)
    assert np.array_equal(model.predict(given), model.predict(SOURCES[source]))


@pytest.mark.parametrize(
    ("source", "given", "problem"),
    [
        ("images", np.zeros((2, 8, 8)), r"must be of shape \(n, 3, 8, 8\), but got \(2, 8, 8\)"),
        ("numbers", np.zeros((2, 4)), r"must be of shape \(n, 5\), but got \(2, 4\)"),
        ("numbers", np.array([["a"] * 5]), "must be numbers"),
        ("numbers", np.full((3, 5), np.nan), "first in row 0"),
        ("grey images", np.full((3, 8, 8), 0.5), r"must be uint8, as in training, but row 0 has 0\.5"),
        ("grey images", np.stack([np.zeros((8, 8)), np.full((8, 8), 256)]), "but row 1 has 256"),
        ("counts", np.array([[1, 2, 3, 4.5]]), r"must be int64, as in training, but row 0 has 4\.5"),
        ("table", TABLE.drop(columns=["age", "job"]), "lacks columns that the training had: age, job"),
        ("table", TABLE.assign(age=["x"] * 40), "Column `age` must hold numbers as in training, but row 0 has 'x'"),
        (
            "table",
            TABLE.assign(born=["soon"] * 40),
            "Column `born` must hold dates as in training, but row 0 has 'soon'",
        ),
        ("table", np.zeros((2, 3)), "must be a table with the columns of training"),
    ],
)
def test_other_inputs_are_refused_with_what_was_expected(make: Make, source: str, given: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        make(source).predict(given)


def test_a_number_of_a_wide_type_that_doesnt_fit_is_named_by_its_row_beyond_a_batch(make: Make) -> None:
    many = np.zeros((20_000, 8, 8))
    many[19_999, 3, 3] = -1
    with pytest.raises(DataError, match=r"row 19999 has -1\.0"):
        make("grey images").predict(many)


def test_gaps_of_a_table_are_left_to_the_program(make: Make) -> None:
    model = make("table")
    encoded = model.inputs.taken(TABLE)
    assert encoded.shape == (40, *model.inputs.shape)
    assert np.isnan(encoded).any(axis=1).tolist() == TABLE["age"].isna().tolist()
    assert np.array_equal(model.predict(encoded), model.predict(TABLE))
    assert not np.isnan(model.predict(TABLE.assign(born=pandas.NaT, age=np.nan))).any()
