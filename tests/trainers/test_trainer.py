import json
import pickle
import sys

import numpy as np
import pytest
import torch
from contracts.stack import blobs
from torch import nn

from leadline import Choice, Float, Int, SettingsError, Space, Trainer
from leadline.trainers.messages import Job
from leadline.trainers.networks.mlp import mlp
from leadline.trainers.trainer import device_for

TINY = blobs()


def build(in_shape, classes, width, bias=True):
    return nn.Sequential(nn.Linear(in_shape[0], width, bias=bias), nn.Linear(width, classes))


def any_width(in_shape, classes, **others):
    return build(in_shape, classes, others.get("width", 3))


def too_many(in_shape, classes, width):
    return nn.Linear(in_shape[0], classes + width)


def raising(in_shape, classes, width):
    raise ZeroDivisionError("this width won't do")


class Pair(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs), inputs


def pair(in_shape, classes):
    return Pair(in_shape[0], classes)


def no_module(in_shape, classes):
    return 3


nameless = lambda *given: None  # noqa: E731 (what a notebook may hold)


def checked(trainer, metric=None, **space):
    """The problems of a check, as (place, text)."""
    return [(problem.where, problem.text) for problem in trainer.check(Space(space), metric, seed=0)]


def place_and_start(problems):
    ((where, text),) = problems
    return where, text


# Settings


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(SettingsError) as raised:
        Trainer("mlp", {"lable": "y"}, epochs=0, lr=-1, precision="half", parts=(4, 1), checkpoint=-1)
    assert {problem.where for problem in raised.value.problems} == {
        *(("data",), ("data", "lable"), ("epochs",), ("lr",), ("precision",), ("parts",), ("checkpoint",))
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": {"path": "a.csv", "lable": "y"}}, r"`data` has no option `lable`. Did you mean `label`\?"),
        ({"data": None}, "`data` needs a name, a path or arrays"),
        ({"precision": "half"}, "`precision` must be .* but got 'half'"),
        ({"parts": (4, 0, 1)}, r"`parts` must be three integers > 0, .* got \(4, 0, 1\)"),
        ({"parts": 5}, "`parts` must be three integers > 0"),
        ({"checkpoint": "never"}, "`checkpoint` must be a number of seconds >= 0, but got 'never'"),
    ],
)
def test_a_wrong_setting_is_told_with_its_value(settings, message):
    with pytest.raises(SettingsError, match=message):
        Trainer("mlp", **settings)


def test_a_recipe_is_the_settings_overruled_by_the_configuration():
    recipe = Trainer("mlp", epochs=7, lr=0.1).recipe({"lr": 0.2, "depth": 3})
    assert (recipe.epochs, recipe.lr) == (7, 0.2)
    with pytest.raises(SettingsError, match="`lr > 0` must hold"):
        Trainer("mlp").recipe({"lr": 0})


# Description and travel


def test_a_description_is_json_and_names_all_that_makes_the_result():
    described = Trainer("mlp", "digits", epochs=7, optimizer="sgd", patience=3).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["model"] == "mlp"
    assert described["data"] == "digits"
    assert (described["epochs"], described["optimizer"], described["patience"]) == (7, "sgd", 3)
    assert described["parts"] == [4, 1, 1]


def test_what_cannot_be_named_is_described_by_its_place(tmp_path):
    described = Trainer(nameless, TINY, loss=nameless).describe()
    assert described["model"] == described["loss"] == "<lambda in test_trainer.py>"
    assert described["data"].startswith("<arrays ")
    assert Trainer(mlp).describe()["model"] == "leadline.trainers.networks.mlp:mlp"
    assert Trainer("mlp", tmp_path / "a.csv").describe()["data"] == str(tmp_path / "a.csv")
    assert Trainer("mlp", {"path": "a.csv", "label": "y"}).describe()["data"] == {"path": "a.csv", "label": "y"}


def test_arrays_are_described_by_their_content():
    inputs, targets = TINY
    described = [Trainer("mlp", (x, targets)).describe()["data"] for x in (inputs, inputs.clone(), inputs + 1)]
    assert described[0] == described[1] != described[2]


def test_names_paths_and_importable_functions_travel_and_nothing_else_does(tmp_path):
    assert Trainer("mlp").travels
    assert Trainer(mlp, "my_data:load").travels
    assert Trainer("mlp", tmp_path).travels
    assert Trainer("mlp", {"path": "a.csv", "label": "y"}).travels
    assert not Trainer("mlp", TINY).travels
    assert not Trainer(nameless).travels
    assert not Trainer("mlp", loss=nameless).travels


