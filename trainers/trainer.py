"""The trainer: which network, which data, and how it is trained. Handed to a study, it makes the study's trials."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ..errors import Problem, SettingsError, UsageError
from ..spaces import Space
from . import networks, settings
from .data import By, Data, Preparation, Split, folds, is_remote, load, merged, prepare, split
from .footprint import Examples, Footprint, footprint
from .losses import Loss, loss_for
from .messages import Broken, Channel, Job
from .metrics import Metric, metric_for
from .networks.initialisation import initialise
from .reasons import told, users_code
from .recipe import ALTERATIONS, RECIPE, Recipe, recipe_of
from .references import describe, is_reference, resolve, travels
from .settings import ends
from .stack import Bench, Lane

OWN_SETTINGS = (  # besides model, data and the recipe's
    *("folds", "replicates", "loss", "precision", "parts", "split_by", "split_seed", "refit", "checkpoint"),
    *("streamed", "on_epoch", "on_trial_end", "base", "allow"),
)
LOADED = ("builder", "loaded", "loss_function", "_footprints")  # what each process has of its own
INITIAL_ROWS = 64  # training examples by whose variances weights may be initialised


class Trainer:
    """Trains configurations of `model` on `data`.

    `model` is a family's name (`mlp`, `resnet`, ...), a `module:function`, or a builder: a function of
    `(in_shape, classes, ...)` that returns an `nn.Module`, whose other arguments may be searched. `data` is a data
    set's name, a path, a `module:function`, a function or pair (inputs, targets), or a mapping with one of these as
    `path` and options beside it (`label`, `task`, `group`, `time`, `drop`, `delimiter`, `header`, `size`: see
    `leadline.trainers.data.load`).

    `parts` are the sizes of train : valid : test. A split keeps each class's share; where the data have groups (the
    option `group`) they stay whole, where they have an order (`time`) the latest rows are for test and those before for
    validation. `split_by` "stratified", "grouped" or "time" says which, `split_seed` draws the split from another seed
    than the study's. `refit` trains the best configuration on train and validation rows in the end, for as many epochs
    as were best.

    `loss(outputs, targets)` may be yours; `precision` is "auto" (bfloat16 on CUDA, else float32), "float32" or
    "bfloat16". Inputs whose prepared tensors would take over half of the device's memory are `streamed`: read from
    where they are, prepared and copied batch by batch, ahead of the training (True or False says so).

    With `folds` k > 1 each trial is trained k times, on k - 1 parts of the train and valid rows together, and judged by
    the k-th (k-fold cross-validation); with `replicates` k > 1 it is trained k times from other weights and in another
    order. Its value is the mean, and its `spread` the standard deviation. `on_epoch(trial, epoch, metrics)` and
    `on_trial_end(trial)` are called in the study's process. `checkpoint` is how many seconds of training a crash may
    cost a trial (0: one epoch). The rest is the recipe (`leadline.trainers.recipe.Recipe`), each part of which may be
    searched. Raises SettingsError holding every problem.

    >>> import leadline as ll
    >>> ll.Trainer("convnet", data="digits", epochs=30, patience=5)
    Trainer('convnet', data='digits')
    """

    def __init__(
        self,
        model: str | Callable[..., nn.Module],
        data: Any = "digits",
        *,
        epochs: int = Recipe.epochs,
        batch_size: int = Recipe.batch_size,
        optimizer: str = Recipe.optimizer,
        lr: float = Recipe.lr,
        weight_decay: float = Recipe.weight_decay,
        momentum: float = Recipe.momentum,
        beta1: float = Recipe.beta1,
        beta2: float = Recipe.beta2,
        l1: float = Recipe.l1,
        label_smoothing: float = Recipe.label_smoothing,
        clip_norm: float | None = Recipe.clip_norm,
        schedule: str = Recipe.schedule,
        gamma: float = Recipe.gamma,
        warmup: float = Recipe.warmup,
        patience: int | None = Recipe.patience,
        init: str = Recipe.init,
        flip: float = Recipe.flip,
        shift: int = Recipe.shift,
        cutout: int = Recipe.cutout,
        mixup: float = Recipe.mixup,
        class_weights: str = Recipe.class_weights,
        auxiliary: float = Recipe.auxiliary,
        folds: int = 1,
        replicates: int = 1,
        loss: str | Loss | None = None,
        precision: str = "auto",
        parts: tuple[int, int, int] = (4, 1, 1),
        split_by: By | None = None,
        split_seed: int | None = None,
        refit: bool = False,
        streamed: bool | None = None,
        checkpoint: float = 10.0,
        on_epoch: str | Callable[..., Any] | None = None,
        on_trial_end: str | Callable[..., Any] | None = None,
        base: Path | None = None,
        allow: Collection[str] = (),
    ) -> None:
        self.model, self.data, self.loss = model, data, loss
        self.precision, self.checkpoint = precision, checkpoint
        self.folds, self.replicates, self.refit = folds, replicates, refit
        self.split_by, self.split_seed, self.streamed = split_by, split_seed, streamed
        self.parts: tuple[int, ...] = tuple(parts) if isinstance(parts, list | tuple) else (parts,)
        self.on_epoch, self.on_trial_end = on_epoch, on_trial_end
        self.base, self.allow, self.imports = base, tuple(allow), True
        self.settings: dict[str, Any] = {
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": optimizer,
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "beta1": beta1,
            "beta2": beta2,
            "l1": l1,
            "label_smoothing": label_smoothing,
            "clip_norm": clip_norm,
            "schedule": schedule,
            "gamma": gamma,
            "warmup": warmup,
            "patience": patience,
            "init": init,
            "flip": flip,
            "shift": shift,
            "cutout": cutout,
            "mixup": mixup,
            "class_weights": class_weights,
            "auxiliary": auxiliary,
        }
        problems = settings.own_problems(self)
        if problems:
            raise SettingsError(problems)

    def __repr__(self) -> str:
        source, _ = self.source
        data = "<arrays>" if isinstance(source, tuple) else _described(source)
        return f"Trainer({_described(self.model)!r}, data={data!r})"

    def describe(self) -> dict[str, Any]:
        """Returns the settings as JSON. What can't be named by reference is named by its place, in `<...>`."""
        return {
            "model": _described(self.model),
            "data": self._described_data(),
            "loss": _described(self.loss),
            **{name: getattr(self, name) for name in ("precision", "folds", "replicates")},
            "parts": list(self.parts),
            **{name: getattr(self, name) for name in ("split_by", "split_seed", "refit")},
            **self.settings,
        }

    @property
    def epochs(self) -> int:
        """The most epochs a trial may take, where the space doesn't vary it."""
        return int(self.settings["epochs"])

    @property
    def lanes_a_trial(self) -> int:
        """How many lanes a trial takes: one for each fold, or for each replicate."""
        return max(self.folds, self.replicates)

    @property
    def travels(self) -> bool:
        """Whether another process can get at model, data and loss: names, paths and importable functions."""
        return all(map(travels, (self.model, self.loss, self.source[0])))

    def __getstate__(self) -> dict[str, Any]:
        """Leaves what was loaded, and the callbacks, in the process they belong to."""
        state = {name: value for name, value in vars(self).items() if name not in LOADED}
        return {**state, "on_epoch": None, "on_trial_end": None}

    # What the settings stand for

    @cached_property
    def builder(self) -> Callable[..., nn.Module]:
        """The function that builds the network. Raises SettingsError if it can't be had."""
        if not isinstance(self.model, str):
            return self.model
        if is_reference(self.model):
            builder: Callable[..., nn.Module] = self._function(self.model)
            return builder
        return networks.family(self.model)

    @cached_property
    def loaded(self) -> Data:
        """The data, before any split. Raises DataError if they can't be had."""
        source, options = self.source
        if isinstance(source, str) and is_reference(source) and not is_remote(source):
            source = self._resolved(source)
        return load(source, base=self.base, **options)

    @property
    def task(self) -> str:
        """ "classification" or "regression"."""
        return "regression" if self.loaded.classes is None else "classification"

    @cached_property
    def loss_function(self) -> Loss:
        """The loss. Raises SettingsError if it is unknown or doesn't fit the task."""
        return loss_for(self._function(self.loss), self.task)

    def metric(self, given: Any) -> Metric:
        """Returns the metric of that name, reference or function. Raises SettingsError if it doesn't fit the task."""
        return metric_for(self._function(given), self.task)

    def callback(self, name: str) -> Callable[..., Any] | None:
        """Returns the user's `on_epoch` or `on_trial_end`, None if there is none."""
        found: Callable[..., Any] | None = self._function(getattr(self, name))
        return found

    def split(self, seed: int) -> Split:
        """Returns the study's split into train, valid and test rows."""
        own = seed if self.split_seed is None else self.split_seed
        return split(self.loaded, seed=own, parts=cast("tuple[int, int, int]", self.parts), by=self.split_by)

    def recipe(self, params: Mapping[str, Any]) -> Recipe:
        """Returns how a lane with this configuration is trained. Raises SettingsError if a value breaks a rule."""
        return recipe_of(self.settings, params)

    def build(self, params: Mapping[str, Any], in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns the network of a configuration, with weights from torch's global generator."""
        with users_code():
            return networks.build(self.builder, in_shape=in_shape, classes=outputs, **self.arguments(params))

    def removable(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the layers and blocks that `remove` may name in this configuration; none if it isn't of a family."""
        known = networks.REMOVABLE.get(self.model) if isinstance(self.model, str) else None
        return known(**self.arguments(params)) if known else ()

    def changed(self, **settings: Any) -> Trainer:
        """Returns a trainer like this but for these settings."""
        own = {name: getattr(self, name) for name in OWN_SETTINGS}
        return Trainer(self.model, self.data, **{**own, **self.settings, **settings})

    def architecture(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the part of a configuration that decides the network's modules and shapes: no dropout rates."""
        return {k: v for k, v in self.arguments(params).items() if k not in networks.RATES}

    def arguments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the part of a configuration that the builder takes."""
        named, anything = networks.takes(self.builder)
        return {k: v for k, v in params.items() if k in named or (anything and k not in RECIPE)}

    def network(self, lane: Lane, bench: Bench, **widths: int) -> nn.Module:
        """Returns the network that a lane begins with, drawn from its own stream, on the CPU."""
        data = bench.data_of(lane)
        with bench.seeded(lane.stream.key("weights")), users_code():
            network = self.build({**lane.params, **widths}, data.in_shape, data.outputs)
            if lane.recipe.init != "default":
                every = max(1, len(data.train) // INITIAL_ROWS)  # those of one class may lie side by side
                initialise(network, lane.recipe.init, data.train.inputs[::every][:INITIAL_ROWS].cpu())
        return network

    def structure(self, params: Mapping[str, Any], *, padded: bool = False) -> dict[str, Any]:
        """Returns the part of a configuration that trials must share to share a stack, as far as can be told unbuilt.

        In stacks that are `padded` widths may differ.
        """
        named, anything = networks.takes(self.builder)
        own = {*networks.RATES, *(self.widths_of(params) if padded else ())}
        shared = {"batch_size", "optimizer"}
        structure = {
            name: value
            for name, value in params.items()
            if name in shared or (name not in own and (name in named or (anything and name not in RECIPE)))
        }
        used = {  # what is left out where it is zero, and else may differ
            name: value not in (0, "equal")
            for name, value in params.items()
            if name in (*ALTERATIONS, "auxiliary", *networks.RATES[1:])
        }
        return {**structure, **used}

    def widths(self, space: Space) -> dict[str, list[int]]:
        """Returns what the space may give those arguments of the network that its family declares to be widths."""
        names = networks.WIDTHS.get(self.model, ()) if isinstance(self.model, str) else ()
        return {name: ends(space.parameters[name]) for name in names if name in space.parameters}

    def widths_of(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the arguments of this configuration's network in which narrower ones can be padded to wider ones."""
        return networks.widths(self.model, params) if isinstance(self.model, str) else ()

    # Checks, before any trial

    def check(self, space: Space, metric: Any, seed: int) -> list[Problem]:
        """Returns all that would keep trials of `space` from being trained, found without training one."""
        problems: list[Problem] = []
        for part, where in (
            (lambda: self.builder, ("model",)),
            (lambda: self.loaded, ("data",)),
            (lambda: self.loss_function, ("trainer", "loss")),
            (lambda: self.metric(metric), ("metric",)),
            (lambda: self.callback("on_epoch"), ("trainer", "on_epoch")),
            (lambda: self.callback("on_trial_end"), ("trainer", "on_trial_end")),
        ):
            try:
                part()
            except UsageError as error:
                found = [problem.inside(*where) for problem in error.problems]
                problems += [problem for problem in found if problem.text not in {known.text for known in problems}]
        problems += [problem.inside("space") for problem in settings.space_problems(self, space)]
        if not problems:
            problems += settings.trial_problems(self, space, metric, seed)
        return problems

    def network_sizes(self, space: Space) -> tuple[int, int]:
        """Returns the parameter counts of the networks with the space's least and greatest values: (fewest, most).

        They are built on the meta device where the builder allows it: no memory, no weights.
        """
        counts = []
        for params in self.ends(space):
            try:
                counts.append(self._parameters(params))
            except Exception:  # a builder may look at its weights, which the meta device hasn't got
                counts.append(sum(parameter.numel() for parameter in self._built(params).parameters()))
        return min(counts), max(counts)

    def ends(self, space: Space) -> list[dict[str, Any]]:
        """Returns the configurations of the space's least and greatest values."""
        configurations = []
        for end in (0, -1):
            params: dict[str, Any] = dict(space.fixed)
            for name, parameter in space.parameters.items():
                if space.is_active(name, params):
                    params[name] = _ordered(parameter)[end]
            configurations.append(params)
        return configurations

    def weight(self, params: Mapping[str, Any]) -> int:
        """Returns how much work a trial is, compared with others: its network's parameters; 1 where nobody knows."""
        return self.size(params) or 1

    def size(self, params: Mapping[str, Any]) -> int | None:
        """Returns how many parameters a configuration's network has, without building it; None where nobody knows."""
        try:
            return self._parameters(params)
        except Exception:  # the builder is the user's; a trial will tell what is wrong with it
            return None

    def _parameters(self, params: Mapping[str, Any]) -> int:
        with torch.device("meta"):
            network = self.build(params, self.in_shape, self._examples.outputs)
        return sum(parameter.numel() for parameter in network.parameters())

    def footprint(self, params: Mapping[str, Any]) -> Footprint:
        """Returns what a configuration's network and a lane of it would take, without training; remembers it.

        With `precision: auto` that is with float32, whatever the device. Raises SettingsError if the network can't be
        built or run.
        """
        dropped = {name: bool(value) for name, value in params.items() if name in networks.RATES}
        key = repr(sorted({**self.structure(params), **dropped}.items()))
        if key not in self._footprints:
            autocast = self._autocast(torch.device("cpu"))
            build = partial(self.build, params, self.in_shape, self._examples.outputs)
            try:
                found = footprint(build, self._examples, self.recipe(params), self.loss_function, autocast)
            except Exception as error:  # the builder is the user's: it may raise anything
                text = f"building and running the network for {dict(params)} failed: {told(error)}"
                raise SettingsError([Problem(text, ("model",))]) from error
            self._footprints[key] = found
        return self._footprints[key]

    @cached_property
    def _footprints(self) -> dict[str, Footprint]:
        return {}

    @property
    def in_shape(self) -> tuple[int, ...]:
        """The shape of an example as a network takes it."""
        return self._examples.in_shape

    @cached_property
    def _examples(self) -> Examples:
        """What a network is given, by an arbitrary split."""
        rows = self.split(0)
        data = prepare(self.loaded, rows, streamed=True)
        targets = data.train.targets
        splits = folds(self.loaded, rows, self.folds) if self.folds > 1 else (rows,)
        count = min(len(one.train) for one in splits)
        return Examples(data.in_shape, data.outputs, tuple(targets.shape[1:]), targets.dtype, count)

    def _built(self, params: Mapping[str, Any]) -> nn.Module:
        try:
            return self.build(params, self.in_shape, self._examples.outputs)
        except Exception as error:  # the builder is the user's: it may raise anything
            text = f"building the network for {dict(params)} failed: {told(error)}"
            raise SettingsError([Problem(text, ("model",))]) from error

    # In the worker

    def serve(self, job: Job, channel: Channel) -> None:
        """Trains what the driver sends, until it says Close; where data or device can't be had, it says so at once."""
        from .worker import Worker

        try:
            bench = self.bench(job)
        except UsageError as error:
            channel.send(Broken([str(problem) for problem in error.problems]))
        else:
            Worker(self, job, channel, bench).serve()

    def bench(self, job: Job, *, refitting: bool = False) -> Bench:
        """Returns the place where this job's lanes are trained, with the data on its device.

        `refitting` has them train on the validation rows too. Raises UsageError if data, split or device can't be had.
        """
        device = device_for(job.device)
        rows = self.split(job.seed)
        if job.split_digest not in (None, rows.digest):
            raise SettingsError("the data have changed since the study began: its split can't be made again")
        if refitting:
            splits: tuple[Split, ...] = (merged(rows),)
        else:
            splits = folds(self.loaded, rows, self.folds) if self.folds > 1 else (rows,)
        streamed = self._streams(device, len(splits))
        # Folds share a network, and so a table's columns and categories; all else is each fold's own.
        like = Preparation.fit(self.loaded.inputs, merged(rows).train) if len(splits) > 1 else None
        return Bench(
            folds=tuple(prepare(self.loaded, one, streamed=streamed, like=like).to(device) for one in splits),
            device=device,
            loss=self.loss_function,
            metric=self.metric(job.metric),
            further=tuple(self.metric(name) for name in job.metrics),
            autocast=self._autocast(device),
        )

    def _streams(self, device: torch.device, folds: int) -> bool:
        """Tells whether examples are prepared as they are needed: all of them would take over half of the memory."""
        if self.streamed is not None:
            return self.streamed
        inputs = self.loaded.inputs
        values = folds * inputs.size if isinstance(inputs, np.ndarray) else 0
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
        else:
            free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return 4 * values > free / 2

    def _autocast(self, device: torch.device) -> torch.dtype | None:
        mixed = self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")
        return torch.bfloat16 if mixed else None

    # Settings

    @property
    def source(self) -> tuple[Any, dict[str, Any]]:
        """Where the data are, and the options given beside it."""
        if isinstance(self.data, Mapping):
            options = dict(self.data)
            return options.pop("path", None), options
        return self.data, {}

    def _described_data(self) -> Any:
        source, options = self.source
        if isinstance(source, tuple):
            return f"<arrays {self.loaded.digest[:16]}>"
        return {"path": _described(source), **options} if options else _described(source)

    def _function(self, given: Any) -> Any:
        """Returns the function that a reference names, anything else as it is. Raises SettingsError if it is none."""
        found = self._resolved(given)
        if is_reference(given) and not callable(found):
            raise SettingsError(f"`{given}` must be a function, but is {type(found).__name__} {found!r:.80}")
        return found

    def _resolved(self, given: Any) -> Any:
        if not is_reference(given):
            return given
        if not self.imports:
            raise SettingsError(f"`{given}` is code of the study's, and what only reads a study never imports it")
        return resolve(given, self.base, self.allow)


def device_for(name: str) -> torch.device:
    """Returns the device called `name`; "auto" is CUDA where there is one, else the CPU.

    Raises SettingsError if the machine hasn't got it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"no device is called `{name}`; take `auto`, `cpu`, `cuda` or `cuda:0`") from None
    if device.type == "meta":
        raise SettingsError("nothing can be trained on `meta`, which has no memory; take `auto`, `cpu` or `cuda`")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(f"`{name}` isn't here: torch sees {torch.cuda.device_count()} CUDA devices. Try `cpu`")
    return device


def _described(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, Path) else describe(value)


def _ordered(parameter: Any) -> list[Any]:
    values = ends(parameter)
    numbers = all(isinstance(value, int | float) for value in values)
    return sorted(values) if numbers else values
