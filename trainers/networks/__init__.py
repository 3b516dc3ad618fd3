"""Network families by name: each file holds a builder and its default space."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ...errors import Problem, SettingsError, suggestion
from ...spaces import Space
from . import alexnet, convnet, googlenet, mlp, resnet, stages, vgg
from .activations import ACTIVATIONS

Builder = Callable[..., nn.Module]

FAMILIES: dict[str, Builder] = {
    "mlp": mlp.mlp,
    "convnet": convnet.convnet,
    "alexnet": alexnet.alexnet,
    "vgg": vgg.vgg,
    "googlenet": googlenet.googlenet,
    "resnet": resnet.resnet,
    "stages": stages.stages,
}
_MODULES = (mlp, convnet, alexnet, vgg, googlenet, resnet, stages)  # in the same order
SPACES: dict[str, Callable[[], Space]] = {
    name: module.default_space for name, module in zip(FAMILIES, _MODULES, strict=True)
}
# What lists the layers and blocks that `remove` may name, in order, for a family's architecture.
REMOVABLE: dict[str, Callable[..., tuple[str, ...]]] = {
    name: module.removable for name, module in zip(FAMILIES, _MODULES, strict=True)
}

# Arguments that are widths: of two networks that differ in one alone, the narrower is a corner of the wider, and what
# is outside of it is zero and stays zero in training. That fails where units see each other (LayerNorm, a mean over
# channels) or zero isn't mapped to zero (sigmoid), so it is a family's to declare, and never assumed of other modules.
WIDTHS: dict[str, tuple[str, ...]] = {"mlp": ("feature_maps",), "convnet": ("feature_maps",)}

ZERO_TO_ZERO = tuple(name for name in ACTIVATIONS if name != "sigmoid")  # activations that widths may be padded with

# Arguments that are dropout rates, of which lanes of one stack may each have their own. Of most, `dropout` apart, 0
# leaves the dropout out, so that a network with 0 isn't built like others.
RATES = ("dropout", "input_dropout", "spatial_dropout", "stochastic_depth", "auxiliary_dropout")

GIVEN = ("in_shape", "classes")  # what every builder is handed; all its other arguments may be searched


def build(model: str | Builder, *, in_shape: tuple[int, ...], classes: int, **architecture: Any) -> nn.Module:
    """Returns a network as a trial would build it.

    `model` is a family's name or a builder, `in_shape` the shape of one example without the batch, `classes` the number
    of outputs, `architecture` the builder's other arguments. Lazy modules are given their shapes. Raises SettingsError
    for an unknown family or argument, and what the builder raises.

    >>> import leadline as ll
    >>> network = ll.build("mlp", in_shape=(1, 8, 8), classes=10, depth=2, feature_maps=32)
    >>> sum(parameter.numel() for parameter in network.parameters())
    3466
    """
    builder = family(model) if isinstance(model, str) else model
    problems = architecture_problems(builder, architecture)
    if problems:
        raise SettingsError(problems)
    network = builder(in_shape=in_shape, classes=classes, **architecture)
    if any(is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers())):
        with torch.no_grad():
            network.eval()(torch.zeros(1, *in_shape))  # lazy modules learn their shapes from the first inputs they see
        network.train()
    return network


def family(name: str) -> Builder:
    """Returns the builder of the family called `name`. Raises SettingsError if there is none."""
    if name not in FAMILIES:
        raise SettingsError(f"no network family is called `{name}`. {suggestion(name, FAMILIES)}")
    return FAMILIES[name]


def widths(name: str, architecture: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the arguments of that family which are widths, for an architecture that may have others beside it.

    >>> widths("convnet", {"depth": 2, "activation": "tanh"}), widths("convnet", {"activation": "sigmoid"})
    (('feature_maps',), ())
    """
    return WIDTHS.get(name, ()) if architecture.get("activation", "relu") in ZERO_TO_ZERO else ()


def takes(builder: Builder) -> tuple[set[str], bool]:
    """Returns the names of the builder's own arguments, and whether it takes any other (`**kwargs`)."""
    parameters = inspect.signature(builder).parameters.values()
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return named - set(GIVEN), any(p.kind is p.VAR_KEYWORD for p in parameters)


def architecture_problems(builder: Builder, architecture: Mapping[str, Any]) -> list[Problem]:
    """Returns what keeps the builder from being called with these arguments."""
    named, anything = takes(builder)
    unknown = [name for name in architecture if name not in named and not anything]
    found = [Problem(f"the network has no argument `{name}`. {suggestion(name, named)}", (name,)) for name in unknown]
    for parameter in inspect.signature(builder).parameters.values():
        if parameter.name in named - set(architecture) and parameter.default is parameter.empty:
            found.append(Problem(f"the network needs a value for `{parameter.name}`", (parameter.name,)))
    return found
