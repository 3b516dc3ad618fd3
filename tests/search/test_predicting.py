"""What `leadline predict` shows of classes and of values (the whole command: `tests/test_cli.py`)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from leadline.errors import UsageError
from leadline.search import predicting
from leadline.search.predicting import print_predictions, print_predictions_json, watched, write_predictions
from leadline.trainers.models import Model
from leadline.trainers.models.files import Predicted


def model(classes: list[str] | None) -> Model:
    """Returns a model that is never asked."""
    card = {"classes": classes, "inputs": {"shape": [2], "dtype": "float32", "columns": None}}
    return Model(torch.nn.Linear(2, 2), card)


def told(*answers: list[float] | float, image: bool = False) -> Iterator[Predicted]:
    for row, answer in enumerate(answers):
        place = (Path(f"{row}.png"), None) if image else (Path("x.npy"), row)
        yield Predicted(*place, np.array(answer, dtype=np.float32))


def test_the_likeliest_class_comes_with_its_probability_and_the_next_ones(capsys: pytest.CaptureFixture[str]) -> None:
    answers = told([0.1, 0.6, 0.25, 0.05], [0.7, 0.1, 0.0, 0.2], image=True)
    print_predictions(answers, model(["ant", "bee", "cat", "dog"]))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "input  class  probability  then",
        "0.png  bee    0.6000       cat 0.2500, ant 0.1000",
        "1.png  ant    0.7000       dog 0.2000, bee 0.1000",
    ]


def test_values_of_a_regression_are_printed_as_such(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    print_predictions(told(1.5, -1234567.0), model(None))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "input    value",
        "x.npy:0  1.5",
        "x.npy:1  -1.23457e+06",
    ]
    print_predictions_json(told(1.5, -2.0), model(None))
    values = json.loads(capsys.readouterr().out)
    assert values == [{"file": "x.npy", "row": 0, "value": 1.5}, {"file": "x.npy", "row": 1, "value": -2.0}]
    assert write_predictions(told(1.5, -2.0), model(None), tmp_path / "out.csv") == 2
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert rows[0] == {"file": "x.npy", "row": "0", "value": "1.5"}


def test_a_file_that_cant_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none/out\.csv can't be written: No such file or directory"):
        write_predictions(told(1.0), model(None), tmp_path / "none" / "out.csv")


@pytest.mark.parametrize(("patience", "terminal"), [(3600.0, True), (0.0, True), (0.0, False)])
def test_how_far_it_has_come_is_said_on_a_terminal_if_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, patience: float, terminal: bool
) -> None:
    monkeypatch.setattr(predicting, "PATIENCE", patience)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with watched(told(*range(200)), console) as counted:
        assert [float(one.answer) for one in counted] == [float(number) for number in range(200)]
    assert isinstance(console.file, io.StringIO)
    assert ("192 predicted ..." in console.file.getvalue()) == (terminal and patience == 0)
