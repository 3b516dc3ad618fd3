"""Study files: YAML to checked settings, every problem told at once with its file and line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt, StrictStr, ValidationError

from ..errors import Problem, SettingsError, UsageError, suggestion
from ..spaces import Space
from .budget import Budget
from .folder import without_password
from .settings import HOW, gathered
from .yaml import parse, read_text

if TYPE_CHECKING:
    from ..trainers.trainer import Trainer
    from .study import Study

BUILT_IN = """\
study: digits-convnet
data: digits                  # a name, a path, or module:function
model: convnet                # a family, or module:function
space:
  depth: {int: [1, 5]}
  feature_maps: {choice: [8, 16, 32, 64]}
  lr: {float: [1.0e-4, 1.0e-1], log: true}
  dropout: {float: [0.0, 0.6]}
  weight_decay: {float: [1.0e-6, 1.0e-2], log: true}
trainer: {epochs: 30, batch_size: 64, optimizer: adamw, patience: 5}
strategy: bayes
pruner: asha
trials: 60
seed: 0
"""
TRIALS = 60  # where a study file gives no budget that is sure to end


class StudyFile(BaseModel):
    """The keys of a study file. What `Trainer` and `Study` check themselves is only given its kind here."""

    model_config = ConfigDict(extra="forbid")

    study: StrictStr
    data: StrictStr | dict[str, Any]
    model: StrictStr
    space: dict[str, Any] | None = None
    trainer: dict[str, Any] = {}
    metric: StrictStr | list[StrictStr] | None = None
    direction: StrictStr | list[StrictStr] | None = None
    strategy: StrictStr | dict[str, Any] = "bayes"
    pruner: StrictStr | dict[str, Any] = "none"
    trials: StrictInt | None = None
    minutes: StrictInt | StrictFloat | None = None
    device_hours: StrictInt | StrictFloat | None = None
    total_epochs: StrictInt | None = None
    target: StrictInt | StrictFloat | None = None
    stall: StrictInt | None = None
    limits: dict[str, Any] | None = None
    seed: StrictInt = 0
    storage: StrictStr | None = None
    executor: StrictStr = HOW["executor"]
    address: StrictStr | None = HOW["address"]
    device: StrictStr | list[StrictStr] = HOW["device"]
    workers: StrictStr | StrictInt = HOW["workers"]
    lanes: StrictStr | StrictInt = HOW["lanes"]
    plan: StrictStr = HOW["plan"]
    keep: StrictInt = HOW["keep"]
    mlflow: StrictStr | dict[str, Any] | None = HOW["mlflow"]
    warm_start: list[StrictStr] | dict[str, Any] | None = None

    @property
    def budget(self) -> Budget:
        """How long the study goes on."""
        return Budget(**{part.name: getattr(self, part.name) for part in fields(Budget)})


@dataclass
class Source:
    """Where settings come from: the file's name and folder, and the line of each of its keys."""

    name: str
    folder: Path | None
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)
    overridden: set[tuple[str, ...]] = field(default_factory=set)

    def locate(self, problem: Problem) -> Problem:
        """Returns the problem with file and line before it, as near to its place as the file knows."""
        for length in range(len(problem.where), -1, -1):
            place = problem.where[:length]
            if place in self.overridden:
                return Problem(f"--set {problem}")
            if place in self.lines:
                return Problem(f"{self.name}:{self.lines[place]}: {problem}")
        return Problem(f"{self.name}: {problem}")

    def error(self, problems: Iterable[Problem]) -> SettingsError:
        """Returns the error that tells these problems, each once."""
        located = list(dict.fromkeys(self.locate(problem) for problem in problems))
        return SettingsError(located)


def read(path: Path | None, overrides: Mapping[tuple[str, ...], Any] | None = None) -> tuple[dict[str, Any], Source]:
    """Returns the settings of a study file (None: the built-in study) and where they come from.

    `overrides` replace settings by their path. Raises SettingsError if the file can't be read or isn't YAML.
    """
    if path is None:
        text, source = BUILT_IN, Source("the built-in study", None)
        if ("model",) in (overrides or {}):  # whose space is another
            text = BUILT_IN[: BUILT_IN.index("space:")] + BUILT_IN[BUILT_IN.index("trainer:") :]
    else:
        text, source = read_text(path), Source(str(path), path.absolute().parent)
    settings = _parsed(text, source)
    for where, value in (overrides or {}).items():
        _put(settings, where, value, source)
    return settings, source


def study_from(settings: dict[str, Any], source: Source, allow: Collection[str] = ()) -> tuple[Study, StudyFile]:
    """Returns the study that the settings describe, all of it checked, and the settings with their defaults.

    Raises SettingsError telling every problem with file and line.
    """
    from .study import Study

    problems: list[Problem] = []
    file = _validated(settings, problems)
    space = _space(settings, problems)
    trainer = _trainer(settings, source, allow, problems)
    study = None
    if file is not None:
        if not file.budget.bounds and not _is_grid(file.strategy):
            file.trials = TRIALS
        try:
            study = Study(file.study, space, trainer, storage=file.storage, **_options(file))
        except UsageError as error:
            problems += error.problems
    if study is not None and trainer is not None and file is not None:
        problems += study.problems(budget=file.budget)
    elif trainer is not None:
        metric = settings.get("metric")
        problems += trainer.check(space, metric[0] if isinstance(metric, list) and metric else metric, 0)
        problems += file.budget.problems() if file else []
    if file is not None and file.address is not None and file.executor != "ray":
        problems.append(Problem("`address` is a Ray cluster's: it goes with `executor: ray`", ("address",)))
    if trainer is not None and not problems:
        with gathered(problems):
            trainer.network_sizes(space)  # a file's space is written by hand: what its ends ask for must exist
    if problems or study is None or file is None:
        raise source.error(problems)
    return study, file


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """Returns the path and the value of `a.b=c`, where c is YAML.

    >>> from leadline.search.config import parse_override
    >>> parse_override("trainer.epochs=5")
    (('trainer', 'epochs'), 5)

    Raises SettingsError if there is no `=`, or c isn't YAML.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set takes `a.b=c`, but got `{without_password(text)}`")
    return tuple(name.strip().split(".")), _parsed(f"value: {value}", Source(f"--set {without_password(text)}", None))[
        "value"
    ]


def _options(file: StudyFile) -> dict[str, Any]:
    """Returns what a study file may set of a `Study`, under the study's own names."""
    own = {"study", "data", "model", "space", "trainer", "storage", "device", *(part.name for part in fields(Budget))}
    return {**file.model_dump(exclude=own), "devices": file.device}


