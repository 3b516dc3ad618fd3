"""How the search went: its history, learning curves, what ended early, and the time it took."""

from __future__ import annotations

import math
from collections import Counter

from ...trial import Trial
from ...words import capital, counted, duration, number, share
from ..document import Block, Plot, Section, Table
from ..drawing import course
from ..drawing.limits import beyond, edge, limits
from ..facts import Facts, reason_of
from ..timeline import timeline

EARLY = ("pruned", "failed", "running", "paused")


def history(facts: Facts) -> Section | None:
    """Returns how values came about, trial by trial."""
    states = ["running" if trial.state == "paused" else trial.state for trial in facts.trials]
    numbers = [trial.number for trial in facts.trials]
    plots = []
    for place, (name, maximize) in enumerate(zip(facts.objectives, facts.goals.maximize, strict=True)):
        values = [facts.value(trial, place) for trial in facts.trials]
        if not any(value is not None for value in values):
            continue
        own = None if facts.best is None else facts.value(facts.best, place)
        within = [] if own is None else [own]
        figure = course.history(values, states, maximize=maximize, metric=name, numbers=numbers, within=within)
        caption = f"{capital(name)} of each trial, in the order in which they began" + (
            "; of a pruned one, the best until then." if "pruned" in states and place == 0 else "."
        )
        caption += edge([value for value in values if value is not None], maximize=maximize, within=within)
        alt = f"{name} against the trial's number, with the best so far as a line."
        label = "history" if place == 0 else f"history-{name}"
        plots.append(Plot(label, figure, caption, alt, table=_steps(facts, place)))
    known = [value for trial in facts.ended if (value := facts.value(trial)) is not None]
    if len(known) > 2:
        figure = course.distribution(known, maximize=facts.maximize, metric=facts.metric)
        caption = f"How many of the trials came to this {facts.metric} or a better one: how hard good ones are to find."
        if count := beyond(known, maximize=facts.maximize):
            caption += f" {counted(count, 'trial')} {'is' if count == 1 else 'are'} worse than the axis shows."
        plots.append(Plot("distribution", figure, caption, f"Share of trials against {facts.metric}."))
    return Section("history", "How the search went", _improvement(facts), tuple(plots)) if plots else None


def curves(facts: Facts) -> Section | None:
    """Returns the learning curves, where there are any."""
    drawn = [trial for trial in facts.trials if trial.curve]
    if not drawn:
        return None
    best = facts.best if facts.best is not None and facts.best.curve else None
    figure = course.curves(
        drawn, best.number if best else None, maximize=facts.maximize, metric=facts.metric, rungs=facts.rungs
    )
    caption = f"{capital(facts.metric)} by epoch of {counted(len(drawn), 'trial')}"
    caption += "; dotted, where the pruner compares them." if facts.rungs else "."
    if count := _partly_hidden(drawn, maximize=facts.maximize):
        caption += f" Worse than the axis shows, in part or all along: {counted(count, 'curve')}."
    plots = [Plot("curves", figure, caption, f"Learning curves: {facts.metric} against the epoch, a line a trial.")]
    if standing := _standing(facts):
        figure = course.rungs(standing, maximize=facts.maximize, metric=facts.metric)
        caption = (
            f"{capital(facts.metric)} after each rung's epoch. Where those that ended are as good as those that went "
            "on, the rung came too early to tell them apart."
        )
        every = [value for groups in standing.values() for values in groups for value in values]
        caption += edge(every, maximize=facts.maximize, what="value")
        plots.append(Plot("rungs", figure, caption, f"{facts.metric} at each rung, by what became of the trial."))
    if best is not None and all("train/loss" in metrics for metrics in best.reports.values()) and best.reports:
        figure = course.losses(best.reports, best.best_epoch)
        caption = (
            f"Trial {best.number}, the best: where the validation loss rises while the training loss falls, it learns "
            "its training rows by heart. Dotted: its best epoch."
        )
        plots.append(Plot("losses", figure, caption, "The best trial's training and validation loss by epoch."))
    lead = "A curve that still improves at its end asks for more epochs; one that turns has begun to overfit."
    return Section("curves", "Learning curves", lead, tuple(plots))


def endings(facts: Facts) -> Section | None:
    """Returns what was pruned and what failed, and why."""
    early = [trial for trial in facts.trials if trial.state in EARLY]
    if not facts.trials:
        return None
    if not early:
        which = "its one trial is" if len(facts.trials) == 1 else f"all {len(facts.trials):,} trials are"
        lead = f"Nothing was pruned, and nothing failed: {which} complete."
        return Section("endings", "What was pruned, what failed", lead)
    counts = Counter((trial.state, reason_of(trial)) for trial in early)
    rows = [
        (str(count), state, reason, _numbers([t for t in early if (t.state, reason_of(t)) == (state, reason)]))
        for (state, reason), count in sorted(counts.items(), key=lambda item: (EARLY.index(item[0][0]), -item[1]))
    ]
    parts = {state: facts.count(state) for state in EARLY}
    meaning = {
        "pruned": "pruned, which saved time",
        "failed": "failed, and taught the search only where not to look",
        "running": "still running, or left so, when this was written",
        "paused": "paused, and may go on",
    }
    told = [f"{share(count, len(facts.trials))} of the trials were {meaning[state]}".replace("were failed", "failed")
            for state, count in parts.items() if count]  # fmt: skip
    lead = f"{'; '.join(told)}."
    return Section(
        "endings", "What was pruned, what failed", lead, (Table(("trials", "state", "why", "which"), tuple(rows)),)
    )


