"""The tags and metrics by which leadline's runs are known in MLflow."""

from __future__ import annotations

KIND, STUDY, NUMBER = "leadline.kind", "leadline.study", "leadline.trial"  # tags: "study" or "trial"; names; numbers
IDENTITY = "leadline.id"  # tag: which study it is; others may have had, or have elsewhere, the same name
VERSION = "leadline.version"  # tag: that of leadline
LINEAGE = "leadline.parent"  # tag: the trial from whose state a trial began
ARCHITECTURE = "architecture"  # tag of a trial: what of its configuration decides the network's structure
PARETO = "pareto"  # tag of a trial, of several objectives: whether no other dominated it when the study last ended
OBJECTIVE = "objective"  # a trial's value, once, under one name in every study: what runs are sorted by
REPORTED = "reported"  # the curve of a trial whose reports name no metrics
REPORT = "leadline.report"  # tag of the study: how many trials the report that was logged is of
BEST = "best."  # tags of the study: the best trial, `best.trial`, and its parameters

# MLflow's own
PARENT_RUN = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
COMMIT = "mlflow.source.git.commit"
VIEW = "mlflow.sharedViewState."  # with the name of a view of MLflow's UI: a tag of the experiment
SYSTEM = "system/"  # the prefix of what MLflow's page of a run shows as system metrics
