import pytest

import leadline as ll
from leadline.search.analysis.advice import advice
from leadline.search.analysis.facts import Facts
from leadline.search.analysis.sections.course import history


@pytest.fixture
def advised(told):
    """Returns what is advised after trials of a space, as one text."""

    def advise(space, ended, **options):
        return " ".join(advice(Facts.of(told(space, ended, **options))))

    return advise


def test_a_bound_that_the_best_sit_on_is_to_be_widened(advised):
    space = ll.Space(width=ll.Int(8, 64), lr=ll.Float(1e-4, 1e-1, log=True))
    ended = [({"width": 52 + n, "lr": 1e-4 * 10 ** (n / 4)}, n) for n in range(1, 13)]
    text = advised(space, ended)
    assert "3 of the best 3 have `width` at the upper end of its range: search above 64 too." in text
    assert "`lr`" not in text  # one alone sits there


def test_a_bound_of_zero_is_to_be_fixed_and_one_of_one_layer_left(advised):
    space = ll.Space(depth=ll.Int(1, 12), dropout=ll.Float(0, 0.5))
    ended = [({"depth": n, "dropout": (n - 1) / 100 if n > 3 else 0.0}, -n) for n in range(1, 13)]
    text = advised(space, [(params, value / 10) for params, value in ended])
    assert "`dropout` is best at 0: leave it out, or fix it there." in text
    assert "search below 1" not in text


def test_options_that_are_numbers_have_ends_too(advised):
    space = ll.Space(maps=ll.Choice([8, 16, 32]), x=ll.Float(0, 1))
    text = advised(space, [({"maps": [8, 16, 32][n % 3], "x": 0.5 + n / 40}, n % 3) for n in range(12)])
    assert "`maps` at the upper end of its range: search above 32 too." in text


def test_the_middle_of_a_range_is_no_end(advised):
    text = advised(ll.Space(x=ll.Float(0, 1)), [({"x": n / 20}, -abs(n - 9)) for n in range(20)])
    assert "end of its range" not in text


def test_a_search_that_still_finds_better_ones_is_to_go_on(advised):
    text = advised(ll.Space(x=ll.Float(0, 1)), [({"x": n / 20}, n) for n in range(20)])
    assert "The best trial came late (19 of 20)" in text
    assert "to 30 trials say" in text


def test_one_that_found_nothing_for_long_is_not(advised):
    text = advised(ll.Space(x=ll.Float(0, 1)), [({"x": n / 20}, -abs(n - 2)) for n in range(20)])
    assert "17 trials brought nothing better." in text


def test_of_several_objectives_what_came_last_on_the_front_counts(told):
    ended = [({"x": n / 20}, (-n, n if n < 18 else -1)) for n in range(20)]  # 19 is worse than 18
    facts = Facts.of(told(ll.Space(x=ll.Float(0, 1)), ended, direction=["maximize", "minimize"]))
    assert facts.best.number == 0
    text = " ".join(advice(facts))
    assert "The last trial on the front came late (18 of 20)" in text
    assert "brought nothing better" not in text
    lead = history(facts).lead
    assert lead.startswith("Trial 18 is the last on the front; 1 trial came after it.")


def test_what_fails_is_told_apart_from_what_doesnt(advised):
    space = ll.Space(lr=ll.Float(1e-4, 1, log=True), x=ll.Float(0, 1))
    ended = [({"lr": 10 ** (-4 + n / 5), "x": (n * 7 % 20) / 20}, None if n > 12 else 0.1 * n) for n in range(20)]
    text = advised(space, ended)
    assert "35 % of the trials failed" in text
    assert "a greater `lr`" in text
    assert "`x`" not in text.split("leave that part")[0]


def test_what_hardly_mattered_is_to_be_fixed_at_the_bests_value(advised):
    space = ll.Space(x=ll.Float(0, 1), idle=ll.Float(0, 1))
    ended = [({"x": n / 40, "idle": (n * 17 % 40) / 40}, -((n / 40 - 0.5) ** 2)) for n in range(40)]
    assert "Fix what hardly mattered, so that the search has fewer directions to look in: `idle: " in advised(
        space, ended
    )


def test_a_value_that_nearly_all_had_leaves_the_others_unknown(advised):
    space = ll.Space(kind=ll.Choice(["a", "b"]), x=ll.Float(0, 1))
    ended = [({"kind": "b" if n == 7 else "a", "x": n / 30}, -abs(n - 12) / 10) for n in range(30)]
    assert "settled on one value of `kind` (a in 97 % of the trials)" in advised(space, ended)


def test_curves_that_still_rise_ask_for_epochs_and_a_pruner(digits):
    study = digits(epochs=8, space=ll.Space(lr=ll.Float(1e-5, 3e-4, log=True)))
    study.run(trials=20, progress=False)
    text = " ".join(advice(Facts.of(study)))
    assert "More epochs, 16 say" in text
    assert "`pruner: asha`" in text
    assert "`leadline test digits --retrain 5`" in text
