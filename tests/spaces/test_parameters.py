import dataclasses
import json
import math
from itertools import pairwise

import numpy as np
import optuna
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leadline.errors import SpaceError
from leadline.spaces import Choice, Float, Int
from leadline.spaces.parameters import from_distribution, parse

untimed = settings(deadline=None)

REALS = st.floats(-1e6, 1e6)
POSITIVE = st.floats(1e-8, 1e8)
WHOLE = st.integers(-(2**31), 2**31)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)

plain_floats = st.tuples(REALS, REALS).map(lambda ends: Float(min(ends), max(ends)))
log_floats = st.tuples(POSITIVE, POSITIVE).map(lambda ends: Float(min(ends), max(ends), log=True))
plain_ints = st.tuples(WHOLE, WHOLE).map(lambda ends: Int(min(ends), max(ends)))
log_ints = st.tuples(st.integers(1, 2**31), st.integers(1, 2**31)).map(lambda ends: Int(min(ends), max(ends), log=True))


@st.composite
def lattices(draw):
    """Floats with a step, all in whole thousandths, as one writes them."""
    low, step, count = draw(st.integers(-2000, 2000)), draw(st.integers(1, 3000)), draw(st.integers(0, 40))
    return Float(low / 1000, (low + step * count) / 1000, step=step / 1000)


@st.composite
def stepped_ints(draw):
    low, step, count = draw(WHOLE), draw(st.integers(1, 1000)), draw(st.integers(0, 1000))
    return Int(low, low + step * count, step=step)


@st.composite
def choices(draw):
    options = draw(st.lists(SCALARS, min_size=1, max_size=8))
    assume(not any(a == b for i, a in enumerate(options) for b in options[:i]))
    return Choice(options)


numeric = plain_floats | log_floats | lattices() | plain_ints | log_ints | stepped_ints()
parameters = numeric | choices()


@st.composite
def with_priors(draw):
    parameter = draw(parameters)
    guess = parameter.draw(draw(st.floats(0, 1, exclude_max=True)))
    return dataclasses.replace(parameter, prior=(guess, draw(st.floats(0.01, 0.99))))


def typed(values):
    return [(type(value), value) for value in values]


# To and from Optuna, to and from a study file


@untimed
@given(parameters)
def test_an_optuna_distribution_gives_the_same_parameter_back(parameter):
    again = from_distribution(parameter.to_distribution())
    assert again == parameter
    if isinstance(parameter, Choice):
        assert typed(again.options) == typed(parameter.options)


@untimed
@given(parameters)
def test_an_optuna_distribution_gives_the_same_parameter_back_after_optunas_own_storage(parameter):
    stored = optuna.distributions.distribution_to_json(parameter.to_distribution())
    assert from_distribution(optuna.distributions.json_to_distribution(stored)) == parameter


@untimed
@given(parameters | with_priors())
def test_a_description_gives_the_same_parameter_back_through_json(parameter):
    again = parse(json.loads(json.dumps(parameter.describe())))
    assert again == parameter
    if isinstance(parameter, Choice):
        assert typed(again.options) == typed(parameter.options)


@pytest.mark.parametrize(
    ("parameter", "description"),
    [
        (Float(0, 1), {"float": [0.0, 1.0]}),
        (Float(1e-4, 1e-1, log=True), {"float": [1e-4, 1e-1], "log": True}),
        (Float(0, 1, step=0.25), {"float": [0.0, 1.0], "step": 0.25}),
        (Int(1, 8), {"int": [1, 8]}),
        (Int(1, 9, step=2), {"int": [1, 9], "step": 2}),
        (Int(1, 512, log=True), {"int": [1, 512], "log": True}),
        (Choice(["sgd", None, True, 2, 0.5]), {"choice": ["sgd", None, True, 2, 0.5]}),
        (Float(0, 1, when={"a": "x"}), {"float": [0.0, 1.0], "when": {"a": "x"}}),
        (Float(0, 1, prior=(0.25, 0.7)), {"float": [0.0, 1.0], "prior": {"guess": 0.25, "confidence": 0.7}}),
        (Choice(["a", None], prior=(None, 0.5)), {"choice": ["a", None], "prior": {"guess": None, "confidence": 0.5}}),
        (Int(0, 1, when={"a": ["x", 1], "b": True}), {"int": [0, 1], "when": {"a": ["x", 1], "b": True}}),
    ],
)
def test_a_parameter_is_described_as_a_study_file_has_it(parameter, description):
    assert parameter.describe() == description
    assert parse(description) == parameter


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "adam"])
def test_a_plain_value_stands_for_itself(value):
    assert parse(value) is value


