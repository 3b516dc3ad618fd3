import json

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from leadline.errors import DataError
from leadline.trainers.data.preparation import Preparation, _moments

RANDOM = np.random.default_rng(0)
TABLE = pandas.DataFrame(
    {"age": [20.0, None, 40.0, 33.3], "job": ["clerk", "smith", None, "clerk"], "rich": [True, False, True, True]}
)


def test_features_are_standardised_one_by_one():
    inputs = RANDOM.normal([5, -3], [2, 0.1], size=(500, 2))
    prepared = Preparation.fit(inputs).apply(inputs)
    assert prepared.dtype == torch.float32
    assert torch.allclose(prepared.mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(prepared.std(0, correction=0), torch.ones(2))


def test_images_are_standardised_per_channel():
    inputs = RANDOM.normal(np.array([5, -3, 0])[:, None, None], 2.0, size=(50, 3, 4, 5))
    preparation = Preparation.fit(inputs)
    prepared = preparation.apply(inputs)
    assert (preparation.in_shape, preparation.mean.shape) == ((3, 4, 5), (3,))
    assert torch.allclose(prepared.mean((0, 2, 3)), torch.zeros(3), atol=1e-6)
    assert torch.allclose(prepared.std((0, 2, 3), correction=0), torch.ones(3))


def test_images_without_channels_gain_one_and_are_standardised_as_a_whole():
    inputs = RANDOM.integers(0, 256, size=(20, 4, 5), dtype=np.uint8)
    preparation = Preparation.fit(inputs)
    assert (preparation.in_shape, preparation.mean.shape) == ((1, 4, 5), (1,))
    expected = (inputs - inputs.mean()) / inputs.std()
    assert np.allclose(preparation.apply(inputs)[:, 0], expected, atol=1e-6)


def test_a_constant_feature_is_centred_only():
    inputs = np.full((7, 2), 0.1)
    inputs[:, 1] = range(7)
    preparation = Preparation.fit(inputs)
    assert preparation.scale[0] == 1
    assert preparation.apply(np.array([[1.1, 3.0]]))[0].tolist() == pytest.approx([1.0, 0.0])


def test_large_offsets_survive_because_they_are_centred_in_double_precision():
    seconds = 1.6e9 + np.arange(100.0)[:, None]
    assert len(Preparation.fit(seconds).apply(seconds).unique()) == 100


def test_what_does_not_fit_in_one_chunk_is_prepared_as_a_whole():
    inputs = RANDOM.normal(3, 2, size=(5, 700, 800))
    prepared = Preparation.fit(inputs).apply(inputs)
    assert np.allclose(prepared[:, 0], (inputs - inputs.mean()) / inputs.std(), atol=1e-5)


def test_tables_have_standardised_numbers_and_plain_indicators():
    preparation = Preparation.fit(TABLE)
    prepared = preparation.apply(TABLE)
    assert preparation.in_shape == (6,)
    assert prepared[1, 0] == pytest.approx((33.3 - preparation.mean[0]) / preparation.scale[0])
    assert prepared[:, 1:].tolist() == [[0, 1, 0, 0, 1], [1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 1]]


def test_dates_are_standardised_too():
    table = pandas.DataFrame({"day": pandas.date_range("2020-01-30", periods=400)})
    prepared = Preparation.fit(table).apply(table)
    assert prepared.shape == (400, 4)
    assert torch.allclose(prepared.mean(0), torch.zeros(4), atol=1e-6)
    assert torch.allclose(prepared.std(0, correction=0), torch.ones(4), atol=1e-6)


@pytest.mark.parametrize("inputs", [TABLE, RANDOM.normal(size=(9, 3, 2, 2)), RANDOM.integers(9, size=(9, 2, 2))])
def test_rows_may_be_taken_from_all_inputs_without_a_copy(inputs):
    rows = np.array([3, 0, 1])
    apart = inputs.iloc[rows] if isinstance(inputs, pandas.DataFrame) else inputs[rows]
    preparation = Preparation.fit(inputs, rows)
    assert preparation.describe() == Preparation.fit(apart).describe()
    assert torch.equal(preparation.apply(inputs, rows), preparation.apply(apart))


@given(
    arrays(np.float64, (23, 3), elements=st.floats(-1e6, 1e6)),
    st.lists(st.integers(1, 22), max_size=4, unique=True).map(sorted),
)
def test_moments_do_not_depend_on_how_rows_are_cut_into_blocks(values, cuts):
    mean, scale, shape = _moments(iter(np.split(values, cuts)))
    assert shape == (3,)
    assert np.allclose(mean, values.mean(axis=0), rtol=1e-9, atol=1e-6)
    constant = (values == values[0]).all(axis=0)
    assert np.allclose(scale, np.where(constant, 1.0, values.std(axis=0)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("inputs", [TABLE, RANDOM.normal(size=(9, 3, 2, 2)), RANDOM.normal(size=(9, 2, 2))])
def test_a_preparation_survives_json_exactly(inputs):
    preparation = Preparation.fit(inputs)
    description = preparation.describe()
    restored = Preparation.from_description(json.loads(json.dumps(description)))
    assert restored.describe() == description
    assert restored.in_shape == preparation.in_shape
    assert torch.equal(restored.apply(inputs), preparation.apply(inputs))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 3)), r"of shape \(2,\) as in training, but got \(3,\)"),
        (np.zeros((2, 2, 2)), r"of shape \(2,\) as in training, but got \(1, 2, 2\)"),
        (np.array([[0.0, 1.0], [0.0, np.inf]]), "first in row 1"),
        (TABLE, "must be a table where the training had a table"),
    ],
)
def test_inputs_unlike_the_training_rows_are_refused(inputs, message):
    with pytest.raises(DataError, match=message):
        Preparation.fit(np.array([[0.0, 1.0], [1.0, 0.0]])).apply(inputs)


def test_folds_of_a_table_have_the_same_columns_and_medians_of_their_own():
    import pandas

    table = pandas.DataFrame(
        {"size": [1.0, 2.0, None, 4.0], "kind": ["a", "b", "b", "c"], "day": pandas.date_range("2024-01-01", periods=4)}
    )
    whole = Preparation.fit(table)
    part = Preparation.fit(table, np.array([0, 1]), whole)
    assert part.in_shape == whole.in_shape
    assert part.columns is not None
    assert [column.name for column in part.columns] == ["size", "kind", "day"]
    assert part.columns[0].median == 1.5
    assert part.apply(table).shape == whole.apply(table).shape
    assert Preparation.fit(table, np.array([0, 1])).in_shape != whole.in_shape
