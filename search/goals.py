"""What trials are judged by: one metric, or several objectives at once, each with its direction."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection

from ..errors import Problem, SettingsError, UsageError, suggestion
from ..trainers.references import describe
from . import pareto

if TYPE_CHECKING:
    from ..trainers.trainer import Trainer
    from .trial import Trial

COSTS = {  # what a trial costs, each less being better, and the fact of an ended trial that tells it
    "parameters": "parameters",
    "seconds": "seconds",
    "latency": "latency",
    "memory": "peak_memory",
}


@dataclass(frozen=True)
class Goals:
    """The objectives of a study. The first is `metric`: reports, curves and the best trial are by it.

    `further` are the names of those after it: costs (`COSTS`), other metrics of the trainer, or the names of what an
    objective of the user's returns. `maximize` says of each, the first included, whether more is better.
    """

    metric: Any = None
    further: tuple[str, ...] = ()
    maximize: tuple[bool, ...] = (True,)

    def __len__(self) -> int:
        return len(self.maximize)

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self) > 1

    @property
    def directions(self) -> list[StudyDirection]:
        """The directions as Optuna has them."""
        return [StudyDirection.MAXIMIZE if more else StudyDirection.MINIMIZE for more in self.maximize]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those of the further objectives that are metrics, where a trainer is judged."""
        return tuple(name for name in self.further if name not in COSTS)

    def named(self, metric: str) -> Any:
        """Returns `metric` as `describe` does, the first called by this name where it was given none."""
        own = self.describe()["metric"]
        return [own[0] or metric, *own[1:]] if self.several else own or metric

    def describe(self) -> dict[str, Any]:
        """Returns `metric` and `direction` as JSON: lists where there are several."""
        own = self.metric if self.metric is None or isinstance(self.metric, str) else describe(self.metric)
        directions = ["maximize" if more else "minimize" for more in self.maximize]
        if not self.several:
            return {"metric": own, "direction": directions[0]}
        return {"metric": [own, *self.further], "direction": directions}

    def judged(
        self, outcome: str, value: Any, facts: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> tuple[str, list[float] | None, str]:
        """Returns how a trial ends, with which values, and why where it fails.

        `outcome` is what it came to, `value` the first objective's or all of them, `facts` and `metrics` what is known
        of it and of its best epoch. It fails if one is no number, or a complete trial lacks one; what of another kind
        lacks one has no values.
        """
        given = list(value) if isinstance(value, tuple | list) else [value]
        if len(given) == 1 < len(self):
            given += [_known(name, facts, metrics) for name in self.further]
        for name, number in zip(("value", *self.further), given, strict=False):
            if number is not None and math.isnan(number):
                return "failed", None, f"its {name} was no number"
        if outcome == "complete" and (len(given) != len(self) or None in given):
            had = sum(number is not None for number in given)
            return "failed", None, f"a trial of this study must come to {len(self)} numbers, but got {had}"
        whole = len(given) == len(self) and None not in given and outcome != "failed"
        return outcome, [float(number) for number in given] if whole else None, ""

    def so_far(self, trial: Trial) -> list[float | None]:
        """Returns what is known of a trial that is paused or ended early: its best report first.

        None stands for what is measured at the end alone, and for the seconds, of which it would have had more.
        """
        best = (max if self.maximize[0] else min)(trial.curve.values(), default=None)
        last = max(trial.curve, default=0)
        found: list[float | None] = [*trial.values] or [best, *(_at(name, trial, last) for name in self.further)]
        names = ("", *self.further)
        return [None if name == "seconds" else number for name, number in zip(names, found, strict=True)]

    def order(self, trials: Sequence[Trial], epoch: int) -> list[int]:
        """Returns the numbers of those trials that have reported this epoch, the best at it first."""
        standings = self.standings(trials, epoch)
        return sorted(standings, key=lambda number: (standings[number], number))

    def standings(self, trials: Sequence[Trial], epoch: int) -> dict[int, tuple[int, float]]:
        """Returns how those trials that have reported this epoch stand at it, by number: see `pareto.standings`.

        What counts is the reported value, and of the further objectives those that are known of all of them at that
        epoch: parameters, the seconds so far, metrics; not what is measured at the end.
        """
        reached = [trial for trial in trials if epoch in trial.curve]
        known = [(trial.curve[epoch], *(_at(name, trial, epoch) for name in self.further)) for trial in reached]
        columns = zip(zip(*known, strict=True), self.maximize, strict=False)
        kept = [(column, more) for column, more in columns if None not in column]
        points = list(zip(*(column for column, _ in kept), strict=True))
        standings = pareto.standings(points, [more for _, more in kept])
        return {trial.number: standing for trial, standing in zip(reached, standings, strict=True)}

    def front(self, trials: Sequence[Trial]) -> list[Trial]:
        """Returns those complete trials that no other dominates, the best by the first objective first."""
        complete = [trial for trial in trials if trial.state == "complete" and len(trial.values) == len(self)]
        found = [complete[place] for place in pareto.front([trial.values for trial in complete], self.maximize)]
        sign = -1 if self.maximize[0] else 1
        return sorted(found, key=lambda trial: (sign * trial.values[0], trial.number))


ONE = Goals()  # a metric that is maximized


def goals_of(trainer: Trainer | None, metric: Any, direction: Any) -> Goals:
    """Returns the objectives that `metric` and `direction` name, each one or a list of them.

    Without directions costs are minimized and metrics as is their nature; objectives without a trainer need them.
    Raises SettingsError, holding every problem.
    """
    metrics = list(metric) if isinstance(metric, list | tuple) else [metric]
    directions = list(direction) if isinstance(direction, list | tuple) else [direction]
    if trainer is None and not isinstance(metric, list | tuple):
        metrics += [f"value_{place}" for place in range(1, len(directions))]
    if len(metrics) == len(directions) == 1:
        return Goals(metrics[0], (), (maximizes(trainer, metrics[0], directions[0]),))
    problems = _name_problems(trainer, metrics)
    if direction is None and trainer is not None:
        directions = [None] * len(metrics)
    if len(directions) != len(metrics) or (trainer is None and None in directions):
        text = (
            f"`direction` must be a list with one for each of the {len(metrics)} objectives, "
            f'as ["maximize", "minimize"], but got {direction!r}'
        )
        raise SettingsError([*problems, Problem(text, ("direction",))])
    flags = []
    for name, one in zip(metrics, directions, strict=True):
        try:
            flags.append(_maximizes(trainer, name, one))
        except UsageError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return Goals(metrics[0], tuple(metrics[1:]), tuple(flags))


def maximizes(trainer: Trainer | None, metric: Any, direction: Any) -> bool:
    """Returns whether the metric is maximized: as `direction` says, else by the metric's own nature."""
    if direction not in (None, "maximize", "minimize"):
        text = f'`direction` must be "maximize" or "minimize", but got {direction!r}'
        raise SettingsError([Problem(text, ("direction",))])
    own = None
    if trainer is not None and isinstance(metric, str):
        from ..trainers.metrics import METRICS

        own = METRICS[metric].maximize if metric in METRICS else None
    if direction is None:
        return True if own is None else own
    if own is not None and own != (direction == "maximize"):
        better = "maximize" if own else "minimize"
        text = (
            f"`{metric}` is better the {'higher' if own else 'lower'}, but direction is {direction!r}; use {better!r}"
        )
        raise SettingsError([Problem(text, ("direction",))])
    return bool(direction == "maximize")


def _name_problems(trainer: Trainer | None, metrics: Sequence[Any]) -> list[Problem]:
    found = [] if metrics else ["`metric` must name one or more, but the list is empty"]
    named = [name for name in metrics if isinstance(name, str)]
    found += [f"`metric` names `{name}` twice" for name in dict.fromkeys(named) if named.count(name) > 1]
    for name in metrics[1:]:
        if not isinstance(name, str):
            found.append(f"only the first of `metric` may be a function, the others are names, but got {name!r}")
    if trainer is not None:
        found += _unknown(named, first=metrics[0] if metrics else None)
    return [Problem(text, ("metric",)) for text in found]


def _unknown(named: Sequence[str], first: Any) -> Iterator[str]:
    from ..trainers.metrics import METRICS

    if first in COSTS:
        yield f"the first of `metric` is what early stopping goes by, epoch by epoch; put the cost `{first}` after it"
    for name in named:
        if name != first and name not in COSTS and name not in METRICS:
            yield f"no cost and no metric is called `{name}`. {suggestion(name, [*COSTS, *METRICS])}"


def _maximizes(trainer: Trainer | None, name: Any, direction: Any) -> bool:
    if trainer is not None and isinstance(name, str) and name in COSTS:
        if direction in (None, "minimize"):
            return False
        text = f'`{name}` is a cost, so its direction is "minimize", but got {direction!r}'
        raise SettingsError([Problem(text, ("direction",))])
    return maximizes(trainer, name, direction)


def _known(name: str, facts: Mapping[str, Any], metrics: Mapping[str, float]) -> float | None:
    """Returns what an ended trial has of a further objective, None if nobody knows."""
    found = facts.get(COSTS[name]) if name in COSTS else metrics.get(f"valid/{name}")
    return None if found is None else float(found)


def _at(name: str, trial: Trial, epoch: int) -> float | None:
    """Returns what a trial has of a further objective after that epoch, None if nobody knows."""
    if name == "parameters":
        return None if trial.parameters is None else float(trial.parameters)
    if name == "seconds":
        spent = [trial.reports.get(earlier, {}).get("seconds") for earlier in trial.curve if earlier <= epoch]
        return None if None in spent else math.fsum(second for second in spent if second is not None)
    return trial.reports.get(epoch, {}).get(f"valid/{name}")
