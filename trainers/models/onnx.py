"""ONNX files (https://onnx.ai): one file with weights, card and a dynamic batch, for ONNX Runtime and its kin."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import SettingsError
from .inputs import InputSpec
from .predictor import Predictor
from .program import exporting, program_of, try_out

CARD = "card"  # the card's key among a file's metadata


def write_onnx(predictor: Predictor, card: Mapping[str, Any], path: Path) -> None:
    """Writes the network as ONNX, from `inputs` to `probabilities` or `values`, with classes and card as metadata.

    Raises SettingsError where onnx, onnxscript or onnxruntime isn't installed, and as `program_of` does.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _needed(package)
    spec = InputSpec.from_description(card["inputs"])
    program = program_of(predictor, spec, "onnx")
    with exporting("onnx"):
        made = torch.onnx.export(program, dynamo=True, verbose=False)
        assert made is not None
        graph: Any = made.model.graph
        graph.inputs[0].name, graph.outputs[0].name = "inputs", "probabilities" if card["classes"] else "values"
        for end in (graph.inputs[0], graph.outputs[0]):
            assert end.shape is not None
            end.shape = type(end.shape)(["n", *end.shape[1:]])
        made.model.metadata_props.update({CARD: json.dumps(card), "classes": json.dumps(card["classes"])})
        made.save(path, external_data=False)
        try_out(_session(path)[0], predictor, spec)


def read_onnx(path: Path, build: object = None) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Returns what runs the file, on the CPU, and the card. Raises SettingsError where it isn't a model of leadline's,
    or onnxruntime isn't installed."""
    _needed("onnxruntime")
    try:
        run, metadata = _session(path)
        return run, json.loads(metadata[CARD])
    except Exception as error:  # onnxruntime has exceptions of its own, a class for each kind
        raise SettingsError(f"{path}: the file is damaged, or isn't one that `leadline export` wrote") from error


def _session(path: Path) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    runtime = _needed("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"inputs": inputs.numpy()})[0])

    return run, dict(session.get_modelmeta().custom_metadata_map)


def _needed(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise SettingsError(
            f"the format `onnx` needs the package `{package}`: pip install 'leadline[onnx]'. "
            "`torch-export` needs nothing but torch"
        ) from error