def test_what_is_no_distribution_is_refused():
    with pytest.raises(SpaceError, match="no parameter has the values of"):
        from_distribution(object())


# Values


@untimed
@given(numeric, st.integers(1, 30))
def test_values_are_contained_ascend_and_are_about_as_many_as_asked_for(parameter, points):
    values = parameter.values(points)
    assert all(parameter.contains(value) for value in values)
    assert all(a < b for a, b in pairwise(values))
    assert 1 <= len(values) <= points
    if points > 1 and parameter.low < parameter.high:
        assert (values[0], values[-1]) == (parameter.low, parameter.high)


@pytest.mark.parametrize(
    "parameter",
    [
        Float(1.0, 1.0 + 1e-15),
        Float(0.1234567890123, 0.1234567890124),
        Float(0.1234567890123, 0.1234567890124, log=True),
    ],
)
@pytest.mark.parametrize("points", [1, 2, 3, 5])
def test_values_of_a_narrow_range_stay_inside_and_differ(parameter, points):
    values = parameter.values(points)
    assert all(parameter.contains(value) for value in values)
    assert len(set(values)) == len(values) <= points


def test_a_lattice_far_from_zero_contains_its_values():
    lattice = Float(1000000.1, 1000000.2, step=0.0001)
    assert all(lattice.contains(value) for value in lattice.values())


@untimed
@given(lattices() | stepped_ints() | choices())
def test_all_values_of_a_countable_parameter_are_as_many_as_its_size(parameter):
    values = parameter.values()
    assert len(values) == len(set(typed(values))) == parameter.size
    assert all(parameter.contains(value) for value in values)


@untimed
@given(parameters)
def test_what_an_optuna_trial_suggests_is_contained(parameter):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(3):
        assert parameter.contains(parameter.suggest(study.ask(), "x"))


@pytest.mark.parametrize(
    ("parameter", "points", "values"),
    [
        (Float(0, 1), 3, [0.0, 0.5, 1.0]),
        (Float(0, 1), 1, [0.5]),
        (Float(1e-4, 1e-2, log=True), 3, [1e-4, 1e-3, 1e-2]),
        (Float(1e-4, 1e-2, log=True), 1, [1e-3]),
        (Float(0.1, 0.7, step=0.2), None, [0.1, 0.3, 0.5, 0.7]),
        (Float(0.1, 0.7, step=0.2), 2, [0.1, 0.7]),
        (Float(2, 2), None, [2.0]),
        (Int(1, 4), None, [1, 2, 3, 4]),
        (Int(1, 9, step=4), None, [1, 5, 9]),
        (Int(0, 100), 3, [0, 50, 100]),
        (Int(1, 1000, log=True), 4, [1, 10, 100, 1000]),
        (Int(1, 3), 50, [1, 2, 3]),
        (Choice(["b", "a"]), None, ["b", "a"]),
    ],
)
def test_values_are_those_one_would_write_down(parameter, points, values):
    assert typed(parameter.values(points)) == typed(values)


def test_a_continuous_parameter_has_values_only_with_points():
    with pytest.raises(SpaceError, match=r"`points`; say how many, or give the parameter a `step`"):
        Float(0, 1).values()


