"""Two studies, or two trials, beside each other: what differs, by how much, and whether it may be noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ..settings import differing
from ..table import Column, print_columns, print_wrapped
from ..trial import ENDED
from ..words import short
from .history import Step, history
from .noise import Side, Verdict, of_studies, of_trials, other_goal

if TYPE_CHECKING:
    from ..study import Study

NOT_OF_A_TRIAL = ("name", "space", "strategy", "pruner", "limits", "warm_start", "trainer")
SAID_OF = {"trial": "", "trials": "All complete trials: ", "best": "The best ones: "}
NARROW = 12  # cells that a value may be cut to


@dataclass(frozen=True)
class Pair:
    """What something is in the first and in the second; None where it has none."""

    what: str
    first: Any
    second: Any

    @property
    def difference(self) -> int | float | None:
        """How much more the second has; None of what isn't two numbers."""
        numbers = [self.first, self.second]
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
            return None
        return self.second - self.first  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Comparison:
    """Two things called `first` and `second`: the settings that differ, figures of both, and what of it may be noise.

    `verdicts` are by what they are of: all "trials" of two studies and their "best" ones, or the one "trial" of each.
    """

    first: str
    second: str
    settings: tuple[Pair, ...]
    figures: tuple[Pair, ...]
    verdicts: Mapping[str, Verdict]

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain JSON: settings and figures by name, as `[first, second]`."""
        return {
            "first": self.first,
            "second": self.second,
            "settings": {pair.what: [pair.first, pair.second] for pair in self.settings},
            "figures": {pair.what: [pair.first, pair.second] for pair in self.figures},
            "noise": {name: asdict(verdict) for name, verdict in self.verdicts.items()},
        }


def compare(first: str, second: str, load: Callable[[str], Study]) -> Comparison:
    """Returns the comparison of two studies, `NAME`, or of two trials, `NAME:12` or `NAME:best`.

    `load` opens a study by its name. Raises UsageError if one is a study and the other a trial, or there is no such
    trial.
    """
    names, places = zip(*(part.partition(":")[::2] for part in (first, second)), strict=True)
    if bool(places[0]) != bool(places[1]):
        raise UsageError(f"two studies, or two trials as `NAME:12`, are compared, but got `{first}` and `{second}`")
    one = load(names[0])
    other = one if names[0] == names[1] else load(names[1])
    if places[0]:
        return compare_trials(side_of(one, places[0]), side_of(other, places[1]))
    return compare_studies(one, other)


def side_of(study: Study, place: str) -> Side:
    """Returns the trial of a study with that number, or the "best". Raises UsageError if there is none."""
    trials = study.trials
    if place == "best":
        trial = study.best
    elif place.isdecimal() and int(place) < len(trials):
        trial = trials[int(place)]
    else:
        known = f"trials 0 to {len(trials) - 1}" if trials else "no trial"
        raise UsageError(f"`{study.name}` has {known}, and a `best` one, but got `{place}`")
    return Side(study, trial, f"{study.name}:{trial.number}")


def compare_trials(first: Side, second: Side) -> Comparison:
    """Returns what two trials were trained with, of one study or of two, and what came of it.

    Their values stand beside each other only where they are of one metric and one direction.
    """
    one, other = first.trial, second.trial
    settings = _pairs(differing(_trained_with(first, second), _trained_with(second, first)))
    epoch = min(max(trial.curve, default=0) for trial in (one, other))
    goals = first.study.goals
    further = goals.further if goals == second.study.goals else ()
    values = [
        Pair(first.study.metric_name, one.value, other.value),
        *(Pair(name, _at(one.values, place), _at(other.values, place)) for place, name in enumerate(further, start=1)),
        Pair("spread", one.spread, other.spread),
        *_by_epoch(first, second, epoch),
        Pair("last", one.last, other.last),
    ]
    figures = [
        Pair("state", one.state, other.state),
        *([] if other_goal(first.study, second.study) else values),
        *(
            Pair(name.replace("_", " "), getattr(one, name), getattr(other, name))
            for name in ("best_epoch", "epochs", "seconds", "parameters", "peak_memory")
            if name not in further
        ),
    ]
    return Comparison(first.name, second.name, settings, _known(figures), {"trial": of_trials(first, second)})


def compare_studies(first: Study, second: Study) -> Comparison:
    """Returns how two studies differ in settings and space, and what came of them, at equal costs too.

    Values stand beside each other only where they are of one metric and one direction.
    """
    settings = _pairs(differing(_settings(first), _settings(second)))
    one, other = (history(study.trials, maximize=study.maximize) for study in (first, second))
    metric = first.metric_name
    values = [Pair(f"best {metric}", _best(one), _best(other)), *_at_equal_costs(one, other, metric)]
    figures = [
        *(Pair(state, _count(first, state), _count(second, state)) for state in ENDED),
        *([] if other_goal(first, second) else values),
        Pair("epochs of all trials", one[-1].epochs if one else 0, other[-1].epochs if other else 0),
        Pair("seconds of training", one[-1].seconds if one else 0.0, other[-1].seconds if other else 0.0),
        Pair("seconds of running", first.attribute("seconds"), second.attribute("seconds")),
    ]
    verdicts = {"trials": of_studies(first, second)}
    if _best(one) is not None and _best(other) is not None:
        verdicts["best"] = of_trials(side_of(first, "best"), side_of(second, "best"))
    return Comparison(first.name, second.name, settings, _known(figures), verdicts)


def _trained_with(side: Side, beside: Side) -> dict[str, Any]:
    """Returns all that a trial was trained with, by name: the trainer's settings and the configuration.

    A setting that is searched in either study is what the configuration says, or nothing where it isn't active.
    """
    study = side.study
    kept = _kept(study)
    own = {name: value for name, value in kept.items() if name not in NOT_OF_A_TRIAL}
    searched = {*study.space.names, *beside.study.space.names}
    trainer = kept["trainer"] or {}
    unsearched = {name: value for name, value in trainer.items() if name not in searched}
    fallback = {name: trainer[name] for name in searched if name in trainer and name not in study.space.names}
    return {**own, **unsearched, **fallback, **side.trial.params}


def _settings(study: Study) -> dict[str, Any]:
    """Returns a study's settings; of its space a parameter each, whole."""
    kept = _kept(study)
    del kept["name"]
    space = {name: _brief(part) for name, part in kept["space"].items()}
    return {**kept, "space": space, "trainer": kept["trainer"] or {}}


