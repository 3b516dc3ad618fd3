"""What a study's settings must agree with: their own rules, each other, and those it was begun with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import Problem, SettingsError, UsageError
from ..trainers.references import reference_to
from .executors import EXECUTORS
from .folder import name_problem

if TYPE_CHECKING:
    from .ledger import Ledger
    from .study import Study

# How a study file has its study run where it doesn't say
HOW: dict[str, Any] = {
    "executor": "processes",
    "address": None,
    "device": "auto",
    "workers": "auto",
    "lanes": "auto",
    "plan": "auto",
    "keep": 5,
    "mlflow": "auto",
}
FORMAT = 2  # of what is kept with a study; trials of another one were trained otherwise, and can't be gone on with


def own_problems(study: Study) -> list[Problem]:
    """Returns what is wrong with the plain settings of a study."""
    found: list[Problem] = []

    def must(holds: bool, name: str, rule: str) -> None:
        if not holds:
            found.append(Problem(f"`{name}` must be {rule}, but got {getattr(study, name)!r}", (name,)))

    if text := name_problem(study.name):
        found.append(Problem(text, ("study",)))
    executors = ("auto", *EXECUTORS)
    must(_integer(study.seed, 0), "seed", "an integer >= 0")
    must(study.executor in executors, "executor", f"one of {', '.join(executors)}")
    must(study.workers == "auto" or _integer(study.workers, 1), "workers", '"auto" or an integer >= 1')
    must(study.executor != "inline" or study.workers in ("auto", 1), "workers", "1 with `executor: inline`")
    must(study.address is None or isinstance(study.address, str), "address", "a Ray cluster's HOST:PORT")
    must(_integer(study.keep, 1), "keep", "an integer >= 1")
    must(study.lanes == "auto" or _integer(study.lanes, 1), "lanes", '"auto" or an integer >= 1')
    must(study.plan in ("auto", "fused", "padded", "looped"), "plan", '"auto", "fused", "padded" or "looped"')
    named = [study.devices] if isinstance(study.devices, str) else study.devices
    if not isinstance(named, list | tuple) or not named or not all(isinstance(name, str) for name in named):
        found.append(Problem(f"`device` must be a device's name or a list of them, but got {named!r}", ("device",)))
    elif study.executor == "ray" and named not in (["auto"], ["cpu"], ["cuda"]):
        rule = '"auto", "cpu" or "cuda" with `executor: ray`, which has a GPU, or a core, a worker'
        found.append(Problem(f"`device` must be {rule}, but got {study.devices!r}", ("device",)))
    return found


def options(study: Study) -> dict[str, Any]:
    """Returns how the study is run, as JSON: what it goes on with unless it is told otherwise."""
    trainer = study.trainer
    own: dict[str, Any] = {
        name: getattr(study, name) for name in ("executor", "address", "workers", "lanes", "plan", "keep")
    }
    own["devices"] = study.devices if isinstance(study.devices, str) else list(study.devices)
    own["limits"] = study.limits.times
    own["mlflow"] = study.tracking.describe() if study.tracking else None
    of_trainer: dict[str, Any] = {}
    if trainer is not None:
        hooks = {name: getattr(trainer, name) for name in ("on_epoch", "on_trial_end")}
        named = {name: hook if isinstance(hook, str) else reference_to(hook) for name, hook in hooks.items()}
        of_trainer = {"checkpoint": trainer.checkpoint, "streamed": trainer.streamed, **named}
    return {"study": own, "trainer": of_trainer}


def device_problems(devices: str | Collection[str]) -> list[Problem]:
    """Returns which of the devices this machine hasn't got."""
    named = [devices] if isinstance(devices, str) else devices
    if set(named) <= {"auto", "cpu"}:
        return []  # without importing torch: an objective may do without
    from ..trainers.trainer import device_for

    found: list[Problem] = []
    for name in named:
        with gathered(found, "device"):
            device_for(name)
    return found


def goal_problems(study: Study, devices: Collection[str]) -> list[Problem]:
    """Returns which of the objectives after the first can't be had of this study's data, or on these devices."""
    trainer, found = study.trainer, list[Problem]()
    if trainer is None:
        return found
    for name in study.goals.metrics:
        with gathered(found, "metric"):
            trainer.metric(name)
    if "memory" in study.goals.further:
        others = [name for name in devices if not name.startswith("cuda")]
        if others:
            text = f"`memory` is measured on CUDA alone, but the study trains on {', '.join(others)}"
            found.append(Problem(text, ("metric",)))
        elif study.lanes != 1:
            text = "`memory` is measured of all that a worker trains, so `lanes` must be 1 to tell trials apart"
            found.append(Problem(text, ("lanes",)))
    return found


def _integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def trainer_defaults() -> dict[str, Any]:
    """Returns the trainer's settings as they are where nobody gives them, in the form of `Trainer.describe`."""
    from ..trainers.trainer import Trainer

    described = Trainer("mlp").describe()
    return {name: value for name, value in described.items() if name not in ("model", "data")}


def differences(kept: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yields, in words, each setting in which a study that exists differs from the one given."""
    for where, old, new in differing(kept, given):
        yield f"`{where}` is {old!r} there, {new!r} here"


def differing(first: Mapping[str, Any], second: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yields each setting, as `a.b`, that isn't the same in both, with either's value; None where one has none."""
    for name in [*first, *(name for name in second if name not in first)]:
        one, other, where = first.get(name), second.get(name), f"{path}{name}"
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differing(one, other, f"{where}.")
        elif one != other:
            yield where, one, other


def require_same(study: Study, ledger: Ledger) -> None:
    """Raises SettingsError if the settings that the study in the ledger was made with are others."""
    described, kept = study.describe(), dict(ledger.attribute("settings"))
    if kept["trainer"] and ledger.attribute("format") != FORMAT:
        raise SettingsError(
            f"the study `{study.name}` was made by another version of leadline, whose trainings differ from this "
            "one's: what it found can be shown, but not gone on with. Run it anew, under another name"
        )
    if kept["trainer"] and described["trainer"]:  # settings that there are since are as if they had been left out
        kept["trainer"] = {**trainer_defaults(), **kept["trainer"]}
    others = [*differences(kept, described)]
    if others:
        raise SettingsError(
            f"the study `{study.name}` exists with other settings: {'; '.join(others)}. "
            "Give this one another name, or run it as it was"
        )


@contextmanager
def gathered(problems: list[Problem], *where: str) -> Iterator[None]:
    """Collects the problems of what is raised inside."""
    try:
        yield
    except UsageError as error:
        problems += [problem.inside(*where) for problem in error.problems]
