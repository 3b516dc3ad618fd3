"""A view of MLflow's UI that fits a study: columns, parallel coordinates and curves, saved with the experiment.

MLflow keeps the views that its users save as tags of the experiment, and lists them under "Views". It has no function
to make one, so this writes the tag as its UI does (3.17). A version that doesn't know it shows its own default view.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .names import KIND, OBJECTIVE, REPORTED, STUDY

if TYPE_CHECKING:
    from ...spaces import Space
    from ..goals import Goals

SHOWN = 20  # of the best trials curves are drawn


def saved_view(study: str, space: Space, metric: str | None, goals: Goals) -> str:
    """Returns the value of an experiment's tag `VIEW` + study, by which MLflow's UI has a view called as the study is.

    `metric` is what trainings report under `train/` and `valid/`, None for an objective of the user's own.
    """
    objectives = [OBJECTIVE, *(f"{OBJECTIVE}.{name}" for name in goals.further)]
    state = {
        "searchFilter": f"tags.`{KIND}` = 'trial' and tags.`{STUDY}` = '{study}'",
        "orderByKey": f"metrics.`{OBJECTIVE}`",
        "orderByAsc": not goals.maximize[0],
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": _columns(space, objectives),
        "runsHiddenMode": f"FIRST_{SHOWN}_RUNS",
        "hideEmptyCharts": True,
        "compareRunSections": [_section("configurations", columns=1), _section("curves", columns=2)],
        "compareRunCharts": [_parallel(_axes(space), objectives), *map(_curve, _curves(metric))],
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    now = round(time.time() * 1000)
    view = {"name": study, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return json.dumps(view)


def _columns(space: Space, objectives: Sequence[str]) -> list[str]:
    metrics = [f"metrics.`{name}`" for name in (*objectives, "epochs", "parameters")]
    return [*metrics, *(f"params.`{name}`" for name in space.parameters), "tags.`state`", "tags.`reason`"]


def _axes(space: Space) -> list[str]:
    """Returns the parameters that every trial has, logarithms of those on a log scale: MLflow's axes are linear."""
    always = {name: parameter for name, parameter in space.parameters.items() if not parameter.conditions}
    return [f"log10.{name}" if getattr(one, "log", False) else name for name, one in always.items()]


def _curves(metric: str | None) -> list[str]:
    if metric is None:
        return [REPORTED]
    return list(dict.fromkeys(f"{part}/{name}" for name in (metric, "loss") for part in ("valid", "train")))


def _section(name: str, *, columns: int) -> dict[str, Any]:
    return {"uuid": name, "name": name.capitalize(), "display": True, "columns": columns, "cardHeight": 360}


def _parallel(axes: Sequence[str], objectives: Sequence[str]) -> dict[str, Any]:
    own = {"selectedParams": list(axes), "selectedMetrics": list(objectives), "showAllRuns": True}
    return {**_chart("PARALLEL", "configurations", "parallel"), **own}


def _curve(metric: str) -> dict[str, Any]:
    axis = {"xAxisKey": "step", "yAxisKey": "metric", "xAxisScaleType": "linear", "scaleType": "linear", "range": {}}
    own = {"metricKey": metric, "selectedMetricKeys": [metric], "lineSmoothness": 0, "yAxisExpressions": []}
    return {**_chart("LINE", "curves", metric), **axis, **own}


def _chart(kind: str, section: str, name: str) -> dict[str, Any]:
    return {"uuid": name, "type": kind, "metricSectionId": section, "displayName": name, "runsCountToCompare": SHOWN}
