"""What the tests of sanity checks share: a network of one's own on data of one's own, as a trial would have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from contracts.stack import blobs
from torch import nn

from leadline import Trainer
from leadline.trainers.messages import Job
from leadline.trainers.recipe import Recipe
from leadline.trainers.stack import Bench, Lane
from leadline.trainers.streams import Stream


@dataclass
class Case:
    """A trainer's configuration, and all that a check of it needs."""

    trainer: Trainer
    params: dict[str, Any]
    stream: Stream

    @cached_property
    def bench(self) -> Bench:
        return self.trainer.bench(Job(0, None, maximize=True, device="cpu"))

    @property
    def recipe(self) -> Recipe:
        return self.trainer.recipe(self.params)

    def build(self) -> nn.Module:
        return self.trainer.network(Lane(0, self.params, self.recipe, self.stream), self.bench)


@pytest.fixture
def case() -> Callable[..., Case]:
    """Makes a case of a model, its data (96 examples in three blobs) and a configuration."""

    def make(model: Any = "mlp", data: Any = None, trainer: dict[str, Any] | None = None, **params: Any) -> Case:
        settings = {"batch_size": 16, "epochs": 5, **(trainer or {})}
        return Case(Trainer(model, blobs() if data is None else data, **settings), params, Stream(0, 0))

    return make