def _kept(study: Study) -> dict[str, Any]:
    """Returns the settings that a study was made with, whatever of them this process can get at."""
    return {**study.attribute("settings"), "metric": study.goals.named(study.metric_name)}


def _brief(part: Any) -> Any:
    """Returns a parameter as a study file has it, in one line."""
    if not isinstance(part, Mapping):
        return part
    return ", ".join(f"{name}: {value}" for name, value in part.items())


def _at_equal_costs(one: Sequence[Step], other: Sequence[Step], metric: str) -> list[Pair]:
    """Returns the best values when both had taken as much as the cheaper study took in all."""
    if not one or not other:
        return []
    pairs = []
    for name in ("trials", "epochs", "seconds"):
        least = min(getattr(one[-1], name), getattr(other[-1], name))
        if least and getattr(one[-1], name) != getattr(other[-1], name):
            of = "s of training" if name == "seconds" else name
            told = f"{least:.1f}" if name == "seconds" else str(least)
            best = [_best([step for step in steps if getattr(step, name) <= least]) for steps in (one, other)]
            pairs.append(Pair(f"best {metric} after {told} {of}", *best))
    return pairs


def _by_epoch(first: Side, second: Side, epoch: int) -> list[Pair]:
    """Returns the trials' best values by the last epoch that both had, if one went on beyond it."""
    curves = (first.trial.curve, second.trial.curve)
    if not epoch or all(max(curve) == epoch for curve in curves):
        return []
    better = max if first.study.maximize else min
    had = [[value for at, value in curve.items() if at <= epoch] for curve in curves]
    return [Pair(f"best by epoch {epoch}", *(better(values) if values else None for values in had))]


def _best(steps: Sequence[Step]) -> float | None:
    return steps[-1].best if steps else None


def _at(values: Sequence[float], place: int) -> float | None:
    return values[place] if place < len(values) else None


def _count(study: Study, state: str) -> int:
    return sum(trial.state == state for trial in study.trials)


def _pairs(found: Iterable[tuple[str, Any, Any]]) -> tuple[Pair, ...]:
    return tuple(Pair(*parts) for parts in found)


def _known(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    return tuple(pair for pair in pairs if pair.first is not None or pair.second is not None)


def print_comparison(found: Comparison) -> None:
    """Prints what differs, the figures with their differences, and in a sentence each what may be noise."""
    if found.settings:
        print_columns(_columns(found, found.settings))
    else:
        print("Their settings are the same.")
    print()
    changes = Column("difference", [_change(pair) for pair in found.figures], rank=1)
    print_columns([*_columns(found, found.figures), changes])
    print()
    for name, verdict in found.verdicts.items():
        print_wrapped(f"{SAID_OF[name]}{verdict.told}")


def _columns(found: Comparison, pairs: Sequence[Pair]) -> list[Column]:
    return [
        Column("", [pair.what for pair in pairs]),
        Column(found.first, [short(pair.first) for pair in pairs], least=NARROW),
        Column(found.second, [short(pair.second) for pair in pairs], least=NARROW),
    ]


def _change(pair: Pair) -> str:
    change = pair.difference
    if change is None:
        return ""
    return f"{change:+,d}" if isinstance(change, int) else f"{change:+.4g}"
