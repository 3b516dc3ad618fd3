"""What is done with the winner: judged by the test rows, and before that, if asked for, trained again on all others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import leadline as ll
from leadline.search.analysis.retraining import retrain
from leadline.trainers import checkpoints
from leadline.trainers.data import Data, Preparation, folds, merged, open_test, prepare, split
from leadline.trainers.metrics import METRICS

Make = Callable[..., ll.Study]
Arrays = tuple[Tensor, Tensor]
SPACE = ll.Space(lr=ll.Float(1e-3, 1e-1, log=True), depth=1)


def classes(n: int = 90, shape: tuple[int, ...] = (5,)) -> Arrays:
    """Returns inputs (n, *shape) and targets (n,): three classes that overlap."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % 3
    return torch.randn(3, *shape, generator=generator)[targets] + torch.randn(n, *shape, generator=generator), targets


def numbers(n: int = 90, offset: float = 0.0, scale: float = 1.0) -> Arrays:
    """Returns inputs (n, 5) and targets (n,), nearly a linear function of them, in units of their own."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, 5, generator=generator)
    noise = 0.3 * torch.randn(n, generator=generator)
    return inputs, offset + scale * (inputs @ torch.tensor([1.0, -1.0, 0.5, 0.0, 0.2]) + noise)


@pytest.fixture
def make(folder: Path) -> Make:
    """Makes a study of small networks; what a test doesn't say is `random`, three lanes, inline, untracked."""

    def made(data: Any, name: str = "small", **options: Any) -> ll.Study:
        own = ("strategy", "metric", "direction", "seed", "plan", "lanes", "pruner", "keep", "mlflow")
        given = {key: options.pop(key) for key in own if key in options}
        space, model = options.pop("space", SPACE), options.pop("model", "mlp")
        trainer = ll.Trainer(model, data, **{"epochs": 3, "batch_size": 16, **options})
        how = {"executor": "inline", "workers": 1, "lanes": 3, "plan": "fused", "mlflow": None}
        return ll.Study(name, space, trainer, **{"strategy": "random", "storage": folder, **how, **given})

    return made


def opened(study: ll.Study) -> dict[str, Any]:
    """Opens the test split and returns what was recorded of it."""
    value = study.test()
    found: dict[str, Any] = study.attribute("tests")[-1]
    assert found["value"] == value
    return found


def refitted(study: ll.Study) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the weights of the best trial that were trained again, and their card."""
    found = checkpoints.read(study.folder.weights(study.best.number, refitted=True))
    assert found is not None
    return found


def stacks(study: ll.Study) -> set[str]:
    """Returns the kinds of stacks that the study's trials were trained in."""
    return {plan["stack"] for plan in study.attribute("plans").values()}


def rows_of(study: ll.Study) -> Any:
    assert study.trainer is not None
    return study.trainer.split(study.seed)


