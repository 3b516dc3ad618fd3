"""Programs of `torch.export`: a network that plain PyTorch runs without knowing its class."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import SettingsError
from ..disk import through_memory
from ..quiet import quiet, silent
from ..reasons import told
from .inputs import InputSpec
from .predictor import Predictor

CARD = "card.json"  # the card's name among a program's extra files
CLOSE = 1e-4  # what a program may be off by on made-up inputs, of the answers' size
SIZES = (1, 3)  # of the batches on which it is tried


def program_of(predictor: Predictor, spec: InputSpec, format: str) -> torch.export.ExportedProgram:
    """Returns the program of a predictor, for batches of any size, tried on two sizes.

    Raises SettingsError, which says why, where the network can't be exported or the program comes to something else.
    """
    with exporting(format):
        batch = (torch.from_numpy(_made_up(spec, 2)),)
        program = torch.export.export(predictor, batch, dynamic_shapes=({0: torch.export.Dim.AUTO},))
        try_out(program.module(), predictor, spec)
    return program


def try_out(run: Callable[[Tensor], Tensor], predictor: Predictor, spec: InputSpec) -> None:
    """Raises ValueError where what was exported doesn't come to what the predictor does, whatever the batch's size."""
    for size in SIZES:
        batch = torch.from_numpy(_made_up(spec, size))
        with torch.no_grad():
            found, right = run(batch), predictor(batch)
        far = float((found - right).abs().max())
        if not far <= CLOSE * max(1.0, float(right.abs().max())):
            raise ValueError(f"of a batch of {size} it comes to other answers, by {far:.2g}")


def write_program(predictor: Predictor, card: Mapping[str, Any], path: Path) -> None:
    """Writes the program, with the card as an extra file called `card.json`."""
    program = program_of(predictor, InputSpec.from_description(card["inputs"]), "torch-export")
    through_memory(path, lambda file: torch.export.save(program, file, extra_files={CARD: json.dumps(card)}))


def read_program(path: Path, build: object = None) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Returns the program and the card. Raises SettingsError where the file has none."""
    extra = {CARD: ""}
    try:
        with path.open("rb") as file, quiet("torch", logging.CRITICAL):  # it logs a traceback before it raises
            program: Callable[[Tensor], Tensor] = torch.export.load(file, extra_files=extra).module()
        card = json.loads(extra[CARD])
    except Exception as error:  # torch reads an archive's parts as they come
        raise SettingsError(f"{path}: the file is damaged, or isn't one that `leadline export` wrote") from error
    return program, card


@contextmanager
def exporting(format: str) -> Iterator[None]:
    """Raises SettingsError for whatever keeps a network from being exported, in place of what torch says of it."""
    try:
        with silent(), quiet("torch", logging.CRITICAL), torch.no_grad():
            yield
    except Exception as error:  # whatever a user's module holds that can't be traced
        raise SettingsError(
            f"the network can't be exported as `{format}`: {told(error)}. `torch` and `safetensors` take any network"
        ) from error


def _made_up(spec: InputSpec, size: int) -> np.ndarray[Any, Any]:
    """Returns a batch of inputs that may be of any sense, of the model's shape and dtype."""
    numbers = np.random.default_rng(0).integers(0, 2, (size, *spec.shape))
    return numbers.astype(spec.dtype)
