"""Which parameters mattered: by PED-ANOVA and fANOVA, over trials whose values can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..trial import Trial
from ..words import counted

if TYPE_CHECKING:
    from optuna.importance import BaseImportanceEvaluator

    from ...spaces import Space
    from .facts import Facts

FEWEST = 10  # trials, below which importances say more of luck than of parameters
ENOUGH = 20  # complete trials, from which on those that ended early aren't needed
APART = 0.3  # the least difference of a parameter's parts by which the methods disagree about it
MOST = 250  # trials that are looked at: fANOVA's time grows with their square


@dataclass(frozen=True)
class Compared:
    """Trials whose values can be compared, finite all of them, and in words what these values are."""

    trials: tuple[Trial, ...]
    values: tuple[float, ...]
    what: str


@dataclass(frozen=True)
class Importance:
    """Each parameter's part, the parts of each method adding up to 1: the most important first.

    `ped_anova` is of reaching the best tenth, `fanova` of how values differ at all; that knows only parameters which
    every trial has. Both are empty, for a `reason`, where nothing can be said. `constant` are parameters of which these
    trials have one value alone.
    """

    compared: Compared
    ped_anova: Mapping[str, float] = field(default_factory=dict)
    fanova: Mapping[str, float] = field(default_factory=dict)
    constant: tuple[str, ...] = ()
    reason: str = ""

    @property
    def order(self) -> list[str]:
        """The parameters, those first that matter most by either method."""
        return sorted(self.ped_anova, key=self.of, reverse=True)

    @property
    def disputed(self) -> tuple[str, str] | None:
        """The parameter that matters most over all and that among the best trials, where the methods disagree."""
        if not self.fanova:
            return None
        over_all, among_best = (max(parts, key=parts.__getitem__) for parts in (self.fanova, self.ped_anova))
        if over_all == among_best or not any(self.differs(name) for name in (over_all, among_best)):
            return None
        return over_all, among_best

    def differs(self, name: str) -> bool:
        """Returns whether the methods, where both know a parameter, say clearly different things of it."""
        return name in self.fanova and abs(self.fanova[name] - self.ped_anova.get(name, 0.0)) >= APART

    def of(self, name: str) -> float:
        """Returns the mean of what the methods that know a parameter say of it."""
        known = [parts[name] for parts in (self.ped_anova, self.fanova) if name in parts]
        return math.fsum(known) / len(known) if known else 0.0


def compared(facts: Facts, objective: int = 0) -> Compared:
    """Returns the complete trials with their values in an objective.

    Where these are few, because others ended early, it is all trials by what they had come to at the latest epoch that
    most of them reached: later values would compare long trainings with short ones.
    """
    complete = [(trial, value) for trial in facts.complete if (value := facts.value(trial, objective)) is not None]
    if objective == 0 and len(complete) < ENOUGH:
        curved = [trial for trial in facts.ended if trial.curve and trial.state != "failed" and trial.parent is None]
        reached = sorted((max(trial.curve) for trial in curved), reverse=True)
        epoch = reached[math.ceil(0.9 * len(reached)) - 1] if reached else 0
        early = [(trial, value) for trial in curved if (value := _until(facts, trial, epoch)) is not None]
        if len(early) > 1.5 * len(complete):
            trials, values = zip(*early, strict=True)
            what = f"the {facts.metric} that {counted(len(early), 'trial')} had by epoch {epoch}"
            return Compared(trials, values, f"{what}, as only {len(complete)} were trained to the end")
    what = f"the {facts.objectives[objective]} of {counted(len(complete), 'complete trial')}"
    return Compared(tuple(trial for trial, _ in complete), tuple(value for _, value in complete), what)


def importance(space: Space, found: Compared, *, maximize: bool) -> Importance:
    """Returns how much each varying parameter had to do with the values of the trials.

    Sources: Watanabe et al., "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces"
    (2023); Hutter et al., "An Efficient Approach for Assessing Hyperparameter Importance" (2014); both as Optuna has
    them.
    """
    tried = {name: {repr(t.params[name]) for t in found.trials if name in t.params} for name in space.parameters}
    varied = [name for name, values in tried.items() if len(values) > 1]
    constant = tuple(name for name, values in tried.items() if len(values) == 1)
    reason = ""
    if len(found.trials) < FEWEST:
        there = "there is 1" if len(found.trials) == 1 else f"there are {len(found.trials)}"
        reason = f"it takes at least {FEWEST} trials that can be compared, and {there}"
    elif min(found.values) == max(found.values):
        reason = f"all {len(found.values)} trials came to the same value"
    elif not varied:
        reason = "only one configuration was tried"
    if reason:
        return Importance(found, constant=constant, reason=reason)
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    kept = _thinned(found, maximize=maximize)
    everywhere = [name for name in varied if all(name in trial.params for trial in kept.trials)]
    return Importance(
        found,
        ped_anova=_parts(PedAnovaImportanceEvaluator(), space, kept, varied, maximize=maximize),
        fanova=_parts(FanovaImportanceEvaluator(seed=0), space, kept, everywhere, maximize=maximize),
        constant=constant,
    )


def _parts(
    evaluator: BaseImportanceEvaluator, space: Space, found: Compared, names: Sequence[str], *, maximize: bool
) -> dict[str, float]:
    """Returns each parameter's part by an evaluator of Optuna's, from a study in memory of these trials alone."""
    import optuna

    from ...trainers.quiet import quiet

    distributions = {name: space.parameters[name].to_distribution() for name in names}
    with quiet("optuna"):
        study = optuna.create_study(direction="maximize" if maximize else "minimize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: trial.params[name] for name in names if name in trial.params},
                distributions={name: distributions[name] for name in names if name in trial.params},
                value=value,
            )
            for trial, value in zip(found.trials, found.values, strict=True)
        ]
    )
    parts = optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(names))
    return {name: float(part) if math.isfinite(part) else 0.0 for name, part in parts.items()}


def _thinned(found: Compared, *, maximize: bool) -> Compared:
    """Returns at most `MOST` of the trials: evenly over their values, the best among them."""
    if len(found.trials) <= MOST:
        return found
    sign = -1.0 if maximize else 1.0
    order = sorted(range(len(found.trials)), key=lambda place: sign * found.values[place])
    kept = sorted(order[round(step * (len(order) - 1) / (MOST - 1))] for step in range(MOST))
    return Compared(tuple(found.trials[k] for k in kept), tuple(found.values[k] for k in kept), found.what)


def _until(facts: Facts, trial: Trial, epoch: int) -> float | None:
    """Returns the best value that a trial had come to by that epoch, None if it came to none so far."""
    if max(trial.curve) < epoch:
        return None
    return facts.better(value for at, value in trial.curve.items() if at <= epoch and math.isfinite(value))
