"""Population-based training: the worst of a population go on from the weights of the best, with other settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...spaces import Float, Int, Parameter, Space
from ..trial import Trial
from .base import Begin, End, Move, Pruner, Resume, Verdict
from .standing import stands_at

FACTORS = (0.8, 1.25)  # by which a number is perturbed
RESAMPLED = 0.25  # the share of parameters that are drawn anew instead


class PopulationBasedTraining(Pruner):
    """Trains `population` trials together, which all pause every `interval` epochs (None: a tenth of a trial's).

    When the last of them has come so far, the worst `share` of them end (exploit). In the place of each a new trial
    begins, from the weights and the optimizer's state of one of the best `share`, with its configuration perturbed
    (explore): numbers are multiplied by 0.8 or 1.25, choices changed, a quarter of the parameters drawn anew. What
    tells networks or optimizers apart stays, as the state couldn't go on otherwise: `structure(params)` names it. The
    children are trials of their own, with `parent`, and count as such; without a budget for them the population
    shrinks.

    So a trial's curve depends on other trials here, unlike everywhere else, but not on where or when they were trained.

    Source: Jaderberg et al., "Population Based Training of Neural Networks" (2017), with truncation selection.
    """

    pauses = True
    alone = True  # a generation begins when the one before has ended

    def __init__(
        self,
        epochs: int | None,
        *,
        space: Space,
        seed: int,
        structure: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        maximize: bool = True,
        population: int = 10,
        interval: int | None = None,
        share: float = 0.2,
    ) -> None:
        self.space, self.seed, self.structure, self.maximize = space, seed, structure, maximize
        self.population, self.share = population, share
        self.interval = interval or max(1, round((epochs or 1) / 10))

    def rungs(self, number: int, epochs: int) -> frozenset[int]:
        return frozenset(range(self.interval, epochs, self.interval))

    def verdicts(self, waiting: Sequence[int], trials: Sequence[Trial]) -> list[Verdict]:
        return ["pause" for _ in waiting]

    def takes_new(self, trials: Sequence[Trial]) -> bool:
        return sum(trial.parent is None for trial in trials) < self.population

    def moves(self, trials: Sequence[Trial]) -> list[Move]:
        """Returns nothing until all that live stand at the same epoch: then what becomes of each."""
        living = [trial for trial in trials if trial.state in ("waiting", "running", "paused")]
        if not living or self.takes_new(trials) or any(trial.state != "paused" for trial in living):
            return []
        return self._generation(living, number=len(trials))

    def last_moves(self, trials: Sequence[Trial]) -> list[Move]:
        """Returns what becomes of a population that isn't complete, as no more trials are to come."""
        return self._generation([trial for trial in trials if trial.state == "paused"], number=len(trials))

    def _generation(self, living: Sequence[Trial], number: int) -> list[Move]:
        if not living:
            return []
        epoch = min(map(stands_at, living))
        behind = [trial for trial in living if stands_at(trial) == epoch]
        ranked = ranking_at(behind, epoch, maximize=self.maximize)
        count = min(max(1, math.floor(self.share * len(ranked))), len(ranked) // 2)
        best, worst = ranked[:count], ranked[len(ranked) - count :]
        moves: list[Move] = []
        for place, loser in enumerate(worst):
            random = np.random.default_rng((self.seed, number + place))
            parent = best[int(random.integers(count))]
            reason = f"at epoch {epoch} a copy of trial {parent.number} took its place"
            moves += [End(loser.number, reason), Begin(self._explored(parent.params, random), parent.number)]
        return moves + [Resume(trial.number) for trial in ranked[: len(ranked) - count]]

    def _explored(self, params: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any]:
        explored = dict(params)
        for name, parameter in self.space.parameters.items():
            if name in params:
                changed = {**explored, name: _perturbed(parameter, params[name], random)}
                if self.structure(changed) == self.structure(params) and self.space.contains(changed):
                    explored = changed
        return explored


def ranking_at(trials: Sequence[Trial], epoch: int, *, maximize: bool) -> list[Trial]:
    """Returns the trials by what they came to at that very epoch, the best first, equal ones by number."""
    sign = -1.0 if maximize else 1.0
    return sorted(trials, key=lambda trial: (sign * trial.curve[epoch], trial.number))


def _perturbed(parameter: Parameter, value: Any, random: np.random.Generator) -> Any:
    if random.random() < RESAMPLED or not isinstance(parameter, Float | Int):
        values = parameter.values(points=1001)
        return values[int(random.integers(len(values)))]
    factor = FACTORS[int(random.integers(2))]
    moved = min(max(value * factor, parameter.low), parameter.high)
    if isinstance(parameter, Int):
        steps = round((moved - value) / parameter.step) or (1 if factor > 1 else -1)
        return value + steps * parameter.step
    return moved if parameter.step is None else min(parameter.values(), key=lambda lattice: abs(lattice - moved))