def time(facts: Facts) -> Section | None:
    """Returns how long it all took, and what that was spent on."""
    if not facts.seconds:
        return None
    spent = {
        state: math.fsum(trial.seconds or 0.0 for trial in facts.trials if trial.state == state)
        for state in ("complete", *EARLY)
    }
    drawn = timeline(facts.frozen)
    epochs = sum(len(trial.curve) for trial in facts.trials)
    wall = facts.attributes.get("seconds")
    rows = [
        ("running, in all", duration(wall)),
        ("all trials' training, together", duration(facts.seconds)),
        ("epochs", f"{epochs:,}" if epochs else ""),
        ("a trial", f"{duration(facts.seconds / len(facts.trials))} on average"),
        *((f"spent on {state} trials", f"{duration(spent[state])} ({share(spent[state], facts.seconds)})")
          for state in spent if spent[state]),
    ]  # fmt: skip
    if drawn is not None and drawn.most > 1:
        rows.append(("at most at once", counted(drawn.most, "trial")))
    blocks: list[Block] = [Table((), tuple(row for row in rows if row[1]))]
    if drawn is not None:
        scale, unit = (60.0, "minutes") if drawn.busy > 300 else (1.0, "seconds")
        states = {trial.number: trial.state for trial in facts.trials}
        bars = [(bar.row, bar.start / scale, (bar.end - bar.start) / scale, states[bar.number]) for bar in drawn.bars]
        figure = course.timeline(bars, [cut / scale for cut in drawn.cuts], unit)
        caption = "When each trial was trained; those above each other at the same time."
        caption += " Dotted: time in which nothing ran is left out." if drawn.cuts else ""
        blocks.append(Plot("timeline", figure, caption, "Timeline of the trials.", wide=True))
    ended = spent["pruned"] + spent["failed"]
    lead = f"{share(ended, facts.seconds)} of the training time went into trials that were pruned or failed."
    lead = lead if ended else "All of the training time went into trials that weren't ended early."
    return Section("time", "Time and devices", f"{lead} {_saved(facts)}".strip(), tuple(blocks))


def _improvement(facts: Facts) -> str:
    latest = facts.latest
    if latest is None:
        return "No trial is complete, so there is no best so far."
    since = sum(trial.number > latest.number for trial in facts.ended)
    what = "is the last on the front" if facts.goals.several else f"came to {number(latest.value)}"
    told = f"Trial {latest.number} {what}; {counted(since, 'trial') if since else 'none'} came after it"
    return f"{told}. Long without a better one, a search has found what this space has, or what its strategy can find."


def _steps(facts: Facts, place: int) -> Table | None:
    """Returns the trials that were the best so far, each with its value; None if none is complete."""
    best, rows = None, list[tuple[str, ...]]()
    for trial in facts.complete:
        value = facts.value(trial, place)
        if value is not None and (best is None or (value > best if facts.goals.maximize[place] else value < best)):
            best = value
            rows.append((str(trial.number), number(value)))
    return Table(("the best since trial", facts.objectives[place]), tuple(rows)) if rows else None


def _standing(facts: Facts) -> dict[str, tuple[list[float], list[float]]]:
    """Returns at each rung the values of those that went on and of those that ended there; nothing if none ended."""
    found = {}
    for rung in facts.rungs:
        there = [trial for trial in facts.trials if rung in trial.curve]
        on = [trial.curve[rung] for trial in there if max(trial.curve) > rung]
        ended = [trial.curve[rung] for trial in there if max(trial.curve) == rung]
        if on or ended:
            found[f"epoch {rung}"] = (on, ended)
    return found if any(ended for _, ended in found.values()) else {}


def _partly_hidden(drawn: list[Trial], *, maximize: bool) -> int:
    """Returns how many learning curves leave the axis, which is as long as most values need it."""
    every = [value for trial in drawn for value in trial.curve.values() if math.isfinite(value)]
    low, high = limits(every, maximize=maximize)
    return sum(any(value < low or value > high for value in trial.curve.values()) for trial in drawn)


def _numbers(trials: list[Trial]) -> str:
    """Returns the trials' numbers, the first few of many."""
    told = ", ".join(str(trial.number) for trial in trials[:8])
    return f"{told}, …" if len(trials) > 8 else told


def _saved(facts: Facts) -> str:
    """Returns what pruning saved, in epochs, where that can be told."""
    epochs = facts.study.epochs
    pruned = [trial for trial in facts.trials if trial.state == "pruned"]
    whole = [len(trial.curve) for trial in facts.complete if trial.curve]
    if not pruned or not whole or epochs is None:
        return ""
    usual = sum(whole) / len(whole)
    saved = sum(max(0.0, usual - len(trial.curve)) for trial in pruned)
    return f"Pruning saved about {saved:,.0f} epochs, taking the pruned ones to need as many as the complete ones."
