import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import leadline as ll
from leadline.search.analysis.deep_check import deep_check
from leadline.trainers.data import Data
from leadline.trainers.sanity import Activations, Cost, Rates


def squashing(in_shape, classes, activation, gain=1.0):
    kind = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}[activation]
    first = nn.Linear(64, 32)
    nn.init.normal_(first.weight, std=40 * gain if activation == "sigmoid" else 0.1)
    return nn.Sequential(nn.Flatten(), first, kind(), nn.Linear(32, classes))


def breaking(in_shape, classes, depth):
    if depth > 2:
        raise ValueError("deeper than there are pixels")
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def leaving(in_shape, classes, depth):
    """A network that calls `sys.exit` where it is run, at the greatest depth."""

    class Leaving(nn.Linear):
        def forward(self, inputs):
            return sys.exit("too deep") if depth > 2 else super().forward(inputs.flatten(1))

    return Leaving(64, classes)


@pytest.fixture
def quick(monkeypatch):
    """Has costs measured for a moment only."""
    monkeypatch.setattr("leadline.search.analysis.deep_check.SECONDS", {"fits": 60.0, "rates": 60.0, "cost": 0.2})


def of(found, check):
    return [part for part in found.parts if part.check == check]


def test_a_sound_study_is_checked_without_creating_anything(digits, folder, quick, tmp_path):
    told, before = [], torch.get_rng_state()
    found = deep_check(digits(epochs=20), trials=10, tell=told.append)
    assert [part.check for part in found.parts] == [
        *("inputs", "targets", "duplicates"),
        *(["activations"] * 2 + ["fits"] * 2 + ["learning rate"] + ["cost"] * 2 + ["study"]),
    ]
    assert [part.of for part in of(found, "fits")] == ["middle network", "largest network"]
    assert "problem" not in {part.finding.verdict for part in found.parts}
    assert told[0] == "Loading and preparing the data"
    assert len(told) > 6
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.get_rng_state(), before)


def test_it_comes_to_the_same_again_but_for_costs(digits, quick):
    first, second = (deep_check(digits(), trials=3) for _ in range(2))
    timed = ("cost", "study")
    assert [p for p in first.parts if p.check not in timed] == [p for p in second.parts if p.check not in timed]


def test_the_report_says_it_all_to_people_and_programs(digits, quick):
    found = deep_check(digits(), trials=3)
    text, whole = str(found), json.loads(json.dumps(found.as_json()))
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "1e-4" in text  # the chart's axis
    assert "Nothing was created." in text.splitlines()[-1]
    assert whole["verdict"] == found.verdict
    assert [check["check"] for check in whole["checks"]] == [part.check for part in found.parts]
    assert len(whole["checks"][-1]["text"]) > 20


def test_a_saturated_choice_of_the_space_is_found_by_its_name(digits, quick):
    space = ll.Space(activation=ll.Choice(["relu", "sigmoid"]), lr=1e-2)
    found = deep_check(digits(model=squashing, space=space), trials=3)
    by_name = {part.of: part.finding for part in of(found, "activations")}
    assert by_name["middle network"].verdict == "ok"
    assert isinstance(by_name["activation=sigmoid"], Activations)
    assert (by_name["activation=sigmoid"].verdict, by_name["activation=sigmoid"].state) == ("problem", "saturated")
    assert found.verdict == "problem"


def test_rates_far_too_high_are_found_for_each_optimizer(digits, quick):
    space = ll.Space(lr=ll.Float(100.0, 1000.0), optimizer=ll.Choice(["sgd", "adam"]), depth=1, feature_maps=16)
    found = deep_check(digits(space=space), trials=3)
    assert [(test.optimizer, test.verdict) for test in found.rates] == [("sgd", "problem"), ("adam", "problem")]
    assert {(test.low, test.high) for test in found.rates} == {(100.0, 1000.0)}


def test_the_trainers_own_rate_is_tested_where_the_space_has_none(digits, quick):
    (test,) = deep_check(digits(space=ll.Space(depth=1)), trials=3).rates
    assert isinstance(test, Rates)
    assert test.low == test.high == 1e-3


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (breaking, "ValueError: deeper than there are pixels"),
        (leaving, "RuntimeError: the code raised SystemExit: too deep"),
    ],
)
def test_a_network_that_cant_be_built_or_run_is_a_problem_and_the_others_are_looked_at(digits, quick, model, told):
    found = deep_check(digits(model=model, space=ll.Space(depth=ll.Int(1, 3), lr=0.1)), trials=3)
    broken = [part for part in found.parts if "can't be built" in part.finding.text]
    assert [(part.check, part.params["depth"]) for part in broken] == [("activations", 3)]
    assert told in broken[0].finding.text
    assert [part.params["depth"] for part in of(found, "fits")] == [2, 1]
    assert [part.params["depth"] for part in of(found, "cost")] == [2, 1]


def test_costs_grow_with_the_network_and_are_summed_for_the_study(digits, quick):
    space = ll.Space(feature_maps=ll.Choice([4, 16, 64]), batch_size=ll.Choice([32, 64]), lr=0.01)
    found = deep_check(digits(space=space, epochs=7), trials=9)
    costs = [part.finding for part in of(found, "cost")]
    assert all(isinstance(cost, Cost) for cost in costs)
    assert [cost.batch_size for cost in costs] == [32, 32, 32, 64]
    middle, smallest, largest, _ = costs
    assert smallest.memory < middle.memory < largest.memory
    (study,) = of(found, "study")
    assert study.finding.middle_seconds == pytest.approx(9 * middle.seconds)
    assert study.finding.largest_seconds == pytest.approx(9 * max(cost.seconds for cost in costs))
    assert costs[0].seconds == pytest.approx(7 * costs[0].epoch_seconds)


def test_a_time_that_not_one_trial_fits_into_is_a_problem(digits, quick):
    found = deep_check(digits(epochs=10_000), minutes=1e-4)
    (study,) = of(found, "study")
    assert study.finding.verdict == "problem"
    assert "not one ends within 0.006 s" in study.finding.text


def test_of_the_test_rows_no_target_is_told(digits, quick):
    generator = np.random.default_rng(0)
    inputs, targets = generator.normal(size=(90, 4)), np.arange(90) % 3
    data = Data("own", inputs, targets, ("a", "b", "c"), test=30)
    other = replace(data, targets=np.concatenate([targets[:60], (targets[60:] + 1) % 3]))
    reports = [deep_check(digits(data=one, space=ll.Space(depth=1, lr=0.01)), trials=1) for one in (data, other)]
    timed = ("cost", "study")
    first, second = ([part for part in report.parts if part.check not in timed] for report in reports)
    assert first == second


def test_an_objective_cant_be_looked_into(plain):
    with pytest.raises(ll.SettingsError, match="a deep check needs a trainer"):
        deep_check(plain())
