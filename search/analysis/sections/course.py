"""How the search went: its history, and its trials' learning curves."""

from __future__ import annotations

from ..document import Plot, Section
from ..drawing import course
from ..facts import Facts
from ..words import counted, number


def history(facts: Facts) -> Section | None:
    """Returns how values came about, trial by trial."""
    if not facts.trials:
        return None
    states = [trial.state for trial in facts.trials]
    numbers = [trial.number for trial in facts.trials]
    plots = []
    for place, (name, maximize) in enumerate(zip(facts.objectives, facts.goals.maximize, strict=True)):
        values = [facts.value(trial, place) for trial in facts.trials]
        if not any(value is not None for value in values):
            continue
        figure = course.history(values, states, maximize=maximize, metric=name, numbers=numbers)
        caption = f"{name} of each trial, in the order in which they began" + (
            "; of a pruned one, the best until then." if "pruned" in states else "."
        )
        alt = f"{name} against the trial's number, with the best so far as a rising line."
        plots.append(Plot("history" if place == 0 else f"history-{name}", figure, caption, alt, wide=True))
    if not plots:
        return None
    return Section("history", "How the search went", _improvement(facts), tuple(plots))


def curves(facts: Facts) -> Section | None:
    """Returns the learning curves, where there are any."""
    drawn = [trial for trial in facts.trials if trial.curve]
    if not drawn:
        return None
    best = facts.best.number if facts.best else None
    figure = course.curves(drawn, best, maximize=facts.maximize, metric=facts.metric, rungs=facts.rungs)
    caption = f"{facts.metric} by epoch of {counted(len(drawn), 'trial')}."
    if facts.rungs:
        told = ", ".join(map(str, facts.rungs))
        caption += f" After epochs {told} the pruner compares a trial with all that have come so far."
    lead = "A curve that still rises at its end asks for more epochs; one that falls again has begun to overfit."
    alt = f"Learning curves: {facts.metric} against the epoch, a line a trial."
    return Section("curves", "Learning curves", lead, (Plot("curves", figure, caption, alt, wide=True),))


def _improvement(facts: Facts) -> str:
    if facts.best is None:
        return "No trial is complete, so there is no best so far."
    since = sum(trial.number > facts.best.number for trial in facts.ended)
    told = f"Trial {facts.best.number} came to {number(facts.best.value)}; {counted(since, 'trial')} came after it"
    return f"{told}. Long without a better one, a search has found what this space has, or what its strategy can find."
