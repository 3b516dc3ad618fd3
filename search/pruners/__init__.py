"""Pruners by name: what decides, as trials train, which go on.

A new pruner is a new file and one line in `PRUNERS`. What it must do stands in `base.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import Problem, SettingsError, suggestion
from .asha import Asha
from .base import Pruner
from .hyperband import Hyperband
from .thaw import Thaw
from .wrapped import NoPruner, OptunaPruner

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

GIVEN = ("epochs", "maximize", "pausing")  # what a study says, not its user


def _none(epochs: int | None, *, maximize: bool, pausing: bool) -> Pruner:
    return NoPruner()


def _median(epochs: int | None, *, maximize: bool, pausing: bool, startup: int = 5, first: int | None = None) -> Pruner:
    from optuna.pruners import MedianPruner

    first = first or max(1, (epochs or 1) // 10)
    return OptunaPruner(MedianPruner(n_startup_trials=startup, n_warmup_steps=first), first)


PRUNERS: dict[str, Callable[..., Pruner]] = {
    "none": _none,
    "median": _median,
    "asha": Asha,
    "hyperband": Hyperband,
    "thaw": Thaw,
}
LEAST = {"reduction": 2, "first": 1, "startup": 0}  # of the options


def make_pruner(
    given: str | Mapping[str, Any] | BasePruner | Pruner,
    epochs: int | None,
    *,
    maximize: bool = True,
    pausing: bool = True,
) -> Pruner:
    """Returns the pruner given by a name, a mapping with `name` and options, an Optuna pruner, or one of ours.

    It decides about trials of at most `epochs` epochs (None: unknown), whose metric is to be large if `maximize`. Where
    trials can't be paused (not `pausing`), what it would pause is ended. `none` never prunes. `median` ends a trial
    below the median of those before it, after `first` epochs (a tenth of them all) and `startup` trials (Golovin et
    al., 2017; Optuna's). The others are documented in their files. Raises SettingsError, holding every problem.

    >>> sorted(make_pruner({"name": "asha", "reduction": 3, "first": 1}, epochs=30).rungs(0, 30))
    [1, 3, 9]
    """
    if isinstance(given, Pruner):
        return given
    options = dict(given) if isinstance(given, Mapping) else {}
    name: Any = options.pop("name", None) if isinstance(given, Mapping) else given
    if hasattr(name, "prune"):
        return OptunaPruner(name)
    if not isinstance(name, str):
        raise SettingsError(f"a pruner is a name or an Optuna pruner, but got {name!r}")
    if name not in PRUNERS:
        raise SettingsError(f"no pruner is called `{name}`. {suggestion(name, PRUNERS)}")
    if problems := _option_problems(name, options):
        raise SettingsError(problems)
    return PRUNERS[name](epochs, maximize=maximize, pausing=pausing, **options)


def described(given: str | Mapping[str, Any] | BasePruner | Pruner) -> Any:
    """Returns as JSON what `make_pruner` was given."""
    if isinstance(given, Mapping):
        return dict(given)
    return given if isinstance(given, str) else f"<{type(given).__name__}>"


def _option_problems(name: str, options: Mapping[str, Any]) -> list[Problem]:
    known = [option for option in inspect.signature(PRUNERS[name]).parameters if option not in GIVEN]
    problems = []
    for option, value in options.items():
        if option not in known:
            problems.append(Problem(f"`{name}` has no option `{option}`. {suggestion(option, known)}", (option,)))
        elif isinstance(value, bool) or not isinstance(value, int) or value < LEAST[option]:
            text = f"`{option}` must be an integer >= {LEAST[option]}, but got {value!r}"
            problems.append(Problem(text, (option,)))
    return problems
