"""Trials: a finished or running one as a record, and an active one in the hands of its objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..trainers.reasons import writable

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
ENDED = ("complete", "pruned", "failed")  # the states that no trial leaves
# System attributes of a trial
EPOCH = "leadline:epoch:"  # with the epoch's number: its metrics, when it was, and what the pruner said
PAUSED = "leadline:paused"  # whether it is: Optuna, which knows no such state, has it running
DRIVER = "leadline:driver"  # the id of the driver that has it, where several run the study
PARENT = "leadline:parent"  # the number of the trial from whose state it began
SAVED = "leadline:checkpoint"  # the last one that is known to be on the disk: its epoch and checksum
FAULTS = "leadline:faults"  # what went wrong with it and was made good: what, after which epoch, when, whether retried
OF_AN_EPOCH = ("epochs", "best_epoch", "last", "seconds", "spread")  # facts of a trial that change with each


@dataclass(frozen=True)
class Trial:
    """One configuration and what came of it.

    `state` is "complete", "pruned", "failed", "running", "paused" (it may go on from where it stands) or "waiting";
    `value` the metric at the best epoch (None if there is none; the mean of folds or replicates, whose standard
    deviation is `spread`), `last` at the last one; `values` those of all objectives, `value` the first of them; `curve`
    the metric by epoch, counted from 1, `reports` what else was reported then; `seconds` of training, `parameters` the
    network's weights, `peak_memory` in bytes; `reason` says why it ended, `traceback` where an error was raised,
    `faults` what else went wrong and was made good. A trial that began from the state of another one has its number as
    `parent`, and a curve that begins after the epoch where that one stood.
    """

    number: int
    state: str
    params: dict[str, Any]
    value: float | None = None
    last: float | None = None
    reason: str = ""
    epochs: int = 0
    best_epoch: int | None = None
    seconds: float | None = None
    parameters: int | None = None
    peak_memory: int | None = None
    spread: float | None = None
    parent: int | None = None
    traceback: str | None = None
    faults: tuple[str, ...] = ()
    curve: dict[int, float] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    reports: dict[int, Mapping[str, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, frozen: FrozenTrial, fixed: Mapping[str, Any]) -> Trial:
        """Returns the record of an Optuna trial in a space with these `fixed` values."""
        facts, marks = frozen.user_attrs, frozen.system_attrs
        params = frozen.params or marks.get("fixed_params", {})
        state = STATES[frozen.state.name]
        values, curve = tuple(frozen.values or ()), sorted_curve(frozen)
        last = max(curve, default=0)
        if facts.get("epochs", last) < last:  # of a pause, after which it went on
            facts = {name: fact for name, fact in facts.items() if name not in OF_AN_EPOCH}
        value = values[0] if values else None
        return cls(
            number=frozen.number,
            state="paused" if state == "running" and marks.get(PAUSED) else state,
            params={**fixed, **params},
            value=value,
            spread=facts.get("spread"),
            last=facts.get("last", next(reversed(curve.values()), value)),
            reason=writable(facts.get("reason", "")),
            epochs=facts.get("epochs", last),
            best_epoch=facts.get("best_epoch"),
            seconds=_seconds(frozen) if state == "running" else facts.get("seconds", _seconds(frozen)),
            parameters=facts.get("parameters"),
            peak_memory=facts.get("peak_memory"),
            parent=marks.get(PARENT),
            traceback=writable(facts["traceback"]) if facts.get("traceback") else None,
            faults=tuple(f"after epoch {fault['epoch']}: {fault['what']}" for fault in marks.get(FAULTS, ())),
            curve=curve,
            values=values,
            reports={epoch: entry["metrics"] for epoch in curve if (entry := marks.get(f"{EPOCH}{epoch}"))},
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the trial as plain JSON."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "reports"}
        curve = {str(epoch): value for epoch, value in self.curve.items()}
        listed = {"values": list(self.values), "faults": list(self.faults)}
        return {**plain, "params": dict(self.params), "curve": curve, **listed}


def sorted_curve(frozen: FrozenTrial) -> dict[int, float]:
    """Returns an Optuna trial's reported values by epoch, in order."""
    return dict(sorted(frozen.intermediate_values.items()))


def _seconds(frozen: FrozenTrial) -> float | None:
    """Returns the seconds that a trial's epochs took; where they don't tell, those from its beginning to its end."""
    entries = (entry for name, entry in frozen.system_attrs.items() if name.startswith(EPOCH))
    reported = [entry["metrics"]["seconds"] for entry in entries if "seconds" in entry["metrics"]]
    if reported:
        return float(sum(reported))
    started, ended = frozen.datetime_start, frozen.datetime_complete
    return (ended - started).total_seconds() if started and ended else None


class ActiveTrial:
    """A trial under way: what an objective is handed, and what `Study.ask` returns.

    `number` counts from 0, `params` is its configuration, fixed values included.
    """

    def __init__(self, number: int, params: Mapping[str, Any], report: Callable[[int, float], bool]) -> None:
        self.number = number
        self.params = dict(params)
        self._report = report
        self.last: float | None = None  # what was reported last
        self._prune = False
        self._epoch = 0

    def __repr__(self) -> str:
        return f"ActiveTrial(number={self.number}, params={self.params})"

    def report(self, value: float, epoch: int | None = None) -> None:
        """Reports the metric's value after `epoch` (counted from 1; None: the next one)."""
        self._epoch = self._epoch + 1 if epoch is None else epoch
        self.last = float(value)
        self._prune = self._report(self._epoch, self.last)

    def should_prune(self) -> bool:
        """Tells whether the pruner would end the trial, given its reports. If so, `raise leadline.Pruned`."""
        return self._prune
