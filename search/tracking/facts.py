"""What is told of a study and its trials so that MLflow's UI can group, filter and compare: tags and parameters."""

from __future__ import annotations

import getpass
import inspect
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..trial import Trial
from .environment import version
from .names import ARCHITECTURE, COMMIT, IDENTITY, STUDY, VERSION

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from ..ledger import Ledger
    from ..study import Study

# MLflow's parallel coordinates leave out, without a word, runs that lack a parameter: each trial tells at least these.
ARGUMENTS = ("depth", "feature_maps", "dropout")  # of a network's builder, as far as it has them
RECIPE = ("lr", "weight_decay", "batch_size", "optimizer")
PLACE = ("device", "lanes", "worker")  # what is recorded of where a trial began
LONGEST_TAG = 5000  # characters that MLflow takes
Told = tuple[Mapping[str, Any], Mapping[str, str]]


def study_tags(study: Study, ledger: Ledger) -> dict[str, str]:
    """Returns the tags that every run of a study has."""
    described, split = study.describe(), ledger.attribute("split")
    pruner = described["pruner"]
    tags = {
        STUDY: study.name,
        IDENTITY: ledger.attribute("id"),
        VERSION: version(),
        "strategy": study.strategy.name,
        "pruner": pruner if isinstance(pruner, str) else pruner["name"],
        "mlflow.user": _user(),
        "mlflow.source.name": sys.argv[0] or "python",
        "mlflow.source.type": "LOCAL",
    }
    if described["trainer"]:
        tags |= {name: str(described["trainer"][name])[:LONGEST_TAG] for name in ("model", "data")}
    if split:
        tags["data_digest"] = split["data"][:16]
    base = study.trainer.base if study.trainer is not None else None
    if commit := commit_of(base or Path.cwd()):
        tags[COMMIT] = commit
    return tags


def trial_facts(study: Study) -> Callable[[Trial, FrozenTrial], Told]:
    """Returns the function that says which parameters beside its own a trial's run gets, and which tags."""
    trainer = study.trainer
    if trainer is None:
        return lambda trial, frozen: ({}, _place(frozen))
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(trainer.builder).parameters.items()
        if name in ARGUMENTS and parameter.default is not parameter.empty
    }
    core = {**defaults, **{name: trainer.settings[name] for name in RECIPE}}
    family = str(trainer.describe()["model"])

    def told(trial: Trial, frozen: FrozenTrial) -> Told:
        structure = sorted(trainer.architecture(trial.params).items())
        words = " ".join(f"{name}={value}" for name, value in structure) or family
        return core, {ARCHITECTURE: words[:LONGEST_TAG], **_place(frozen)}

    return told


def _place(frozen: FrozenTrial) -> dict[str, str]:
    return {name: str(frozen.user_attrs[name]) for name in PLACE if name in frozen.user_attrs}


def commit_of(folder: Path) -> str | None:
    """Returns the commit that is checked out in a folder; None if it is in no git repository, or there is no git."""
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name, as in some containers
        return "unknown"
