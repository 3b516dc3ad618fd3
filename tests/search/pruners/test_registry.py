from __future__ import annotations

import optuna
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from leadline.errors import SettingsError
from leadline.search.pruners import PRUNERS, make_pruner, rungs


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", NopPruner),
        ("median", MedianPruner),
        ("asha", SuccessiveHalvingPruner),
        ("hyperband", HyperbandPruner),
    ],
)
@pytest.mark.parametrize("epochs", [None, 1, 30])
def test_each_name_is_one_of_optunas_pruners_and_works_in_plain_optuna(
    name: str, kind: type[BasePruner], epochs: int | None
) -> None:
    pruner = make_pruner(name, epochs)
    assert type(pruner) is kind
    study = optuna.create_study(pruner=pruner)

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        for epoch in range(1, 4):
            trial.report(x, epoch)
            trial.should_prune()
        return x

    study.optimize(objective, n_trials=3)
    assert len(study.trials) == 3


def test_a_pruner_of_your_own_is_used_as_it_is() -> None:
    own = optuna.pruners.PercentilePruner(25.0)
    assert make_pruner(own, 30) is own


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"no pruner is called `ahsa`\. Did you mean `asha`\?"):
        make_pruner("ahsa", 30)


@pytest.mark.parametrize(
    ("name", "epochs", "wanted"),
    [
        ("none", 30, set()),
        ("asha", 30, {3, 9, 27}),
        ("asha", 9, {1, 3, 9}),
        ("asha", 1, {1}),
        ("hyperband", 81, {9, 27, 81}),
        ("median", 30, set(range(3, 31))),
        ("median", 2, {1, 2}),
    ],
)
def test_decisions_are_due_at_the_pruners_rungs_alone(name: str, epochs: int, wanted: set[int]) -> None:
    assert rungs(name, epochs) == wanted


def test_a_pruner_of_your_own_is_asked_after_each_epoch() -> None:
    assert rungs(optuna.pruners.ThresholdPruner(lower=0), 4) == {1, 2, 3, 4}


@pytest.mark.parametrize("name", [name for name in PRUNERS if name != "none"])
@pytest.mark.parametrize("epochs", [1, 5, 9, 30])
def test_between_its_rungs_a_pruner_would_never_have_pruned(name: str, epochs: int) -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner(name, epochs))
    asked = rungs(name, epochs)
    for quality in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0) * 3:
        trial = study.ask()
        for epoch in range(1, epochs + 1):
            trial.report(quality + epoch / 100, epoch)
            if trial.should_prune():
                assert epoch in asked
                break
        study.tell(trial, quality)
