import pytest
import torch
from contracts.stack import Hall, identical, run

from leadline.trainers.messages import Job
from leadline.trainers.stack import FusedStack
from leadline.trainers.stack.graph import ReplayedStep

RATES = {"dropout": 0.3, "batch_norm": True, "l1": 0.01, "clip_norm": 1.0, "label_smoothing": 0.1}


def by_calling_again(function):
    """Stands in for a CUDA graph: warms up, and replays into the tensors of its recording."""
    for _ in range(3):
        function()
    recorded = function()

    def replay():
        for kept, fresh in zip(recorded, function(), strict=True):
            kept.copy_(fresh)

    return recorded, replay


@pytest.fixture
def capture(monkeypatch):
    """Makes fused stacks capture their steps on the CPU, from when it is called; it returns what is captured."""
    captures = []

    def replayed(stack, step, now):
        if stack._captured is None or stack._captured.names != set(now):
            captures.append(set(now))
            stack._captured = ReplayedStep(step, now, stack._rows, by_calling_again)
        return stack._captured

    def start():
        monkeypatch.setattr(FusedStack, "_replayed", replayed)
        return captures

    return start


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_replayed_step_comes_to_what_the_step_comes_to(optimizer, capture):
    hall = Hall(FusedStack, optimizer=optimizer, schedule="cosine")
    expected = hall.among(1, 3, epochs=3, **RATES)
    captured = capture()
    assert identical(hall.among(1, 3, epochs=3, **RATES), expected)
    assert len(captured) == 1


def test_a_step_is_captured_anew_when_the_lanes_move_and_not_for_a_refill(capture):
    captured = capture()
    hall = Hall(FusedStack, batch_size=32)
    lanes = [hall.lane(number) for number in range(4)]
    stack = hall.stack(*lanes)
    stack.train_epoch()
    stack.remove(lanes[1][0])
    stack.add(*hall.lane(9))
    stack.train_epoch()
    assert len(captured) == 1
    stack.remove(lanes[0][0])
    stack.train_epoch()
    assert len(captured) == 2


def test_a_refilled_lane_of_replayed_steps_equals_itself_alone(capture):
    capture()
    hall = Hall(FusedStack, batch_size=32)
    lanes = [hall.lane(number) for number in range(3)]
    stack = hall.stack(*lanes)
    stack.train_epoch()
    stack.remove(lanes[1][0])
    lane, network = hall.lane(7)
    stack.add(lane, network)
    assert identical(run(stack, lane, epochs=2), hall.alone(7, epochs=2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_steps_are_captured_as_cuda_graphs():
    hall = Hall(FusedStack, precision="float32")
    hall.bench = hall.trainer.bench(Job(seed=0, metric=None, maximize=True, device="cuda"))
    stack = hall.stack(*(hall.lane(number, **RATES) for number in range(3)))
    (first, *_) = stack.train_epoch()
    assert first.error is None
    assert stack._captured is not None
