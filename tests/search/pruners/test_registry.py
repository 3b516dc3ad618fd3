from __future__ import annotations

import optuna
import pytest

from leadline.errors import SettingsError
from leadline.search.pruners import PRUNERS, Asha, NoPruner, OptunaPruner, described, make_pruner
from leadline.search.trial import Trial


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.parametrize("epochs", [None, 1, 30])
def test_each_name_makes_a_pruner_that_decides_within_the_epochs(name: str, epochs: int | None) -> None:
    pruner = make_pruner(name, epochs)
    assert all(1 <= rung < 30 for number in range(10) for rung in pruner.rungs(number, 30))
    assert make_pruner({"name": name}, epochs).rungs(0, 30) == pruner.rungs(0, 30)


@pytest.mark.parametrize(
    ("given", "epochs", "wanted"),
    [
        ("none", 30, set()),
        ("asha", 32, {2, 16}),
        ({"name": "asha", "reduction": 3, "first": 1}, 30, {1, 3, 9}),
        ("median", 30, set(range(3, 30))),
        ({"name": "median", "first": 20}, 30, set(range(20, 30))),
        ("median", 2, {1}),
        (optuna.pruners.ThresholdPruner(lower=0), 4, {1, 2, 3}),
    ],
)
def test_decisions_are_due_at_the_pruners_rungs_alone(given: object, epochs: int, wanted: set[int]) -> None:
    assert make_pruner(given, epochs).rungs(0, epochs) == wanted  # type: ignore[arg-type]


def test_a_pruner_of_our_kind_is_used_as_it_is() -> None:
    own = Asha(30)
    assert make_pruner(own, 10) is own


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("ahsa", r"no pruner is called `ahsa`\. Did you mean `asha`\?"),
        ({"name": "asha", "reductoin": 3}, r"reductoin: `asha` has no option `reductoin`\. Did you mean `reduction`\?"),
        ({"name": "asha", "epochs": 3}, r"epochs: `asha` has no option `epochs`"),
        ({"name": "asha", "first": 0}, r"first: `first` must be an integer >= 1, but got 0"),
        ({"name": "asha", "first": True}, r"first: `first` must be an integer >= 1, but got True"),
        ({"name": "hyperband", "reduction": 1.5}, r"reduction: `reduction` must be an integer >= 2, but got 1\.5"),
        ({"reduction": 3}, r"a pruner is a name or an Optuna pruner, but got None"),
        (3, r"a pruner is a name or an Optuna pruner, but got 3"),
    ],
)
def test_what_is_wrong_is_told_with_the_likely_fix(given: object, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        make_pruner(given, 30)  # type: ignore[arg-type]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        make_pruner({"name": "asha", "reduction": 1, "frist": 2}, 30)
    assert len(caught.value.problems) == 2


def test_what_was_given_is_described_as_json() -> None:
    assert described("asha") == "asha"
    assert described({"name": "asha", "first": 1}) == {"name": "asha", "first": 1}
    assert described(optuna.pruners.NopPruner()) == "<NopPruner>"


def test_none_lets_everything_go_on() -> None:
    assert NoPruner().verdicts([0, 1], [Trial(0, "running", {}), Trial(1, "running", {})]) == ["go", "go"]


@pytest.mark.parametrize("epochs", [1, 5, 9, 30])
def test_an_optuna_pruner_ends_what_it_ends_in_plain_optuna(epochs: int) -> None:
    def outcomes(wrapped: OptunaPruner | None) -> list[tuple[str, int]]:
        median = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3)
        study = optuna.create_study(direction="maximize", pruner=median)
        if wrapped is not None:
            wrapped.bind(study)
        for quality in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0) * 3:
            trial = study.ask()
            for epoch in range(1, epochs + 1):
                trial.report(quality + epoch / 100, epoch)
                if wrapped is None:
                    ends = epoch < epochs and trial.should_prune()
                else:
                    asked = epoch in wrapped.rungs(trial.number, epochs)
                    ends = asked and wrapped.verdicts([trial.number], []) == ["prune"]
                if ends:
                    break
            if ends:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, quality)
        return [(trial.state.name, len(trial.intermediate_values)) for trial in study.trials]

    wrapped = make_pruner({"name": "median", "first": 3}, epochs)
    assert isinstance(wrapped, OptunaPruner)
    assert outcomes(wrapped) == outcomes(None)