class TestWhatTheTestSplitShows:
    @pytest.mark.parametrize("plan", ["fused", "looped"])
    @pytest.mark.parametrize("repeats", [{}, {"folds": 3}, {"replicates": 3}], ids=str)
    @pytest.mark.parametrize("metric", ["cross_entropy", "r2"])
    def test_the_kept_weights_give_the_recorded_validation_metric_again_bit_for_bit(
        self, make: Make, metric: str, repeats: dict[str, int], plan: str
    ) -> None:
        data = numbers(98) if metric == "r2" else classes(98)
        space = ll.Space(lr=ll.Float(1e-3, 1e-1, log=True), batch_norm=True, dropout=ll.Float(0.1, 0.5), depth=2)
        study = make(data, metric=metric, space=space, plan=plan, **repeats).run(trials=3, progress=False)
        found, best = opened(study), study.best
        assert stacks(study) == {plan}
        assert found["valid"] == found["recorded"]
        assert best.value is not None
        if repeats:
            better = found["recorded"] >= best.value if study.maximize else found["recorded"] <= best.value
            assert better  # it is that of the best of them, where the trial's value is their mean
        else:
            assert found["recorded"] == best.value

    @pytest.mark.parametrize("plan", ["fused", "looped"])
    def test_so_do_those_of_a_network_for_images_trained_with_all_there_is(self, make: Make, plan: str) -> None:
        space = ll.Space(init=ll.Choice(["he", "lsuv"]), flip=ll.Choice([0.0, 0.5]), lr=ll.Float(1e-3, 1e-2))
        more = {"shift": 1, "cutout": 2, "mixup": 0.4, "class_weights": "balanced", "label_smoothing": 0.1}
        study = make(
            classes(96, (1, 6, 6)), model="convnet", space=space, metric="cross_entropy", plan=plan, patience=1, **more
        ).run(trials=4, progress=False)
        found = opened(study)
        assert stacks(study) == {plan}
        assert {trial.state for trial in study.trials} == {"complete"}
        assert found["valid"] == found["recorded"] == study.best.value

    @pytest.mark.parametrize("model", ["googlenet", "resnet", "stages", "vgg", "alexnet"])
    def test_so_do_those_of_every_family(self, make: Make, model: str) -> None:
        depths = {"googlenet": 12, "resnet": 8, "stages": 2, "vgg": 11, "alexnet": 5}
        small = {"googlenet": {"auxiliary": 0.3}, "resnet": {"stochastic_depth": 0.5}}.get(model, {})
        space = ll.Space(lr=ll.Float(1e-3, 1e-2), depth=depths[model], feature_maps=4, dropout=0.2, **small)
        study = make(classes(60, (1, 8, 8)), model=model, space=space, metric="cross_entropy", epochs=2, lanes=2)
        found = opened(study.run(trials=2, progress=False))
        assert found["valid"] == found["recorded"] == study.best.value

    def test_so_do_those_of_a_narrow_network_that_was_trained_in_a_wide_stack(self, make: Make) -> None:
        space = ll.Space(lr=ll.Float(1e-3, 1e-2), feature_maps=ll.Choice([5, 8, 16]), depth=2)
        study = make(numbers(), space=space, plan="padded", lanes=6, seed=3).run(trials=6, progress=False)
        found = opened(study)
        if study.best.params["feature_maps"] == 16:
            raise ValueError("take another seed: this is to be a narrow network")
        assert found["valid"] == found["recorded"]

    def test_so_do_those_of_a_network_that_draws_in_evaluation_too(self, make: Make) -> None:
        class Uncertain(nn.Module):
            def __init__(self, features: int, classes: int) -> None:
                super().__init__()
                self.first, self.last = nn.Linear(features, 8), nn.Linear(8, classes)

            def forward(self, inputs: Tensor) -> Tensor:
                hidden: Tensor = self.last(F.dropout(F.relu(self.first(inputs)), 0.5, training=True))
                return hidden

        def build(in_shape: tuple[int, ...], classes: int) -> nn.Module:
            return Uncertain(in_shape[0], classes)

        space = ll.Space(lr=ll.Float(1e-3, 1e-2))
        found = opened(make(numbers(), model=build, space=space, plan="looped").run(trials=2, progress=False))
        assert found["valid"] == found["recorded"]

    @pytest.mark.parametrize("repeats", [{}, {"folds": 3}], ids=str)
    def test_the_value_is_the_metric_of_the_kept_network_on_the_test_rows_in_the_targets_own_units(
        self, make: Make, repeats: dict[str, int]
    ) -> None:
        study = make(numbers(offset=1e7, scale=1e6), metric="rmse", **repeats).run(trials=2, progress=False)
        found = opened(study)
        trainer, rows = study.trainer, rows_of(study)
        assert trainer is not None
        tensors, card = checkpoints.read(study.folder.weights(study.best.number)) or ({}, {})
        network = trainer.build(study.best.params, (5,), 1)
        network.load_state_dict(tensors)
        own = folds(trainer.loaded, rows, 3)[card["fold"]] if repeats else rows
        dataset = prepare(trainer.loaded, own)
        test = open_test(trainer.loaded, rows, dataset)
        with torch.no_grad():
            told = network.eval()(test.inputs)[:, 0].double().numpy() * card["scale"]["deviation"]
        errors = told + card["scale"]["mean"] - trainer.loaded.targets[rows.test]
        assert found["value"] == pytest.approx(float(np.sqrt((errors**2).mean())), rel=1e-4)
        assert found["value"] > 1e4

    def test_each_opening_is_recorded_with_what_was_found_and_finds_the_same(self, make: Make, folder: Path) -> None:
        study = make(classes()).run(trials=2, progress=False)
        assert study.attribute("tests") is None
        values = [study.test(), study.test(), ll.load_study("small", folder, study.trainer).test()]
        openings = study.attribute("tests")
        assert [opening["value"] for opening in openings] == values
        assert len(set(values)) == 1
        for opening in openings:
            assert set(opening) == {"trial", "metric", "value", "valid", "recorded", "refit", "at"}
            assert (opening["trial"], opening["metric"], opening["refit"]) == (study.best.number, "accuracy", False)
            assert 0 <= opening["value"] <= 1
        assert [opening["at"] for opening in openings] == sorted(opening["at"] for opening in openings)

    def test_a_study_that_has_no_complete_trial_or_whose_weights_are_gone_says_so_and_opens_nothing(
        self, make: Make
    ) -> None:
        study = make(classes())
        with pytest.raises(ll.StudyError, match="no trial of `small` is complete"):
            study.test()
        study.run(trials=1, progress=False)
        study.folder.weights(0).unlink()
        with pytest.raises(ll.StudyError, match="the weights of trial 0 aren't in"):
            study.test()
        assert study.attribute("tests") is None

    def test_the_test_split_of_data_that_have_changed_isnt_opened(self, make: Make, tmp_path: Path) -> None:
        table = tmp_path / "table.csv"
        table.write_text("\n".join(["a,b,label", *(f"{i % 7},{i % 5},{i % 2}" for i in range(60))]))
        make({"path": str(table), "label": "label"}).run(trials=1, progress=False)
        table.write_text("\n".join(["a,b,label", *(f"{i % 4},{i % 3},{i % 2}" for i in range(60))]))
        with pytest.raises(ll.LeadlineError, match="changed"):
            make({"path": str(table), "label": "label"}).test()

    def test_torchs_threads_are_left_as_they_were(self, make: Make) -> None:
        study = make(classes(), refit=True).run(trials=1, progress=False)
        torch.set_num_threads(2)
        study.test()
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)

    def test_torchs_generator_is_left_as_it_was(self, make: Make) -> None:
        study = make(classes()).run(trials=1, progress=False)
        before = torch.get_rng_state()
        study.test()
        assert torch.equal(torch.get_rng_state(), before)


