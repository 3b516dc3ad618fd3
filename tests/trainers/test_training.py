"""A trial under way: what the epochs of its lanes come to together."""

import json
import math

import pytest
import torch

from leadline.trainers.early_stopping import EarlyStopping
from leadline.trainers.recipe import Recipe
from leadline.trainers.stack import Epoch, Lane
from leadline.trainers.streams import Stream
from leadline.trainers.training import Training, comparable


class Shelf:
    """Stands in for a stack: a lane's weights tell its fold and epoch."""

    def weights(self, lane):
        return {"weight": torch.tensor([lane.stream.fold, lane.epoch])}

    def tensors(self, lane):
        return {"model.weight": torch.tensor([lane.stream.fold]), "optimizer.mean": torch.tensor([lane.epoch])}


def training(folds=3, *, epochs=5, patience=None, maximize=True, rungs=(), keeps_outputs=True):
    lanes = [
        Lane(7, {"lr": 0.1}, Recipe(epochs=epochs, patience=patience), Stream(0, 7, fold)) for fold in range(folds)
    ]
    stopping = EarlyStopping(maximize, patience)
    return Training(
        7, {"lr": 0.1}, lanes, Shelf(), stopping, parameters=12, rungs=frozenset(rungs), keeps_outputs=keeps_outputs
    )


def after(made, *values, loss=0.5):
    """Has the lanes trained an epoch that came to these values; returns whether there is something to report."""
    for lane in made.lanes:
        lane.epoch += 1
        lane.seconds += 0.25
    pairs = zip(made.lanes, values, strict=True)
    return made.take(
        [
            Epoch(lane, value, {"valid/loss": loss * value}, seconds=0.25, outputs=torch.tensor([value]))
            for lane, value in pairs
        ]
    )


def test_its_value_is_the_mean_of_its_lanes_and_its_spread_their_standard_deviation():
    made = training()
    assert after(made, 0.1, 0.2, 0.6)
    (report,) = made.reports
    assert report["value"] == pytest.approx(0.3)
    assert report["metrics"]["valid/loss"] == pytest.approx(0.15)
    assert report["metrics"]["spread"] == pytest.approx(math.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert report["metrics"]["seconds"] == 0.75


def test_a_trial_of_one_lane_has_its_value_and_no_spread():
    made = training(folds=1)
    after(made, 0.1)
    (report,) = made.reports
    assert report == {"epoch": 1, "value": 0.1, "metrics": {"valid/loss": 0.05, "seconds": 0.25}}
    assert "spread" not in made.facts()


@pytest.mark.parametrize(("maximize", "best"), [(True, 2), (False, 0)])
def test_the_weights_kept_are_those_of_the_best_lane_at_the_best_epoch(maximize, best):
    made = training(maximize=maximize)
    after(made, 0.1, 0.2, 0.6)
    after(made, *((0.9, 0.0, 0.0) if maximize else (0.0, 0.9, 0.9)))  # the best lane of all, but not the best mean
    assert made.stopping.best_epoch == 1
    assert made.best_lane == best
    assert made.best_weights["weight"].tolist() == [best, 1]


def test_the_outputs_kept_are_each_lanes_own_at_the_best_epoch():
    made = training(folds=2)
    for values in ((0.1, 0.2), (0.5, 0.3), (0.0, 0.6)):
        after(made, *values)
    assert [outputs.tolist() for outputs in made.best_outputs] == [[pytest.approx(0.5)], [pytest.approx(0.3)]]


def test_no_outputs_are_kept_where_they_are_not_wanted():
    made = training(keeps_outputs=False)
    after(made, 0.1, 0.2, 0.6)
    assert made.best_outputs == []
    assert not any(name.startswith("outputs") for name in made.tensors())


def test_the_facts_tell_the_spread_at_the_best_epoch():
    made = training()
    for values in ((0.1, 0.1, 0.1), (0.2, 0.3, 0.4), (0.0, 0.0, 0.1)):
        after(made, *values)
    facts = made.facts()
    assert facts["spread"] == pytest.approx(0.1)
    assert (facts["epochs"], facts["best_epoch"], facts["parameters"]) == (3, 2, 12)
    assert facts["last"] == pytest.approx(0.1 / 3)
    assert facts["seconds"] == 3 * 0.75


def test_patience_counts_on_the_mean():
    made = training(patience=2, epochs=9)
    after(made, 0.5, 0.5, 0.5)
    after(made, 0.9, 0.2, 0.2)  # one lane is better, the mean isn't
    assert not made.finished
    after(made, 0.2, 0.9, 0.2)
    assert made.finished
    assert made.ending == ("complete", "no better for 2 epochs")


def test_it_is_finished_when_its_epochs_are_used_up():
    made = training(epochs=2)
    after(made, 0.1, 0.2, 0.3)
    assert (made.finished, made.ending) == (False, None)
    after(made, 0.1, 0.2, 0.4)
    assert (made.finished, made.ending) == (True, ("complete", "all epochs done"))


def test_it_awaits_a_decision_at_its_rungs_but_not_after_its_last_epoch():
    made, awaited = training(epochs=3, rungs=(1, 3)), []
    for _ in range(3):
        after(made, 0.1, 0.2, 0.3)
        awaited.append(made.awaits_decision)
    assert awaited == [True, False, False]


def test_one_lane_that_diverged_fails_it_with_epoch_and_step():
    made = training()
    after(made, 0.1, 0.2, 0.3)
    for lane in made.lanes:
        lane.epoch += 1
    epochs = [Epoch(lane, 0.1, {"valid/loss": 1.0}) for lane in made.lanes]
    epochs[1] = Epoch(made.lanes[1], math.nan, diverged_at=4)
    assert not made.take(epochs)
    assert made.ending == ("failed", "the loss was no number at epoch 2, step 4")
    assert len(made.reports) == 1


def test_one_lane_whose_metric_is_no_number_fails_it():
    made = training()
    assert not after(made, 0.1, math.nan, 0.3)
    assert made.ending == ("failed", "the validation metric was no number at epoch 1")
    assert made.facts()["last"] is None


def test_what_a_checkpoint_keeps_restores_it():
    made = training(patience=3)
    after(made, 0.1, 0.2, 0.6)
    after(made, 0.0, 0.1, 0.2)
    state, again = json.loads(json.dumps(made.state())), training(patience=3)
    again.restore(state, made.tensors())
    assert again.facts() == made.facts()
    assert again.best_weights["weight"].tolist() == [2, 1]
    assert [outputs.tolist() for outputs in again.best_outputs] == [[pytest.approx(v)] for v in (0.1, 0.2, 0.6)]
    for one in (made, again):
        after(one, 0.2, 0.2, 0.2)
    assert again.state() == made.state()
    assert again.reports == made.reports


def test_a_checkpoint_has_the_tensors_of_each_lane():
    made = training(folds=2)
    after(made, 0.1, 0.2)
    assert {name: tensor.tolist() for name, tensor in made.tensors().items()} == {
        "best.weight": [1, 1],
        "outputs.0": [pytest.approx(0.1)],
        "outputs.1": [pytest.approx(0.2)],
        "0.model.weight": [0],
        "0.optimizer.mean": [1],
        "1.model.weight": [1],
        "1.optimizer.mean": [1],
    }


def test_a_configuration_is_comparable_to_what_json_made_of_it():
    assert comparable({"sizes": (1, 2), 3: True}) == {"sizes": [1, 2], "3": True}
