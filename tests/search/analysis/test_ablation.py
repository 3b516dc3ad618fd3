"""Ablation: which variants are trained, on what, and what is told of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import leadline as ll
from leadline.search.analysis.ablation import Variant, ablate

Make = Callable[..., ll.Study]


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def dropping(in_shape: tuple[int, ...], classes: int, dropout: float = 0.3) -> nn.Module:
    if dropout == 0:
        raise ZeroDivisionError("it must drop something")
    return nn.Sequential(nn.Linear(in_shape[0], 6), nn.ReLU(), nn.Dropout(dropout), nn.Linear(6, classes))


@pytest.fixture
def make(folder: Path) -> Make:
    """Makes a study of three layers on three blobs that has had a trial, of one epoch unless a test says more."""

    def made(name: str = "small", run: bool = True, shape: tuple[int, ...] = (5,), **options: Any) -> ll.Study:
        generator = torch.Generator().manual_seed(0)
        targets = torch.arange(60) % 3
        inputs = torch.randn(3, *shape, generator=generator)[targets] + torch.randn(60, *shape, generator=generator)
        space = options.pop("space", {"depth": 3, "feature_maps": 4, "lr": 0.01})
        own = ("metric", "seed")
        given = {key: options.pop(key) for key in own if key in options}
        trainer = ll.Trainer(
            options.pop("model", "mlp"), (inputs, targets), **{"epochs": 1, "batch_size": 20, **options}
        )
        how = {"executor": "inline", "workers": 1, "lanes": 4, "plan": "fused", "mlflow": None}
        study = ll.Study(name, ll.Space(space), trainer, strategy="random", storage=folder, **how, **given)
        return study.run(trials=1, progress=False) if run else study

    return made


def ablated(study: ll.Study, **options: Any) -> tuple[ll.Study, dict[str, Variant]]:
    """Ablates with two replicates, inline; returns the ablation's study, and the variants by what they lack."""
    how = {"replicates": 2, "executor": "inline", "workers": 1, "lanes": 4, "plan": "fused"}
    ablation, variants = ablate(study, **{**how, **options})
    assert next(iter(variants)).what == ""
    assert len({variant.what for variant in variants}) == len(variants)
    return ablation, {variant.what: variant for variant in variants}


def configurations(ablation: ll.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in ablation.trials]