@pytest.mark.parametrize("parameter", [Float(0, 1), Float(0, 1, step=0.5), Int(1, 9), Int(1, 9, log=True)])
def test_no_points_are_too_few(parameter):
    with pytest.raises(SpaceError, match=r"`points >= 1` must hold, .* points=0"):
        parameter.values(0)


@pytest.mark.parametrize(
    ("parameter", "size"),
    [(Float(0, 1), None), (Float(1, 1), 1), (Float(0, 1, step=0.1), 11), (Int(2, 8, step=3), 3), (Choice([0, "a"]), 2)],
)
def test_the_size_is_the_number_of_values_or_none(parameter, size):
    assert parameter.size == size


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (Float(0, 1), [0, 1, 0.5], [-0.1, 1.1, True, "0.5", None, math.nan, math.inf]),
        (Float(0, 1, step=0.1), [0.3, 0.1 + 0.2, 1], [0.35, 1.1]),
        (Int(1, 7, step=3), [1, 4, 7], [2, 10, 1.5, True, "1", None]),
        (Choice([1, "a", None]), [1, "a", None], [True, "b", 2]),
        (Choice([True, False]), [True, False], [1, 0]),
    ],
)
def test_a_parameter_contains_its_values_and_no_others(parameter, inside, outside):
    assert all(parameter.contains(value) for value in inside)
    assert not any(parameter.contains(value) for value in outside)


# Priors


def uniform(count):
    return [(index + 0.5) / count for index in range(count)]


@untimed
@given(parameters | with_priors(), st.floats(0, 1, exclude_max=True))
def test_what_a_prior_draws_is_contained_and_has_a_density(parameter, u):
    value = parameter.draw(u)
    assert parameter.contains(value)
    assert parameter.to_distribution()._contains(parameter.to_distribution().to_internal_repr(value))
    assert math.isfinite(parameter.log_density(value))


@pytest.mark.parametrize(
    "parameter",
    [
        Int(1, 9, prior=(3, 0.6)),
        Int(0, 30, step=10, prior=(30, 0.9)),
        Int(1, 8, log=True, prior=(4, 0.5)),
        Float(0, 1, step=0.25, prior=(0.5, 0.5)),
        Choice(["a", "b", 3], prior=("b", 0.5)),
    ],
)
def test_a_countable_parameters_values_are_drawn_as_often_as_their_density_says(parameter):
    drawn = [parameter.draw(u) for u in uniform(20_000)]
    plain = [dataclasses.replace(parameter, prior=None).draw(u) for u in uniform(20_000)]
    for value in parameter.values():
        expected = plain.count(value) * math.exp(parameter.log_density(value))
        assert drawn.count(value) == pytest.approx(expected, abs=20)


@pytest.mark.parametrize(
    "parameter", [Float(0, 1, prior=(0.3, 0.8)), Float(1e-4, 1e-1, log=True, prior=(1e-4, 0.5)), Float(-1, 1)]
)
def test_a_density_is_relative_to_the_uniform_one_on_the_parameters_own_scale(parameter):
    even = [dataclasses.replace(parameter, prior=None).draw(u) for u in uniform(20_000)]
    assert np.mean([math.exp(parameter.log_density(value)) for value in even]) == pytest.approx(1, abs=1e-3)


def test_the_confidence_is_the_share_of_draws_near_the_guess():
    rate = Float(1e-4, 1e-1, log=True, prior=(1e-3, 0.7))
    near = [1e-3 / 4 < rate.draw(u) < 1e-3 * 4 for u in uniform(1000)]  # two deviations: a fifth of three decades
    elsewhere = 0.3 * math.log10(16) / 3
    assert np.mean(near) == pytest.approx(0.7 * 0.954 + elsewhere, abs=0.01)