def test_callbacks_stay_where_they_belong_and_hold_nobody_back():
    trainer = Trainer(mlp, epochs=7, on_epoch=nameless, on_trial_end=nameless)
    assert trainer.travels
    assert trainer.callback("on_epoch")
    again = pickle.loads(pickle.dumps(trainer))
    assert (again.on_epoch, again.on_trial_end, again.epochs) == (None, None, 7)


def test_what_was_loaded_stays_and_is_loaded_again():
    trainer = Trainer("mlp", "digits")
    assert len(trainer.loaded) == 1797
    trainer.loss_function(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    assert len(pickle.dumps(trainer)) < 2000
    assert pickle.loads(pickle.dumps(trainer)).loaded.digest == trainer.loaded.digest


# Building and benches


def test_the_builder_is_handed_what_it_takes_and_the_recipe_the_rest():
    network = Trainer(build, TINY).build({"width": 5, "bias": False, "lr": 0.1}, (6,), 3)
    assert (network[0].out_features, network[0].bias) == (5, None)


def test_a_builder_of_any_argument_is_handed_all_but_the_recipe():
    seen = {}

    def everything(in_shape, classes, **others):
        seen.update(others)
        return nn.Linear(in_shape[0], classes)

    Trainer(everything, TINY).build({"width": 5, "lr": 0.1}, (6,), 3)
    assert seen == {"width": 5}


def test_a_name_that_builder_and_trainer_take_goes_to_both():
    def decaying(in_shape, classes, lr):
        return nn.Linear(in_shape[0], round(lr * 100))

    trainer = Trainer(decaying, TINY)
    assert trainer.build({"lr": 0.07}, (6,), 3).out_features == 7
    assert trainer.recipe({"lr": 0.07}).lr == 0.07


@pytest.mark.parametrize("kind", [lambda tensor: tensor, np.asarray, lambda tensor: tensor.tolist()])
def test_ones_own_tensors_arrays_and_lists_are_data(kind):
    inputs, targets = TINY
    bench = Trainer("mlp", (kind(inputs), kind(targets))).bench(Job(0, None, maximize=True, device="cpu"))
    assert (bench.data.in_shape, bench.data.outputs) == ((6,), 3)
    assert (len(bench.data.train), len(bench.data.valid)) == (64, 16)
    assert bench.metric.name == "accuracy"
    assert bench.autocast is None


def test_targets_that_are_numbers_make_a_regression():
    trainer = Trainer("mlp", (TINY[0], TINY[0].sum(1)))
    assert trainer.task == "regression"
    bench = trainer.bench(Job(0, None, maximize=True, device="cpu"))
    assert (bench.data.outputs, bench.metric.name, bench.data.train.targets.shape) == (1, "r2", (64, 1))


def test_bfloat16_is_for_those_who_ask():
    job = Job(0, None, maximize=True, device="cpu")
    assert Trainer("mlp", TINY, precision="bfloat16").bench(job).autocast is torch.bfloat16
    assert Trainer("mlp", TINY, precision="float32").bench(job).autocast is None


def test_the_fewest_and_the_most_parameters_are_counted_over_the_whole_space():
    space = Space(depth=Int(1, 3), feature_maps=Choice([8, 16]), lr=Float(1e-3, 1e-1, log=True))
    fewest, most = Trainer("mlp", TINY).network_sizes(space)
    assert (fewest, most) == (6 * 8 + 8 + 8 * 3 + 3, 6 * 16 + 16 + 2 * (16 * 16 + 16) + 16 * 3 + 3)


def test_the_fewest_and_the_most_dont_depend_on_the_order_of_options():
    space = Space(depth=Int(1, 2), feature_maps=Choice([8, 32, 16]))
    assert Trainer("mlp", TINY).network_sizes(space)[1] == 6 * 32 + 32 + 32 * 32 + 32 + 32 * 3 + 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tpu9", "no device is called `tpu9`"),
        ("meta", "nothing can be trained on `meta`"),
        ("cuda:99", "`cuda:99` isn't here: torch sees"),
    ],
)
def test_a_device_that_isnt_there_is_refused(name, message):
    with pytest.raises(SettingsError, match=message):
        device_for(name)


def test_the_device_auto_is_one_that_is_there():
    assert torch.zeros(1, device=device_for("auto")).device.type in ("cpu", "cuda")


# Checks before any trial


def test_nothing_is_wrong_with_what_can_be_trained():
    assert checked(Trainer("mlp", TINY), depth=Int(1, 3), lr=Float(1e-4, 1e-1, log=True)) == []
    assert checked(Trainer(build, TINY), width=Int(1, 3)) == []
    assert checked(Trainer(any_width, TINY), whatever=Int(1, 3)) == []
    assert checked(Trainer("mlp", (TINY[0], TINY[0].sum(1))), metric="rmse", depth=2) == []


