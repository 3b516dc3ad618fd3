import json
from itertools import product

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline import Choice, Float, Int, Space, SpaceError
from leadline.errors import Problem

untimed = settings(deadline=None)

SGD = Choice(["sgd", "adam"])


@st.composite
def spaces(draw, continuous=False):
    """Small spaces, some parameters under conditions on others, those perhaps under conditions themselves."""
    given = {}
    for name in draw(st.permutations(["a", "b", "c", "d", "e"]))[: draw(st.integers(1, 5))]:
        when = {}
        for parent in draw(st.lists(st.sampled_from(sorted(given)), max_size=2, unique=True)) if given else []:
            holder = given[parent]
            if isinstance(holder, Float):
                continue
            possible = holder.values() if isinstance(holder, Choice | Int) else [holder]
            when[parent] = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2, unique=True))
        kind = draw(st.sampled_from(["int", "choice", "lattice", "fixed", *(["float"] if continuous else [])]))
        low = draw(st.integers(-3, 3))
        if kind == "int":
            given[name] = Int(low, low + draw(st.integers(0, 2)), when=when)
        elif kind == "choice":
            options = draw(st.sampled_from([[True, False], [None, "x"], [1, 2.5, "3"], ["only"]]))
            given[name] = Choice(options, when=when)
        elif kind == "lattice":
            given[name] = Float(low, low + draw(st.integers(0, 2)) / 2, step=0.5, when=when)
        elif kind == "float":
            given[name] = Float(low, low + 1, when=when)
        else:
            given[name] = draw(st.sampled_from([None, 1, "x", True]))
    order = draw(st.permutations(sorted(given)))  # a child may be given before its parent
    return Space({name: given[name] for name in order})


def key(params):
    return tuple(sorted((name, type(value).__name__, value) for name, value in params.items()))


def brute_force(space):
    """Every configuration of a finite space, found by trying each subset of parameters with each value."""
    columns = [[None, *((value,) for value in parameter.values())] for parameter in space.parameters.values()]
    for row in product(*columns):
        params = {name: cell[0] for name, cell in zip(space.parameters, row, strict=True) if cell}
        if space.contains(params):
            yield {**space.fixed, **params}


# To and from descriptions, to and from Optuna


@untimed
@given(spaces(continuous=True))
def test_a_description_gives_the_same_space_back_also_through_json(space):
    assert Space.parse(space.describe()) == space
    again = Space.parse(json.loads(json.dumps(space.describe())))
    assert again == space
    assert again.names == space.names
    assert again.parameters == space.parameters


@untimed
@given(spaces(continuous=True))
def test_what_an_optuna_trial_suggests_is_contained(space):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(3):
        trial = study.ask()
        params = space.suggest(trial)
        assert space.problems(params) == []
        assert {**space.fixed, **trial.params} == params


def test_distributions_give_the_same_space_back():
    space = Space(lr=Float(1e-4, 1e-1, log=True), depth=Int(1, 9, step=2), optimizer=SGD)
    assert Space.from_distributions(space.to_distributions()) == space


def test_a_space_with_other_parameters_is_another():
    assert Space(a=Int(1, 2)) == Space(a=Int(1, 2))
    assert Space(a=Int(1, 2)) != Space(a=Int(1, 3))
    assert Space(a=Int(1, 2)) != Space(b=Int(1, 2))
    assert Space(a=Choice(["x"]), b=Int(1, 2)) != Space(a=Choice(["x"]), b=Int(1, 2, when={"a": "x"}))
    assert len({Space(a=Int(1, 2)), Space(a=Int(1, 2))}) == 1


def test_the_names_are_in_the_order_given():
    space = Space(momentum=Float(0, 1, when={"optimizer": "sgd"}), epochs=3, optimizer=SGD)
    assert space.names == ("momentum", "epochs", "optimizer")
    assert list(space.describe()) == ["momentum", "epochs", "optimizer"]
    assert space.fixed == {"epochs": 3}
    assert "momentum" in repr(space)


# Size and grid


@untimed
@given(spaces())
def test_the_grid_is_every_configuration_once_and_as_many_as_the_space_is_long(space):
    grid = list(space.grid())
    keys = {key(params) for params in grid}
    assert len(keys) == len(grid) == len(space) == space.size
    assert keys == {key(params) for params in brute_force(space)}


@untimed
@given(spaces(continuous=True), st.integers(1, 3))
def test_every_configuration_of_a_grid_with_points_is_contained_and_none_comes_twice(space, points):
    grid = list(space.grid(points))
    assert all(space.contains(params) for params in grid)
    assert len({key(params) for params in grid}) == len(grid) >= 1