def test_nothing_is_ruled_out():
    assert Float(0, 1, prior=(0.1, 0.8)).log_density(1) == pytest.approx(math.log(0.2))
    assert Choice(["a", "b"], prior=("a", 0.8)).log_density("b") == pytest.approx(math.log(0.2))


def test_of_a_single_value_there_is_no_doubt():
    assert Float(2, 2, prior=(2, 0.5)).draw(0.9) == 2
    assert Float(2, 2, prior=(2, 0.5)).log_density(2) == 0


# Rules


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(0.1, 0.01), r"`low <= high` must hold, but got low=0.1, high=0.01. Did you swap them\?"),
        (lambda: Float("1e-4", 1), "`low` must be a finite number, but got '1e-4'"),
        (lambda: Float(0, math.inf), "`high` must be a finite number, but got inf"),
        (lambda: Float(math.nan, 1), "`low` must be a finite number, but got nan"),
        (lambda: Float(False, 1), "`low` must be a finite number, but got False"),
        (lambda: Float(0, 1, log=True), "`low > 0` must hold where `log` is true, but got low=0"),
        (lambda: Float(1, 2, log=True, step=0.5), "`log` and `step` can't go together"),
        (lambda: Float(0, 1, step=0), "`step > 0` must hold, but got step=0"),
        (lambda: Float(0, 1, step="a"), "`step > 0` must hold, but got step='a'"),
        (lambda: Float(0, 1, step=0.3), r"`step` must divide `high - low`, .* step=0.3. Did you mean high=0.9\?"),
        (lambda: Int(5, 1), r"`low <= high` must hold, but got low=5, high=1. Did you swap them\?"),
        (lambda: Int(1, 2.5), "`high` must be an integer, but got 2.5; use `Float` for real numbers"),
        (lambda: Int(True, 2), "`low` must be an integer, but got True"),
        (lambda: Int(0, 8, log=True), "`low > 0` must hold where `log` is true, but got low=0"),
        (lambda: Int(1, 8, log=True, step=7), "`log` and `step` can't go together"),
        (lambda: Int(1, 8, step=0), "`step >= 1` must hold, but got step=0"),
        (lambda: Int(1, 8, step=3), r"`step` must divide `high - low`, .* step=3. Did you mean high=7\?"),
        (lambda: Float(0, 1, prior=0.5), r"`prior` is a guess and a confidence, as \(guess, confidence\), but got 0.5"),
        (lambda: Float(0, 1, prior=(0.5, 1)), "`0 < confidence < 1` must hold in `prior`, but got confidence=1"),
        (lambda: Float(0, 1, prior=(0.5, True)), "`0 < confidence < 1` must hold .*confidence=True"),
        (lambda: Float(0, 1, prior=(0.5, math.nan)), "`0 < confidence < 1` must hold .*confidence=nan"),
        (lambda: Float(0, 1, prior=(2, 0.5)), "the guess of `prior` must be a value of the parameter, .* guess=2"),
        (lambda: Int(1, 9, step=2, prior=(2, 0.5)), "the guess of `prior` must be a value .* guess=2"),
        (lambda: Choice(["a"], prior=("b", 0.5)), "the guess of `prior` must be a value .* guess='b'"),
        (lambda: Choice([]), "a choice needs at least one option, but got none"),
        (lambda: Choice("adam"), r"the options must be a list, but got 'adam'; write \['adam'\]"),
        (lambda: Choice([[1], 2]), r"an option must be a string, a finite number, true, false or null, but got \[1\]"),
        (lambda: Choice([math.nan]), "an option must be .*, but got nan"),
        (lambda: Choice([1, 2, True]), "options must differ, but True equals an option before it"),
    ],
)
def test_a_broken_rule_is_told_with_the_values(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


def test_every_bad_option_is_told():
    with pytest.raises(SpaceError) as raised:
        Choice([[1], "fine", {}])
    assert len(raised.value.problems) == 2


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ([1, 2], r"a list is no parameter, but got \[1, 2\]; write \{choice: \[1, 2\]\}"),
        (object(), "a parameter is a value or has one of `float`, `int`, `choice`"),
        ({"flaot": [0, 1]}, r"exactly one of .*, but got `flaot`. Did you mean `float`\?"),
        ({"float": [0, 1], "int": [0, 1]}, r"exactly one of .*, but got `float`, `int`. Keep one of them."),
        ({"log": True}, "exactly one of .*, but got none"),
        ({}, "exactly one of .*, but got none"),
        ({"float": [0, 1], "lgo": True}, r"`lgo` is no option of a `float`. Did you mean `log`\?"),
        ({"choice": [0, 1], "step": 1}, "`step` is no option of a `choice`"),
        ({"float": [0, 1], "log": "yes"}, "`log` must be true or false, but got 'yes'"),
        ({"float": [0, 1], "when": "sgd"}, r"`when` must name parameters and their values, as \{optimizer: sgd\}"),
        ({"float": 3}, r"`float` takes two bounds, as \{float: \[low, high\]\}, but got 3"),
        ({"int": [1, 2, 3]}, r"`int` takes two bounds, .* got \[1, 2, 3\]"),
        ({"float": "ab"}, "`float` takes two bounds"),
        ({"choice": "adam"}, r"the options must be a list, but got 'adam'; write \['adam'\]"),
        ({"float": [1, 0]}, "`low <= high` must hold"),
        (
            {"float": [0, 1], "prior": 0.5},
            r"`prior` has a guess and a confidence, as \{guess: 0.001, confidence: 0.7\}",
        ),
        ({"float": [0, 1], "prior": {"guess": 0.5}}, "`prior` has a guess and a confidence, .* got {'guess': 0.5}"),
        ({"float": ["1e-4", 1]}, "`low` must be a finite number, but got '1e-4'"),
    ],
)
def test_a_description_that_is_none_is_refused_with_the_likely_fix(description, message):
    with pytest.raises(SpaceError, match=message):
        parse(description)


