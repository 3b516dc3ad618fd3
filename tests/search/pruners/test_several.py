"""The pruner for several objectives, asked as the ledger asks it."""

from __future__ import annotations

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from leadline.errors import SettingsError
from leadline.search.goals import Goals
from leadline.search.pruners import PRUNERS, SEVERAL, make_pruner
from leadline.search.pruners.several import RankPruner
from leadline.search.trial import EPOCH

SIZED = Goals("accuracy", ("parameters",), (True, False))


def decided(pruner: BasePruner, *reached: tuple[float, int], epoch: int = 1) -> list[bool]:
    """Returns what the pruner says of trials with these values and sizes, as each comes to the epoch."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    storage, decisions = study._storage, []
    for value, size in reached:
        asked = study.ask()
        storage.set_trial_user_attr(asked._trial_id, "parameters", size)
        storage.set_trial_intermediate_value(asked._trial_id, epoch, value)
        storage.set_trial_system_attr(asked._trial_id, f"{EPOCH}{epoch}", {"metrics": {"seconds": 1.0}})
        decisions.append(pruner.prune(study, storage.get_trial(asked._trial_id)))
    return decisions


def test_the_dominated_are_pruned_and_the_ends_of_the_front_pass() -> None:
    reached = [(0.9, 100), (0.8, 100), (0.5, 10), (0.4, 20), (0.95, 200)]
    assert decided(RankPruner(SIZED, first=1, reduction=3), *reached) == [False, True, False, True, False]


def test_of_many_in_the_front_those_most_alone_pass() -> None:
    pruner = RankPruner(SIZED, first=1, reduction=2)

    def passes(*places: float) -> bool:  # none of which dominates another; says it of the last
        return not decided(pruner, *((place, round(100 * place)) for place in places))[-1]

    assert passes(0.1, 0.9, 0.15, 0.2, 0.25, 0.6)
    assert not passes(0.1, 0.9, 0.15, 0.25, 0.6, 0.2)


def test_it_decides_at_its_rungs_alone() -> None:
    pruner = RankPruner(SIZED, first=2, reduction=3)
    worse = [epoch for epoch in range(1, 55) if decided(pruner, (0.9, 10), (0.1, 20), epoch=epoch)[1]]
    assert worse == [2, 6, 18, 54]


def test_without_reports_there_is_nothing_to_decide() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    asked = study.ask()
    assert not RankPruner(SIZED, 1, 3).prune(study, study._storage.get_trial(asked._trial_id))
    assert study.trials[0].state == TrialState.RUNNING


@pytest.mark.parametrize("name", PRUNERS)
def test_each_name_can_do_several_objectives_or_says_which_can(name: str) -> None:
    if name in SEVERAL:
        assert isinstance(make_pruner(name, 9, SIZED), RankPruner if name == "asha" else optuna.pruners.NopPruner)
    else:
        with pytest.raises(SettingsError, match=f"`{name}` can't do several objectives; `none`, `asha` can"):
            make_pruner(name, 9, SIZED)


def test_an_unknown_name_is_told_as_ever() -> None:
    with pytest.raises(SettingsError, match=r"no pruner is called `ahsa`\. Did you mean `asha`"):
        make_pruner("ahsa", 9, SIZED)
