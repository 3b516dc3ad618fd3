"""Links to pages of MLflow's UI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from .names import KIND, OBJECTIVE


def trials_link(server: str, experiment_id: str, maximize: bool) -> str:
    """Returns the page of MLflow's UI that lists the trials flat, the best first, with their curves."""
    kind = f"tags.%60{KIND}%60+%3D+%27trial%27"
    order = f"orderByKey=metrics.%60{OBJECTIVE}%60&orderByAsc={str(not maximize).lower()}"
    page = f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    return f"{server.rstrip('/')}{page}&searchFilter={kind}&{order}&compareRunsMode=CHART"


def comparison_link(server: str, experiment_id: str, runs: Sequence[str]) -> str:
    """Returns the page that compares these runs: parallel coordinates, scatter, contour, and a table of differences."""
    asked = f"runs={quote(json.dumps(list(runs)))}&experiments={quote(json.dumps([experiment_id]))}"
    return f"{server.rstrip('/')}/#/compare-runs?{asked}"
