"""How a file that was exported is used: a few lines of Python, kept in its card and told when it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def usage(card: Mapping[str, Any], format: str, name: str) -> str:
    """Returns the lines for a file called `name`."""
    return "\n".join([*_LINES[format](card, name), *(f"# {line}" for line in signature(card))])


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


def _program(card: Mapping[str, Any], name: str) -> list[str]:
    return [
        "import torch",
        f"program = torch.export.load({name!r}).module()",
        "answers = program(torch.as_tensor(inputs))",
    ]


def _onnx(card: Mapping[str, Any], name: str) -> list[str]:
    return [
        "import onnxruntime",
        f"session = onnxruntime.InferenceSession({name!r})",
        'answers = session.run(None, {"inputs": inputs})[0]',
    ]


def _torch(card: Mapping[str, Any], name: str) -> list[str]:
    return _weights(card, name, "import torch", f'torch.load({name!r}, weights_only=True)["state_dict"]')


def _safetensors(card: Mapping[str, Any], name: str) -> list[str]:
    return _weights(card, name, "from safetensors.torch import load_file", f"load_file({name!r})")


def _weights(card: Mapping[str, Any], name: str, needed: str, weights: str) -> list[str]:
    first, *others = card["networks"]
    builder, found = _builder(first["model"])
    given = f", {builder}" if found else ""  # a family's is leadline's own
    lines = [
        *found,
        "import leadline as ll",
        f"model = ll.load_model({name!r}{given})",
        "answers = model.predict(inputs)",
    ]
    if others:
        return lines
    built = {"in_shape": tuple(first["in_shape"]), "classes": first["outputs"], **first["arguments"]}
    arguments = ", ".join(f"{key}={value!r}" for key, value in built.items())
    return [
        *lines,
        "# or the network alone, in evaluation mode, of inputs prepared as in training:",
        needed,
        f"network = ll.build({builder}, {arguments}).eval()",
        f"network.load_state_dict({weights})",
        f"answers = {_answers('network(model.prepared(inputs))', first['scale'])}",
    ]


def _builder(model: str) -> tuple[str, list[str]]:
    """Returns what stands for a network's builder, and the lines that one of the user's own is named by."""
    if "<" in model:
        return "build", [f"# build: your function, {model}"]
    module, _, function = model.rpartition(":")
    if not module:
        return f'"{model}"', []
    return function, [f"from {module} import {function.partition('.')[0]}"]


def _answers(outputs: str, scale: Mapping[str, float] | None) -> str:
    if scale is None:
        return f"{outputs}.softmax(dim=1)"
    return f"({outputs}.double() * {scale['deviation']!r} + {scale['mean']!r}).float().flatten()"


_LINES = {"torch-export": _program, "onnx": _onnx, "torch": _torch, "safetensors": _safetensors}
