"""What a study takes over from earlier ones in the same storage: their trials, as far as they fit its space."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Problem, SettingsError, suggestion
from ..spaces import Space
from .settings import gathered

if TYPE_CHECKING:
    from .ledger import Ledger
    from .study import Study

FIRST = 3  # best configurations of earlier studies that are run first
FARTHEST = (
    5.0  # interquartile ranges from the median at which a score ends: a diverged trial says no more than a bad one
)


@dataclass(frozen=True)
class WarmStart:
    """The studies whose trials are taken, and how many of their best configurations run `first`."""

    studies: tuple[str, ...]
    first: int = FIRST

    @classmethod
    def of(cls, given: Any) -> WarmStart | None:
        """Returns what a study is given: None, a name, a list of names, or a mapping with `from` and `first`.

        Raises SettingsError, holding every problem.
        """
        if given is None or isinstance(given, cls):
            return given
        described = dict(given) if isinstance(given, Mapping) else {"from": given}
        names, first = described.pop("from", None), described.pop("first", FIRST)
        names = [names] if isinstance(names, str) else names
        problems = [
            Problem(f"`{key}` is no part of it. {suggestion(str(key), ('from', 'first'))}", (str(key),))
            for key in described
        ]
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            problems.append(Problem(f"`warm_start` names studies, as [digits-1, digits-2], but got {names!r}"))
        if isinstance(first, bool) or not isinstance(first, int) or first < 0:
            problems.append(Problem(f"`first` must be an integer >= 0, but got {first!r}", ("first",)))
        if problems:
            raise SettingsError(problems)
        return cls(tuple(dict.fromkeys(names or ())), first)

    def describe(self) -> dict[str, Any]:
        """Returns it as JSON, in the form a study file has."""
        return {"from": list(self.studies), "first": self.first}


def taken(earlier: Sequence[Study], space: Space, *, maximize: bool) -> list[dict[str, Any]]:
    """Returns the trials of earlier studies that fit the space, as JSON: `study`, `number`, `params`, `score`.

    Complete and pruned trials with a value fit if they have a value in range for each active parameter and don't
    contradict what is fixed; what the space doesn't know is left out. `score` is the value's distance from the study's
    median in interquartile ranges, at most 5, so that studies of other levels and spreads can be compared.
    Raises SettingsError, holding every problem, if a study has another direction or no trial that fits.
    """
    problems: list[Problem] = []
    found: list[dict[str, Any]] = []
    for study in earlier:
        if study.maximize != maximize:
            text = f"`{study.name}` was to {'maximize' if study.maximize else 'minimize'}; this study does the opposite"
            problems.append(Problem(text))
            continue
        valued = [t for t in study.trials if t.state in ("complete", "pruned") and t.value is not None]
        fitting = [(trial, params) for trial in valued if (params := fitted(trial.params, space)) is not None]
        if not fitting:
            problems.append(Problem(f"no trial of `{study.name}` fits this space{_why(study, space)}"))
        scores = standardized([trial.value or 0.0 for trial, _ in fitting])
        found += [
            {"study": study.name, "number": trial.number, "params": params, "score": score}
            for (trial, params), score in zip(fitting, scores, strict=True)
        ]
    if problems:
        raise SettingsError(problems)
    return found


def fitted(params: Mapping[str, Any], space: Space) -> dict[str, Any] | None:
    """Returns the active parameters' values where they are a configuration of the space, else None."""
    chosen = _known(params, space)
    if not space.contains(chosen):
        return None
    distributions = space.to_distributions()
    varying = {name: value for name, value in chosen.items() if name in distributions}
    return {n: distributions[n].to_external_repr(distributions[n].to_internal_repr(v)) for n, v in varying.items()}


def best_of(
    entries: Sequence[Mapping[str, Any]],
    count: int,
    *,
    maximize: bool,
    allowed: Callable[[Mapping[str, Any]], bool] = lambda params: True,
) -> list[dict[str, Any]]:
    """Returns so many different configurations with the best scores of those that are allowed, the best first."""
    ordered = sorted(entries, key=lambda entry: -entry["score"] if maximize else entry["score"])
    distinct: list[dict[str, Any]] = []
    for entry in ordered:
        if len(distinct) < count and entry["params"] not in distinct and allowed(entry["params"]):
            distinct.append(entry["params"])
    return distinct


def standardized(values: Sequence[float]) -> list[float]:
    """Returns the values' distances from their median in interquartile ranges, at most `FARTHEST`."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return [0.0] * len(values)
    median = statistics.median(finite)
    lower, _, upper = statistics.quantiles(finite, n=4, method="inclusive") if len(finite) > 1 else (0.0, 0.0, 0.0)
    width = upper - lower or max(finite) - min(finite) or 1.0
    return [min(max((value - median) / width, -FARTHEST), FARTHEST) for value in values]


def _known(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Returns what the space knows of a configuration: fixed values, and parameters that are active in it."""
    known = {name: value for name, value in params.items() if name in space.names}
    active = {name for name in space.parameters if space.is_active(name, space.fixed | known)}
    return {name: value for name, value in known.items() if name in active or name in space.fixed}


def _why(study: Study, space: Space) -> str:
    """Returns, after a colon, what keeps the study's first trial out; nothing if it has none."""
    for trial in study.trials:
        if found := space.problems(_known(trial.params, space)):
            return f": {found[0].text}"
    return ""


def earlier_trials(study: Study, ledger: Ledger | None, load: Callable[..., Study]) -> list[dict[str, Any]]:
    """Returns the trials of earlier studies that this one starts from, as they were when it began.

    `ledger` is the study as far as it is there; `load(name, storage)` opens another one. Raises SettingsError, holding
    every problem.
    """
    if study.warm_start is None:
        return []
    kept = ledger.attribute("warm_start") if ledger is not None else None
    if kept is not None:
        return list(kept)
    problems: list[Problem] = []
    earlier = []
    for name in study.warm_start.studies:
        with gathered(problems):
            if name == study.name:
                raise SettingsError(f"`{name}` can't start from itself")
            earlier.append(load(name, study.storage))
    with gathered(problems):
        found = taken(earlier, study.space, maximize=study.maximize)
    if problems:
        raise SettingsError(problems)
    return found
