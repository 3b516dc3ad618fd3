"""A model as its user holds it: it predicts, and says what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import SettingsError
from ..data.source import chunks
from .inputs import InputSpec
from .predictor import Predictor

Program = Callable[[Tensor], Tensor]
LEAST = 2**12  # values that an example is taken for: batches are of 256 at most, where convolutions are fastest


class Model:
    """A trained network, or an ensemble of several, that takes inputs as the data's source holds them.

    `card` says what it is: configuration, data, scores, how it was chosen. `classes` are the names of the classes, None
    for a regression. `program` is what computes: a `Predictor`, or whatever the file it was loaded from held; it takes
    a batch of raw inputs as a tensor.
    """

    def __init__(self, program: Program | Predictor, card: Mapping[str, Any]) -> None:
        self.program, self.card = program, dict(card)
        self.inputs = InputSpec.from_description(card["inputs"])

    def __repr__(self) -> str:
        study = self.card["study"]["name"]
        return f"Model({study!r}, trials={sorted({one['trial'] for one in self.card['networks']})})"

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, in the order of the probabilities; None for a regression."""
        return None if self.card["classes"] is None else tuple(self.card["classes"])

    def predict(self, inputs: Any) -> NDArray[np.float32]:
        """Returns the probabilities of the classes (n, classes), or a regression's values (n,) in their own units.

        `inputs` are as those of the data that it was trained on: an array (n, ...) of numbers, a tensor, or a table's
        data frame. They are computed in batches. Raises DataError where they aren't of the shape, or lack a column.
        """
        return np.concatenate(list(self.batches(self.inputs.taken(inputs))))

    def prepared(self, inputs: Any) -> Tensor:
        """Returns inputs, which are as for `predict`, as the network alone takes them: float32 (n, *in_shape).

        Raises SettingsError where there is no network alone: of an ensemble, and of a program (`.pt2`, `.onnx`), which
        prepares inputs itself. Raises DataError as `predict` does.
        """
        if not isinstance(self.program, Predictor) or len(self.program.networks) > 1:
            raise SettingsError("only a model of one network, not a program, has inputs prepared for it: use `predict`")
        rows = self.inputs.cast(self.inputs.taken(inputs))
        (found,) = self.program.prepared(torch.from_numpy(rows))
        return found

    def batches(self, inputs: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
        """Yields what `predict` returns in batches, for inputs that `InputSpec.taken` has let through."""
        with torch.no_grad():
            for rows in chunks(len(inputs), max(LEAST, inputs.size // max(1, len(inputs)))):
                batch = self.inputs.cast(inputs[rows], first=rows.start)
                yield self.program(torch.from_numpy(batch)).numpy()
