"""Grid search: every configuration once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...errors import SpaceExhausted
from ...spaces import Space
from .proposer import Proposer, all_trials

GRID = "leadline:grid"  # system attribute of a trial: the grid's configuration it stands for


class GridSampler(Proposer):
    """Proposes the configurations of `space.grid(points)` in order, leaving out those the study holds already.

    What is missing is read off the study, so a resumed grid runs the rest and nothing twice; a configuration that the
    user enqueued counts, and a part of one is completed to one that is missing. Under conditions dead branches don't
    multiply, unlike in `optuna.samplers.GridSampler`. Within `optuna.Study.optimize` the study stops when all are done;
    elsewhere a further proposal raises SpaceExhausted. Configurations that aren't `allowed` are left out. Parameters
    that aren't in the space are sampled at random.
    """

    def __init__(self, space: Space, points: int | Mapping[str, int] | None = None) -> None:
        super().__init__(space)
        self._points = points
        self._random = RandomSampler()

    def missing(self, study: Study) -> dict[str, Any] | None:
        """Returns the first configuration that no trial stands for; None if all have run or are running.

        Under a condition, the first that agrees with it; None if all that do have run or are running.
        """
        return next(self._missing(study, self._given), None)

    def _missing(self, study: Study, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        varying = self._space.parameters
        taken = {trial.system_attrs.get(GRID) or _key(trial.params) for trial in all_trials(study) if not _waits(trial)}
        configurations = ({n: v for n, v in p.items() if n in varying} for p in self._space.grid(self._points))
        for params in configurations:
            agrees = all(params[name] == given[name] for name in params.keys() & given.keys())
            if agrees and _key(params) not in taken and self._is_allowed(params):
                yield params

    def choose(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        params = self.missing(study)
        if params is None:
            agreeing = f" with {self._given}" if self._given else ""
            raise SpaceExhausted(f"every configuration of the grid{agreeing} has run or is running")
        return params

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if "fixed_params" in trial.system_attrs:
            self._complete(study, trial, trial.system_attrs["fixed_params"])
            return
        study._storage.set_trial_system_attr(
            trial._trial_id, GRID, _key(self.choose(study, trial))
        )  # as Optuna's own GridSampler does

    def _complete(self, study: Study, trial: FrozenTrial, enqueued: Mapping[str, Any]) -> None:
        """Completes an enqueued configuration to the first missing one that has all its values, if there is one."""
        fitting = (params for params in self._missing(study, enqueued) if enqueued.keys() <= params.keys())
        if params := next(fitting, None):
            study._storage.set_trial_system_attr(trial._trial_id, GRID, _key(params))

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        # The whole grid: a study goes on when all that agrees with one proposal's condition has run.
        if getattr(study._thread_local, "in_optimize_loop", False) and next(self._missing(study, {}), None) is None:
            study.stop()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        chosen = json.loads(trial.system_attrs.get(GRID, "{}"))
        if param_name in chosen:
            return chosen[param_name]
        if param_name in self._given:
            return self._given[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _waits(trial: FrozenTrial) -> bool:
    """Tells whether a trial stands in line without a configuration of its own yet."""
    return trial.state == TrialState.WAITING and not trial.params


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(sorted(params.items())))
