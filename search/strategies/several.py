"""Strategies for several objectives: those of Optuna that can do them, shown trials that ended early too."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..goals import Goals
from .views import View

MODELLED_TRIALS = 100  # so many `bayes` has a Gaussian process propose, 0.2-0.3 s each; for three objectives 0.5 s
MODELLED_OBJECTIVES = 3


class Several(BaseSampler):
    """Has `sampler` propose for several objectives, showing it pruned trials as complete ones.

    Optuna's samplers can't read pruned trials there, or leave them out, and so would learn nothing of most trials of a
    study that prunes. Of what a pruned trial lacks, it counts as the worst complete trial: an objective it has no value
    of (but for the first, of which it has reports), and the objectives at the places `late`, which it would have had
    more of at its end (seconds, say). While there is no complete trial, pruned ones are left out.

    `then` is a trial's number and the sampler that proposes for it and those after it.

    >>> import optuna
    >>> study = optuna.create_study(directions=["maximize", "minimize"], sampler=Several(optuna.samplers.TPESampler()))
    >>> study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.params["x"] ** 2), n_trials=3)
    """

    def __init__(
        self, sampler: BaseSampler, late: Sequence[int] = (), then: tuple[int, BaseSampler] | None = None
    ) -> None:
        self._sampler, self._late, self._then = sampler, tuple(late), then

    def changed(self, change: Callable[[BaseSampler], BaseSampler]) -> Several:
        """Returns the like, its samplers being changed so."""
        then = None if self._then is None else (self._then[0], change(self._then[1]))
        return Several(change(self._sampler), self._late, then)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._for(trial).infer_relative_search_space(self._shown(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._for(trial).sample_relative(self._shown(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._for(trial).sample_independent(self._shown(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._for(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._for(trial).after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()
        if self._then is not None:
            self._then[1].reseed_rng()

    def _for(self, trial: FrozenTrial) -> BaseSampler:
        return self._sampler if self._then is None or trial.number < self._then[0] else self._then[1]

    def _shown(self, study: Study) -> Study:
        if len(study.directions) == 1:
            return study
        return cast(Study, View(study, lambda trials: self._completed(trials, study.directions)))

    def _completed(self, trials: list[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
        complete = [trial.values for trial in trials if trial.state == TrialState.COMPLETE]
        if not complete:
            return [trial for trial in trials if trial.state != TrialState.PRUNED]
        worst = [
            (min if direction == StudyDirection.MAXIMIZE else max)(column)
            for direction, column in zip(directions, zip(*complete, strict=True), strict=True)
        ]
        return [self._as_complete(trial, worst) if trial.state == TrialState.PRUNED else trial for trial in trials]

    def _as_complete(self, trial: FrozenTrial, worst: Sequence[float]) -> FrozenTrial:
        values = list(trial.values or worst)
        if not trial.values and trial.intermediate_values:
            values[0] = trial.intermediate_values[max(trial.intermediate_values)]
        for place in self._late:
            values[place] = worst[place]
        shown = copy.copy(trial)
        shown.state = TrialState.COMPLETE
        shown.values = values
        return shown


def bayes(gp: BaseSampler, tpe: BaseSampler, goals: Goals, *, conditional: bool) -> Several:
    """Returns Optuna's Gaussian process for the first trials, and TPE for those after them.

    The process finds better fronts (benchmarks/README.md), at a price that grows with trials and objectives. In a space
    that is `conditional`, of which it models but what all trials have, and for many objectives it is TPE throughout.
    """
    if conditional or len(goals) > MODELLED_OBJECTIVES:
        return Several(tpe, goals.late)
    return Several(gp, goals.late, then=(MODELLED_TRIALS, tpe))


def nsga2(seed: int, population: int) -> BaseSampler:
    """Returns NSGA-II: parents are the best by non-domination and crowding, children cross and mutate them.

    The first `population` >= 2 trials are random, and each generation after them is as large. Generations are kept in
    the study, not in the sampler.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002); Optuna's.
    """
    from optuna.samplers import NSGAIISampler

    from .fresh import Fresh

    return Fresh(lambda own: NSGAIISampler(population_size=population, seed=own), seed)
