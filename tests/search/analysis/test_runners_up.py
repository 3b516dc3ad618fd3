import leadline as ll
from leadline.search.analysis.facts import Facts
from leadline.search.analysis.runners_up import ALIKE, MOST, runners_up

SPACE = ll.Space(x=ll.Float(0, 1), kind=ll.Choice(["a", "b"]), only=ll.Float(0, 1, when={"kind": "b"}))


def test_they_come_in_order_with_what_differs_from_the_best(told):
    ended = [
        ({"x": 0.5, "kind": "a"}, 1.0),
        ({"x": 0.5 + ALIKE / 2, "kind": "a"}, 0.9),
        ({"x": 0.9, "kind": "b", "only": 0.25}, 0.8),
    ]
    first, second = runners_up(Facts.of(told(SPACE, ended)))
    assert (first.trial.number, first.differs) == (1, ("little, most of all x 0.55",))
    assert (second.trial.number, second.differs) == (2, ("x 0.9", "kind b", "only 0.25"))
    assert first.verdict.noise is None
    assert round(second.behind, 9) == 0.2


def test_what_only_the_best_has_is_told_as_missing(told):
    found = runners_up(Facts.of(told(SPACE, [({"x": 0.5, "kind": "b", "only": 0.5}, 1), ({"x": 0.5, "kind": "a"}, 0)])))
    assert found[0].differs == ("kind a", "no only")


def test_of_many_there_are_a_few(told):
    ended = [({"x": n / 20, "kind": "a"}, n) for n in range(20)]
    assert [one.trial.number for one in runners_up(Facts.of(told(SPACE, ended)))] == list(range(18, 18 - MOST, -1))


def test_where_less_is_better_the_least_is_first(told):
    found = runners_up(Facts.of(told(SPACE, [({"x": n / 9, "kind": "a"}, n) for n in range(5)], direction="minimize")))
    assert [one.trial.number for one in found] == [1, 2, 3, 4]


def test_classifiers_are_compared_on_the_rows_that_one_of_them_has_right(digits):
    study = digits(space=ll.Space(lr=ll.Choice([1e-5, 1e-2, 1.1e-2])), strategy="grid", epochs=4)
    study.run(progress=False)
    near, far = runners_up(Facts.of(study))
    assert far.trial.params["lr"] == 1e-5
    assert far.verdict.noise is False
    assert "McNemar" in near.verdict.told


def test_replicates_alone_tell_by_their_spread(folder):
    space, trainer = ll.Space(lr=ll.Choice([1e-5, 1e-2])), ll.Trainer("mlp", "digits", epochs=3, replicates=2)
    study = ll.Study("digits", space, trainer, strategy="grid", storage=folder, executor="inline", mlflow=None)
    study.run(progress=False)
    for path in folder.glob("digits/trials/*/valid.safetensors"):
        path.unlink()
    (found,) = runners_up(Facts.of(ll.load_study("digits", folder)))
    assert found.verdict.test == "Welch's t-test"
