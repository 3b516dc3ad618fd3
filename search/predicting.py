"""What `leadline predict` shows: a line an example on the terminal, JSON, or a CSV file; as it is computed."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .printing import print_json
from .table import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from ..trainers.models import Model
    from ..trainers.models.files import Predicted

PATIENCE = 2.0  # seconds after which it is said how far it has come
EVERY = 64  # examples
SHOWN = 50  # examples, on a terminal
NEXT = 2  # classes beside the first


def print_exported(model: Model, path: Path, *, as_json: bool) -> None:
    """Prints where a model was written, what it is, and how the file is used."""
    from ..trainers.models import format_of
    from ..trainers.models.usage import usage

    card, format, size = model.card, format_of(path), path.stat().st_size
    lines = usage(card, format, str(path))
    if as_json:
        print_json({"path": str(path), "bytes": size, "card": {**card, "format": format, "usage": lines}})
        return
    numbers = list(dict.fromkeys(str(one["trial"]) for one in card["networks"]))
    trials = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
    scores = card["scores"]
    test = "" if scores["test"] is None else f", {scores['test']:.4f} on the test split"
    print(f"{path} ({size / 1e6:.2f} MB, {format}): {trials} of {card['study']['name']}, {card['chosen']}")
    print(f"{scores['metric']} {scores['valid']:.4f} on validation rows{test}\n")
    print(lines)


def write_predictions(predicted: Iterator[Predicted], model: Model, path: Path) -> int:
    """Writes predictions to a CSV file as they come; returns how many. Raises UsageError where it can't be written.

    Columns: file, row, class and `p(CLASS)` of each class, or file, row and value.
    """
    classes = model.classes
    header = ["value"] if classes is None else ["class", *(f"p({name})" for name in classes)]
    count = 0
    try:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "row", *header])
            for one in predicted:
                count += 1
                chosen = [] if classes is None else [classes[one.answer.argmax()]]
                row = "" if one.row is None else one.row
                writer.writerow([one.file, row, *chosen, *(f"{number:.9g}" for number in one.answer.reshape(-1))])
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None
    return count


def print_predictions_json(predicted: Iterator[Predicted], model: Model) -> None:
    """Prints predictions as a JSON list, an object a line: file, row, and class and probabilities, or value."""
    before = "["
    for one in predicted:
        print(before, json.dumps(_as_json(one, model)), sep="\n ", end="")
        before = ","
    print("\n]")


def print_predictions(predicted: Iterator[Predicted], model: Model) -> None:
    """Prints predictions as a table; on a terminal the first `SHOWN` alone."""
    some = list(islice(predicted, SHOWN)) if sys.stdout.isatty() else list(predicted)
    header = ["value"] if model.classes is None else ["class", "probability", "then"]
    print_table(["input", *header], [[_place(one), *_told(one, model)] for one in some])
    if next(predicted, None) is not None:
        print(f"... and more: these are the first {SHOWN}; `--output FILE.csv` and `--json` give all.")


@contextmanager
def watched(predicted: Iterator[Predicted], console: Console | None = None) -> Iterator[Iterator[Predicted]]:
    """Gives the same predictions; after two seconds it is said, on a terminal, how many there are."""
    from rich.console import Console

    screen, began = console or Console(stderr=True), time.monotonic()
    status = screen.status("")

    def counted() -> Iterator[Predicted]:
        for count, one in enumerate(predicted, 1):
            if count % EVERY == 0 and screen.is_terminal and time.monotonic() - began > PATIENCE:
                status.update(f"{count:,} predicted ...")
                status.start()  # nothing happens if it has been
            yield one

    try:
        yield counted()
    finally:
        status.stop()


def _as_json(one: Predicted, model: Model) -> dict[str, Any]:
    place = {"file": str(one.file), "row": one.row}
    if model.classes is None:
        return {**place, "value": float(one.answer)}
    probabilities = dict(zip(model.classes, map(float, one.answer), strict=True))
    return {**place, "class": model.classes[one.answer.argmax()], "probabilities": probabilities}


def _place(one: Predicted) -> str:
    return str(one.file) if one.row is None else f"{one.file}:{one.row}"


def _told(one: Predicted, model: Model) -> list[str]:
    if model.classes is None:
        return [f"{float(one.answer):.6g}"]
    first, *others = one.answer.argsort()[::-1][: NEXT + 1]
    then = ", ".join(f"{model.classes[place]} {one.answer[place]:.4f}" for place in others)
    return [model.classes[first], f"{one.answer[first]:.4f}", then]