class TestRefit:
    def test_the_best_configuration_is_trained_again_and_no_other(self, make: Make) -> None:
        study = make(classes(), refit=True).run(trials=3, progress=False)
        for trial in study.trials:
            assert study.folder.weights(trial.number, refitted=True).exists() == (trial.number == study.best.number)
        plain = make(classes(), "plain").run(trials=3, progress=False)
        assert not plain.folder.weights(plain.best.number, refitted=True).exists()
        assert [trial.value for trial in plain.trials] == [trial.value for trial in study.trials]

    def test_its_preparation_and_scale_are_fitted_on_train_and_valid_rows_and_its_weights_are_others(
        self, make: Make
    ) -> None:
        study = make(numbers(offset=5.0), refit=True, folds=3).run(trials=2, progress=False)
        (tensors, card), data = refitted(study), study.trainer.loaded  # type: ignore[union-attr]
        both = merged(rows_of(study)).train
        assert set(both) == set(range(len(data))) - set(rows_of(study).test)
        assert card["preparation"] == Preparation.fit(data.rows(both)).describe()
        own = data.targets[both].astype(np.float64)
        assert card["scale"] == pytest.approx({"mean": own.mean(), "deviation": own.std()})
        before, other = checkpoints.read(study.folder.weights(study.best.number)) or ({}, {})
        assert (card["refit"], card["fold"], card["epoch"]) == (True, 0, study.best.best_epoch)
        assert card["params"] == other["params"]
        assert {name: tensor.shape for name, tensor in tensors.items()} == {n: t.shape for n, t in before.items()}
        assert not any(torch.equal(tensors[name], before[name]) for name in tensors)

    @pytest.mark.parametrize("plan", ["fused", "looped"])
    def test_the_test_split_judges_the_network_trained_again_and_the_trials_own_is_still_what_is_checked(
        self, make: Make, plan: str
    ) -> None:
        settings = {"metric": "r2", "plan": plan, "patience": 1, "epochs": 6}
        found = opened(make(numbers(), refit=True, **settings).run(trials=2, progress=False))
        plain = opened(make(numbers(), "plain", **settings).run(trials=2, progress=False))
        assert found["refit"] is True
        assert found["valid"] == found["recorded"] == plain["recorded"]
        assert found["value"] != plain["value"]
        assert found["value"] > 0.5

    def test_the_value_is_that_of_the_kept_weights_on_the_test_rows(self, make: Make) -> None:
        study = make(classes(), refit=True, metric="cross_entropy").run(trials=2, progress=False)
        found, (tensors, _) = opened(study), refitted(study)
        assert study.trainer is not None
        data, rows = study.trainer.loaded, rows_of(study)
        test = open_test(data, rows, prepare(data, merged(rows)))
        network = study.trainer.build(study.best.params, (5,), 3)
        network.load_state_dict(tensors)
        with torch.no_grad():
            outputs = network.eval()(test.inputs)
        assert found["value"] == pytest.approx(METRICS["cross_entropy"](outputs, test.targets), rel=1e-5)

    def test_it_is_trained_on_all_rows_but_those_for_test_for_as_many_epochs_as_were_best(self, make: Make) -> None:
        seen: list[list[int]] = []  # the rows of each batch; a row's target is its number
        ended: list[int] = []

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            seen.append(targets.flatten().tolist())
            return F.mse_loss(outputs, targets)

        inputs, _ = classes(96)
        study = make(
            (inputs, torch.arange(96) + 0.5),
            loss=loss,
            plan="looped",
            lanes=1,
            refit=True,
            metric="mae",
            epochs=6,
            patience=1,
            on_trial_end=lambda trial: ended.append(len(seen)),
        )
        study.run(trials=1, progress=False)
        rows, (_, card) = rows_of(study), refitted(study)
        assert (len(rows.train), len(rows.valid), len(rows.test)) == (64, 16, 16)

        def numbered(batches: list[list[int]], scale: dict[str, float]) -> list[list[int]]:
            return [[round(t * scale["deviation"] + scale["mean"] - 0.5) for t in batch] for batch in batches]

        _, own = checkpoints.read(study.folder.weights(0)) or ({}, {})
        trial = numbered(seen[1 : ended[0]], own["scale"])  # the first is the check's, of two examples
        again = numbered(seen[ended[0] :], card["scale"])
        assert {row for batch in trial for row in batch} <= {*rows.train, *rows.valid}
        assert study.best.best_epoch is not None
        assert len(again) == study.best.best_epoch * (80 // 16 + 1)  # full batches, and the validation rows once
        for epoch in range(study.best.best_epoch):
            batches = again[6 * epoch : 6 * epoch + 5]
            assert sorted(row for batch in batches for row in batch) == sorted([*rows.train, *rows.valid])
        assert not {row for batch in again for row in batch} & set(rows.test)

    def test_it_is_done_once(self, make: Make, folder: Path) -> None:
        calls: list[int] = []

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            calls.append(len(targets))
            return F.cross_entropy(outputs, targets)

        def again() -> ll.Study:
            return make(classes(), refit=True, loss=loss, plan="looped", lanes=1)

        study = again().run(trials=2, progress=False)
        path = study.folder.weights(study.best.number, refitted=True)
        kept, written = path.read_bytes(), path.stat().st_mtime_ns
        before = len(calls)
        again().run(trials=2, progress=False)
        ll.load_study("small", folder, study.trainer, mlflow=None).run(trials=2, progress=False)
        assert len(calls) - before <= 2 * 1  # no more than the checks of settings
        assert (path.read_bytes(), path.stat().st_mtime_ns) == (kept, written)

    def test_another_best_trial_is_trained_again_when_the_study_goes_on(self, make: Make) -> None:
        space = ll.Space(lr=ll.Choice([1e-6, 0.05]), depth=1)

        def study() -> ll.Study:
            return make(classes(), refit=True, space=space, strategy="grid", lanes=1, metric="cross_entropy")

        first = study().run(trials=1, progress=False)
        assert first.best.params["lr"] == 1e-6
        assert refitted(first)[1]["params"]["lr"] == 1e-6
        both = study().run(trials=2, progress=False)
        assert both.best.params["lr"] == 0.05
        assert refitted(both)[1]["params"]["lr"] == 0.05
        assert both.test() == opened(both)["value"]

    def test_an_interrupted_study_isnt_refit_until_it_is_finished(self, make: Make) -> None:
        def on_epoch(trial: ll.Trial, epoch: int, metrics: Any) -> None:
            if (trial.number, epoch) == (1, 1) and not stopped:
                stopped.append(epoch)
                study.stop()

        stopped: list[int] = []
        study = make(classes(), refit=True, on_epoch=on_epoch, lanes=1)
        study.run(trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "running"]
        assert list(study.folder.path.rglob("refit.safetensors")) == []
        with pytest.raises(ll.StudyError, match=r"the weights of trial 0 aren't in .*refit\.safetensors"):
            study.test()
        assert study.attribute("tests") is None
        study.run(trials=2, progress=False)
        assert refitted(study)[1]["refit"]
        assert 0 <= study.test() <= 1

    def test_a_refit_that_fails_is_told_and_done_by_the_next_run(self, make: Make) -> None:
        faults: list[str] = []

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            if faults:
                raise RuntimeError(faults[0])
            return F.cross_entropy(outputs, targets)

        def study() -> ll.Study:
            ended = {"on_trial_end": lambda trial: faults.append("the disk is on fire")}
            return make(classes(), refit=True, loss=loss, plan="looped", lanes=1, **ended)

        failed = study().run(trials=1, progress=False)
        assert "training trial 0 again, on train and valid rows, failed: the disk is on fire" in failed.refit_problem
        faults.clear()
        failed.test()  # of the trial's own network
        assert not failed.attribute("tests")[-1]["refit"]
        failed.close()
        finished = study().run(trials=1, progress=False)
        assert [trial.state for trial in finished.trials] == ["complete"]
        assert refitted(finished)[1]["refit"]

    def test_two_studies_alike_are_refit_alike_bit_for_bit(self, make: Make) -> None:
        one, other = (
            make(classes(), name, refit=True, lanes=lanes).run(trials=2, progress=False)
            for name, lanes in (("one", 1), ("other", 3))
        )
        some, others = refitted(one)[0], refitted(other)[0]
        assert all(torch.equal(some[name], others[name]) for name in some)

    def test_a_study_whose_best_trial_was_told_by_hand_still_runs(self, make: Make) -> None:
        study = make(classes(), refit=True)
        with study:
            study.tell(study.ask(), 2.0)
        study.run(trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "complete"]


class TestSplits:
    def test_the_split_seed_draws_the_split_whatever_the_studys_seed(self, make: Make) -> None:
        studies = [
            make(classes(), f"s{seed}", seed=seed, split_seed=3).run(trials=1, progress=False) for seed in (0, 1)
        ]
        splits = [study.attribute("split") for study in studies]
        assert splits[0]["digest"] == splits[1]["digest"] == split(studies[0].trainer.loaded, seed=3).digest  # type: ignore[union-attr]
        assert (
            make(classes(), "own", seed=3).run(trials=1, progress=False).attribute("split")["digest"]
            == (splits[0]["digest"])
        )
        assert studies[0].trials[0].curve != studies[1].trials[0].curve
        found = opened(studies[1])
        assert found["valid"] == found["recorded"]

    def test_the_seed_that_is_recorded_with_the_split_is_the_one_it_was_drawn_from(self, make: Make) -> None:
        study = make(classes(), seed=0, split_seed=3).run(trials=1, progress=False)
        assert study.attribute("split")["seed"] == 3

    def test_another_split_seed_is_another_study(self, make: Make) -> None:
        make(classes(), split_seed=3).run(trials=1, progress=False)
        with pytest.raises(ll.SettingsError, match=r"`trainer\.split_seed` is 3 there, 4 here"):
            make(classes(), split_seed=4).run(trials=2, progress=False)

    @pytest.mark.parametrize("repeats", [{}, {"folds": 3}], ids=str)
    def test_groups_stay_whole_in_a_study_and_in_its_folds(self, make: Make, repeats: dict[str, int]) -> None:
        inputs, targets = classes(96)
        data = Data("grouped", inputs.numpy(), targets.numpy(), ("a", "b", "c"), groups=np.arange(96) // 6)
        study = make(data, refit=True, metric="cross_entropy", **repeats).run(trials=2, progress=False)
        rows = rows_of(study)
        assert rows.by == "grouped"
        parts = [set(rows.train // 6), set(rows.valid // 6), set(rows.test // 6)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 16
        for fold in folds(data, rows, 3):
            assert not set(fold.train // 6) & set(fold.valid // 6)
        found = opened(study)
        assert found["valid"] == found["recorded"]

    @pytest.mark.parametrize("repeats", [{}, {"folds": 3}], ids=str)
    def test_what_was_later_judges_what_was_earlier(self, make: Make, repeats: dict[str, int]) -> None:
        inputs, targets = numbers(96)
        times = np.random.default_rng(0).permutation(96).astype(np.float64)
        data = Data("timed", inputs.numpy(), targets.numpy(), None, order=times)
        study = make(data, refit=True, **repeats).run(trials=2, progress=False)
        rows = rows_of(study)
        assert rows.by == "time"
        assert times[rows.train].max() < times[rows.valid].min()
        assert times[rows.valid].max() < times[rows.test].min()
        found = opened(study)
        assert found["valid"] == found["recorded"]
        assert [trial.state for trial in study.trials] == ["complete", "complete"]

    def test_split_by_says_how_where_data_have_both_or_neither(self, make: Make) -> None:
        inputs, targets = classes(96)
        both = {"groups": np.arange(96) // 6, "order": np.arange(96.0)}
        data = Data("both", inputs.numpy(), targets.numpy(), ("a", "b", "c"), **both)
        with pytest.raises(ll.SettingsError, match="has groups and an order"):
            make(data).run(trials=1, progress=False)
        for by in ("grouped", "time", "stratified"):
            study = make(data, by, split_by=by).run(trials=1, progress=False)
            assert rows_of(study).by == by
            assert study.describe()["trainer"]["split_by"] == by
        with pytest.raises(ll.SettingsError, match="groups"):
            make(classes(), "none", split_by="grouped").run(trials=1, progress=False)

    def test_a_way_to_split_that_isnt_there_is_told_before_any_trial(self, make: Make, folder: Path) -> None:
        told = r"`split_by` must be one of stratified, grouped, time, or none, but got 'group'"
        with pytest.raises(ll.SettingsError, match=told):
            make(classes(), split_by="group").run(trials=1, progress=False)
        assert not folder.exists()

    @pytest.mark.parametrize("seed", [-1, 0.5, "one"])
    def test_a_split_seed_that_is_none_is_a_problem(self, make: Make, seed: Any) -> None:
        with pytest.raises(ll.SettingsError, match="split_seed"):
            make(classes(), split_seed=seed).run(trials=1, progress=False)


class TestRegressionsInUnits:
    @pytest.mark.parametrize("loss", [None, "squared", "absolute", "huber"])
    def test_targets_of_any_size_are_learned_and_told_in_their_own_units(self, make: Make, loss: str | None) -> None:
        space = ll.Space(lr=ll.Float(0.01, 0.03, log=True), depth=1)
        settings = {"space": space, "epochs": 25, "loss": loss, "metric": "rmse"}
        study = make(numbers(120, offset=1e7, scale=1e6), **settings).run(trials=2, progress=False)
        assert study.best.value is not None
        assert 1e5 < study.best.value < 8e5  # of the targets it is 1.5 million, of the noise 0.3
        found = opened(study)
        assert 1e5 < found["value"] < 8e5
        assert found["valid"] == found["recorded"] == study.best.value
        small = make(numbers(120), "small-numbers", **settings).run(trials=2, progress=False)
        assert small.best.value == pytest.approx(study.best.value / 1e6, rel=0.01)

    def test_the_share_of_variance_is_that_of_targets_of_any_size(self, make: Make) -> None:
        settings = {"space": ll.Space(lr=ll.Float(0.01, 0.03, log=True), depth=1), "epochs": 25, "metric": "r2"}
        large, small = (
            make(numbers(120, *units), name, **settings).run(trials=2, progress=False)
            for name, units in (("large", (1e7, 1e6)), ("small", (0.0, 1.0)))
        )
        assert large.best.value is not None
        assert 0.8 < large.best.value < 1
        assert small.best.value == pytest.approx(large.best.value, abs=0.01)

    def test_a_metric_of_ones_own_gets_outputs_and_targets_in_units(self, make: Make) -> None:
        ranges: list[tuple[float, float]] = []

        def worst(outputs: Tensor, targets: Tensor) -> Tensor:
            ranges.append((float(targets.min()), float(targets.max())))
            return (outputs - targets).abs().max()

        study = make(numbers(offset=1e7, scale=1e6), metric=worst, direction="minimize")
        study.run(trials=1, progress=False)
        in_units = [low > 1e6 for low, _ in ranges[1:]]  # the first is the check's, on two standardized examples
        assert in_units
        assert all(in_units)

    @pytest.mark.parametrize("plan", ["fused", "looped"])
    def test_balanced_classes_of_a_regression_are_a_problem_before_any_trial(self, make: Make, plan: str) -> None:
        with pytest.raises(ll.SettingsError, match="class_weights"):
            make(numbers(), class_weights="balanced", plan=plan).run(trials=1, progress=False)


class TestTrainingAgain:
    """What comes of the best configuration in five other trainings, of other weights and in another order."""

    @pytest.fixture
    def study(self, make: Make) -> ll.Study:
        space = ll.Space(lr=ll.Float(1e-3, 1e-1, log=True), dropout=ll.Float(0.0, 0.4), depth=1)
        return make("digits", space=space, epochs=4, batch_size=64).run(trials=4, progress=False)

    def test_it_gives_the_same_within_the_spread_of_replicates(self, study: ll.Study, make: Make) -> None:
        settings = {"epochs": 4, "batch_size": 64, "replicates": 5, "split_seed": study.seed, "seed": 7, "lanes": 5}
        again = make("digits", "again", space=ll.Space(**study.best.params), **settings).run(trials=1, progress=False)
        assert again.attribute("split")["digest"] == study.attribute("split")["digest"]
        self.assert_within_the_spread(study, again.trials[0])

    def test_so_it_does_where_a_study_is_asked_for_it(self, study: ll.Study) -> None:
        trial = retrain(study, replicates=5, executor="inline", workers=1, lanes=5, plan="fused")
        assert trial.params == study.best.params
        self.assert_within_the_spread(study, trial)
        assert retrain(study, replicates=5, executor="inline", workers=1, lanes=5, plan="fused") == trial

    def assert_within_the_spread(self, study: ll.Study, trial: ll.Trial) -> None:
        assert study.best.value is not None
        assert trial.value is not None
        assert trial.spread
        assert abs(study.best.value - trial.value) <= 3 * trial.spread
