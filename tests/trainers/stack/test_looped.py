import pytest
import torch
from contracts.stack import PLACES, Hall, StackContract, blobs
from torch.nn import functional as F

from leadline.trainers.stack import LoopedStack
from leadline.trainers.stack.looped import predict

FEW = {name: (number, count) for name, (number, count) in PLACES.items() if count < 64}  # 64 take their time


class TestLoopedStack(StackContract):
    places = FEW

    @pytest.fixture
    def make(self):
        return LoopedStack


def recording_hall(n, batch_size):
    """A hall whose loss records the targets of each batch; a target is its row's number."""
    seen = []

    def loss(outputs, targets):
        seen.append(targets.flatten().tolist())
        return F.mse_loss(outputs, targets)

    data = (torch.zeros(n, 2), torch.arange(n) + 0.5)
    return Hall(LoopedStack, data=data, loss=loss, batch_size=batch_size), seen


def test_an_epoch_is_a_fresh_permutation_cut_into_full_batches():
    hall, seen = recording_hall(n=60, batch_size=16)  # 40 training rows: two batches, 8 rows left out
    stack = hall.stack(hall.lane(0))
    epochs = []
    for _ in range(3):
        seen.clear()
        stack.train_epoch()
        epochs.append([batch for batch in seen[:-1]])  # the last one is the validation rows
    rows = set(hall.bench.data.train.targets.flatten().tolist())
    for batches in epochs:
        assert [len(batch) for batch in batches] == [16, 16]
        assert len(set(batches[0] + batches[1])) == 32
        assert rows.issuperset(batches[0] + batches[1])
    assert len({str(batches) for batches in epochs}) == 3


def test_fewer_rows_than_a_batch_are_one_batch():
    hall, seen = recording_hall(n=12, batch_size=64)
    hall.stack(hall.lane(0)).train_epoch()
    assert [len(batch) for batch in seen] == [8, 2]


def test_label_smoothing_is_for_training_alone():
    hall = Hall(LoopedStack, label_smoothing=0.3)
    lane, network = hall.lane(0)
    (epoch,) = hall.stack((lane, network)).train_epoch()
    valid = hall.bench.data.valid
    with torch.no_grad():
        assert epoch.metrics["valid/loss"] == float(F.cross_entropy(network.eval()(valid.inputs), valid.targets))


def test_evaluation_in_parts_is_evaluation_of_the_whole():
    hall = Hall(LoopedStack, data=blobs(n=7000))
    _, network = hall.lane(0)
    valid = hall.bench.data.valid
    assert len(valid) > 1024
    outputs = predict(hall.bench, network, valid.inputs)
    with torch.no_grad():
        torch.testing.assert_close(outputs, network(valid.inputs))


def test_a_lane_that_left_is_gone():
    hall = Hall(LoopedStack)
    staying, leaving = hall.lane(0), hall.lane(1)
    stack = hall.stack(staying, leaving)
    stack.remove(leaving[0])
    assert stack.lanes == [staying[0]]
    assert [epoch.lane for epoch in stack.train_epoch()] == [staying[0]]
