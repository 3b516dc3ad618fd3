"""Pruners by name, and the epochs after which they decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import SettingsError, suggestion
from ..goals import ONE, Goals

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

PRUNERS = ("none", "median", "asha", "hyperband")
SEVERAL = ("none", "asha")  # those that can do several objectives
REDUCTION = 3  # a rung lets a third of its trials pass


def make_pruner(
    given: str | BasePruner,
    epochs: int | None,
    goals: Goals = ONE,
) -> BasePruner:
    """Returns the pruner of that name for trials of at most `epochs` epochs (None: unknown), or the one given.

    `none` never prunes. `median` ends a trial below the median of those before it, after a tenth of the epochs and five
    trials (Golovin et al., 2017). `asha` has rungs at a ninth and a third of the epochs and lets the best third of each
    pass (Li et al., 2020). `hyperband` does so with first rungs of several lengths (Li et al., 2018). All are Optuna's.
    Of several `goals`, `asha` lets the best third by non-domination pass; the others, which compare single values,
    can't do them. Raises SettingsError for an unknown name, or one that can't.
    """
    from optuna import pruners

    first = first_rung(epochs)
    if goals.several and given not in SEVERAL and (not isinstance(given, str) or given in PRUNERS):
        named = f"`{given}`" if isinstance(given, str) else f"an Optuna pruner (`{type(given).__name__}`)"
        raise SettingsError(f"{named} can't do several objectives; `{'`, `'.join(SEVERAL)}` can")
    if not isinstance(given, str):
        return given
    if goals.several and given == "asha":
        from .several import RankPruner

        return RankPruner(goals, first, REDUCTION)
    if given == "none":
        return pruners.NopPruner()
    if given == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=_warm_up(epochs))
    if given == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION)
    if given == "hyperband":
        return pruners.HyperbandPruner(min_resource=first, max_resource=epochs or "auto", reduction_factor=REDUCTION)
    raise SettingsError(f"no pruner is called `{given}`. {suggestion(given, PRUNERS)}")


def rungs(given: str | BasePruner, epochs: int) -> frozenset[int]:
    """Returns the epochs, out of 1 ... epochs, after which the pruner decides. One of your own is asked after each."""
    if given == "none":
        return frozenset()
    if given == "median":
        return frozenset(range(max(1, _warm_up(epochs)), epochs + 1))
    if given in ("asha", "hyperband"):
        first = first_rung(epochs)
        return frozenset(first * REDUCTION**k for k in range(epochs) if first * REDUCTION**k <= epochs)
    return frozenset(range(1, epochs + 1))


def first_rung(epochs: int | None) -> int:
    """Returns the first epoch after which `asha` decides: a ninth of them all, at least 1."""
    return max(1, (epochs or 1) // REDUCTION**2)


def _warm_up(epochs: int | None) -> int:
    return (epochs or 0) // 10