def test_all_that_is_wrong_with_a_prior_is_told():
    with pytest.raises(SpaceError) as raised:
        Float(0, 1, prior=(2, 2))
    assert len(raised.value.problems) == 2


def test_a_prior_of_null_is_none():
    assert parse({"float": [0, 1], "prior": None}) == Float(0, 1)


def test_a_step_of_null_is_no_step():
    assert parse({"float": [0, 1], "step": None}) == Float(0, 1)


def test_bounds_may_be_numpys_floats():
    low, high, step = np.linspace(0.0, 1.0, 3)[[0, 2, 1]]
    assert Float(low, high, step=step).values() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("make", [lambda: Float(0, 10**400), lambda: Choice([10**400])])
def test_a_number_beyond_all_floats_is_refused(make):
    with pytest.raises(SpaceError, match="finite number"):
        make()


def test_an_integer_that_a_float_can_not_tell_from_the_next_is_refused():
    assert Int(0, 2**53).size == 2**53 + 1
    with pytest.raises(SpaceError, match=r"`high` must be an integer of at most 2\*\*53"):
        Int(0, 2**53 + 1)


def test_a_vast_range_takes_no_memory():
    assert Int(0, 2**53).values()[10] == 10


def test_a_step_that_makes_more_values_than_can_be_counted_is_refused():
    with pytest.raises(SpaceError, match=r"more than 2\*\*53 values"):
        Float(0.0, 1.0, step=1e-300)


def test_a_condition_is_kept_as_values_by_parent():
    assert Int(0, 1, when={"a": "x", "b": [1, 2]}).conditions == {"a": ("x",), "b": (1, 2)}


def test_parameters_are_values_themselves():
    assert Float(0, 1) == Float(0.0, 1.0)
    assert Float(0, 1) != Float(0, 1, step=0.5)
    with pytest.raises(AttributeError):
        Float(0, 1).low = 2
