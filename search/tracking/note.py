"""The note of a study's run: what it asks and what came of it, as MLflow shows it (Markdown)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..trial import ENDED

if TYPE_CHECKING:
    from ..ledger import Ledger
    from ..study import Study
    from .end import End

ENDINGS = {
    "space": "every configuration has been tried",
    "interrupt": "interrupted, and can go on",
    "error": "by an error",
}


def note(study: Study, ledger: Ledger, end: End | None = None) -> str:
    """Returns the note; before the end of a run, without results."""
    best = None if end is None else end.best
    described, split = study.describe(), ledger.attribute("split")
    trainer = described["trainer"]
    what = f"networks of `{trainer['model']}` on `{_words(trainer['data'])}`" if trainer else "an objective"
    goals, directions = described["metric"], described["direction"]
    if not study.goals.several:
        goals, directions = [ledger.attribute("metric") or goals or "value"], [directions]
    aims = ", ".join(f"**{direction} {goal}**" for goal, direction in zip(goals, directions, strict=True))
    lines = [f"## {study.name}", "", f"Searches {what}, to {aims}."]
    if split:
        lines.append(f"Rows: {split['train']:,} to train, {split['valid']:,} to validate, {split['test']:,} to test.")
    pruner = described["pruner"] if isinstance(described["pruner"], str) else described["pruner"]["name"]
    lines += [f"Strategy `{study.strategy.name}`, pruner `{pruner}`, seed {study.seed}.", ""]
    if end is not None and best is not None:
        trials = ledger.trials
        counts = [f"{sum(trial.state == state for trial in trials)} {state}" for state in ENDED]
        lines += [f"**Best: trial {best.number}, {best.value:.6g}**, of {', '.join(counts)} trials."]
        lines += [f"Ended: {ENDINGS.get(end.reason) or study.budget.words(end.reason)}.", ""]
        lines += [f"{end.problem}.", ""] if end.problem else []
    lines += ["| parameter | searched |" + (" best |" if best else ""), "|---|---|" + ("---|" if best else "")]
    for name, ranged in described["space"].items():
        value = "" if best is None else f" {_words(best.params.get(name, ''))} |"
        lines.append(f"| {name} | {_searched(ranged)} |{value}")
    return "\n".join(lines) + "\n"


def _searched(described: Any) -> str:
    """Returns what is searched of a parameter, as `Space.describe` has it, in words."""
    if not isinstance(described, Mapping):
        return f"{_words(described)}, fixed"
    kind, values = next(iter(described.items()))
    ranged = ", ".join(map(_words, values)) if kind == "choice" else f"{_words(values[0])} to {_words(values[1])}"
    further = [f"{name} {_words(value)}" for name, value in described.items() if name not in (kind, "log")]
    return ", ".join([ranged, *(["log scale"] if described.get("log") else []), *further])


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
