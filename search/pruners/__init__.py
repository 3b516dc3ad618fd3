"""Pruners by name: what decides, as trials train, which go on.

A new pruner is a new file and one line in `PRUNERS`. What it must do stands in `base.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import SettingsError, suggestion
from ..goals import ONE, Goals
from ..options import option_problems
from .asha import Asha
from .base import Pruner
from .hyperband import Hyperband
from .pbt import PopulationBasedTraining
from .thaw import Thaw
from .wrapped import NoPruner, OptunaPruner

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

    from ..study import Study

GIVEN = ("epochs", "maximize", "pausing", "order")  # what a study says, not its user


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
SEVERAL = ("none", "asha")  # those that can do several objectives
LEAST = {"reduction": 2, "first": 1, "startup": 0}  # of the options


def make_pruner(
    given: str | Mapping[str, Any] | BasePruner | Pruner,
    epochs: int | None,
    goals: Goals = ONE,
    *,
    pausing: bool = True,
) -> Pruner:
    """Returns the pruner given by a name, a mapping with `name` and options, an Optuna pruner, or one of ours.

    It decides about trials of at most `epochs` epochs (None: unknown), by the first of the `goals`; of several, `asha`
    goes by non-domination, and the others can't. Where trials can't be paused (not `pausing`), what it would pause is
    ended. `none` never prunes. `median` ends a trial below the median of those before it, after `first` epochs (a tenth
    of them all) and `startup` trials (Golovin et al., 2017; Optuna's). The others are documented in their files. Raises
    SettingsError, holding every problem, for what is unknown or can't be done.

    >>> sorted(make_pruner({"name": "asha", "reduction": 3, "first": 1}, epochs=30).rungs(0, 30))
    [1, 3, 9]
    """
    if isinstance(given, Pruner):
        return given
    options = dict(given) if isinstance(given, Mapping) else {}
    name: Any = options.pop("name", None) if isinstance(given, Mapping) else given
    if hasattr(name, "prune"):
        if goals.several:
            raise SettingsError(_not_several(f"an Optuna pruner (`{type(name).__name__}`)"))
        return OptunaPruner(name)
    if not isinstance(name, str):
        raise SettingsError(f"a pruner is a name or an Optuna pruner, but got {name!r}")
    if name not in PRUNERS:
        raise SettingsError(f"no pruner is called `{name}`. {suggestion(name, PRUNERS)}")
    known = [option for option in inspect.signature(PRUNERS[name]).parameters if option not in GIVEN]
    if problems := [*option_problems(name, options, known, LEAST)]:
        raise SettingsError(problems)
    if goals.several and name not in SEVERAL:
        raise SettingsError(_not_several(f"`{name}`"))
    if goals.several and name == "asha":
        options["order"] = goals.order
    return PRUNERS[name](epochs, maximize=goals.maximize[0], pausing=pausing, **options)


def pruner_of(study: Study, given: Any) -> Pruner:
    """Returns the pruner of a study that was given this one: its strategy's own, where it has one.

    Raises SettingsError, as `make_pruner`, and where another one is given than the strategy's own.
    """
    own, trainer = study.strategy.pruner, study.trainer
    if own is None:
        return make_pruner(given, study.epochs, study.goals, pausing=trainer is not None)
    if (given.get("name") if isinstance(given, Mapping) else given) not in ("none", own):
        raise SettingsError(f"`{study.strategy.name}` brings its own pruner, so leave `pruner` out, but got {given!r}")
    if own != "pbt":
        return make_pruner(own if given == "none" else given, study.epochs, study.goals, pausing=trainer is not None)
    if trainer is None:
        return NoPruner()  # to read what there is; it can't be run
    return PopulationBasedTraining(
        study.epochs,
        space=study.space,
        seed=study.seed,
        structure=trainer.structure,
        maximize=study.maximize,
        **study.strategy.options,
    )


def described(given: str | Mapping[str, Any] | BasePruner | Pruner) -> Any:
    """Returns as JSON what `make_pruner` was given."""
    if isinstance(given, Mapping):
        return dict(given)
    return given if isinstance(given, str) else f"<{type(given).__name__}>"


def _not_several(named: str) -> str:
    return f"{named} can't do several objectives; `{'`, `'.join(SEVERAL)}` can"
