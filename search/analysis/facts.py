"""What a report tells of a study: read once from its storage, so that all sections speak of the same moment."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ..trial import ENDED, Trial
from .importance import Importance, compared, importance

NUMBERS = r"(?<=step )\d+|(?<=has trained )[\d.]+|(?<=has taken )[\d.]+|\d+\.\d{3,}"  # that only one trial has
HUGE = 1e100  # beyond it a value counts as infinite: its square would be

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from ...spaces import Space
    from ...trainers.data import Data
    from ..goals import Goals
    from ..pruners.base import Pruner
    from ..study import Study
    from .runners_up import RunnerUp


@dataclass(frozen=True, eq=False)
class Facts:
    """A study as it was when it was read.

    `settings` are those it was made with, as JSON; `attributes` what else is kept with it ("budget", "split", "tests",
    ...); `trials` all that have begun, by number, and `frozen` the same ones as Optuna has them; `metric` is what they
    are judged by, in a word.
    """

    study: Study
    metric: str
    settings: Mapping[str, Any]
    attributes: Mapping[str, Any]
    trials: tuple[Trial, ...]
    frozen: tuple[FrozenTrial, ...]

    @classmethod
    def of(cls, study: Study) -> Facts:
        """Returns what there is of a study. Raises StudyError if there is no such study."""
        opened = study.optuna
        prefix = "leadline:"
        attributes = {
            name.removeprefix(prefix): value for name, value in opened.user_attrs.items() if name.startswith(prefix)
        }
        frozen = [trial for trial in opened.get_trials(deepcopy=False) if trial.state.name != "WAITING"]
        return cls(
            study=study,
            metric=attributes.get("metric") or (study.metric if isinstance(study.metric, str) else "value"),
            settings=attributes.get("settings") or study.describe(),
            attributes=attributes,
            trials=tuple(Trial.of(trial, study.space.fixed) for trial in frozen),
            frozen=tuple(frozen),
        )

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @cached_property
    def data(self) -> Data | None:
        """The examples, before any split; None where there is no trainer, or they can't be had here any more."""
        if self.study.trainer is None:
            return None
        try:
            data = self.study.trainer.loaded
        except UsageError:
            return None
        split = self.attributes.get("split")
        return data if split is None or split["data"] == data.digest else None

    @property
    def space(self) -> Space:
        """What was searched."""
        return self.study.space

    @property
    def goals(self) -> Goals:
        """What trials are judged by."""
        return self.study.goals

    @property
    def pruner(self) -> Pruner:
        """What ended trials early."""
        return self.study.pruner

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return self.study.maximize

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of all objectives, the metric first."""
        return self.metric, *self.goals.further

    @cached_property
    def complete(self) -> list[Trial]:
        """The complete trials that have a finite value."""
        return [trial for trial in self.trials if trial.state == "complete" and self.value(trial) is not None]

    @cached_property
    def ended(self) -> list[Trial]:
        """The trials that have ended."""
        return [trial for trial in self.trials if trial.state in ENDED]

    def count(self, state: str) -> int:
        """Returns how many trials are in that state."""
        return sum(trial.state == state for trial in self.trials)

    @cached_property
    def best(self) -> Trial | None:
        """The best complete trial by the first objective, None if there is none."""
        return self.ranked[0] if self.ranked else None

    @cached_property
    def ranked(self) -> list[Trial]:
        """The complete trials, the best first; of equals the earlier."""
        sign = -1.0 if self.maximize else 1.0
        return sorted(self.complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    @cached_property
    def front(self) -> list[Trial]:
        """The Pareto front of several objectives."""
        return self.goals.front(self.complete)

    @property
    def latest(self) -> Trial | None:
        """The last trial that brought something better: the best one, of several objectives the last on the front."""
        return max(self.front, key=lambda trial: trial.number, default=None) if self.goals.several else self.best

    def value(self, trial: Trial, objective: int = 0) -> float | None:
        """Returns what a trial came to in an objective; of the first, where it ended early, the best of its curve."""
        found = trial.values[objective] if len(trial.values) > objective else None
        if found is None and objective == 0 and trial.state != "failed":
            found = self.better(value for value in trial.curve.values() if abs(value) < HUGE)
        return found if found is not None and abs(found) < HUGE else None

    def better(self, values: Any) -> float | None:
        """Returns the best of some values, None of none."""
        best: float | None = (max if self.maximize else min)(values, default=None)
        return best

    @property
    def rungs(self) -> list[int]:
        """The epochs after which the pruner decides about a trial of full length, where these are few."""
        epochs = self.study.epochs
        if epochs is None or self.settings["trainer"] is None:
            return []
        found = {rung for trial in self.trials[:20] for rung in self.pruner.rungs(trial.number, epochs)}
        return sorted(found) if len(found) <= 6 else []

    @property
    def seconds(self) -> float:
        """How long all trials took, each for itself."""
        return math.fsum(trial.seconds or 0.0 for trial in self.trials)

    @cached_property
    def importances(self) -> tuple[Importance, ...]:
        """Which parameters mattered, for each objective."""
        return tuple(
            importance(self.space, compared(self, place), maximize=maximize)
            for place, maximize in enumerate(self.goals.maximize)
        )

    @cached_property
    def runners_up(self) -> list[RunnerUp]:
        """The next best trials."""
        from .runners_up import runners_up

        return runners_up(self)

    def usual(self, name: str) -> tuple[Any, int]:
        """Returns the value that a parameter had most often, and how often."""
        counts = Counter(trial.params[name] for trial in self.trials if name in trial.params)
        return counts.most_common(1)[0] if counts else (None, 0)

    def explored(self, name: str) -> bool:
        """Tells whether a parameter's values were spread: no single one took four of five trials."""
        had = sum(name in trial.params for trial in self.trials)
        return self.usual(name)[1] < 0.8 * had


def reason_of(trial: Trial) -> str:
    """Returns why a trial ended, without the numbers that tell one trial from another.

    >>> reason_of(Trial(0, "failed", {}, reason="the loss was no number at epoch 2, step 17"))
    'the loss was no number at epoch 2, step …'
    >>> reason_of(Trial(0, "failed", {}, reason="time limit: `seconds <= 8` must hold, but it has trained 8.1 s"))
    'time limit: `seconds <= 8` must hold, but it has trained … s'
    """
    if trial.reason == "told":
        return "its script said so"
    unknown = {"running": "still running, or left by a crash", "paused": "may go on"}
    return re.sub(NUMBERS, "…", trial.reason) or unknown.get(trial.state, "no reason is known")
