"""Hard limits: what a trial's network and its training may take, and its time.

A network that would take more is never proposed; a trial whose time is up fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import Problem, SettingsError, UsageError, suggestion
from ..trainers.time_limits import ANY_TIME, TimeLimits

if TYPE_CHECKING:
    from ..spaces import Space
    from ..spaces.parameters import Parameter
    from ..trainers.footprint import Footprint
    from ..trainers.trainer import Trainer
    from .study import Study

NO_NETWORKS = "limits are of networks, but this study has no trainer; leave them out, or give it one"
SAMPLE = 64  # random configurations by which it is told how much of a space limits leave
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SIZES = ("parameters", "memory", "flops")
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
SIZE = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*([kMGT]?)(B?)", re.ASCII)

Allowed = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Limits:
    """The most that a network may take of `parameters`, `flops` and `memory` (bytes), and a trial's time; None is no
    matter.

    What each means is told by `leadline.trainers.footprint.Footprint`, and `leadline.trainers.time_limits.TimeLimits`.
    """

    parameters: int | None = None
    memory: int | None = None
    flops: int | None = None
    time: TimeLimits = ANY_TIME

    @classmethod
    def parse(cls, given: Any) -> Limits:
        """Returns the limits of a mapping: of sizes, numbers or text as "8GB", "500MB", "2e6", "1.5G"; and of times.

        A kilobyte is 1,000 bytes, and so on. `seconds` and `epoch_seconds` are numbers, or text as "90s", "1h30m".
        Raises SettingsError holding every problem.

        >>> limits = Limits.parse({"parameters": "1.5M", "memory": "8GB", "seconds": "10m"})
        >>> limits.parameters, limits.memory, limits.time.seconds
        (1500000, 8000000000, 600.0)
        """
        if given is None or isinstance(given, Limits):
            return given or cls()
        if not isinstance(given, Mapping):
            example = "{parameters: 2e6, memory: 8GB, seconds: 10m}"
            raise SettingsError(f"limits are a mapping, as {example}, but got {given!r}")
        times_known = [limit.name for limit in fields(TimeLimits)]
        names, problems = [*SIZES, *times_known], []
        sizes: dict[str, int] = {}
        times: dict[str, float] = {}
        for name, value in given.items():
            if name in times_known:
                seconds = _seconds(value)
                if seconds is None:
                    text = f'`{name}` must be a time > 0, as 90 (seconds), "90s", "10m" or "1h30m", but got {value!r}'
                    problems.append(Problem(text, (name,)))
                else:
                    times[name] = seconds
                continue
            size = _size(value, of_bytes=name == "memory")
            if name not in names:
                problems.append(Problem(f"no limit is called `{name}`. {suggestion(str(name), names)}", (name,)))
            elif size is None:
                example = '8e9, "8GB" or "500MB" (1 GB = 10^9 bytes)' if name == "memory" else '2000000, 2e6 or "2M"'
                problems.append(Problem(f"`{name}` must be a size >= 1, as {example}, but got {value!r}", (name,)))
            else:
                sizes[name] = size
        if problems:
            raise SettingsError(problems)
        return cls(**sizes, time=TimeLimits(**times))

    def describe(self) -> dict[str, int] | None:
        """Returns those of networks that are given, as JSON; None if there are none."""
        return {name: getattr(self, name) for name in SIZES if getattr(self, name) is not None} or None

    @property
    def times(self) -> dict[str, float]:
        """Those of time that are given, as JSON: another run of the study may have others."""
        return {name: limit for name, limit in asdict(self.time).items() if limit is not None}

    def __bool__(self) -> bool:
        return self.describe() is not None

    def __str__(self) -> str:
        return ", ".join(f"{name} <= {size_told(name, limit)}" for name, limit in (self.describe() or {}).items())

    def broken_by(self, footprint: Footprint) -> str | None:
        """Returns, in words, which limits a network breaks; None if it keeps them all."""
        over = [
            f"`{name} <= {size_told(name, limit)}` must hold, but got {size_told(name, getattr(footprint, name))}"
            for name, limit in (self.describe() or {}).items()
            if getattr(footprint, name) > limit
        ]
        return "; ".join(over) or None

    def broken(self, trainer: Trainer, params: Mapping[str, Any]) -> str | None:
        """Returns the same of a configuration. One that can't be built keeps them: a trial tells what is wrong."""
        try:
            return self.broken_by(trainer.footprint(params))
        except UsageError:
            return None


