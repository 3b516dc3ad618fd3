import math

import pytest

from leadline import SettingsError
from leadline.trainers.recipe import RECIPE, Recipe, recipe_of


def test_the_defaults_are_a_recipe():
    assert recipe_of({}, {}) == Recipe()
    assert dict(RECIPE) == vars(Recipe())


def test_the_configuration_overrules_the_settings_and_what_isnt_of_the_recipe_is_passed_by():
    recipe = recipe_of({"lr": 0.1, "epochs": 7}, {"lr": 0.2, "depth": 3})
    assert (recipe.lr, recipe.epochs) == (0.2, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "`epochs` must be an integer >= 1, but got 0"),
        ({"epochs": True}, "`epochs` must be an integer >= 1, but got True"),
        ({"batch_size": 1.5}, "`batch_size` must be an integer >= 1, but got 1.5"),
        ({"batch_size": None}, "`batch_size` must be an integer >= 1, but got None"),
        ({"patience": 0}, "`patience` must be an integer >= 1, but got 0"),
        ({"lr": 0}, "`lr > 0` must hold, but got 0"),
        ({"lr": -1.0}, "`lr` must be a finite number >= 0, but got -1.0"),
        ({"lr": "1e-3"}, "`lr` must be a finite number >= 0, but got '1e-3'"),
        ({"lr": math.nan}, "`lr` must be a finite number >= 0, but got nan"),
        ({"weight_decay": -0.1}, "`weight_decay` must be a finite number >= 0"),
        ({"l1": None}, "`l1` must be a finite number >= 0, but got None"),
        ({"momentum": 1.0}, "`momentum < 1` must hold, but got 1.0"),
        ({"label_smoothing": 1}, "`label_smoothing < 1` must hold, but got 1"),
        ({"optimizer": "adm"}, r"no optimizer is called 'adm'. Did you mean `adam`\?"),
        ({"optimizer": 3}, "no optimizer is called 3"),
        ({"beta1": 1}, "`beta1 < 1` must hold, but got 1"),
        ({"beta2": -0.1}, "`beta2` must be a finite number >= 0, but got -0.1"),
        ({"clip_norm": 0.0}, "`clip_norm > 0` must hold, but got 0"),
        ({"clip_norm": -1}, "`clip_norm` must be a finite number >= 0, but got -1"),
        ({"clip_norm": math.inf}, "`clip_norm` must be a finite number >= 0, but got inf"),
        ({"gamma": -1}, "`gamma` must be a finite number >= 0, but got -1"),
        ({"gamma": None}, "`gamma` must be a finite number >= 0, but got None"),
        ({"warmup": -0.5}, "`warmup` must be a finite number >= 0, but got -0.5"),
        ({"warmup": math.nan}, "`warmup` must be a finite number >= 0, but got nan"),
        ({"warmup": True}, "`warmup` must be a finite number >= 0, but got True"),
        ({"schedule": "cosin"}, r"no schedule is called 'cosin'. Did you mean `cosine`\?"),
        ({"schedule": None}, "no schedule is called None"),
    ],
)
def test_a_broken_rule_is_told_with_the_value(settings, message):
    with pytest.raises(SettingsError, match=message) as raised:
        Recipe(**settings)
    assert [problem.where for problem in raised.value.problems] == [tuple(settings)]


@pytest.mark.parametrize(
    "settings",
    [
        {"clip_norm": None},
        {"clip_norm": 1},
        {"gamma": 0},
        {"gamma": 2.5},
        {"warmup": 0},
        {"warmup": 0.5},
        {"warmup": 1000},
        {"beta1": 0, "beta2": 0},
        {"momentum": 0, "label_smoothing": 0, "weight_decay": 0, "l1": 0},
        {"schedule": "step"},
        {"patience": None},
    ],
    ids=str,
)
def test_what_keeps_the_rules_is_taken_as_it_is(settings):
    recipe = Recipe(**settings)
    assert {name: getattr(recipe, name) for name in settings} == settings


def test_an_infinite_rate_is_refused():
    with pytest.raises(SettingsError):
        Recipe(lr=math.inf)


def test_all_problems_are_told_at_once():
    with pytest.raises(SettingsError) as raised:
        Recipe(epochs=0, lr=-1, momentum=2, optimizer="none", schedule="none", clip_norm=0, warmup=-1)
    names = {"epochs", "lr", "momentum", "optimizer", "schedule", "clip_norm", "warmup"}
    assert {problem.where for problem in raised.value.problems} == {(name,) for name in names}
