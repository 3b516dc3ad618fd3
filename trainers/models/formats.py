"""The formats that models are taken home in. Each is a line in `FORMATS`: its suffix, how it is written and read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import SettingsError, suggestion
from .. import networks
from ..data import Preparation
from ..data.dataset import Scale
from ..disk import through_memory, unfinished
from .model import Model, Program
from .onnx import read_onnx, write_onnx
from .predictor import Member, Predictor
from .program import read_program, write_program
from .usage import usage

Builder = Callable[..., nn.Module]
Card = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """A format: the suffix of its files, and how a model is written and read."""

    suffix: str
    write: Callable[[Predictor, Card, Path], None]
    read: Callable[[Path, Builder | None], tuple[Program, dict[str, Any]]]


def save(model: Model, path: str | Path, format: str | None = None) -> Path:
    """Writes a model whose program is a `Predictor` to a file that is whole or not there, and returns its path.

    `format` is one of `FORMATS`, by default the one of the path's suffix. Raises SettingsError where there is no such
    format, the suffix is another one's, or the network can't be exported in it.
    """
    path = Path(path)
    name = format_of(path, format)
    if not isinstance(model.program, Predictor):
        raise SettingsError(f"what was loaded from a file can't be exported as `{name}`: copy the file")
    card = {**model.card, "format": name, "usage": usage(model.card, name, path.name)}
    with _whole(path) as temporary:
        FORMATS[name].write(model.program, card, temporary)
    return path


def load_model(path: str | Path, build: Builder | None = None) -> Model:
    """Returns the model in a file that was exported, in any format, ready to predict.

    A program (`.pt2`, `.onnx`) holds its network. Of weights (`.pt`, `.safetensors`) the network is built anew: that of
    a family by leadline, any other by the function `build` that built it in training. Reading these, and `.onnx`, runs
    no code of the file's; a `.pt2` is read by torch.export, which can be made to: load those that you trust.
    Raises SettingsError where the file isn't there, isn't a model of leadline's, or needs `build`.

    >>> import leadline as ll
    >>> ll.load_model("digits.pt2")
    Traceback (most recent call last):
    leadline.errors.SettingsError: digits.pt2: there is no such file
    """
    path = Path(path)
    name = format_of(path)
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such file")
    program, card = FORMATS[name].read(path, build)
    return Model(program, card)


def file_of(name: str, format: str | None = None) -> Path:
    """Returns the file, here, that a model called `name` is written to in that format, by default `torch-export`."""
    return Path(name + FORMATS[_known(format or "torch-export")].suffix)


def format_of(path: Path, given: str | None = None) -> str:
    """Returns the name of the format of a file: the one given, else the one of its suffix.

    Raises SettingsError where there is no such format, or the suffix isn't its own.
    """
    given = given and _known(given)
    fitting = [name for name, one in FORMATS.items() if one.suffix == path.suffix.lower()]
    if given in fitting or (given is None and fitting):
        return given or fitting[0]
    known = ", ".join(f"{one.suffix} ({name})" for name, one in FORMATS.items())
    wanted = f"`{given}` ends in {FORMATS[given].suffix}" if given else f"a model's ends in one of {known}"
    raise SettingsError(f"{path}: a file of the format {wanted}" if given else f"{path}: {wanted}")


def _known(format: str) -> str:
    if format not in FORMATS:
        raise SettingsError(f"no format is called `{format}`. {suggestion(format, FORMATS)}")
    return format


# Weights and card, from which the networks are built


def _write_torch(predictor: Predictor, card: Card, path: Path) -> None:
    kept = {"state_dict": _state_of(predictor), "card": json.loads(json.dumps(card))}
    through_memory(path, lambda file: torch.save(kept, file))


def _read_torch(path: Path, build: Builder | None) -> tuple[Program, dict[str, Any]]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        tensors, card = found["state_dict"], found["card"]
    except Exception as error:  # torch's unpickler raises whatever it stumbles over
        raise _no_model(path) from error
    return _rebuilt(tensors, card, path, build), card


def _write_safetensors(predictor: Predictor, card: Card, path: Path) -> None:
    from safetensors.torch import save as packed

    path.write_bytes(packed(_state_of(predictor), metadata={"card": json.dumps(card)}))


def _read_safetensors(path: Path, build: Builder | None) -> tuple[Program, dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads(file.metadata()["card"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _no_model(path) from error
    return _rebuilt(tensors, card, path, build), card


def _state_of(predictor: Predictor) -> dict[str, Tensor]:
    """Returns the weights: those of one network by their own names, of several as those of a list of networks."""
    found = predictor.networks
    whole = found[0] if len(found) == 1 else nn.ModuleList(found)
    # Clones: tied weights share memory, which safetensors can't hold.
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in whole.state_dict().items()
    }


def _rebuilt(tensors: Mapping[str, Tensor], card: Card, path: Path, build: Builder | None) -> Predictor:
    """Returns the predictor of these weights, its networks built as the card says."""
    with torch.random.fork_rng(devices=[]):  # what they draw is replaced
        found = [_network(one, path, build, card["study"]["name"]) for one in card["networks"]]
    whole = found[0] if len(found) == 1 else nn.ModuleList(found)
    try:
        whole.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise SettingsError(f"{path}: its weights aren't of the network that `build` makes: {error}") from error
    members = [member_of(network, one) for network, one in zip(found, card["networks"], strict=True)]
    return Predictor(members)


def member_of(network: nn.Module, described: Card) -> Member:
    """Returns a network as a member, with the preparation, scale and weight of its description in a card."""
    scale = Scale(**described["scale"]) if described["scale"] else None
    return Member(network, Preparation.from_description(described["preparation"]), scale, described["weight"])


def _network(described: Card, path: Path, build: Builder | None, study: str) -> nn.Module:
    model = described["model"]
    if build is None and model not in networks.FAMILIES:
        by_study = "" if "<" in model else f"; on the command line name the study, `leadline predict {study} FILES`"
        raise SettingsError(
            f"{path}: its network was built by `{model}`, which isn't in the file. In Python give that function, "
            f"load_model({str(path)!r}, build=...){by_study}"
        )
    shape = tuple(described["in_shape"])
    return networks.build(build or model, in_shape=shape, classes=described["outputs"], **described["arguments"])


def _no_model(path: Path) -> SettingsError:
    return SettingsError(f"{path}: the file is damaged, or isn't one that `leadline export` wrote")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Gives a place to write to that becomes `path` only if all goes well."""
    temporary = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror or error}") from error


FORMATS = {
    "torch-export": Format(".pt2", write_program, read_program),
    "onnx": Format(".onnx", write_onnx, read_onnx),
    "torch": Format(".pt", _write_torch, _read_torch),
    "safetensors": Format(".safetensors", _write_safetensors, _read_safetensors),
}
