"""Work for `cluster.py` that another process can import: it sleeps."""

from __future__ import annotations

import time
from typing import Any

import leadline as ll
from leadline.trainers.messages import Job


def napping(trial: ll.ActiveTrial) -> float:
    """Takes `seconds`, and reports four times."""
    for epoch in range(1, 5):
        time.sleep(trial.params["seconds"] / 4)
        trial.report(float(epoch))
    return float(trial.params["x"])


class Waiter:
    """Work that says nothing, until it is closed."""

    def serve(self, job: Job, channel: Any) -> None:
        channel.receive(wait=True)
