"""What the best trial gets wrong on its validation rows: which classes it mixes up, and its worst rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..predictions import Predictions, kept_predictions
from ..words import number

if TYPE_CHECKING:
    from ...trainers.data import Data
    from .facts import Facts

PICTURES, ROWS, COLUMNS = 12, 10, 10  # of the worst: how many are shown, and how much of each


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The best trial's predictions, and its rows from the worst on: `worst` are places in them.

    A row of classes is the worse the less probable its true class was held to be, one of a regression the farther off.
    """

    predictions: Predictions
    data: Data
    worst: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each class, a row, was taken for which: (classes, classes)."""
        many = len(self.predictions.classes or ())
        found = np.zeros((many, many), dtype=np.int64)
        np.add.at(found, (self.predictions.targets, self.predictions.outputs.argmax(axis=1)), 1)
        return found

    @property
    def shown(self) -> NDArray[np.int64]:
        """The places of those that are worth a look, the worst first: of classes the wrong ones alone, if any are."""
        wrong = self.worst[~self.predictions.right[self.worst]] if self.predictions.classes else self.worst
        return wrong if len(wrong) else self.worst

    @property
    def images(self) -> bool:
        """Whether examples are pictures."""
        inputs = self.data.inputs
        return isinstance(inputs, np.ndarray) and (
            inputs.ndim == 3 or (inputs.ndim == 4 and inputs.shape[1] in (1, 3) and min(inputs.shape[2:]) > 1)
        )

    def pictures(self) -> tuple[list[NDArray[Any]], list[str]]:
        """Returns the worst rows as images, each (H, W) or (H, W, 3) in [0, 1], and what stands above each."""
        assert isinstance(self.data.inputs, np.ndarray)
        shown = self.shown[:PICTURES]
        images = [_image(self.data.inputs[self.predictions.rows[place]]) for place in shown]
        return images, [self._title(int(place)) for place in shown]

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Returns the header and the rows of a table of the worst: what they are, and their first columns."""
        kept, inputs = self.predictions, self.data.inputs
        if isinstance(inputs, np.ndarray):
            flat = inputs.ndim == 2
            columns = [f"x{column}" for column in range(min(COLUMNS, inputs.shape[1]))] if flat else []
        else:
            columns = [str(name) for name in inputs.columns[:COLUMNS]]
        rows = []
        for place in self.shown[:ROWS]:
            row = int(kept.rows[place])
            values = inputs[row] if isinstance(inputs, np.ndarray) else inputs.iloc[row]
            own = [_cell(value) for value in list(values)[: len(columns)]] if columns else []
            rows.append((str(row), *self._said(int(place)), *own))
        head = ("row", "true", "predicted", "off by") if kept.classes is None else ("row", "true", "taken for", "sure")
        return (*head, *columns), rows

    def mixed_up(self) -> Iterator[tuple[str, str, int, int]]:
        """Yields the pairs that are mixed up most: true class, taken for, how often, of how many."""
        counts, classes = self.counts, self.predictions.classes or ()
        wrong = counts * ~np.eye(len(classes), dtype=bool)
        for place in np.argsort(-wrong, axis=None, kind="stable"):
            row, column = np.unravel_index(place, wrong.shape)
            if wrong[row, column]:
                yield classes[row], classes[column], int(wrong[row, column]), int(counts[row].sum())

    def _said(self, place: int) -> tuple[str, str, str]:
        kept = self.predictions
        if kept.classes is None:
            truth, said = float(kept.targets[place]), float(kept.outputs[place, 0])
            return number(truth), number(said), f"{said - truth:+.4g}"
        told = int(kept.outputs[place].argmax())
        sure = f"{kept.probabilities[place, told]:.0%}".replace("%", " %")
        return kept.classes[int(kept.targets[place])], kept.classes[told], sure

    def _title(self, place: int) -> str:
        truth, told, sure = self._said(place)
        return f"{_cut(truth)} → {_cut(told)}\n{sure} sure"


def mistakes(facts: Facts) -> Mistakes | None:
    """Returns what the best trial gets wrong; None where its predictions weren't kept, or its data aren't here."""
    if facts.best is None or facts.data is None:
        return None
    kept = kept_predictions(facts.study, facts.best)
    if kept is None:
        return None
    if kept.classes is None:
        badness = np.abs(kept.outputs[:, 0].astype(np.float64) - kept.targets)
    else:
        badness = 1.0 - np.take_along_axis(kept.probabilities, kept.targets[:, None], axis=1)[:, 0]
    return Mistakes(kept, facts.data, np.argsort(-badness, kind="stable"))


def _image(values: NDArray[Any]) -> NDArray[np.float64]:
    """Returns an example (H, W) or (C, H, W) as it can be drawn, from its least value, black, to its greatest."""
    image = values.astype(np.float64)
    image = image[0] if image.ndim == 3 and image.shape[0] == 1 else image
    image = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
    low, high = image.min(), image.max()
    return np.asarray((image - low) / (high - low) if high > low else np.zeros_like(image))


def _cell(value: Any) -> str:
    import pandas

    if pandas.isna(value):
        return ""
    plain = value.item() if hasattr(value, "item") else value
    return number(plain) if isinstance(plain, bool | int | float) else str(plain)


def _cut(name: str) -> str:
    return name if len(name) <= 9 else f"{name[:8]}…"
