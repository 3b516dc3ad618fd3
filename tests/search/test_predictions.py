"""What is kept of the validation rows says what the trials' own values say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import leadline as ll
from leadline.search.predictions import Predictions, kept_predictions, softmax
from leadline.trainers import checkpoints, worker

Make = Callable[..., ll.Study]
SMALL = ll.Space(depth=1, feature_maps=8)


def kept(study: ll.Study, trial: ll.Trial) -> Predictions:
    found = kept_predictions(study, trial)
    assert found is not None
    return found


def test_every_complete_trial_keeps_them_and_they_give_its_value_again(digits: Make) -> None:
    study = digits(keep=1, plan="looped").run(trials=3, progress=False)
    assert study.trainer is not None
    for trial in study.trials:
        found = kept(study, trial)
        assert found.right.mean() == pytest.approx(trial.value)
        assert np.array_equal(found.rows, study.trainer.split(0).valid)
        assert np.array_equal(found.targets, study.trainer.loaded.targets[found.rows])
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)


def test_lanes_beside_each_other_keep_each_its_own(digits: Make) -> None:
    space = ll.Space(depth=1, feature_maps=8, lr=ll.Float(1e-3, 1e-1, log=True))
    alone, beside = (digits(name, space=space, lanes=lanes) for name, lanes in (("alone", 1), ("beside", 4)))
    for study in (alone, beside):
        study.run(trials=4, progress=False)
    for one, other in zip(alone.trials, beside.trials, strict=True):
        assert np.array_equal(kept(alone, one).outputs, kept(beside, other).outputs)


def test_a_trial_taken_up_again_keeps_those_of_its_best_epoch_though_that_was_before(digits: Make) -> None:
    space = ll.Space(depth=1, feature_maps=8, lr=ll.Float(1e-3, 1.0, log=True))
    given = {"depth": 1, "feature_maps": 8, "lr": 0.5}

    def study(name: str, **options: Any) -> ll.Study:
        return digits(name, space=space, epochs=12, checkpoint=0, **options).enqueue(given)

    whole = study("whole").run(trials=1, progress=False)
    best = whole.best.best_epoch
    assert best is not None
    assert best < 11  # or nothing is shown

    def stop(trial: ll.Trial, epoch: int, metrics: object) -> None:
        if epoch == best + 1:
            current.stop()

    current = study("cut", on_epoch=stop)
    current.run(trials=1, progress=False)
    assert current.trials[0].state == "running"
    again = study("cut").run(trials=1, progress=False)
    assert np.array_equal(kept(again, again.best).outputs, kept(whole, whole.best).outputs)


def test_folds_together_predict_each_row_once_by_a_network_that_had_not_seen_it(folder: Path) -> None:
    trainer = ll.Trainer("mlp", epochs=2, folds=3)
    study = ll.Study(
        "folds", ll.Space(depth=1, feature_maps=8), trainer, strategy="random", storage=folder, mlflow=None
    )
    study.run(trials=1, progress=False)
    found, split = kept(study, study.best), trainer.split(0)
    assert np.array_equal(found.rows, np.union1d(split.train, split.valid))
    assert found.right.mean() == pytest.approx(study.best.value, abs=1e-3)  # folds' sizes differ by one


def test_of_replicates_the_mean_of_their_probabilities_is_kept(folder: Path) -> None:
    trainer = ll.Trainer("mlp", epochs=2, replicates=2)
    study = ll.Study(
        "twice", ll.Space(depth=1, feature_maps=8), trainer, strategy="random", storage=folder, mlflow=None
    )
    study.run(trials=1, progress=False)
    tensors, _ = checkpoints.read(study.folder.predictions(0)) or ({}, {})
    mean = np.mean([softmax(tensors[str(lane)].numpy()) for lane in range(2)], axis=0)
    np.testing.assert_allclose(kept(study, study.best).probabilities, mean, atol=1e-6)


def test_of_a_regression_they_are_in_the_targets_own_units(folder: Path) -> None:
    inputs = torch.randn(240, 4, generator=torch.Generator().manual_seed(0))
    targets = 100 + 5 * inputs[:, 0]
    trainer = ll.Trainer("mlp", data=(inputs, targets), epochs=5)
    space = ll.Space(depth=1, feature_maps=8, lr=0.01)
    study = ll.Study("numbers", space, trainer, metric="rmse", strategy="random", storage=folder, mlflow=None)
    study.run(trials=1, progress=False)
    found = kept(study, study.best)
    assert found.classes is None
    assert found.outputs.shape == (40, 1)
    error = float(np.sqrt(np.mean((found.outputs[:, 0] - found.targets) ** 2)))
    assert error == pytest.approx(study.best.value, rel=1e-4)


def test_a_pruned_trial_keeps_none_and_neither_does_an_objectives(digits: Make, plain: Make) -> None:
    pruned = digits(pruner="asha", epochs=4).run(trials=8, progress=False)
    states = {trial.state for trial in pruned.trials}
    assert states == {"complete", "pruned"}
    for trial in pruned.trials:
        assert (kept_predictions(pruned, trial) is None) == (trial.state == "pruned")
    objective = plain().run(lambda trial: 1.0, trials=1, progress=False)
    assert kept_predictions(objective, objective.best) is None


def test_where_a_trials_would_fill_a_disk_none_are_kept(digits: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_OUTPUTS", 100)
    study = digits().run(trials=1, progress=False)
    assert kept_predictions(study, study.best) is None
    assert study.folder.weights(0).exists()
