"""How a file that was exported is used: a few lines of Python, kept in its card and told when it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def usage(card: Mapping[str, Any], format: str, name: str) -> str:
    """Returns the lines for a file called `name`."""
    return "\n".join([_LINES[format](card, name), *(f"# {line}" for line in signature(card))])


def signature(card: Mapping[str, Any]) -> tuple[str, str]:
    """Returns what a model takes, and what it gives.

    >>> signature({"inputs": {"shape": [28, 28], "dtype": "uint8", "columns": None}, "classes": ["a", "b"]})
    ('inputs: uint8 (n, 28, 28), as the data hold them', 'answers: float32 (n, 2), probabilities')
    """
    inputs, classes = card["inputs"], card["classes"]
    shape = ", ".join(map(str, inputs["shape"]))
    what = "a table's encoded columns, as the card has them" if inputs["columns"] else "as the data hold them"
    gives = f"(n, {len(classes)}), probabilities" if classes else "(n,), values in the targets' own units"
    return f"inputs: {inputs['dtype']} (n, {shape}), {what}", f"answers: float32 {gives}"


def _program(card: Mapping[str, Any], name: str) -> str:
    return f"import torch\nprogram = torch.export.load({name!r}).module()\nprogram(inputs)"


def _onnx(card: Mapping[str, Any], name: str) -> str:
    return (
        f'import onnxruntime\nsession = onnxruntime.InferenceSession({name!r})\nsession.run(None, {{"inputs": inputs}})'
    )


def _torch(card: Mapping[str, Any], name: str) -> str:
    return _weights(card, name, f'torch.load({name!r}, weights_only=True)["state_dict"]')


def _safetensors(card: Mapping[str, Any], name: str) -> str:
    return _weights(card, name, f"safetensors.torch.load_file({name!r})")


def _weights(card: Mapping[str, Any], name: str, loaded: str) -> str:
    first, *others = card["networks"]
    given = {"in_shape": tuple(first["in_shape"]), "classes": first["outputs"], **first["arguments"]}
    arguments = ", ".join(f"{key}={value!r}" for key, value in given.items())
    known = ":" not in first["model"] and "<" not in first["model"]
    build = f'll.build("{first["model"]}", {arguments})' if known else f"build({arguments})  # yours: {first['model']}"
    lines = [f"import leadline as ll\nll.load_model({name!r}{'' if known else ', build'}).predict(inputs)"]
    if not others:
        lines += [
            "# or the network alone, of prepared inputs:",
            f"network = {build}",
            f"network.load_state_dict({loaded})",
        ]
    return "\n".join(lines)


_LINES = {"torch-export": _program, "onnx": _onnx, "torch": _torch, "safetensors": _safetensors}
