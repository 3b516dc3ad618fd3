import numpy as np
import pytest

import leadline as ll
from leadline.search.analysis.facts import Facts
from leadline.search.analysis.importance import Compared, Importance, compared, importance
from leadline.search.analysis.sections.space import meaning
from leadline.search.trial import Trial

SPACE = ll.Space(
    x=ll.Float(1e-3, 10, log=True),
    idle=ll.Float(0, 1),
    kind=ll.Choice(["a", "b"]),
    only=ll.Int(0, 9, when={"kind": "a"}),
)


def trials(count, value_of):
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        params = {
            "x": float(10 ** generator.uniform(-3, 1)),
            "idle": float(generator.uniform()),
            "kind": "ab"[number % 2],
        }
        if params["kind"] == "a":
            params["only"] = int(generator.integers(10))
        found.append(Trial(number, "complete", params, value_of(params)))
    return Compared(tuple(found), tuple(trial.value for trial in found), "values")


def test_what_decides_comes_first_by_both_methods_and_what_doesnt_last():
    found = importance(SPACE, trials(60, lambda p: -abs(np.log10(p["x"]) + 1)), maximize=True)
    assert found.order[0] == "x"
    assert found.ped_anova["x"] > 0.6
    assert found.fanova["x"] > 0.8
    assert sum(found.ped_anova.values()) == pytest.approx(1)
    assert sum(found.fanova.values()) == pytest.approx(1)


def test_a_conditional_parameter_is_known_to_ped_anova_alone():
    found = importance(SPACE, trials(40, lambda p: p["x"]), maximize=True)
    assert set(found.ped_anova) == {"x", "idle", "kind", "only"}
    assert set(found.fanova) == {"x", "idle", "kind"}
    assert 0 <= found.of("only") < 0.3


def test_importances_are_the_same_every_time():
    values = trials(40, lambda p: p["x"])
    assert importance(SPACE, values, maximize=False) == importance(SPACE, values, maximize=False)


def test_the_direction_matters_to_what_is_best():
    values = trials(60, lambda p: p["x"] if p["kind"] == "a" else p["idle"] / 1000)
    best, least = (importance(SPACE, values, maximize=more).ped_anova for more in (True, False))
    assert best["x"] > least["x"]


@pytest.mark.parametrize(
    ("count", "value_of", "reason"),
    [
        (9, lambda p: p["x"], "at least 10 trials that can be compared, and there are 9"),
        (0, lambda p: p["x"], "there are 0"),
        (12, lambda p: 0.5, "all 12 trials came to the same value"),
    ],
)
def test_where_nothing_can_be_said_the_reason_is(count, value_of, reason):
    found = importance(SPACE, trials(count, value_of), maximize=True)
    assert reason in found.reason
    assert found.order == []


def test_a_parameter_of_one_value_is_named_as_such():
    space = ll.Space(x=ll.Float(0, 1), y=ll.Int(0, 9))
    found = tuple(Trial(n, "complete", {"x": n / 20, "y": 4}, n / 20) for n in range(20))
    values = importance(space, Compared(found, tuple(t.value for t in found), ""), maximize=True)
    assert values.constant == ("y",)
    assert values.order == ["x"]


def test_hundreds_of_trials_are_thinned_without_losing_the_best():
    found = importance(SPACE, trials(900, lambda p: -abs(np.log10(p["x"]) + 1)), maximize=True)
    assert found.order[0] == "x"


def test_where_the_methods_disagree_on_what_matters_most_both_are_named():
    ped_anova = {"dropout": 0.75, "lr": 0.25, "feature_maps": 0.0}
    fanova = {"feature_maps": 0.7, "lr": 0.3, "dropout": 0.0}
    found = Importance(trials(20, lambda p: p["x"]), ped_anova, fanova)
    assert found.disputed == ("feature_maps", "dropout")
    assert [*meaning(found, "accuracy")] == [
        "The two measures disagree on what accuracy depended most on: over all feature_maps (70 %), "
        "among the best trials dropout (75 %), then lr."
    ]


def test_what_both_methods_put_first_is_told_by_their_mean():
    found = Importance(trials(20, lambda p: p["x"]), {"lr": 0.5, "depth": 0.5}, {"lr": 0.9, "depth": 0.1})
    assert found.disputed is None
    assert next(iter(meaning(found, "accuracy"))).startswith("Accuracy depended most on lr (70 %")


def test_methods_that_hardly_differ_do_not_disagree():
    found = Importance(trials(20, lambda p: p["x"]), {"lr": 0.55, "depth": 0.45}, {"lr": 0.45, "depth": 0.55})
    assert found.disputed is None


def test_what_only_trials_that_arent_compared_had_other_values_of_is_told_as_such():
    complete = trials(20, lambda p: p["x"])
    pruned = [Trial(20, "pruned", {"depth": 3, "act": "relu", "width": 8}, None)]
    for trial in complete.trials:
        trial.params.update(depth=2, act="gelu", width=8)
    found = Importance(complete, {"x": 1.0}, {"x": 1.0}, constant=("depth", "act", "width"))
    assert [*meaning(found, "accuracy", [*complete.trials, *pruned])][1:] == [
        "Of width one value alone was tried, so nothing is known of it.",
        "The 20 complete trials all have the same depth and act, so nothing can be said of these.",
    ]


def test_complete_trials_are_compared_by_their_values(hilly):
    found = compared(Facts.of(hilly))
    assert len(found.trials) == 30
    assert found.what == "the value of 30 complete trials"


def test_where_most_ended_early_all_are_compared_at_an_epoch_that_most_reached(plain):
    def objective(trial):
        epochs = 8 if trial.params["x"] % 5 == 4 else 2
        for epoch in range(1, epochs + 1):
            trial.report(trial.params["x"] + epoch / 10, epoch)
        if epochs == 2:
            raise ll.Pruned
        return 100.0

    study = plain(space=ll.Space(x=ll.Int(0, 29)), strategy="grid")
    study.run(objective, progress=False)
    found = compared(Facts.of(study))
    assert len(found.trials) == 30
    assert "by epoch 2, as only 6 were trained to the end" in found.what
    assert found.values == tuple(trial.params["x"] + 0.2 for trial in found.trials)
