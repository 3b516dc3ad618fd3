import math

import pytest
import torch
from torch import nn

from leadline import SettingsError, Trainer
from leadline.trainers.messages import Job
from leadline.trainers.networks.initialisation import INITIALISATIONS
from leadline.trainers.recipe import RECIPE, Recipe, recipe_of
from leadline.trainers.stack import Lane
from leadline.trainers.streams import Stream


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
        ({"flip": 1.5}, "`flip` is a probability: `flip <= 1` must hold, but got 1.5"),
        ({"flip": -0.1}, "`flip` must be a finite number >= 0, but got -0.1"),
        ({"flip": True}, "`flip` must be a finite number >= 0, but got True"),
        ({"shift": -1}, "`shift` must be an integer >= 0, but got -1"),
        ({"shift": 1.0}, "`shift` must be an integer >= 0, but got 1.0"),
        ({"shift": None}, "`shift` must be an integer >= 0, but got None"),
        ({"cutout": 2.5}, "`cutout` must be an integer >= 0, but got 2.5"),
        ({"cutout": False}, "`cutout` must be an integer >= 0, but got False"),
        ({"mixup": -0.4}, "`mixup` must be a finite number >= 0, but got -0.4"),
        ({"mixup": math.inf}, "`mixup` must be a finite number >= 0, but got inf"),
        ({"auxiliary": -1}, "`auxiliary` must be a finite number >= 0, but got -1"),
        ({"auxiliary": "0.3"}, "`auxiliary` must be a finite number >= 0, but got '0.3'"),
        ({"class_weights": "balance"}, r"no class_weights is called 'balance'. Did you mean `balanced`\?"),
        ({"class_weights": None}, "no class_weights is called None"),
        ({"init": "xavier"}, "no init is called 'xavier'"),
        ({"init": "lsuvv"}, r"no init is called 'lsuvv'. Did you mean `lsuv`\?"),
        ({"init": 0}, "no init is called 0"),
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
        {"flip": 1, "shift": 0, "cutout": 0, "mixup": 0},
        {"flip": 0.5, "shift": 100, "cutout": 100, "mixup": 20.0},
        {"auxiliary": 0},
        {"class_weights": "balanced", "init": "lsuv"},
    ],
    ids=str,
)
def test_what_keeps_the_rules_is_taken_as_it_is(settings):
    recipe = Recipe(**settings)
    assert {name: getattr(recipe, name) for name in settings} == settings


def test_an_infinite_rate_is_refused():
    with pytest.raises(SettingsError):
        Recipe(lr=math.inf)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ()),
        ({"flip": 0, "shift": 0, "cutout": 0, "mixup": 0.0, "class_weights": "equal"}, ()),
        ({"class_weights": "balanced"}, ("class_weights",)),
        ({"mixup": 0.4, "flip": 0.01}, ("flip", "mixup")),
        ({"cutout": 1, "shift": 1, "class_weights": "balanced"}, ("shift", "cutout", "class_weights")),
        ({"init": "lsuv", "auxiliary": 0.7, "label_smoothing": 0.1, "l1": 1.0}, ()),
    ],
    ids=str,
)
def test_the_alterations_of_a_recipe_are_what_it_does_to_examples_and_classes_in_a_fixed_order(settings, expected):
    assert Recipe(**settings).alterations == expected


def test_all_problems_are_told_at_once():
    with pytest.raises(SettingsError) as raised:
        Recipe(
            epochs=0,
            lr=-1,
            momentum=2,
            optimizer="none",
            schedule="none",
            clip_norm=0,
            warmup=-1,
            flip=2,
            shift=-1,
            cutout=-1,
            mixup=-1,
            class_weights="",
            init="",
        )
    names = {"epochs", "lr", "momentum", "optimizer", "schedule", "clip_norm", "warmup"}
    names |= {"flip", "shift", "cutout", "mixup", "class_weights", "init"}
    assert {problem.where for problem in raised.value.problems} == {(name,) for name in names}


# How weights begin


def begun(init, model="mlp", data="digits", number=0, fold=0, searched=False, **params):
    """Returns the network that a lane begins with, and its bench."""
    trainer = Trainer(model, data, folds=2) if searched else Trainer(model, data, init=init, folds=2)
    bench = trainer.bench(Job(0, None, True, "cpu"))
    params = {**params, "init": init} if searched else params
    return trainer.network(Lane(number, params, trainer.recipe(params), Stream(0, number, fold)), bench), bench


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("init", INITIALISATIONS)
def test_an_initialisation_is_drawn_from_the_trials_stream_whether_set_or_searched(init):
    one, again, searched = (weights(begun(init, searched=which)[0]) for which in (False, False, True))
    assert torch.equal(one, again)
    assert torch.equal(one, searched)
    assert not torch.equal(one, weights(begun(init, number=1)[0]))
    assert not torch.equal(one, weights(begun(init, fold=1)[0]))


def test_each_initialisation_is_another_one():
    made = [weights(begun(init)[0]) for init in INITIALISATIONS]
    assert not any(torch.equal(one, other) for place, one in enumerate(made) for other in made[:place])


def test_drawing_weights_leaves_torchs_generator_as_it_was():
    before = torch.get_rng_state()
    begun("lsuv")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("model", "params"),
    [("mlp", {"depth": 6}), ("convnet", {"depth": 5, "dropout": 0.5}), ("convnet", {"batch_norm": False, "depth": 5})],
    ids=str,
)
def test_lsuv_gives_every_layers_outputs_a_variance_near_one_on_training_rows(model, params):
    def variances(init):
        network, bench = begun(init, model, feature_maps=16, **params)
        found = []
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.register_forward_hook(lambda layer, given, made: found.append(float(made.var(correction=0))))
            layer.train(not isinstance(layer, nn.Dropout))
        with torch.no_grad():
            network(bench.data.train.inputs[:256])
        return found

    plain, scaled = variances("default"), variances("lsuv")
    assert len(scaled) == params["depth"] + 1
    assert all(0.5 < variance < 2 for variance in scaled)
    assert min(plain) < 0.3