def test_dead_branches_dont_multiply():
    space = Space(
        optimizer=Choice(["sgd", "adam"]),
        momentum=Choice([0.0, 0.5, 0.9], when={"optimizer": "sgd"}),
        nesterov=Choice([True, False], when={"momentum": [0.5, 0.9]}),
    )
    assert list(space.grid()) == [
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "momentum": 0.5, "nesterov": True},
        {"optimizer": "sgd", "momentum": 0.5, "nesterov": False},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": False},
        {"optimizer": "adam"},
    ]
    assert len(space) == 6


def test_a_parameter_with_two_conditions_needs_both():
    space = Space(a=Int(0, 1), b=Int(0, 1), c=Int(0, 9, when={"a": 1, "b": 1}))
    assert len(space) == 3 + 10


def test_a_fixed_value_may_be_a_condition():
    assert len(Space(optimizer="sgd", momentum=Choice([0.0, 0.9], when={"optimizer": "sgd"}))) == 2


def test_fixed_values_are_in_every_configuration():
    assert list(Space(depth=3, bias=Choice([True, False])).grid()) == [
        {"depth": 3, "bias": True},
        {"depth": 3, "bias": False},
    ]


def test_an_empty_space_has_one_configuration():
    assert list(Space().grid()) == [{}]
    assert len(Space()) == 1


def test_a_large_space_is_counted_without_going_through_it():
    wide = {f"p{index}": Int(1, 100) for index in range(9)}
    assert Space(wide, kind=SGD, extra=Int(1, 4, when={"kind": "sgd"})).size == 100**9 * 5


def test_a_space_that_isnt_finite_has_no_length_and_names_what_is_continuous():
    space = Space(lr=Float(0, 1), depth=Int(1, 2), dropout=Float(0, 1))
    assert space.size is None
    with pytest.raises(SpaceError, match="isn't finite: `lr`, `dropout` is continuous"):
        len(space)
    assert space


def test_points_by_number_are_for_continuous_parameters_alone():
    space = Space(lr=Float(1e-4, 1e-2, log=True), depth=Int(1, 4), keep=Float(0, 1, step=0.25))
    grid = list(space.grid(points=3))
    assert len(grid) == 3 * 4 * 5
    assert sorted({params["lr"] for params in grid}) == [1e-4, 1e-3, 1e-2]


def test_points_by_name_also_thin_integers():
    grid = list(Space(lr=Float(0, 1), depth=Int(1, 5)).grid(points={"lr": 2, "depth": 3}))
    assert [(params["lr"], params["depth"]) for params in grid] == [(x, y) for x in (0.0, 1.0) for y in (1, 3, 5)]


def test_a_grid_tells_every_parameter_that_lacks_points_and_every_name_that_is_none():
    space = Space(lr=Float(0, 1), dropout=Float(0, 1), depth=Int(1, 5))
    with pytest.raises(SpaceError) as raised:
        space.grid(points={"lr": 2, "dpeth": 3})
    unknown, missing = raised.value.problems
    assert unknown == Problem("`points` names no parameter `dpeth`. Did you mean `depth`?", ("dpeth",))
    assert missing.where == ("dropout",)
    assert "`points`" in missing.text
    with pytest.raises(SpaceError) as raised:
        space.grid()
    assert [problem.where for problem in raised.value.problems] == [("lr",), ("dropout",)]


# What is contained

MIXED = Space(
    epochs=3, depth=Int(1, 4), optimizer=SGD, momentum=Float(0, 0.9, when={"optimizer": "sgd"}), when=Choice([1, 2])
)


@pytest.mark.parametrize(
    "params",
    [
        {"depth": 1, "optimizer": "adam", "when": 1},
        {"depth": 4, "optimizer": "sgd", "momentum": 0.5, "when": 2},
        {"depth": 4, "optimizer": "adam", "when": 2, "epochs": 3},
    ],
)
def test_a_configuration_of_the_space_is_contained(params):
    assert MIXED.contains(params)


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        ({"depht": 1}, "depht", "the space has no parameter `depht`. Did you mean `depth`?"),
        ({"epochs": 4}, "epochs", "`epochs` is fixed to 3, but got 4"),
        ({"depth": 9}, "depth", "`depth` must be in {'int': [1, 4]}, but got 9"),
        ({"momentum": 0.5}, "momentum", "`momentum` is active only when `optimizer` is 'sgd'"),
    ],
)
def test_what_isnt_contained_is_told_with_its_reason(params, name, message):
    found = MIXED.problems({"depth": 1, "optimizer": "adam", "when": 1, **params})
    assert found == [Problem(message, (name,))]


def test_what_is_missing_is_told_unless_parts_will_do():
    params = {"optimizer": "sgd"}
    assert {str(problem) for problem in MIXED.problems(params)} == {
        "depth: `depth` is missing",
        "when: `when` is missing",
        "momentum: `momentum` is missing",
    }
    assert MIXED.problems(params, partial=True) == []


def test_a_part_of_a_configuration_may_leave_its_condition_open():
    assert MIXED.problems({"momentum": 0.5}, partial=True) == []
    (problem,) = MIXED.problems({"momentum": 0.5, "optimizer": "adam"}, partial=True)
    assert "active only when" in problem.text


