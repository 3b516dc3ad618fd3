"""The view that MLflow's UI is given of a study."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import leadline as ll
from leadline.search.goals import ONE, Goals
from leadline.search.tracking.links import trials_link
from leadline.search.tracking.view import saved_view

SPACE = ll.Space(
    depth=ll.Int(1, 3),
    lr=ll.Float(1e-3, 1e-1, log=True),
    optimizer=ll.Choice(["sgd", "adam"]),
    momentum=ll.Float(0.0, 0.9, when={"optimizer": "sgd"}),
    width=8,
)


def state(metric: str | None = "accuracy", goals: Goals = ONE) -> dict[str, Any]:
    kind, packed = json.loads(saved_view("mine", SPACE, metric, goals))["state"].split(";")
    assert kind == "deflate"
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return found


def test_its_axes_are_what_every_trial_has_with_the_logarithms_of_what_is_searched_on_a_log_scale() -> None:
    parallel, *_ = state()["compareRunCharts"]
    assert parallel["selectedParams"] == ["depth", "log10.lr", "optimizer"]
    assert parallel["selectedMetrics"] == ["objective"]


def test_it_has_a_column_for_each_parameter_that_is_searched() -> None:
    columns = [name for name in state()["selectedColumns"] if name.startswith("params")]
    assert columns == ["params.`depth`", "params.`lr`", "params.`optimizer`", "params.`momentum`"]


def test_its_curves_are_the_metrics_and_the_losses_or_an_objectives_reports() -> None:
    assert [chart["metricKey"] for chart in state()["compareRunCharts"][1:]] == [
        *("valid/accuracy", "train/accuracy", "valid/loss", "train/loss")
    ]
    assert [chart["metricKey"] for chart in state("loss")["compareRunCharts"][1:]] == ["valid/loss", "train/loss"]
    assert [chart["metricKey"] for chart in state(None)["compareRunCharts"][1:]] == ["reported"]


def test_the_best_come_first_and_other_studies_of_the_experiment_are_left_out() -> None:
    assert state()["orderByAsc"] is False
    assert state(goals=Goals(maximize=(False,)))["orderByAsc"] is True
    assert state()["searchFilter"] == "tags.`leadline.kind` = 'trial' and tags.`leadline.study` = 'mine'"


def test_it_is_short_enough_for_a_tag() -> None:
    assert len(saved_view("x" * 100, SPACE, "accuracy", ONE)) < 5000


def test_a_link_takes_the_view_by_its_name() -> None:
    link = trials_link("http://127.0.0.1:5000", "7", maximize=True, view="mine")
    assert link.endswith(
        "/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=mine&compareRunsMode=CHART"
    )
