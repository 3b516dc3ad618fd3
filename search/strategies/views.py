"""Views of a study: what a sampler is shown of the trials, where that isn't all of them as they are."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial


class View:
    """A study that shows a sampler only some trials, as Optuna's own does under the Hyperband pruner."""

    def __init__(self, study: Study, choose: Callable[[list[FrozenTrial]], list[FrozenTrial]]) -> None:
        self._study = study
        self._chosen = functools.cache(lambda: choose(study.get_trials(deepcopy=False)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        chosen = [trial for trial in self._chosen() if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)
