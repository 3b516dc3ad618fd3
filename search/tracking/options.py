"""The setting `mlflow` of a study: where it is tracked, and what of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from typing import Any

from ...errors import Problem, SettingsError, suggestion
from ..folder import without_password

INTERVAL = 10.0  # seconds between two samples of system metrics, as in MLflow itself


@dataclass(frozen=True)
class Tracking:
    """Where a study is tracked, and what of it.

    `uri` is the address of MLflow's store ("auto": `MLFLOW_TRACKING_URI`, else beside the studies), `experiment` the
    experiment's name (by default the study's). `system_metrics` samples processor, memory and GPU of each worker, every
    10 seconds or every so many as it says. `register` puts the best model into the registry under that name, `alias`
    names its newest version. `report` logs plots and the report in the end. `wait` is for how many seconds the end of
    a run tries to reach a store that is away.
    """

    uri: str = "auto"
    experiment: str | None = None
    system_metrics: bool | float = False
    register: str | None = None
    alias: str | None = None
    report: bool = True
    wait: float = 10.0

    @classmethod
    def of(cls, given: Any) -> Tracking | None:
        """Returns the setting, given as an address, as a mapping or as itself; None is no tracking.

        Raises SettingsError with every problem.

        >>> from leadline.search.tracking import Tracking
        >>> Tracking.of({"uri": "http://tracking.example:5000", "register": "digits"}).register
        'digits'
        """
        if given is None or isinstance(given, Tracking):
            return given
        if isinstance(given, str):
            return cls(uri=given)
        if not isinstance(given, Mapping):
            got = without_password(repr(given))
            text = f"`mlflow` must be an address, null, or a mapping of {', '.join(_NAMES)}, but got {got}"
            raise SettingsError([Problem(text)])
        problems = [
            Problem(f"`mlflow` has no option `{name}`. {suggestion(str(name), _NAMES)}", (name,))
            for name in given
            if name not in _NAMES
        ]
        known = {name: value for name, value in given.items() if name in _NAMES}
        for name, value in known.items():
            rule, holds = RULES[name]
            if not holds(value):
                problems.append(Problem(f"`{name}` must be {rule}, but got {without_password(repr(value))}", (name,)))
        if known.get("alias") is not None and known.get("register") is None:
            problems.append(Problem("`alias` names a version of a registered model: give `register` too", ("alias",)))
        if known.get("system_metrics") and find_spec("psutil") is None:
            text = "`system_metrics` needs psutil, which isn't installed: `pip install 'leadline[system]'`"
            problems.append(Problem(text, ("system_metrics",)))
        if problems:
            raise SettingsError(problems)
        return cls(**known)

    @property
    def interval(self) -> float | None:
        """The seconds between two samples of system metrics; None takes none."""
        if isinstance(self.system_metrics, bool):
            return INTERVAL if self.system_metrics else None
        return float(self.system_metrics)

    def describe(self) -> str | dict[str, Any]:
        """Returns the setting as JSON, in the shortest form, without an address that holds a password."""
        own = {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}
        if without_password(self.uri) != self.uri:
            del own["uri"]
        return own if own.keys() - {"uri"} else own.get("uri", "auto")


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _name(value: object) -> bool:
    return value is None or _text(value)


def _model_name(value: object) -> bool:
    return value is None or (isinstance(value, str) and bool(value.strip()) and not set(value) & set("/:"))


def _alias(value: object) -> bool:
    version = isinstance(value, str) and value[:1] == "v" and value[1:].isdigit()
    return value is None or (_model_name(value) and value != "latest" and not version)


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _samples(value: object) -> bool:
    return isinstance(value, bool) or (_seconds(value) and isinstance(value, int | float) and value >= 1)


RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "uri": ('an address or "auto"', _text),
    "experiment": ("an experiment's name", _name),
    "system_metrics": ("true, false, or at least 1 second between samples", _samples),
    "register": ("a model's name, without `/` and `:`", _model_name),
    "alias": ("an alias, without `/` and `:`, not `latest` and not `v1`, `v2`, ...", _alias),
    "report": ("true or false", lambda value: isinstance(value, bool)),
    "wait": ("seconds >= 0", _seconds),
}
_NAMES = tuple(field.name for field in fields(Tracking))
_DEFAULTS = asdict(Tracking())
