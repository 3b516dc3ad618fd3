"""Strategies for several objectives: those of Optuna that can do them, shown trials that ended early too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ..goals import Goals
from ..trial import PAUSED, Trial
from .views import View, as_complete
from .wrapper import InTurn, Wrapper

MODELLED_TRIALS = 100  # so many `bayes` has a Gaussian process propose, 0.2-0.3 s each; for three objectives 0.5 s
MODELLED_OBJECTIVES = 3


class Several(Wrapper):
    """Has `sampler` propose for several objectives, showing it paused and pruned trials as complete ones.

    Optuna's samplers can't read pruned trials there, take paused ones for running ones, and so would learn little in a
    study that prunes. Such a trial has what the `goals` know of it, and counts as the worst that is known of any trial
    where they don't.

    >>> import optuna
    >>> sampler = Several(optuna.samplers.TPESampler(), Goals("gain", ("price",), (True, False)))
    >>> study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    >>> study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.params["x"] ** 2), n_trials=3)
    """

    def __init__(self, sampler: BaseSampler, goals: Goals) -> None:
        super().__init__(sampler)
        self._goals = goals

    def _shown(self, study: Study, trial: FrozenTrial) -> Study:
        return cast(Study, View(study, self._completed)) if self._goals.several else study

    def _completed(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        known = {trial.number: self._known(trial) for trial in trials if _counts(trial)}
        worst = [
            (min if more else max)((value for value in column if value is not None), default=0.0)
            for column, more in zip(zip(*known.values(), strict=True), self._goals.maximize, strict=False)
        ]
        return [_valued(trial, known[trial.number], worst) if trial.number in known else trial for trial in trials]

    def _known(self, trial: FrozenTrial) -> list[float | None]:
        return list(trial.values) if trial.state == TrialState.COMPLETE else self._goals.so_far(Trial.of(trial, {}))


def _counts(trial: FrozenTrial) -> bool:
    paused = trial.state == TrialState.RUNNING and bool(trial.system_attrs.get(PAUSED))
    return paused or trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _valued(trial: FrozenTrial, known: Sequence[float | None], worst: Sequence[float]) -> FrozenTrial:
    if trial.state == TrialState.COMPLETE:
        return trial
    return as_complete(trial, [bound if value is None else value for value, bound in zip(known, worst, strict=True)])


def bayes(gp: BaseSampler, tpe: BaseSampler, goals: Goals, *, conditional: bool) -> Several:
    """Returns Optuna's Gaussian process for the first trials, and TPE for those after them.

    The process finds better fronts (benchmarks/README.md), at a price that grows with trials and objectives. In a space
    that is `conditional`, of which it models but what all trials have, and for many objectives it is TPE throughout.
    """
    if conditional or len(goals) > MODELLED_OBJECTIVES:
        return Several(tpe, goals)
    return Several(InTurn({"gp": gp, "tpe": tpe}, lambda number: "gp" if number < MODELLED_TRIALS else "tpe"), goals)


def nsga2(seed: int, population: int) -> BaseSampler:
    """Returns NSGA-II: parents are the best by non-domination and crowding, children cross and mutate them.

    The first `population` >= 2 trials are random, and each generation after them is as large. Generations are kept in
    the study, not in the sampler.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002); Optuna's.
    """
    from optuna.samplers import NSGAIISampler

    from .fresh import Fresh

    return Fresh(lambda own: NSGAIISampler(population_size=population, seed=own), seed)