def test_a_check_trains_nothing_and_draws_nothing_from_torchs_generator():
    before = torch.get_rng_state()
    checked(Trainer(build, TINY), width=Int(1, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_name_that_nobody_takes_is_told_with_a_suggestion():
    assert checked(Trainer("mlp", TINY), dropuot=Float(0, 0.5), lrr=0.1) == [
        (("space", "dropuot"), "neither the network nor the trainer takes `dropuot`. Did you mean `dropout`?"),
        (("space", "lrr"), "neither the network nor the trainer takes `lrr`. Did you mean `lr`?"),
    ]


def test_an_argument_the_builder_misses_is_told():
    assert checked(Trainer(build, TINY), lr=0.1) == [(("space",), "the network needs a value for `width`")]


def test_values_that_break_a_rule_of_the_recipe_are_told_wherever_the_space_reaches_them():
    problems = checked(
        Trainer("mlp", TINY), momentum=Float(0, 1.5), optimizer=Choice(["sgd", "adm"]), epochs=0, batch_size=Int(0, 64)
    )
    assert {where for where, _ in problems} == {
        *(("space", "momentum"), ("space", "optimizer"), ("space", "epochs"), ("space", "batch_size"))
    }


def test_another_shape_of_outputs_is_told_with_the_shape():
    where, text = place_and_start(checked(Trainer(too_many, TINY), width=Int(2, 3)))
    assert where == ("model",)
    assert text == "for 2 examples the network must return a tensor of shape (2, 3), but got (2, 5)"


@pytest.mark.parametrize(("builder", "got"), [(pair, "got tuple"), (no_module, "failed: AttributeError")])
def test_a_network_that_returns_something_else_is_told(builder, got):
    where, text = place_and_start(checked(Trainer(builder, TINY)))
    assert where == ("model",)
    assert got in text


def test_a_builder_that_raises_is_told_with_file_and_line():
    where, text = place_and_start(checked(Trainer(raising, TINY), width=Int(2, 3)))
    line = raising.__code__.co_firstlineno + 1
    assert where == ("model",)
    assert "{'width': 2}" in text
    assert text.endswith(f"ZeroDivisionError: this width won't do (test_trainer.py:{line})")


@pytest.mark.parametrize("raised", [SystemExit, BaseException])
def test_code_that_would_end_the_process_is_told_before_any_trial(raised):
    def mine(*given, **named):
        raise raised("of its own")

    def deaf(in_shape, classes):
        network = nn.Linear(in_shape[0], classes)
        network.register_forward_hook(mine)
        return network

    problems = {
        "builder": checked(Trainer(mine, TINY)),
        "network": checked(Trainer(deaf, TINY)),
        "loss": checked(Trainer("mlp", TINY, loss=mine), depth=2),
        "metric": checked(Trainer("mlp", TINY), metric=mine, depth=2),
        "data": checked(Trainer("mlp", mine), depth=2),
    }
    line = mine.__code__.co_firstlineno + 1
    for found in problems.values():
        _, text = place_and_start(found)
        assert text.endswith(f"RuntimeError: the code raised {raised.__name__}: of its own (test_trainer.py:{line})")


def test_a_network_that_would_end_the_process_has_no_footprint_and_no_size():
    def exiting(in_shape, classes):
        sys.exit(0)

    with pytest.raises(SettingsError, match=r"the code raised SystemExit: 0 \(test_trainer.py:"):
        Trainer(exiting, TINY).footprint({})
    with pytest.raises(SettingsError, match=r"the code raised SystemExit: 0 \(test_trainer.py:"):
        Trainer(exiting, TINY).network_sizes(Space({}))
    assert Trainer(exiting, TINY).size({}) is None


def test_a_family_that_doesnt_fit_the_data_is_told_once():
    where, text = place_and_start(checked(Trainer("convnet", TINY), depth=2))
    assert where == ("model",)
    assert text.startswith("`convnet` needs images")


def test_metric_and_loss_of_another_task_are_both_told():
    problems = checked(Trainer("mlp", TINY, loss="squared"), metric="rmse", depth=2)
    assert [where for where, _ in problems] == [("trainer", "loss"), ("metric",)]
    assert "`squared` is a loss for regression" in problems[0][1]
    assert "`rmse` is a metric for regression" in problems[1][1]


def test_data_that_cannot_be_had_are_told_once():
    where, text = place_and_start(checked(Trainer("mlp", "digitz"), depth=2))
    assert where == ("data",)
    assert "Did you mean `digits`?" in text


def test_a_data_function_that_raises_is_told_with_file_and_line():
    def mine():
        raise ZeroDivisionError("no rows")

    where, text = place_and_start(checked(Trainer("mlp", mine), depth=2))
    line = mine.__code__.co_firstlineno + 1
    assert where == ("data",)
    assert text == f"the data function `mine` failed: ZeroDivisionError: no rows (test_trainer.py:{line})"


def test_data_model_and_space_are_told_at_once(tmp_path):
    problems = checked(Trainer("mpl", tmp_path / "none.csv"), metric="best", optimizer="adm")
    assert {where for where, _ in problems} >= {("model",), ("data",), ("space", "optimizer")}


def test_a_loss_or_a_metric_that_raises_is_told_before_any_trial():
    def mine(outputs, targets):
        raise ValueError("not these")

    where, text = place_and_start(checked(Trainer("mlp", TINY, loss=mine), depth=2))
    assert where == ("trainer", "loss")
    assert text.startswith("the loss failed on two examples: ValueError: not these (test_trainer.py:")
    where, text = place_and_start(checked(Trainer("mlp", TINY), metric=mine, depth=2))
    assert where == ("metric",)
    assert "the metric failed on two examples" in text


@pytest.mark.parametrize("space", [{}, {"label_smoothing": Float(0, 0.2)}, {"label_smoothing": 0.1}])
def test_label_smoothing_with_a_loss_that_has_none_is_told_before_any_trial(space):
    given = {} if space else {"label_smoothing": 0.1}
    problems = checked(Trainer("mlp", (TINY[0], TINY[0].sum(1)), **given), depth=2, **space)
    assert any("label_smoothing" in text for _, text in problems)


# Names of the user's own code


@pytest.fixture
def base(tmp_path, monkeypatch):
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_code.py").write_text(
        "import torch\n"
        "def net(in_shape, classes, width): return torch.nn.Linear(in_shape[0], classes)\n"
        "def data(): return torch.eye(6).repeat(4, 1), [0, 1] * 12\n"
        "def loss(outputs, targets): return torch.nn.functional.cross_entropy(outputs, targets)\n"
        "def share(outputs, targets): return (outputs.argmax(1) == targets).float().mean()\n"
        "def on_epoch(*given): pass\n"
    )
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_model_data_loss_metric_and_callbacks_may_be_references(base):
    trainer = Trainer("my_code:net", "my_code:data", loss="my_code:loss", on_epoch="my_code:on_epoch", base=base)
    assert checked(trainer, metric="my_code:share", width=Int(1, 2)) == []
    assert trainer.travels
    assert trainer.describe()["model"] == "my_code:net"
    assert trainer.callback("on_epoch").__name__ == "on_epoch"
    assert trainer.metric("my_code:share").name == "share"


def test_a_reference_to_what_is_no_function_is_told(base):
    (base / "my_numbers.py").write_text("x = 3\n")
    callbacks = {"on_epoch": "my_numbers:x", "on_trial_end": "my_numbers:x"}
    trainer = Trainer("my_numbers:x", TINY, loss="my_numbers:x", base=base, **callbacks)
    assert {text for _, text in checked(trainer)} == {"`my_numbers:x` must be a function, but is int 3"}
    for name in ("loss", *callbacks):
        trainer = Trainer("mlp", TINY, base=base, **{name: "my_numbers:x"})
        assert place_and_start(checked(trainer, depth=2))[0] == ("trainer", name)
    assert place_and_start(checked(Trainer("mlp", TINY, base=base), metric="my_numbers:x", depth=2))[0] == ("metric",)


@pytest.mark.parametrize("name", ["on_epoch", "on_trial_end"])
def test_a_callback_that_is_no_reference_is_told_before_anything_is_loaded(name):
    with pytest.raises(SettingsError, match=f"`{name}` must be a function or `module:function`, but got 'foo'"):
        Trainer("mlp", **{name: "foo"})


def test_every_reference_that_leads_nowhere_is_told(base):
    trainer = Trainer("my_code:nett", "nowhere:data", loss="my_code:losss", on_epoch="my_code:on_epock", base=base)
    problems = dict(checked(trainer, metric="json:loads", width=2))
    assert set(problems) >= {("model",), ("data",), ("metric",), ("trainer", "on_epoch")}
    assert "Did you mean `net`?" in problems["model",]
    assert "--allow json" in problems["metric",]


def test_the_module_of_a_study_file_is_looked_up_in_its_folder_alone(base):
    with pytest.raises(SettingsError, match="there is no module `leadline`"):
        _ = Trainer("leadline.trainers.networks.mlp:mlp", base=base).builder
    assert Trainer("leadline.trainers.networks.mlp:mlp", base=base, allow=["leadline"]).builder is mlp
