import pytest

from leadline import Choice, Float, Int, Space, Trainer
from leadline.search.analysis.networks import MOST, between, candidates

LR = Float(1e-4, 1e-2, log=True)


def build(in_shape, classes, depth=1, width=8, activation="relu", pooled=False):
    from torch import nn

    return nn.Sequential(*(nn.Linear(in_shape[0], width) for _ in range(depth)))


def of(space, model=build):
    return {one.name: one.params for one in candidates(space, Trainer(model, ([[0.0] * 4] * 6, [0, 1] * 3)))}


def test_the_middle_comes_first_and_then_the_smallest_and_the_largest_network():
    found = of(Space(depth=Int(1, 9), width=Choice([32, 8, 16]), lr=LR, epochs=3))
    assert list(found) == ["middle", "smallest", "largest"]
    assert found["middle"] == {"depth": 5, "width": 16, "lr": 0.001, "epochs": 3}
    assert (found["smallest"]["depth"], found["smallest"]["width"]) == (1, 8)
    assert (found["largest"]["depth"], found["largest"]["width"]) == (9, 32)


def test_all_else_is_in_the_middle_of_its_range():
    found = of(Space(width=Int(1, 3), lr=LR, batch_size=Choice([16, 32, 64])))
    assert {(params["lr"], params["batch_size"]) for params in found.values()} == {(0.001, 32)}


def test_each_named_choice_has_a_network_of_its_own():
    found = of(Space(activation=Choice(["relu", "tanh", "sigmoid"]), depth=Int(1, 3)))
    assert list(found) == ["middle", "smallest", "largest", "activation=tanh", "activation=sigmoid"]
    assert found["activation=tanh"] == {"activation": "tanh", "depth": 2}
    assert found["largest"]["activation"] == "relu"


def test_networks_that_are_the_same_are_looked_at_once():
    assert list(of(Space(lr=LR, optimizer=Choice(["sgd", "adam"])))) == ["middle"]
    assert list(of(Space(pooled=Choice([True, False])))) == ["middle", "largest"]


def test_there_are_not_more_than_a_minute_allows():
    assert len(of(Space(activation=Choice([f"a{place}" for place in range(20)])))) == MOST


def test_conditions_hold_in_every_configuration():
    space = Space(
        depth=Int(1, 3),
        width=Int(4, 6, when={"depth": [2, 3]}),
        optimizer=Choice(["sgd", "adam"]),
        momentum=Float(0, 0.8, when={"optimizer": "sgd"}),
    )
    assert all(space.contains(params) for params in of(space).values())
    assert "width" not in of(space)["smallest"]
    assert space.contains(between(space, {"optimizer": "adam"}))
    assert between(space)["momentum"] == pytest.approx(0.4)
