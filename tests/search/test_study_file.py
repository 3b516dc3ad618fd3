"""A study file written from a study is the same study again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.search.budget import Budget
from leadline.search.config import read, study_from
from leadline.search.study_file import study_file

Make = Callable[..., ll.Study]
WRITTEN = """\
study: whole
data: {path: digits, task: classification}
model: convnet
space:
  depth: {int: [1, 3]}
  feature_maps: {choice: [8, 16]}
  optimizer: {choice: [sgd, adamw]}
  momentum: {float: [0.5, 0.9], when: {optimizer: sgd}}
  lr: {float: [1.0e-5, 1.0e-1], log: true}
  dropout: 0.25
trainer: {epochs: 7, patience: 2, parts: [8, 1, 1], checkpoint: 0}
metric: f1
strategy: {name: random}
pruner: {name: asha, reduction: 4}
trials: 12
minutes: 3
limits: {parameters: 2000000}
seed: 7
lanes: 4
keep: 2
device: [cpu]
mlflow: {experiment: all, report: false}
"""


def again(text: str, folder: Path) -> tuple[ll.Study, Any]:
    path = folder / "again.yaml"
    path.write_text(text)
    return study_from(*read(path))


@pytest.mark.parametrize("text", [WRITTEN, "study: short\ndata: digits\nmodel: mlp\ntrials: 3\nmlflow: null\n"])
def test_it_gives_the_same_study_with_the_same_budget_run_in_the_same_way(text: str, tmp_path: Path) -> None:
    first, file = again(text, tmp_path)
    written = study_file(first, file.budget)
    assert written is not None
    second, file_again = again(written, tmp_path)
    assert second.describe() == first.describe()
    assert file_again.budget == file.budget
    assert second.tracking == first.tracking
    for name in ("executor", "devices", "workers", "lanes", "plan", "keep"):
        assert getattr(second, name) == getattr(first, name)
    assert second.trainer is not None
    assert first.trainer is not None
    assert second.trainer.checkpoint == first.trainer.checkpoint
    assert study_file(second, file_again.budget) == written


@pytest.mark.parametrize("name", ["tables/t.csv", "t.csv"])
def test_data_in_a_file_are_named_by_their_whole_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / name).write_text("a,b,label\n" + "".join(f"{i},{i % 7},{i % 2}\n" for i in range(40)))
    study, file = again(f"study: t\ndata: {name}\nmodel: mlp\ntrials: 1\n", tmp_path)
    written = study_file(study, file.budget)
    assert written is not None
    assert f"data: {tmp_path}/{name}\n" in written


def test_what_only_a_script_knows_has_none(plain: Make, digits: Make) -> None:
    assert study_file(plain(), Budget(trials=1)) is None
    assert study_file(digits(loss=lambda outputs, targets: outputs.sum()), Budget(trials=1)) is None
