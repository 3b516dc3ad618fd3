"""What would keep a study's run from working, found before anything is trained or created."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import Problem
from .executors import ray
from .limits import limit_problems
from .run import devices_of
from .settings import device_problems, gathered, goal_problems
from .tracking import uri_problem

if TYPE_CHECKING:
    from .budget import Budget
    from .study import Study


def run_problems(study: Study, objective: Callable[..., Any] | None, budget: Budget) -> list[Problem]:
    """Returns all that would keep a run from working, found without training; creates nothing."""
    found = budget.problems()
    for name in ("target", "stall") if study.goals.several else ():
        if getattr(budget, name) is not None:
            text = f"`{name}` is of one objective, but this study has {len(study.goals)}; take another budget"
            found.append(Problem(text, (name,)))
    if not budget.bounds and study.strategy.name != "grid":
        known = "`trials`, `minutes`, `device_hours`, `total_epochs` or `stall`"
        why = "only a grid ends by itself" if budget.target is None else "a target may never be reached"
        found.append(Problem(f"say how long to search: {known} ({why})"))
    found += study.trainer_problems
    found += [] if study.trainer_problems else limit_problems(study)
    unknown = uri_problem(study.tracking.uri) if study.tracking else None
    found += [unknown] if unknown else []
    with gathered(found, "warm_start"):
        _ = study.earlier
    missing = [] if study.executor == "ray" else device_problems(study.devices)
    found += missing
    if study.goals.several and not missing and not study.trainer_problems:
        found += goal_problems(study, devices_of(study))
    if study.executor == "ray":
        with gathered(found, "address"):
            ray.require_reachable(study.address)
    work = study.work(objective) if objective or study.trainer else None
    if work is not None and study.executor in ("processes", "ray") and not study.travels(work):
        found.append(
            Problem(
                f"`executor: {study.executor}` needs model, data, loss, metric and objective that another process can "
                "import: move your functions into a module of their own and give data by a path or a function,"
                ' or use executor="inline"',
                ("executor",),
            )
        )
    return found
