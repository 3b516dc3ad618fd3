"""Links to pages of MLflow's UI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from .names import KIND, OBJECTIVE


def trials_link(server: str, experiment_id: str, maximize: bool, view: str | None = None) -> str:
    """Returns the page of MLflow's UI that lists the trials flat, the best first, with charts beside them.

    These are the ones of the saved `view`, if the experiment has it, else those that MLflow makes of the metrics.
    """
    kind = f"tags.%60{KIND}%60+%3D+%27trial%27"
    order = f"orderByKey=metrics.%60{OBJECTIVE}%60&orderByAsc={str(not maximize).lower()}"
    page = f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    chosen = f"searchFilter={kind}&{order}" if view is None else f"viewStateShareKey={quote(view)}"
    return f"{page}&{chosen}&compareRunsMode=CHART"


def comparison_link(server: str, experiment_id: str, runs: Sequence[str]) -> str:
    """Returns the page that compares these runs: parallel coordinates, scatter, contour, and a table of differences."""
    asked = f"runs={quote(json.dumps(list(runs)))}&experiments={quote(json.dumps([experiment_id]))}"
    return f"{server.rstrip('/')}/#/compare-runs?{asked}"