class TestVariants:
    def test_each_layer_is_left_out_in_turn(self, make: Make) -> None:
        ablation, variants = ablated(make())
        assert list(variants) == ["", "fc1", "fc2", "fc3"]
        assert [params["remove"] for params in configurations(ablation)] == ["", "fc1", "fc2", "fc3"]
        best = {"depth": 3, "feature_maps": 4, "lr": 0.01}
        assert all({**params, "remove": ""} == {**best, "remove": ""} for params in configurations(ablation))

    def test_pairs_are_left_out_too_if_asked_for(self, make: Make) -> None:
        ablation, variants = ablated(make(), pairs=True)
        assert list(variants) == ["", "fc1", "fc2", "fc3", "fc1, fc2", "fc1, fc3", "fc2, fc3"]
        assert configurations(ablation)[-1]["remove"] == "fc2,fc3"

    def test_sets_that_are_named_are_left_out_and_no_others(self, make: Make) -> None:
        ablation, variants = ablated(make(), remove=["fc1, fc2", "fc3"], pairs=True)
        assert list(variants) == ["", "fc1, fc2", "fc3"]
        assert [params["remove"] for params in configurations(ablation)] == ["", "fc1,fc2", "fc3"]

    def test_what_is_dropped_are_the_parameters_of_those_layers(self, make: Make) -> None:
        _, variants = ablated(make(), pairs=True)
        for what, variant in variants.items():
            network = ll.build("mlp", in_shape=(5,), classes=3, depth=3, feature_maps=4, remove=what)
            assert variant.parameters == count(network)
        assert variants["fc2"].dropped == 4 * 4 + 4
        assert variants["fc1"].dropped == 5 * 4 + 4 + 4 * 4 + 4 - (5 * 4 + 4)
        assert variants["fc2, fc3"].dropped == 2 * (4 * 4 + 4)
        assert variants[""].dropped == 0

    @pytest.mark.parametrize(
        ("model", "options"),
        [
            ("convnet", {"depth": 2}),
            ("resnet", {"depth": 8}),
            ("stages", {"depth": 2, "stage2_block": "inception", "feature_maps": 8}),
            ("googlenet", {"depth": 10}),
            ("vgg", {"depth": 11, "hidden_units": 4}),
            ("alexnet", {"depth": 5}),
        ],
    )
    def test_every_family_tells_what_can_be_left_out(self, make: Make, model: str, options: dict[str, Any]) -> None:
        space = {"feature_maps": 4, "dropout": 0.0, "batch_norm": False, **options, "lr": 0.001}
        study = make(model=model, shape=(1, 8, 8), space=space)
        assert study.trainer is not None
        names = study.trainer.removable(study.best.params)
        few = [names[0], ",".join(names[-2:])]
        _, variants = ablated(study, remove=few, switches=False)
        architecture = {name: value for name, value in space.items() if name != "lr"}
        for what, variant in variants.items():
            network = ll.build(model, in_shape=(1, 8, 8), classes=3, **architecture, remove=what)
            assert variant.reason == "all epochs done"
            assert variant.parameters == count(network)

    def test_each_regularizer_in_use_is_switched_off_whether_of_the_trainer_of_the_space_or_the_builders_own(
        self, make: Make
    ) -> None:
        space = {"depth": 1, "feature_maps": 4, "dropout": 0.2, "spatial_dropout": 0.1, "l1": 0.001, "flip": 0.5}
        study = make(
            model="convnet", shape=(1, 6, 6), space=space, weight_decay=0.01, label_smoothing=0.1, mixup=0.4, shift=1
        )
        ablation, variants = ablated(study, remove=["conv1"])
        off = ["dropout", "batch norm", "augmentation", "weight decay", "L1", "label smoothing"]
        assert list(variants) == ["", "conv1", *off]
        whole, *others = configurations(ablation)
        assert whole == {
            **space,
            "batch_norm": True,
            "weight_decay": 0.01,
            "label_smoothing": 0.1,
            "mixup": 0.4,
            "shift": 1,
            "remove": "",
        }
        changed = [{name: now for name, now in params.items() if now != whole[name]} for params in others]
        assert changed == [
            {"remove": "conv1"},
            {"dropout": 0, "spatial_dropout": 0},
            {"batch_norm": False},
            {"flip": 0, "mixup": 0, "shift": 0},
            {"weight_decay": 0},
            {"l1": 0},
            {"label_smoothing": 0},
        ]
        assert variants["batch norm"].dropped == 4  # 8 of the norm, less the 4 biases that the convolution gets
        assert variants["dropout"].dropped == 0

    def test_what_isnt_in_use_isnt_switched_off_and_nothing_is_if_not_asked_for(self, make: Make) -> None:
        regularized = make("regularized", space={"depth": 1, "dropout": 0.2}, weight_decay=0.1)
        assert list(ablated(regularized)[1]) == ["", "fc1", "dropout", "weight decay"]
        assert list(ablated(regularized, switches=False)[1]) == ["", "fc1"]
        plain = make("plain", space={"depth": 1, "dropout": 0.0, "weight_decay": 0.0, "batch_norm": False, "flip": 0})
        assert list(ablated(plain)[1]) == ["", "fc1"]

    def test_a_network_of_ones_own_has_regularizers_to_switch_off(self, make: Make) -> None:
        def build(in_shape: tuple[int, ...], classes: int, dropout: float = 0.3) -> nn.Module:
            return nn.Sequential(nn.Linear(in_shape[0], 6), nn.Dropout(dropout), nn.Linear(6, classes))

        ablation, variants = ablated(make(model=build, space={"lr": 0.01}, weight_decay=0.1))
        assert list(variants) == ["", "dropout", "weight decay"]
        assert "remove" not in configurations(ablation)[0]

    def test_layers_that_the_best_configuration_lacks_stay_out(self, make: Make) -> None:
        ablation, variants = ablated(make(space={"depth": 3, "remove": "fc1"}), remove=["fc2"])
        assert [params["remove"] for params in configurations(ablation)] == ["fc1", "fc1,fc2"]
        assert variants["fc2"].dropped == 64 * 64 + 64

    def test_a_layer_that_the_best_configuration_lacks_isnt_left_out_again(self, make: Make) -> None:
        _, variants = ablated(make(space={"depth": 2, "remove": "fc1"}), switches=False)
        assert list(variants) == ["", "fc2"]


