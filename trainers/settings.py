"""Checks of a trainer's settings, of a space with it, and of its data, network, loss and metric on two examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import torch

from ..errors import LeadlineError, Problem, SettingsError, UsageError, suggestion
from ..spaces import Space
from . import networks
from .augmentation import OF_IMAGES
from .data import OPTIONS, By, folds, prepare
from .reasons import told, users_code
from .recipe import RECIPE, Recipe
from .references import is_reference

if TYPE_CHECKING:
    from .trainer import Trainer


def _is(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


WAYS = get_args(By)  # in which rows may be split
PRECISIONS = ("auto", "float32", "bfloat16")
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "precision": (lambda value: value in PRECISIONS, '"auto", "float32" or "bfloat16"'),
    "folds": (lambda value: _is(value, int) and value >= 1, "an integer >= 1"),
    "replicates": (lambda value: _is(value, int) and value >= 1, "an integer >= 1"),
    "parts": (
        lambda value: len(value) == 3 and all(_is(part, int) and part > 0 for part in value),
        "three integers > 0, as [4, 1, 1]",
    ),
    "checkpoint": (lambda value: _is(value, int, float) and value >= 0, "a number of seconds >= 0"),
    "split_by": (lambda value: value in (None, *WAYS), f"one of {', '.join(WAYS)}, or none"),
    "split_seed": (lambda value: value is None or (_is(value, int) and value >= 0), "an integer >= 0, or none"),
    "refit": (lambda value: isinstance(value, bool), "true or false"),
    "streamed": (lambda value: value is None or isinstance(value, bool), "true or false, or none"),
}


def own_problems(trainer: Trainer) -> list[Problem]:
    """Returns what is wrong with the settings themselves, before anything is loaded."""
    problems: list[Problem] = []
    try:
        Recipe(**trainer.settings)
    except SettingsError as error:
        problems += error.problems
    source, options = trainer.source
    if source is None:
        problems.append(Problem("`data` needs a name, a path or arrays, as `path` where it is a mapping", ("data",)))
    for name in options:
        if name not in OPTIONS:
            hint = suggestion(str(name), ["path", *OPTIONS])
            problems.append(Problem(f"`data` has no option `{name}`. {hint}", ("data", name)))
    for name in ("model", "loss", "on_epoch", "on_trial_end"):
        value = getattr(trainer, name)
        if not isinstance(value, str) and not callable(value) and (value is not None or name == "model"):
            problems.append(Problem(f"`{name}` must be a name or a function, but got {value!r}", (name,)))
    for name in ("on_epoch", "on_trial_end"):
        value = getattr(trainer, name)
        if isinstance(value, str) and not is_reference(value):
            problems.append(Problem(f"`{name}` must be a function or `module:function`, but got {value!r}", (name,)))
    for name, (holds, rule) in RULES.items():
        value = getattr(trainer, name)
        if not holds(value):
            problems.append(Problem(f"`{name}` must be {rule}, but got {value!r}", (name,)))
    if not problems and trainer.folds > 1 < trainer.replicates:
        problems.append(Problem("`folds` and `replicates` can't both be above 1; a fold is a replicate", ("folds",)))
    return problems


def space_problems(trainer: Trainer, space: Space) -> list[Problem]:
    """Returns the space's names that nobody takes, its values that a setting forbids, and what the network lacks."""
    found: list[Problem] = []
    for name, value in [*space.fixed.items(), *((n, v) for n, p in space.parameters.items() for v in ends(p))]:
        if name in RECIPE:
            try:
                trainer.recipe({name: value})
            except SettingsError as error:
                found += [problem for problem in error.problems if problem not in found]
    try:
        named, anything = networks.takes(trainer.builder)
    except UsageError:
        return found  # told already
    if not anything:
        for name in space.names:
            if name not in named and name not in RECIPE:
                hint = suggestion(name, named | set(RECIPE))
                found.append(Problem(f"neither the network nor the trainer takes `{name}`. {hint}", (name,)))
    auxiliary = trainer.settings["auxiliary"]
    if "auxiliary" in named and "auxiliary" not in space.names and auxiliary != Recipe.auxiliary:
        text = "the network has auxiliary heads only where the space has `auxiliary`: fix it there, `auxiliary: 0.3`"
        found.append(Problem(text, ("auxiliary",)))
    missing = networks.architecture_problems(trainer.builder, {name: None for name in space.names if name in named})
    return found + [Problem(problem.text) for problem in missing]


def trial_problems(trainer: Trainer, space: Space, metric: Any, seed: int) -> list[Problem]:
    """Builds the network of the space's first configuration, and tries loss and metric on two examples."""
    try:
        rows = trainer.split(seed)
        if trainer.folds > 1:
            folds(trainer.loaded, rows, trainer.folds)
        data = prepare(trainer.loaded, rows, streamed=True)
    except UsageError as error:
        return [problem.inside("data") for problem in error.problems]
    params = next(space.grid(points=1))
    try:
        with torch.random.fork_rng(devices=[]):
            network = trainer.build(params, data.in_shape, data.outputs).eval()
            with torch.no_grad(), users_code():
                outputs = network(data.train.inputs[:2])
    except LeadlineError as error:
        return [Problem(str(error), ("model",))]
    except Exception as error:  # the builder and the module are the user's: they may raise anything
        return [Problem(f"building and running the network for {params} failed: {told(error)}", ("model",))]
    if not isinstance(outputs, torch.Tensor) or outputs.shape != (2, data.outputs):
        got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        text = f"for 2 examples the network must return a tensor of shape {(2, data.outputs)}, but got {got}"
        return [Problem(text, ("model",))]
    options: dict[str, Any] = {}
    if smoothing := max(_values(trainer, "label_smoothing", space)):
        options["label_smoothing"] = smoothing
    if "balanced" in _values(trainer, "class_weights", space):
        options["weight"] = data.balance
    if data.balance is None and "weight" in options:
        return [Problem("`class_weights` are for classes, but the targets are numbers", ("trainer", "class_weights"))]
    for what, where, function in (
        ("loss", ("trainer", "loss"), partial(trainer.loss_function, **options)),
        ("metric", ("metric",), trainer.metric(metric)),
    ):
        try:
            with users_code():
                float(function(outputs, data.train.targets[:2]))
        except Exception as error:  # as above
            return [Problem(f"the {what} failed on two examples: {told(error)}", where)]
    told_of = {name: _image_problem(name, max(_values(trainer, name, space)), data.in_shape) for name in OF_IMAGES}
    return [Problem(text, ("trainer", name)) for name, text in told_of.items() if text]


def _image_problem(name: str, most: float, shape: tuple[int, ...]) -> str | None:
    """Returns what keeps an augmentation of images from being used on examples of that shape."""
    if most and len(shape) != 3:
        return f"`{name}` is for images, but an example's shape is {shape}"
    if name != "flip" and most >= min(shape[1:], default=math.inf):
        return f"`{name}` must be less than an image's side, in pixels, but got {most} for {shape[1]} x {shape[2]}"
    return None


def _values(trainer: Trainer, name: str, space: Space) -> list[Any]:
    """Returns the setting's value, or the least and the greatest, or all options, that the space gives it."""
    searched = space.parameters.get(name)
    return ends(searched) if searched else [space.fixed.get(name, trainer.settings[name])]


def ends(parameter: Any) -> list[Any]:
    return [parameter.low, parameter.high] if hasattr(parameter, "low") else list(parameter.options)
