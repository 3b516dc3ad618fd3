"""What the shell completes: names of studies, families, strategies and the like, told in a blink.

Nothing is imported here that would import torch or optuna, so registered names are repeated; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer

from .folder import is_url, study_names

MODELS = ("mlp", "convnet", "alexnet", "vgg", "googlenet", "resnet", "stages")
DATA = ("digits",)
STRATEGIES = (
    *("bayes", "tpe", "gp", "cmaes", "nsga2", "skopt-gp", "skopt-rf", "skopt-et"),
    *("random", "qmc", "grid", "bohb", "thaw", "pbt"),
)
PRUNERS = ("none", "median", "asha", "hyperband", "thaw")
EXECUTORS = ("inline", "processes", "ray")
DEVICES = ("auto", "cpu", "cuda")
PLANS = ("auto", "fused", "padded", "looped")
FORMATS = ("torch-export", "onnx", "torch", "safetensors")
REPORTS = ("html", "md")
PLOTS = ("svg", "png")

Completion = Callable[[str], list[str]]


def among(names: Iterable[str]) -> Completion:
    """Returns what completes one of these names.

    >>> from leadline.search.completion import PRUNERS, among
    >>> among(PRUNERS)("m")
    ['median']
    """
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def studies(context: typer.Context, incomplete: str) -> list[str]:
    """Completes a study's name, of the folder that `--storage` names; a database isn't asked."""
    given: dict[str, Any] = context.params
    storage = given.get("storage")
    return [] if is_url(storage) else among(study_names(storage))(incomplete)