# Rules


def problems_of(make):
    with pytest.raises(SpaceError) as raised:
        make()
    return raised.value.problems


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"learning rate": Int(1, 2)}, ("learning rate",), "must be a Python identifier, but got 'learning rate'"),
        ({"a": [1, 2]}, ("a",), "a value must be Float, Int, Choice or a JSON scalar, but got [1, 2]"),
        ({"a": float("nan")}, ("a",), "a JSON scalar, but got nan"),
        (
            {"optimizer": SGD, "m": Float(0, 1, when={"optimzer": "sgd"})},
            ("m", "when"),
            "the space has no parameter `optimzer`. Did you mean `optimizer`?",
        ),
        (
            {"optimizer": SGD, "m": Float(0, 1, when={"optimizer": "sdg"})},
            ("m", "when"),
            "`optimizer` never is 'sdg'; it is {'choice': ['sgd', 'adam']}",
        ),
        ({"a": 1, "m": Int(0, 1, when={"a": 2})}, ("m", "when"), "`a` never is 2"),
        (
            {"lr": Float(0, 1), "m": Float(0, 1, when={"lr": 0.5})},
            ("m", "when"),
            "a condition needs a parent with countable values, but `lr` is a Float",
        ),
        (
            {"a": Int(0, 1, when={"b": 1}), "b": Int(0, 1, when={"c": 1}), "c": Int(0, 1, when={"a": 1}), "d": 1},
            ("a", "when"),
            "conditions go round in a circle: `a`, `b`, `c`",
        ),
        ({"a": Int(0, 1, when={"a": 1})}, ("a", "when"), "conditions go round in a circle: `a`"),
    ],
)
def test_a_broken_rule_is_told_with_its_place(given, where, message):
    (problem,) = problems_of(lambda: Space(given))
    assert problem.where == where
    assert message in problem.text


def test_all_problems_are_told_at_once():
    found = problems_of(
        lambda: Space({"a b": 1, "c": [1], "d": Int(0, 1, when={"nobody": 1}), "e": Int(0, 1, when={"e": 1})})
    )
    assert [problem.where for problem in found] == [("a b",), ("c",), ("d", "when"), ("e", "when")]


def test_all_problems_of_a_description_are_told_at_once():
    found = problems_of(
        lambda: Space.parse(
            {
                "lr": {"float": [1, 0]},
                "depth": {"itn": [1, 2]},
                "optimizer": {"choice": ["sgd", "adam"]},
                "momentum": {"float": [0, 1], "when": {"optimzer": "sgd"}},
                "a b": 3,
            }
        )
    )
    assert {problem.where for problem in found} == {("lr",), ("depth",), ("momentum", "when"), ("a b",)}


def test_a_condition_on_a_broken_parameter_isnt_told_as_a_problem_of_its_own():
    found = problems_of(
        lambda: Space.parse(
            {"optimizer": {"chocie": ["sgd"]}, "momentum": {"float": [0, 1], "when": {"optimizer": "sgd"}}}
        )
    )
    assert [problem.where for problem in found] == [("optimizer",)]


def test_a_problem_can_be_seen_from_the_settings_around_it():
    (problem,) = problems_of(lambda: Space.parse({"lr": {"float": [1, 0]}}))
    assert str(problem.inside("space")).startswith("space.lr: `low <= high` must hold")


def test_a_spaces_prior_is_that_of_its_active_parameters():
    rate = Float(1e-4, 1e-1, log=True, prior=(1e-3, 0.7))
    momentum = Float(0, 1, prior=(0.9, 0.5), when={"optimizer": "sgd"})
    space = Space(optimizer=Choice(["sgd", "adam"]), lr=rate, momentum=momentum, depth=3)
    assert space.guesses == {"lr": 1e-3, "momentum": 0.9}
    adam = {"optimizer": "adam", "lr": 1e-2, "depth": 3}
    assert space.log_density(adam) == pytest.approx(rate.log_density(1e-2))
    sgd = {"optimizer": "sgd", "lr": 1e-2, "momentum": 0.1}
    assert space.log_density(sgd) == pytest.approx(rate.log_density(1e-2) + momentum.log_density(0.1))


def test_a_prior_is_described_only_where_it_is_given():
    assert Space(x=Float(0, 1)).describe() == {"x": {"float": [0.0, 1.0]}}
    assert Space(x=Float(0, 1)) != Space(x=Float(0, 1, prior=(0.5, 0.5)))


def test_a_prior_in_a_study_file_is_told_where_it_is_wrong():
    with pytest.raises(SpaceError) as raised:
        Space.parse({"lr": {"float": [0, 1], "prior": {"guess": 3, "confidence": 0.5}}})
    assert raised.value.problems[0].where == ("lr",)
