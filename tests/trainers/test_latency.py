"""Latency: what is timed, not how long it takes."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from leadline import Trainer
from leadline.trainers.latency import PASSES, WARM_UP, latency
from leadline.trainers.messages import Job
from leadline.trainers.stack import Bench


class Noting(nn.Module):
    """Notes how it is called, and changes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], bool, bool, float]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((tuple(images.shape), self.training, torch.is_grad_enabled(), float(images.sum())))
        return images.add_(1).sum()


@pytest.fixture
def bench() -> Bench:
    return Trainer("mlp", data="digits").bench(Job(0, "accuracy", maximize=True, device="cpu"))


def test_it_is_the_median_of_passes_of_one_example_in_evaluation_mode(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([tick for k in range(WARM_UP + PASSES) for tick in (10.0 * k, 10.0 * k + (5.0 if k < 8 else 0.002))])
    network = Noting().train()
    with monkeypatch.context() as patched:
        patched.setattr(time, "perf_counter", lambda: next(ticks))
        assert latency(network, bench) == pytest.approx(2.0)
    first = bench.data.valid.inputs[:1]
    assert network.seen == [(tuple(first.shape), False, False, float(first.sum()))] * (WARM_UP + PASSES)


def test_it_leaves_the_examples_as_they_are(bench: Bench) -> None:
    before = bench.data.valid.inputs[:1].clone()
    assert latency(Noting(), bench) > 0
    assert torch.equal(bench.data.valid.inputs[:1], before)
