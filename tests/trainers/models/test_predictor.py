"""From raw inputs to answers in one module: the preparation of training, to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from leadline.trainers.data import Preparation
from leadline.trainers.models import Member, Model, Predictor

from .conftest import SOURCES

Make = Callable[..., Model]


@pytest.mark.parametrize("source", SOURCES)
def test_inputs_are_prepared_as_in_training_to_the_last_bit(make: Make, source: str) -> None:
    model, preparation = make(source), Preparation.fit(SOURCES[source])
    (network,) = model.program.networks
    with torch.no_grad():
        expected = network(preparation.apply(SOURCES[source])).softmax(dim=1).numpy()
    assert np.array_equal(model.predict(SOURCES[source]), expected)


@pytest.mark.parametrize("source", ["grey images", "table"])
def test_members_with_preparations_of_their_own_answer_by_their_weights(make: Make, source: str) -> None:
    whole = make(source, networks=3)
    alone = []
    for network, described in zip(whole.program.networks, whole.card["networks"], strict=True):
        preparation = Preparation.from_description(described["preparation"])
        with torch.no_grad():
            alone.append(network(preparation.apply(SOURCES[source])).softmax(dim=1).numpy())
    assert len({one.tobytes() for one in alone}) == 3
    assert np.allclose(whole.predict(SOURCES[source]), np.mean(alone, axis=0), atol=1e-6)


def test_a_regression_answers_in_the_targets_own_units(make: Make) -> None:
    model = make("numbers", classes=None)
    (network,) = model.program.networks
    with torch.no_grad():
        standardized = network(Preparation.fit(SOURCES["numbers"]).apply(SOURCES["numbers"]))[:, 0].double().numpy()
    assert model.predict(SOURCES["numbers"]).shape == (40,)
    assert np.allclose(model.predict(SOURCES["numbers"]), standardized * 1e6 + 1e7, rtol=1e-7)


def test_state_dicts_are_the_networks_own() -> None:
    network = torch.nn.Linear(2, 3)
    preparation = Preparation.fit(np.array([[0.0, 1.0], [2.0, 3.0]]))
    assert {
        name.removeprefix("members.0.network.") for name in Predictor([Member(network, preparation)]).state_dict()
    } == (set(network.state_dict()))