def _is_grid(strategy: Any) -> bool:
    return (strategy.get("name") if isinstance(strategy, dict) else strategy) == "grid"


def _space(settings: Mapping[str, Any], problems: list[Problem]) -> Space:
    """Returns the space, or as much of it as is in order, so that the rest can be checked against it.

    Where none is given it is the family's own.
    """
    if settings.get("space") is None:
        from ..trainers.networks import SPACES

        model = settings.get("model")
        if isinstance(model, str) and model in SPACES:
            return SPACES[model]()
        problems.append(Problem("`space` is needed: only the network families bring one of their own", ("model",)))
    described = dict(settings["space"]) if isinstance(settings.get("space"), dict) else {}
    while True:
        try:
            return Space.parse(described)
        except UsageError as error:
            problems += [problem.inside("space") for problem in error.problems]
            for problem in error.problems:
                described.pop(problem.where[0], None)


def _trainer(
    settings: Mapping[str, Any], source: Source, allow: Collection[str], problems: list[Problem]
) -> Trainer | None:
    """Returns the trainer with the settings that are in order; None if it can't do without those that aren't."""
    from ..trainers.trainer import Trainer

    kinds: dict[str, Any] = {"model": str, "data": (str, dict), "trainer": dict}
    if any(not isinstance(settings.get(name, {} if name == "trainer" else None), kinds[name]) for name in kinds):
        return None  # told already

    known = set(inspect.signature(Trainer.__init__).parameters) - {"self", "model", "data", "base", "allow"}
    given = dict(settings.get("trainer") or {})
    for name in [name for name in given if name not in known]:
        hint = suggestion(str(name), known)
        problems.append(Problem(f"the trainer has no setting `{name}`. {hint}", ("trainer", name)))
        del given[name]
    if not isinstance(given.get("parts", []), list):
        problems.append(Problem(f"`parts` must be three integers, but got {given['parts']!r}", ("trainer", "parts")))
        del given["parts"]
    try:
        return Trainer(settings["model"], settings["data"], **given, base=source.folder, allow=allow)
    except UsageError as error:
        for problem in error.problems:
            problems.append(problem if problem.where[:1] == ("data",) else problem.inside("trainer"))
            given.pop(problem.where[0] if problem.where else "", None)
        if any(problem.where[:1] == ("data",) for problem in error.problems):
            return None
        return Trainer(settings["model"], settings["data"], **given, base=source.folder, allow=allow)


def _validated(settings: Mapping[str, Any], problems: list[Problem]) -> StudyFile | None:
    """Returns the settings whose kinds are right, with defaults for the others; None if what every file needs lacks."""
    remaining = dict(settings)
    while True:
        try:
            return StudyFile.model_validate(remaining)
        except ValidationError as error:
            wrong = {str(found["loc"][0]): found["type"] for found in error.errors()}
        for key, kind in wrong.items():
            if kind == "missing":
                told = f"`{key}` is missing; a study file needs `study`, `data`, `model` and `space`"
            elif kind == "extra_forbidden":
                told = f"a study file has no key `{key}`. {suggestion(key, StudyFile.model_fields)}"
            else:
                got = without_password(repr(settings[key]))
                told = f"`{key}` must be {_kind(StudyFile.model_fields[key].annotation)}, but got {got:.300}"
            if key in remaining or key not in settings:
                problems.append(Problem(told, (key,)))
            remaining.pop(key, None)
        if not {"study", "data", "model", "space"} <= remaining.keys():
            return None


def _kind(annotation: Any) -> str:
    kinds = {"int": "an integer", "float": "a number", "str": "text", "dict": "a mapping", "list": "a list"}
    return " or ".join(words for kind, words in kinds.items() if re.search(rf"\b{kind}\b(?!, typing)", str(annotation)))


def _parsed(text: str, source: Source) -> dict[str, Any]:
    settings, lines = parse(text, source.name)
    source.lines.update(lines)
    return settings


def _put(settings: dict[str, Any], where: tuple[str, ...], value: Any, source: Source) -> None:
    part: Any = settings
    for depth, name in enumerate(where[:-1]):
        inner = part.get(name)
        if name == "data" and isinstance(inner, str):
            inner = {"path": inner}
        if name == "strategy" and not isinstance(inner, dict):
            inner = {"name": inner or StudyFile.model_fields["strategy"].default}
        if inner is None:
            inner = {}
        if not isinstance(inner, dict):
            raise SettingsError(f"--set {'.'.join(where)}: `{'.'.join(where[: depth + 1])}` has no parts")
        part[name] = inner
        part = inner
    part[where[-1]] = value
    source.overridden.add(where)