def size_told(name: str, size: int) -> str:
    """Returns a size for people.

    >>> size_told("memory", 8_000_000_000), size_told("flops", 1_500_000)
    ('8 GB', '1,500,000')
    """
    if name != "memory":
        return f"{size:,}"
    from ..trainers.memory import bytes_told

    return bytes_told(size)


def share(space: Space, allowed: Allowed, seed: int) -> float:
    """Returns the share of a space that is allowed, as `SAMPLE` random configurations tell."""
    return sum(map(allowed, islice(draws(space, seed), SAMPLE))) / SAMPLE


def draws(space: Space, seed: int, given: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yields random configurations of a space, without end, in which what is `given` has its values."""
    import numpy as np

    from .analysis.networks import configuration
    from .strategies.encoding import from_unit

    generator, known = np.random.default_rng(seed), given or {}

    def pick(name: str, parameter: Parameter) -> Any:
        if name in known:
            return known[name]
        if hasattr(parameter, "options"):
            return parameter.options[int(generator.integers(len(parameter.options)))]
        return from_unit(parameter.to_distribution(), float(generator.random()))

    while True:
        yield configuration(space, pick)


def _size(given: Any, *, of_bytes: bool) -> int | None:
    """Returns the number that is given; None if it is none, or not at least 1."""
    if isinstance(given, str):
        found = SIZE.fullmatch(given.strip())
        if found is None or (found[3] and not of_bytes):
            return None
        given = float(found[1]) * UNITS[found[2]]
    whole = isinstance(given, int | float) and not isinstance(given, bool) and 1 <= given < float("inf")
    return int(given) if whole else None


def _seconds(given: Any) -> float | None:
    """Returns the seconds that are given; None if that is no time, or not above 0.

    >>> _seconds("1h30m"), _seconds("90s"), _seconds(0.5), _seconds("soon")
    (5400.0, 90.0, 0.5, None)
    """
    if isinstance(given, str):
        found = DURATION.fullmatch(given.replace(" ", ""))
        if found is None:
            return None
        given = sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))
    a_number = isinstance(given, int | float) and not isinstance(given, bool)
    return float(given) if a_number and 0 < given < float("inf") else None


def limit_problems(study: Study) -> list[Problem]:
    """Returns what keeps the limits of a study from being kept: no network is within, or it has none."""
    if not study.limits:
        return []
    if study.allowed is None:
        return [Problem(NO_NETWORKS, ("limits",))]
    if any(map(study.allowed, islice(draws(study.space, study.seed), SAMPLE))):
        return []
    text = f"of {SAMPLE} random configurations none is within {study.limits}. Raise the limits, or search less"
    return [Problem(text, ("limits",))]


def require_within_limits(study: Study, configurations: Sequence[Mapping[str, Any]]) -> None:
    """Raises SettingsError, with every problem, if a configuration breaks a limit whatever it is completed by."""
    if study.allowed is None or study.trainer is None:
        return
    problems = []
    for index, given in enumerate(configurations):
        whole = list(islice(draws(study.space, study.seed, given), SAMPLE))
        if not any(map(study.allowed, whole)):
            told = study.limits.broken(study.trainer, whole[0])
            where = (index,) if len(configurations) > 1 else ()
            problems.append(Problem(f"{dict(given)} is beyond the limits: {told}", where))
    if problems:
        raise SettingsError(problems)
