"""The runners-up: what differs between them and the best trial, and whether their values really do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..trial import Trial
from ..words import setting
from .drawing.scales import Scale
from .noise import Side, Verdict, of_trials

if TYPE_CHECKING:
    from .facts import Facts

MOST = 5
RESAMPLES = 200  # of a bootstrap, where there is one
ALIKE = 0.1  # of a parameter's range: a number that is nearer to the best's is told only where nothing else differs


@dataclass(frozen=True)
class RunnerUp:
    """A trial that came close: what `differs` from the best trial, how far it is `behind`, and if that may be noise."""

    trial: Trial
    differs: tuple[str, ...]
    behind: float
    verdict: Verdict


def runners_up(facts: Facts) -> list[RunnerUp]:
    """Returns the next best trials, the best of them first."""
    best = facts.best
    if best is None or best.value is None:
        return []
    found = []
    for trial in facts.ranked[1 : MOST + 1]:
        sides = (Side(facts.study, one, f"trial {one.number}") for one in (best, trial))
        verdict = of_trials(*sides, resamples=RESAMPLES)
        behind = abs(best.value - (trial.value or 0.0))
        found.append(RunnerUp(trial, tuple(_differences(facts, best, trial)), behind, verdict))
    return found


def _differences(facts: Facts, best: Trial, other: Trial) -> list[str]:
    """Returns in which parameters a trial differs from the best one, and what it has there.

    Where no parameter differs by much, it is the one that differs most.
    """
    found, little = list[str](), list[tuple[float, str]]()
    for name, parameter in facts.space.parameters.items():
        if name not in other.params:
            if name in best.params:
                found.append(f"no {name}")
            continue
        value = other.params[name]
        if name in best.params:
            scale = Scale.of(name, parameter)
            if best.params[name] == value:
                continue
            apart = abs(scale.unit(value) - scale.unit(best.params[name]))
            if apart < ALIKE and not scale.options and not scale.whole:
                little.append((apart, f"{name} {setting(value)}"))
                continue
        found.append(f"{name} {setting(value)}")
    return found or [f"little, most of all {told}" for _, told in sorted(little)[-1:]]