class TestWhatIsTold:
    def test_of_each_variant_the_mean_and_spread_of_its_replicates_and_the_change_with_its_standard_error(
        self, make: Make
    ) -> None:
        ablation, variants = ablated(make(metric="cross_entropy"), replicates=3)
        whole = variants[""]
        assert (whole.change, whole.error) == (None, None)
        for trial, variant in zip(ablation.trials, variants.values(), strict=True):
            assert (variant.value, variant.spread, variant.parameters) == (trial.value, trial.spread, trial.parameters)
            assert variant.spread
            if variant.what:
                assert variant.change == trial.value - whole.value  # type: ignore[operator]
                expected = math.sqrt((variant.spread**2 + whole.spread**2) / 3)  # type: ignore[operator]
                assert variant.error == pytest.approx(expected)

    def test_the_replicates_are_the_trials_of_a_study_like_it_on_the_same_split(self, make: Make, folder: Path) -> None:
        study = make(seed=3, metric="cross_entropy")
        ablation, variants = ablated(study)
        assert ablation.attribute("split")["digest"] == study.attribute("split")["digest"]
        described, own = ablation.describe(), study.describe()
        assert described["trainer"]["replicates"] == 2
        assert described["trainer"]["split_seed"] == 3
        kept = {"replicates", "split_seed"}
        assert {k: v for k, v in described["trainer"].items() if k not in kept} == {
            k: v for k, v in own["trainer"].items() if k not in kept
        }
        assert study.trainer is not None
        lone = ll.Study(
            "lone",
            ll.Space({**study.best.params, "remove": ""}),
            study.trainer.changed(replicates=2, split_seed=3),
            metric="cross_entropy",
            seed=ablation.seed,
            strategy="random",
            plan="fused",
            executor="inline",
            storage=folder,
            mlflow=None,
        ).run(trials=1, progress=False)
        assert lone.trials[0].value == variants[""].value
        assert lone.trials[0].spread == variants[""].spread

    def test_its_trainings_are_others_than_those_of_the_study(self, make: Make) -> None:
        study = make(replicates=2, metric="cross_entropy")
        _, variants = ablated(study)
        assert variants[""].value != study.best.value

    @pytest.mark.parametrize("settings", [{"folds": 3}, {"replicates": 4}, {"split_seed": 9}, {"refit": True}], ids=str)
    def test_folds_replicates_and_refits_of_the_study_are_none_of_the_ablations(
        self, make: Make, settings: dict[str, Any]
    ) -> None:
        study = make(**settings)
        ablation, variants = ablated(study)
        assert ablation.attribute("split")["digest"] == study.attribute("split")["digest"]
        trainer = ablation.describe()["trainer"]
        assert (trainer["folds"], trainer["replicates"], trainer["refit"]) == (1, 2, False)
        assert list(ablation.folder.path.rglob("refit.safetensors")) == []
        assert None not in {variant.value for variant in variants.values()}

    def test_the_test_split_isnt_opened_and_the_study_stays_as_it_was(self, make: Make) -> None:
        study = make()
        before = study.trials, {path: path.read_bytes() for path in study.folder.path.rglob("*") if path.is_file()}
        ablation, _ = ablated(study)
        after = study.trials, {path: path.read_bytes() for path in study.folder.path.rglob("*") if path.is_file()}
        assert after == before
        assert study.attribute("tests") is None
        assert ablation.attribute("tests") is None
        assert ablation.name.startswith("small-ablation-")

    def test_a_variant_that_fails_is_told_with_its_reason_and_the_others_all_the_same(self, make: Make) -> None:
        study = make(model=dropping, space={"lr": 0.01}, weight_decay=0.1)
        _, variants = ablated(study)
        failed = variants["dropout"]
        assert (failed.value, failed.spread, failed.change, failed.error, failed.dropped) == (None,) * 5
        assert "it must drop something" in failed.reason
        assert variants["weight decay"].change is not None

    def test_its_table_is_json(self, make: Make) -> None:
        _, variants = ablated(make())
        assert set(asdict(variants["fc1"])) == {
            *("what", "parameters", "dropped", "value", "spread", "change", "error", "reason")
        }

    def test_fewer_epochs_may_be_asked_for(self, make: Make) -> None:
        ablation, _ = ablated(make(epochs=3), epochs=2)
        assert {trial.epochs for trial in ablation.trials} == {2}
        ablation, _ = ablated(make(epochs=3))
        assert {trial.epochs for trial in ablation.trials} == {3}

    def test_fewer_epochs_may_be_asked_for_where_they_were_searched(self, make: Make) -> None:
        ablation, _ = ablated(make(space={"depth": 1, "epochs": 3}), epochs=2)
        assert {trial.epochs for trial in ablation.trials} == {2}


