import numpy as np
import pandas
import torch

from leadline.trainers.data import Dataset, Subset, load, open_test, prepare, split

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
    test = open_test(data, rows, dataset.preparation)
    assert test.targets[:, 0].tolist() == data.targets[rows.test].tolist()
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
