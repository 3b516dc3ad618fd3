import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline import Trainer
from leadline.trainers.data import Streamed, load, one_after_another, open_test, prepare, split
from leadline.trainers.messages import Job
from leadline.trainers.stack import FusedStack, Lane, LoopedStack
from leadline.trainers.streams import Stream

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Bytes (60, 3, 4, 5) in a file, as a memory map, and classes."""
    path = tmp_path_factory.mktemp("streamed") / "images.npy"
    np.save(path, RANDOM.integers(0, 256, (60, 3, 4, 5), dtype=np.uint8))
    return np.load(path, mmap_mode="r"), [0, 1, 2] * 20


def both(images):
    """Returns the same data as tensors and streamed."""
    data = load(images)
    rows = split(data, seed=0)
    return prepare(data, rows), prepare(data, rows, streamed=True)


def test_streamed_inputs_are_the_numbers_of_the_tensor(images):
    whole, streamed = both(images)
    assert isinstance(streamed.train.inputs, Streamed)
    assert streamed.train.inputs.shape == whole.train.inputs.shape
    assert torch.equal(streamed.train.inputs[:], whole.train.inputs)
    assert torch.equal(streamed.valid.inputs[3:7], whole.valid.inputs[3:7])
    assert torch.equal(torch.cat(list(streamed.train.inputs.split(7))), whole.train.inputs)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**31))
def test_batches_come_in_their_order(images, steps, batch, seed):
    whole, streamed = both(images)
    order = torch.randint(0, len(whole.train), (steps, batch), generator=torch.Generator().manual_seed(seed))
    for found, expected in zip(streamed.train.batches(order), whole.train.batches(order), strict=True):
        assert torch.equal(found, expected)


def test_folds_one_after_another_keep_their_own_preparation(images):
    data = load(images)
    sets = [prepare(data, split(data, seed=seed), streamed=True).train for seed in (0, 1)]
    together = one_after_another(sets).inputs
    assert isinstance(together, Streamed)
    assert torch.equal(together[:], torch.cat([one.inputs[:] for one in sets]))


def test_the_test_rows_are_streamed_too(images):
    data = load(images)
    rows = split(data, seed=0)
    whole, streamed = (open_test(data, rows, like) for like in both(images))
    assert isinstance(streamed.inputs, Streamed)
    assert torch.equal(streamed.inputs[:], whole.inputs)


def test_an_error_while_reading_ahead_is_raised_where_the_batch_is_wanted(images):
    _, streamed = both(images)
    order = torch.tensor([[0, 1], [2, 10_000]])
    with pytest.raises(IndexError):
        list(streamed.train.batches(order))


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("make", [LoopedStack, FusedStack])
def test_a_training_on_streamed_inputs_is_the_same_to_the_last_bit(images, make, folds):
    weights = []
    for streamed in (False, True):
        trainer = Trainer("convnet", images, streamed=streamed, folds=folds, batch_size=8, flip=0.5)
        bench = trainer.bench(Job(seed=0, metric=None, maximize=True, device="cpu"))
        assert isinstance(bench.data.train.inputs, Streamed) is streamed
        lane, stack = Lane(0, {}, trainer.recipe({}), Stream(0, 0, folds - 1)), make(bench)
        stack.add(lane, trainer.network(lane, bench))
        (epoch,) = stack.train_epoch()
        weights.append((epoch.metrics, stack.weights(lane)))
    assert weights[0][0] == weights[1][0]
    assert all(torch.equal(tensor, weights[1][1][name]) for name, tensor in weights[0][1].items())
