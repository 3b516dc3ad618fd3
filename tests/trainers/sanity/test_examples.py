import numpy as np
import pandas
import pytest

from leadline.trainers import sanity
from leadline.trainers.data import load, prepare, split

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(120, 4))
EVEN = np.arange(120) % 3


def looked_at(inputs, targets):
    data = load((inputs, targets))
    rows = split(data, seed=0)
    dataset = prepare(data, rows)
    return sanity.inputs(data, dataset), sanity.targets(data, dataset), sanity.duplicates(data, rows)


# Inputs


def test_plausible_examples_are_well():
    assert [found.verdict for found in looked_at(NUMBERS, EVEN)] == ["ok", "ok", "ok"]


def test_an_input_that_never_changes_is_told():
    found, _, _ = looked_at(np.concatenate([NUMBERS, np.full((120, 1), 7.0)], axis=1), EVEN)
    assert (found.verdict, found.constant) == ("warning", ("input 4",))
    assert found.constant_share == pytest.approx(0.2)


def test_pixels_at_the_edge_may_stay_black_but_a_channel_may_not():
    images = RANDOM.normal(size=(120, 2, 4, 4))
    images[:, :, 0] = 0
    assert looked_at(images, EVEN)[0].verdict == "ok"
    assert looked_at(images, EVEN)[0].constant_share == 0.25
    images[:, 1] = 0
    assert looked_at(images, EVEN)[0].constant == ("channel 1",)


def test_columns_that_are_left_out_are_told():
    rows = [f"row {place}" for place in range(300)]
    table = pandas.DataFrame({"age": RANDOM.normal(size=300), "id": rows, "country": ["here"] * 300})
    found, _, _ = looked_at(table, np.arange(300) % 3)
    assert (found.verdict, found.left_out) == ("ok", ("id", "country"))
    assert "id, country is left out" in found.text


def test_a_slip_of_the_decimal_point_is_told():
    many, classes = RANDOM.normal(size=(6000, 4)), np.arange(6000) % 3
    many[split(load((many, classes)), seed=0).train[0], 2] = 1e12
    found, _, _ = looked_at(many, classes)
    assert found.verdict == "warning"
    assert found.extreme > 50


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_an_input_that_is_the_target_is_told(kind):
    wanted = EVEN if kind == "classes" else NUMBERS.sum(axis=1) * 3 + 1
    leak = wanted[:, None] * 2.0 + RANDOM.normal(size=(120, 1)) * 1e-4
    found, _, _ = looked_at(np.concatenate([NUMBERS, leak], axis=1), wanted)
    assert (found.verdict, found.telling) == ("warning", ("input 4",))
    assert "gives the target away" in found.text


# Targets


def test_balanced_classes_are_well_and_the_accuracy_to_beat_is_told():
    _, found, _ = looked_at(NUMBERS, EVEN)
    assert (found.verdict, found.majority) == ("ok", pytest.approx(1 / 3, abs=0.02))
    assert sum(found.counts.values()) == 80


def test_uneven_classes_are_told_with_what_to_do():
    _, found, _ = looked_at(NUMBERS, ["often"] * 114 + ["seldom"] * 6)
    assert (found.verdict, found.counts) == ("warning", {"often": 76, "seldom": 4})
    assert found.majority == 0.95
    assert "balanced_accuracy" in found.text


def test_numbers_that_lie_far_off_or_are_skewed_are_told():
    _, fine, _ = looked_at(NUMBERS, RANDOM.normal(size=120) * 1e5)
    assert (fine.verdict, fine.far) == ("ok", 0)
    assert fine.quantiles == tuple(sorted(fine.quantiles))
    _, found, _ = looked_at(NUMBERS, np.exp(RANDOM.normal(size=120) * 3))
    assert found.verdict == "warning"
    assert found.far > 0
    assert "logarithm" in found.text


def test_targets_that_are_all_equal_are_a_problem():
    _, found, _ = looked_at(NUMBERS, np.full(120, 0.5))
    assert found.verdict == "problem"


# Duplicates


def test_rows_on_both_sides_of_the_split_are_counted():
    once = load((NUMBERS, EVEN))
    rows = split(once, seed=0)
    copied = NUMBERS.copy()
    copied[rows.valid[:3]], copied[rows.test[:2]], copied[rows.train[1]] = (
        *(NUMBERS[rows.train[[0, 1, 2]]], NUMBERS[rows.train[[3, 4]]]),
        NUMBERS[rows.train[0]],
    )
    found = sanity.duplicates(load((copied, EVEN)), rows)
    assert found.verdict == "problem"
    assert (found.within_train, found.test_in_train) == (1, 2)
    assert found.valid_in_train in (2, 3)  # one of those it was copied from has become a copy itself
    assert "test rows 2 have inputs that training rows have" in found.text


def test_equal_inputs_with_different_targets_set_a_ceiling():
    twice = np.concatenate([NUMBERS[:60], NUMBERS[:60]])
    _, _, found = looked_at(twice, np.concatenate([EVEN[:60], (EVEN[:60] + 1) % 3]))
    assert found.verdict == "problem"
    assert found.ceiling < 0.75
    assert "can't be reached" in found.text


def test_of_the_test_rows_no_target_is_looked_at():
    data = load((np.concatenate([NUMBERS, NUMBERS]), np.concatenate([EVEN, EVEN])))
    rows = split(data, seed=0)
    found = sanity.duplicates(data, rows)
    data.targets[rows.test] = (data.targets[rows.test] + 1) % 3
    assert sanity.duplicates(data, rows) == found


def test_rows_of_tables_are_compared_too():
    table = pandas.DataFrame({"a": np.arange(60) // 2, "b": [f"{place // 2}" for place in range(60)]})
    rows = split(load((table, EVEN[:60])), seed=0)
    found = sanity.duplicates(load((table, EVEN[:60])), rows)
    assert found.within_train + found.valid_in_train + found.test_in_train > 10
    assert found.ceiling < 1


def test_inputs_that_are_streamed_are_looked_at_too():
    data = load((NUMBERS, EVEN))
    rows = split(data, seed=0)
    at_hand, streamed = (sanity.inputs(data, prepare(data, rows, streamed=one)) for one in (False, True))
    assert at_hand == streamed
