from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from leadline.trainers.data import Dataset, Subset, folds, load, open_test, prepare, split
from leadline.trainers.data.dataset import Scale

RANDOM = np.random.default_rng(0)


def test_a_classification_has_an_output_for_each_class():
    data = load((RANDOM.normal(size=(30, 3, 4, 4)), ["a", "b", "c"] * 10))
    dataset = prepare(data, split(data, seed=0))
    assert (dataset.name, dataset.in_shape, dataset.outputs, dataset.classes) == (
        "arrays",
        (3, 4, 4),
        3,
        ("a", "b", "c"),
    )
    assert (len(dataset.train), len(dataset.valid)) == (20, 5)
    assert (dataset.train.inputs.dtype, dataset.train.targets.dtype) == (torch.float32, torch.int64)
    assert dataset.train.targets.shape == (20,)


def test_a_regression_has_one_output_and_targets_of_its_shape():
    data = load((RANDOM.normal(size=(30, 2)), RANDOM.normal(size=30)))
    dataset = prepare(data, split(data, seed=0))
    assert (dataset.outputs, dataset.classes) == (1, None)
    assert (dataset.valid.targets.shape, dataset.valid.targets.dtype) == ((5, 1), torch.float32)


def test_only_the_training_rows_shape_the_preparation():
    inputs = RANDOM.normal(size=(60, 2))
    targets = [0, 1] * 30
    rows = split(load((inputs, targets)), seed=0)
    outlying = inputs.copy()
    outlying[np.concatenate([rows.valid, rows.test])] *= 1000
    before, after = (prepare(load((values, targets)), rows) for values in (inputs, outlying))
    assert before.preparation.describe() == after.preparation.describe()
    assert torch.equal(before.train.inputs, after.train.inputs)


def test_the_test_rows_are_opened_apart_and_prepared_alike():
    data = load((RANDOM.normal(size=(30, 2)), RANDOM.normal(size=30)))
    rows = split(data, seed=0)
    dataset = prepare(data, rows)
    test = open_test(data, rows, dataset)
    np.testing.assert_allclose(dataset.in_units(test.targets)[:, 0], data.targets[rows.test], rtol=1e-5, atol=1e-6)
    assert torch.equal(test.inputs, dataset.preparation.apply(data.inputs[rows.test]))
    assert not [name for name in Dataset.__dataclass_fields__ if "test" in name]


def test_tables_are_prepared_too():
    table = pandas.DataFrame({"x": range(12), "t": ["u", "v"] * 6})
    data = load((table, [0, 1] * 6))
    assert prepare(data, split(data, seed=0)).in_shape == (3,)


def test_a_subset_moves_between_devices():
    moved = Subset(torch.zeros(2, 1), torch.zeros(2)).to("meta")
    assert moved.inputs.is_meta
    assert moved.targets.is_meta


# The balance of classes


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(3, 40), min_size=2, max_size=6))
def test_the_balance_is_scikit_learns_balanced_of_the_training_rows(counts):
    targets = np.repeat(np.arange(len(counts)), counts)
    data = load((RANDOM.normal(size=(len(targets), 2)), targets), task="classification")
    rows = split(data, seed=0)
    found = prepare(data, rows).balance
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=data.targets[rows.train])
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_each_class_has_the_same_part_in_a_balanced_epoch_and_all_weights_have_a_mean_of_one():
    data = load((RANDOM.normal(size=(90, 2)), [0, 0, 0, 0, 0, 0, 1, 1, 2] * 10))
    dataset = prepare(data, split(data, seed=0))
    weights = dataset.balance[dataset.train.targets]
    parts = [float(weights[dataset.train.targets == number].sum()) for number in range(3)]
    assert parts == pytest.approx([len(dataset.train) / 3] * 3)
    assert float(weights.mean()) == pytest.approx(1)


def test_each_fold_has_the_balance_of_its_own_training_rows():
    data = load((RANDOM.normal(size=(50, 2)), [0] * 37 + [1] * 13))
    found = [prepare(data, fold) for fold in folds(data, split(data, seed=0), 4)]
    for dataset in found:
        expected = compute_class_weight("balanced", classes=np.arange(2), y=dataset.train.targets.numpy())
        np.testing.assert_allclose(dataset.balance, expected, rtol=1e-6)
    assert len({tuple(dataset.balance.tolist()) for dataset in found}) > 1


def test_a_class_without_training_rows_weighs_nothing():
    data = load((RANDOM.normal(size=(30, 2)), [0, 1, 2] * 10))
    rows = split(data, seed=0)
    train = rows.train[data.targets[rows.train] != 2]
    counts = np.bincount(data.targets[train])
    balance = prepare(data, replace(rows, train=train)).balance
    np.testing.assert_allclose(balance, [*len(train) / (3 * counts), 0], rtol=1e-6)


def test_a_regression_has_no_balance():
    data = regression()
    assert prepare(data, split(data, seed=0)).balance is None


# The scale of targets


def regression(offset=1e7, spread=1e6, n=60):
    targets = offset + spread * np.random.default_rng(1).normal(size=n)
    return load((RANDOM.normal(size=(n, 2)), targets))


def test_targets_are_standardized_by_the_training_rows_alone():
    data = regression()
    rows = split(data, seed=0)
    dataset = prepare(data, rows)
    own = data.targets[rows.train].astype(np.float64)
    assert (dataset.scale.mean, dataset.scale.deviation) == pytest.approx((own.mean(), own.std()))
    assert float(dataset.train.targets.double().mean()) == pytest.approx(0, abs=1e-6)
    assert float(dataset.train.targets.double().std(correction=0)) == pytest.approx(1, abs=1e-6)
    moved = data.targets.copy()
    moved[np.concatenate([rows.valid, rows.test])] *= 100
    after = prepare(load((data.inputs, moved)), rows)
    assert after.scale == dataset.scale
    assert torch.equal(after.train.targets, dataset.train.targets)
    assert not torch.equal(after.valid.targets, dataset.valid.targets)


def test_in_units_targets_are_what_they_were_to_the_precision_of_float32():
    data = regression()
    rows = split(data, seed=0)
    dataset = prepare(data, rows)
    np.testing.assert_allclose(dataset.in_units(dataset.valid.targets)[:, 0], data.targets[rows.valid], rtol=2e-7)


def test_classes_have_no_scale_and_outputs_stay_as_they_are():
    data = load((RANDOM.normal(size=(30, 2)), [0, 1] * 15))
    dataset = prepare(data, split(data, seed=0))
    outputs = torch.randn(5, 2)
    assert dataset.scale is None
    assert dataset.in_units(outputs) is outputs


@settings(deadline=None)
@given(st.integers(1, 3000), st.floats(-(2.0**90), 2.0**90, width=32))
def test_the_scale_of_constant_targets_is_one(n, value):
    scale = Scale.fit(np.full(n, value, dtype=np.float32))
    assert scale.deviation == 1
    assert scale.apply(torch.tensor([value])).abs() < 1e-6 * max(1, abs(value))


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_undoing_the_scale_gives_back_what_it_was_applied_to(mean, deviation):
    scale = Scale(mean, deviation)
    values = torch.linspace(-3, 3, 7, dtype=torch.float64) * deviation + mean
    torch.testing.assert_close(scale.undo(scale.apply(values)), values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scale_keeps_dtype_and_shape(dtype):
    values = torch.zeros(2, 3, 1, dtype=dtype)
    assert Scale(5.0, 2.0).apply(values).dtype == Scale(5.0, 2.0).undo(values).dtype == dtype
    assert Scale(5.0, 2.0).undo(values).shape == (2, 3, 1)
