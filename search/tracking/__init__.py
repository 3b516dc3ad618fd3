"""Tracking: a study mirrored into MLflow, from a thread of the driver's, so that no device ever waits for it.

Tracking    the setting `mlflow`: where, and what
Tracker     a listener of the ledger, with the thread; throws the Runs away after any trouble, and has new ones read
Runs        what MLflow holds of the study, read from its store, and what it lacks, sent
Monitor     what the workers take of the machine, sampled beside

One parent run stands for the study, a child run for each trial. What MLflow holds is compared with what the study
holds, and the difference is sent, a batch a run: so it doesn't matter when, or how often, or after which crash it is
done. The study's own storage is the spool.
"""

from .end import End
from .links import comparison_link, trials_link
from .models import model_problem
from .options import Tracking
from .store import connect, store_of, uri_problem
from .tracker import Tracker

__all__ = [
    "End",
    "Tracker",
    "Tracking",
    "comparison_link",
    "connect",
    "model_problem",
    "store_of",
    "trials_link",
    "uri_problem",
]
