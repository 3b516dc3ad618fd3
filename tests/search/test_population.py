"""Population-based training of real networks: lineages, and the same study however it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import leadline as ll

Make = Callable[..., ll.Study]
SPACE = ll.Space(depth=1, feature_maps=ll.Choice([4, 8]), lr=ll.Float(1e-4, 1e-1, log=True), dropout=ll.Float(0.1, 0.5))
TRIALS = 9


@pytest.fixture
def population(digits: Make) -> Make:
    """Makes a study of a population of five, a fifth of which is replaced every two of six epochs."""

    def make(**options: Any) -> ll.Study:
        strategy = {"name": "pbt", "population": 5, "interval": 2, "share": 0.2}
        given = {"strategy": strategy, **options}
        return digits(**{"space": SPACE, "epochs": 6, "metric": "cross_entropy", "checkpoint": 0, **given})

    return make


def unclocked(study: ll.Study) -> list[dict[str, Any]]:
    return [{n: v for n, v in trial.as_json().items() if n not in ("seconds", "reports")} for trial in study.trials]


def test_the_worst_give_way_to_copies_of_the_best_with_other_settings(population: Make) -> None:
    study = population().run(trials=TRIALS, progress=False)
    children = [trial for trial in study.trials if trial.parent is not None]
    assert len(children) == 2  # one after epoch 2, one after epoch 4
    for child in children:
        parent = study.trials[child.parent or 0]
        assert child.params != parent.params
        assert child.params["feature_maps"] == parent.params["feature_maps"]
        assert min(child.curve) in (3, 5)
        (loser,) = [trial for trial in study.trials if trial.epochs == min(child.curve) - 1]
        assert f"at epoch {loser.epochs} a copy of trial {child.parent} took its place" == loser.reason
    assert [trial.state for trial in study.trials].count("complete") == 5
    assert study.ended_by == "population"


def test_lanes_change_nothing(population: Make, folder: Path) -> None:
    alone = unclocked(population().run(trials=TRIALS, progress=False))
    together = unclocked(population(lanes=5, storage=folder / "lanes").run(trials=TRIALS, progress=False))
    assert alone == together


def test_an_interrupted_population_goes_on_as_if_nothing_had_been(population: Make, folder: Path) -> None:
    current: list[ll.Study] = []

    def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        if (trial.number, epoch) in ((2, 1), (0, 3), (5, 4)):
            current[-1].stop()

    for _ in range(4):
        current.append(population(on_epoch=on_epoch))
        current[-1].run(trials=TRIALS, progress=False)
    assert [study.ended_by for study in current] == ["interrupt", "interrupt", "interrupt", "population"]
    undisturbed = population(storage=folder / "undisturbed").run(trials=TRIALS, progress=False)
    assert unclocked(current[-1]) == unclocked(undisturbed)
    assert not list(folder.glob("digits/trials/*/branch*")), "what a branch began from was left behind"


def test_a_study_of_a_script_can_be_read_without_its_trainer(population: Make, folder: Path) -> None:
    def build(in_shape: Any, classes: int, width: int = 4) -> Any:
        from torch import nn

        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, classes))

    space = ll.Space(lr=ll.Float(1e-3, 1e-1, log=True))
    population(model=build, space=space).run(trials=5, progress=False)
    read = ll.load_study("digits", folder)
    assert len(read.trials) == 5
    with pytest.raises(ll.SettingsError):
        read.run(trials=6)


def test_without_a_budget_for_children_the_population_shrinks(population: Make) -> None:
    study = population().run(trials=5, progress=False)
    assert len(study.trials) == 5
    assert [trial.state for trial in study.trials].count("pruned") == 2  # one after each interval


def test_it_brings_its_own_pruner_and_needs_a_trainer(population: Make, plain: Make) -> None:
    with pytest.raises(ll.SettingsError, match="`pbt` brings its own pruner"):
        population(pruner="asha")
    for name in ("pbt", "thaw", "bohb"):
        with pytest.raises(ll.SettingsError, match=f"`{name}` pauses trials .* which needs a trainer"):
            plain(strategy=name).run(lambda trial: 0.0, trials=1)
    with pytest.raises(ll.SettingsError, match=r"`share` must be in \(0, 0.5\]"):
        population(strategy={"name": "pbt", "share": 0.6})