class TestGoingOn:
    def test_a_second_ablation_alike_trains_nothing_and_tells_the_same(self, make: Make) -> None:
        calls: list[int] = []

        def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            return F.cross_entropy(outputs, targets)

        study = make(loss=loss)
        first = ablated(study, plan="looped")
        trained, journal = len(calls), first[0].folder.journal.read_bytes()
        second = ablated(study, plan="looped")
        assert second[1] == first[1]
        assert len(calls) - trained <= 1  # the check of settings
        assert second[0].name == first[0].name
        assert second[0].trials == first[0].trials
        assert len(second[0].folder.journal.read_bytes()) - len(journal) < 5000

    def test_other_questions_are_other_studies(self, make: Make) -> None:
        study = make(weight_decay=0.1)
        asked: list[dict[str, Any]] = [
            {}, {"pairs": True}, {"remove": ["fc1"]}, {"switches": False}, {"replicates": 3}, {"epochs": 2}
        ]  # fmt: skip
        assert len({ablated(study, **options)[0].name for options in asked}) == len(asked)

    def test_it_goes_on_where_it_was_interrupted(self, make: Make) -> None:
        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            losses.append(1)
            if len(losses) == last:
                raise KeyboardInterrupt
            return F.cross_entropy(outputs, targets)

        losses: list[int] = []
        last = 0
        undisturbed, study = (make(name, epochs=2, checkpoint=0, loss=loss) for name in ("undisturbed", "small"))
        losses.clear()
        expected = ablated(undisturbed, lanes=1)[1]
        whole = len(losses)
        losses.clear()
        last = whole // 2
        with pytest.raises(KeyboardInterrupt):
            ablated(study, lanes=1)
        last = 0
        losses.clear()
        _, variants = ablated(study, lanes=1)
        assert variants == expected
        assert len(losses) < whole

    def test_lanes_and_plan_change_nothing_within_a_plan(self, make: Make) -> None:
        one, several = (
            ablated(make(name, space={"depth": 2, "dropout": 0.2}), lanes=lanes)[1]
            for name, lanes in (("one", 1), ("several", 8))
        )
        assert one == several


class TestWhatCantBe:
    def test_a_layer_that_isnt_there_is_told_with_a_suggestion_and_nothing_is_created(
        self, make: Make, folder: Path
    ) -> None:
        study = make()
        with pytest.raises(ll.SettingsError) as caught:
            ablated(study, remove=["fc1,fcc2", "conv1", "fc4"])
        assert "the network has no layer `fcc2` to remove. Did you mean `fc2`?" in str(caught.value)
        assert len(caught.value.problems) == 3
        assert [path.name for path in folder.iterdir()] == ["small"]

    @pytest.mark.parametrize("replicates", [1, 0, -1])
    def test_without_replicates_there_is_no_spread(self, make: Make, replicates: int) -> None:
        with pytest.raises(ll.SettingsError, match=f"`replicates >= 2` must hold, for a spread, but got {replicates}"):
            ablated(make(), replicates=replicates)

    def test_a_study_of_an_objective_has_no_layers(self, plain: Make) -> None:
        study = plain().run(lambda trial: trial.params["x"], trials=1, progress=False)
        with pytest.raises(ll.SettingsError, match="a study of an objective, which has no layers to leave out"):
            ablate(study)

    def test_a_study_without_a_complete_trial_has_no_best_configuration(self, make: Make) -> None:
        with pytest.raises(ll.StudyError, match="no trial of `small` is complete"):
            ablate(make(run=False))

    def test_a_network_of_ones_own_without_regularizers_has_nothing_to_remove(self, make: Make) -> None:
        def build(in_shape: tuple[int, ...], classes: int) -> nn.Module:
            return nn.Linear(in_shape[0], classes)

        study = make(model=build, space={"lr": 0.01})
        with pytest.raises(ll.StudyError, match="names no layers to remove, and no regularizer is in use"):
            ablate(study)
        with pytest.raises(ll.SettingsError, match="the network has no layer `fc1` to remove"):
            ablate(study, remove=["fc1"])

    def test_naming_no_layer_at_all_is_an_error(self, make: Make) -> None:
        with pytest.raises(ll.LeadlineError):
            ablated(make(), remove=[" , "])

    def test_a_study_of_the_longest_name_can_be_ablated(self, make: Make) -> None:
        assert ablated(make("a" * 100))


def test_an_ablation_costs_what_its_trials_cost(make: Make) -> None:
    ablation, variants = ablated(make(), pairs=True)
    assert len(ablation.trials) == len(variants) == 7
    assert statistics.fmean(trial.seconds or 0 for trial in ablation.trials) > 0
