"""Whole studies whose trials are trained many at once: what comes of a trial is its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import leadline as ll
from leadline.search.trial import EPOCH

Make = Callable[..., ll.Study]
CLOCKED = ("seconds", "peak_memory")


def trials(study: ll.Study) -> list[dict[str, Any]]:
    """The trials, but for what a clock has to do with."""
    return [{name: v for name, v in trial.as_json().items() if name not in CLOCKED} for trial in study.trials]


def metrics(study: ll.Study) -> list[dict[int, dict[str, float]]]:
    """Of each trial, what each epoch came to: losses and metrics, but no seconds."""
    found = []
    for frozen in study.optuna.get_trials(deepcopy=False):
        kept = {name: entry for name, entry in frozen.system_attrs.items() if name.startswith(EPOCH)}
        epochs = {int(name.removeprefix(EPOCH)): entry["metrics"] for name, entry in kept.items()}
        found.append({e: {n: v for n, v in epochs[e].items() if n != "seconds"} for e in sorted(epochs)})
    return found


WIDE = ll.Space(  # of four structures, whose trials differ in numbers too
    depth=ll.Int(1, 2),
    feature_maps=ll.Choice([5, 8]),
    lr=ll.Float(1e-3, 1e-1, log=True),
    dropout=ll.Float(0.0, 0.4),
    weight_decay=ll.Float(1e-6, 1e-2, log=True),
)
EPOCHS, TRIALS = 3, 8


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> ll.Study:
    """A random study whose trials were trained one at a time."""
    how: dict[str, Any] = {"executor": "inline", "workers": 1, "lanes": 1, "plan": "fused", "mlflow": None}
    trainer = ll.Trainer("mlp", "digits", epochs=EPOCHS)
    study = ll.Study("alone", WIDE, trainer, strategy="random", storage=tmp_path_factory.mktemp("alone"), **how)
    return study.run(trials=TRIALS, progress=False)


@pytest.fixture
def wide(digits: Make) -> Make:
    """Makes a study of the same trials as `alone`."""

    def make(name: str = "wide", **options: Any) -> ll.Study:
        return digits(name, **{"space": WIDE, "epochs": EPOCHS, "lanes": 4, **options})

    return make


# The same trials, however many at once


def assert_same_course(study: ll.Study, alone: ll.Study) -> None:
    assert trials(study) == trials(alone)
    assert metrics(study) == metrics(alone)
    assert {trial.state for trial in study.trials} == {"complete"}


@pytest.mark.parametrize("lanes", [3, 5, "auto"])
def test_trials_of_a_random_study_come_to_the_same_bits_with_more_lanes(
    wide: Make, alone: ll.Study, lanes: Any
) -> None:
    study = wide(lanes=lanes).run(trials=TRIALS, progress=False)
    assert_same_course(study, alone)


def test_trials_of_a_random_study_come_to_the_same_bits_with_two_workers(wide: Make, alone: ll.Study) -> None:
    study = wide(lanes=5, executor="processes", workers=2).run(trials=TRIALS, progress=False)
    assert_same_course(study, alone)


def test_the_best_trials_weights_are_the_same_bits_with_more_lanes(wide: Make, alone: ll.Study) -> None:
    study = wide(lanes=5).run(trials=TRIALS, progress=False)
    assert study.best.number == alone.best.number
    assert study.test() == alone.test()
    weights = [load_file(one.folder.weights(one.best.number)) for one in (study, alone)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_a_study_may_be_begun_with_some_lanes_and_gone_on_with_others(wide: Make, alone: ll.Study) -> None:
    for lanes, budget in ((4, 3), (1, 5), ("auto", TRIALS)):
        study = wide(lanes=lanes).run(trials=budget, progress=False)
    assert_same_course(study, alone)


def test_where_results_matter_auto_is_one_lane_on_a_cpu(digits: Make) -> None:
    strategy = {"name": "tpe", "startup": 3}
    studies = [digits(f"of-{n}", strategy=strategy, lanes=n, devices="cpu") for n in (1, "auto")]
    assert_same_course(*(study.run(trials=8, progress=False) for study in studies))


def test_more_epochs_for_some_trials_change_nothing_for_those_beside_them(digits: Make) -> None:
    space = ll.Space(**WIDE.parameters, epochs=ll.Int(1, 4))
    studies = [digits(f"of-{lanes}", space=space, lanes=lanes).run(trials=8, progress=False) for lanes in (1, 4)]
    assert_same_course(studies[1], studies[0])
    assert len({trial.epochs for trial in studies[0].trials}) > 1


@pytest.mark.parametrize("plan", ["looped", "padded"])
def test_within_any_plan_trials_come_to_the_same_bits_with_more_lanes(wide: Make, plan: str) -> None:
    one, many = (wide(f"of-{n}", epochs=2, lanes=n, plan=plan).run(trials=6, progress=False) for n in (1, 4))
    assert_same_course(many, one)


def test_a_network_that_can_not_be_fused_is_trained_and_the_study_says_why(folder: Path) -> None:
    def build(in_shape: tuple[int, ...], classes: int, width: int) -> nn.Module:
        class Noisy(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.last = nn.Linear(in_shape[0], width), nn.Linear(width, classes)

            def forward(self, inputs: Tensor) -> Tensor:
                hidden = torch.relu(self.first(inputs))
                return self.last(hidden + 0.1 * torch.randn_like(hidden))

        return Noisy()

    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(120, 6, generator=generator)
    trainer = ll.Trainer(build, data=(inputs, (inputs.sum(1) > 3).long()), epochs=2, batch_size=16)
    space = ll.Space(width=ll.Choice([8]), lr=ll.Float(1e-3, 1e-1, log=True))
    options: dict[str, Any] = {"strategy": "random", "storage": folder, "mlflow": None}
    studies = [ll.Study(f"of-{n}", space, trainer, lanes=n, **options).run(trials=4, progress=False) for n in (1, 4)]
    assert_same_course(studies[1], studies[0])
    (plan,) = studies[1].attribute("plans").values()
    assert (plan["stack"], plan["lanes"]) == ("looped", 1)
    assert "draws random numbers" in plan["reason"]


# The plans, kept in the study


def test_a_study_keeps_one_plan_for_each_structure(wide: Make) -> None:
    study = wide(epochs=1).run(trials=8, progress=False)
    structures = {(trial.params["depth"], trial.params["feature_maps"]) for trial in study.trials}
    plans = study.attribute("plans")
    assert len(plans) == len(structures) > 1
    assert all(plan == {"stack": "fused", "lanes": 4, "reason": "asked for"} for plan in plans.values())


def test_a_plan_is_kept_for_the_next_run(wide: Make) -> None:
    first = wide(epochs=1).run(trials=4, progress=False).attribute("plans")
    second = wide(epochs=1, plan="looped").run(trials=6, progress=False).attribute("plans")
    assert {name: second[name] for name in first} == first


def test_where_nothing_is_asked_for_the_faster_is_found_and_kept(digits: Make, space: ll.Space) -> None:
    study = digits(space=ll.Space(**{**space.parameters, "depth": 1}), lanes=4, plan="auto")
    study.run(trials=4, progress=False)
    plans = study.attribute("plans")
    assert {plan["stack"] for plan in plans.values()} <= {"fused", "looped"}
    assert all("ms a lane and step" in plan["reason"] or "last digits" in plan["reason"] for plan in plans.values())


# Pruning


def course(study: ll.Study) -> list[tuple[str, dict[int, float], dict[str, Any]]]:
    return [(trial.state, trial.curve, trial.params) for trial in study.trials]


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_a_study_that_prunes_with_lanes_takes_the_same_course_twice(digits: Make, strategy: str) -> None:
    once, twice = (
        digits(name, strategy=strategy, pruner="asha", epochs=9, lanes=8).run(trials=40, progress=False)
        for name in ("once", "twice")
    )
    assert course(once) == course(twice)
    assert trials(once) == trials(twice)
    states = [trial.state for trial in once.trials]
    assert {"complete", "pruned"} == set(states)
    assert states.count("pruned") > 15


def test_pruning_changes_which_epochs_a_trial_has_and_not_what_they_come_to(digits: Make) -> None:
    whole = digits("whole", epochs=6, lanes=8).run(trials=16, progress=False)
    pruned = digits("pruned", epochs=6, lanes=8, pruner="asha").run(trials=16, progress=False)
    assert any(trial.state == "pruned" for trial in pruned.trials)
    for trial, other in zip(pruned.trials, whole.trials, strict=True):
        assert trial.params == other.params
        assert trial.curve == {epoch: value for epoch, value in other.curve.items() if epoch <= trial.epochs}


# Folds and replicates


def folded(folder: Path, name: str, **options: Any) -> ll.Study:
    space = ll.Space(feature_maps=ll.Choice([4, 8]), lr=ll.Float(1e-3, 1e-1, log=True))
    trainer = ll.Trainer("mlp", "digits", epochs=2, **options.pop("settings", {"folds": 3}))
    how = {"strategy": "random", "storage": folder, "executor": "inline", "plan": "fused", "mlflow": None}
    return ll.Study(name, space, trainer, **{**how, **options})


@pytest.mark.parametrize("settings", [{"folds": 3}, {"replicates": 3}], ids=["folds", "replicates"])
def test_a_study_with_several_lanes_a_trial_runs_from_end_to_end(folder: Path, settings: dict[str, int]) -> None:
    one, many = (folded(folder, f"of-{n}", lanes=n, settings=settings).run(trials=5, progress=False) for n in (1, 6))
    assert_same_course(many, one)
    for trial in many.trials:
        frozen = many.optuna.trials[trial.number]
        assert trial.value == max(trial.curve.values())
        assert frozen.user_attrs["spread"] == metrics(many)[trial.number][trial.best_epoch or 0]["spread"] > 0
    assert 0 <= many.test() <= 1
    assert many.test() == one.test()
    (opened, *_) = many.attribute("tests")
    assert opened["trial"] == many.best.number


def test_a_study_with_folds_prunes_whole_trials(folder: Path) -> None:
    study = folded(folder, "pruning", lanes=9, pruner="asha", settings={"folds": 3, "patience": 1})
    study.run(trials=9, progress=False)
    assert {trial.state for trial in study.trials} == {"complete", "pruned"}
    assert all(len(trial.curve) == trial.epochs for trial in study.trials)


def test_only_the_best_trials_keep_their_weights_whatever_the_lanes(digits: Make) -> None:
    kept = []
    for lanes in (1, 6):
        study = digits(f"of-{lanes}", lanes=lanes, keep=2).run(trials=10, progress=False)
        kept.append([trial.number for trial in study.trials if study.folder.weights(trial.number).exists()])
        best = sorted(study.trials, key=lambda trial: (-(trial.value or 0), trial.number))[:2]
        assert kept[-1] == sorted(trial.number for trial in best)
    assert kept[0] == kept[1]


# Interrupts


@pytest.mark.parametrize(("lanes", "moment"), [(4, 1), (4, 8), (4, 13), ("auto", 8)])
def test_a_study_interrupted_with_lanes_is_resumed_and_loses_nothing(
    wide: Make, alone: ll.Study, lanes: Any, moment: int
) -> None:
    heard = 0

    def stop(trial: ll.Trial, epoch: int, metrics: dict[str, float]) -> None:
        nonlocal heard
        heard += 1
        if heard == moment:
            study.stop()

    study = wide(lanes=lanes, checkpoint=0, on_epoch=stop)
    study.run(trials=TRIALS, progress=False)
    assert study.ended_by == "interrupt"
    assert any(trial.state != "complete" for trial in study.trials)
    known = {trial["number"]: trial for trial in trials(study) if trial["state"] == "complete"}
    study.run(trials=TRIALS, progress=False)
    assert_same_course(study, alone)
    assert {number: trials(study)[number] for number in known} == known


def test_a_study_interrupted_again_and_again_gets_there(wide: Make, alone: ll.Study) -> None:
    heard = 0

    def stop(trial: ll.Trial, epoch: int, metrics: dict[str, float]) -> None:
        nonlocal heard
        heard += 1
        if heard % 5 == 0:
            study.stop()

    runs = 0
    study = wide(checkpoint=0, on_epoch=stop)
    while runs == 0 or study.ended_by == "interrupt":
        study.run(trials=TRIALS, progress=False)
        runs += 1
        assert runs < 30
    assert runs > 2
    assert_same_course(study, alone)


def test_an_interrupted_study_may_be_resumed_with_a_smaller_budget(wide: Make) -> None:
    study = wide(on_trial_end=lambda trial: study.stop())
    study.run(trials=20, progress=False)
    begun = sum(trial.state != "waiting" for trial in study.trials)
    wide().run(trials=begun + 1, progress=False)
    states = [trial.state for trial in study.trials]
    assert states.count("complete") == begun + 1
    assert set(states) <= {"complete", "waiting"}
