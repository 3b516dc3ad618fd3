from dataclasses import replace

import numpy as np
import torch
from contracts.stack import blobs
from torch import nn

from leadline.trainers import sanity
from leadline.trainers.data import Subset
from leadline.trainers.data.streamed import Portion, Streamed
from leadline.trainers.sanity import fits
from leadline.trainers.sanity.fits import ROWS, distinct_rows


class Blind(nn.Module):
    """Answers the same whatever it is shown."""

    def __init__(self, inputs, classes):
        super().__init__()
        self.answer = nn.Linear(inputs, classes)

    def forward(self, inputs):
        return self.answer(torch.ones_like(inputs))


def blind(in_shape, classes):
    return Blind(in_shape[0], classes)


def hasty(in_shape, classes):
    return nn.Sequential(nn.Linear(in_shape[0], 32), nn.ReLU(), nn.Dropout(0.95), nn.Linear(32, classes))


def test_a_network_that_learns_by_heart_is_well(case):
    one = case("mlp", depth=2, feature_maps=32)
    found = fits(one.build, one.bench, one.stream)
    assert (found.verdict, found.metric, found.reached, found.rows) == ("ok", "accuracy", 1.0, ROWS)
    assert found.steps < 300


def test_labels_drawn_by_lot_can_be_learned_by_heart_too(case):
    inputs = torch.randn(96, 6, generator=torch.Generator().manual_seed(1))
    one = case("mlp", (inputs, torch.randint(3, (96,), generator=torch.Generator().manual_seed(2))), feature_maps=64)
    assert fits(one.build, one.bench, one.stream).verdict == "ok"


def test_a_network_whose_outputs_dont_depend_on_its_inputs_is_a_problem(case):
    one = case(blind)
    found = fits(one.build, one.bench, one.stream)
    assert found.verdict == "problem"
    assert found.reached < 0.5
    assert "Do its outputs depend on its inputs" in found.text


def test_a_regression_is_learned_by_heart_if_it_explains_nearly_all(case):
    inputs, _ = blobs()
    one = case("mlp", (inputs, 1000 * inputs.sum(1) + 5), depth=2, feature_maps=32)
    found = fits(one.build, one.bench, one.stream)
    assert (found.verdict, found.metric) == ("ok", "r2")
    assert found.reached >= 0.99


def test_dropout_doesnt_keep_a_network_from_it(case):
    one = case(hasty)
    assert fits(one.build, one.bench, one.stream).verdict == "ok"


def test_too_little_time_is_no_verdict_on_the_network(case):
    one = case(blind)
    found = fits(one.build, one.bench, one.stream, seconds=0.0)
    assert found.verdict == "warning"
    assert "all the time there was" in found.text


def test_it_comes_to_the_same_again_and_leaves_torchs_generator_alone(case):
    one, before = case("mlp", dropout=0.5), torch.get_rng_state()
    assert fits(one.build, one.bench, one.stream) == fits(one.build, one.bench, one.stream)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_few_examples_have_different_inputs_and_all_classes(case):
    inputs, targets = blobs()
    twice = torch.cat([inputs[:8]] * 10 + [inputs]), torch.cat([targets[:8]] * 10 + [targets])
    one = case("mlp", twice)
    rows = distinct_rows(one.bench.data, one.stream)
    chosen = one.bench.data.train
    assert len(torch.unique(chosen.inputs[rows], dim=0)) == len(rows) == ROWS
    assert set(torch.bincount(chosen.targets[rows]).tolist()) <= {10, 11}


def test_the_gravest_verdict_counts():
    verdicts = [sanity.Finding("ok", ""), sanity.Finding("problem", ""), sanity.Finding("warning", "")]
    assert sanity.worst(verdicts) == "problem"
    assert sanity.worst([]) == "ok"


def test_examples_that_are_streamed_come_to_the_same(case):
    one = case("mlp")
    data = one.bench.data
    rows = Portion(np.asarray(blobs()[0]), one.trainer.split(0).train, data.preparation)
    streamed = replace(data, train=Subset(Streamed((rows,), torch.device("cpu")), data.train.targets))
    bench = replace(one.bench, folds=(streamed,))
    assert fits(one.build, bench, one.stream) == fits(one.build, one.bench, one.stream)
