"""Models as small as real ones can be, with cards that say no more than a model needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import leadline as ll
from leadline.trainers.data import Preparation
from leadline.trainers.models import Model, Predictor
from leadline.trainers.models.formats import member_of
from leadline.trainers.models.inputs import InputSpec

RANDOM = np.random.default_rng(0)
SOURCES: dict[str, Any] = {
    "grey images": RANDOM.integers(0, 256, (40, 8, 8), dtype=np.uint8),
    "images": RANDOM.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8),
    "numbers": RANDOM.normal(3, 2, (40, 5)),
    "counts": RANDOM.integers(0, 9, (40, 4)),
    "seconds": 1.6e9 + RANDOM.normal(0, 100, (40, 2)),
    "table": pandas.DataFrame(
        {
            "age": np.where(RANDOM.random(40) < 0.2, np.nan, RANDOM.normal(40, 9, 40).round(1)),
            "job": RANDOM.choice(["clerk", "smith", "007", "12"], 40),
            "born": pandas.date_range("1970-03-01", periods=40, freq="31D"),
            "tall": RANDOM.random(40) < 0.5,
        }
    ),
}


@pytest.fixture
def make() -> Callable[..., Model]:
    """Makes a model of random weights for a source's inputs; of several `networks` an ensemble."""

    def made(
        source: str,
        *,
        classes: tuple[str, ...] | None = ("ant", "bee", "cat"),
        networks: int = 1,
        name: str = "mlp",
        depth: int = 1,
        **further: Any,
    ) -> Model:
        whole = Preparation.fit(SOURCES[source])
        described = []
        for place in range(networks):
            preparation = Preparation.fit(SOURCES[source], np.arange(place, 40), like=whole)
            described.append(
                {
                    "trial": place,
                    "weight": 1 / networks,
                    "model": name,
                    "arguments": {"depth": depth, "feature_maps": 4 + place, **further},
                    "outputs": len(classes) if classes else 1,
                    "in_shape": list(preparation.in_shape),
                    "preparation": preparation.describe(),
                    "scale": None if classes else {"mean": 1e7, "deviation": 1e6},
                }
            )
        torch.manual_seed(0)
        built = [
            ll.build(name, in_shape=tuple(one["in_shape"]), classes=one["outputs"], **one["arguments"])
            for one in described
        ]
        card = {
            "study": {"name": "small"},
            "classes": None if classes is None else list(classes),
            "inputs": InputSpec.of(whole).describe(),
            "data": {"read": {}},
            "networks": described,
        }
        return Model(Predictor([member_of(*pair) for pair in zip(built, described, strict=True)]), card)

    return made
