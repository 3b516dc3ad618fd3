"""What was found where in the space: configurations side by side, which parameters mattered, and how."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...trial import Trial
from ...words import capital, counted, listed, number, setting, share
from ..document import Block, Items, Plot, Section, Table, Text
from ..drawing import space as drawing
from ..drawing.limits import REACH, edge, limits
from ..drawing.scales import Scale
from ..drawing.style import COMPLETE, FAILED, PRUNED, RUNNING
from ..facts import Facts
from ..importance import Compared, Importance
from ..surface import surface

MOST_BARS, MOST_SLICES, MOST_PAIRS = 12, 6, 6
MATTERS = 0.05  # the least part of what is drawn, where anything has more


def parallel(facts: Facts) -> Section | None:
    """Returns all configurations side by side."""
    drawn = [trial for trial in facts.trials if facts.value(trial) is not None]
    scales = scales_of(facts)
    if len(drawn) < 2 or not scales:
        return None
    values = [facts.value(trial) or 0.0 for trial in drawn]
    best = drawn.index(facts.best) if facts.best is not None else values.index((max if facts.maximize else min)(values))
    figure = drawing.parallel(
        scales, [trial.params for trial in drawn], values, best, maximize=facts.maximize, metric=facts.metric
    )
    caption = (
        f"A line is a trial, from parameter to parameter to its {facts.metric}: the better, the stronger its colour; "
        "the best in orange. Axes are logarithmic where the search was."
    )
    caption += edge(values, maximize=facts.maximize, within=[values[best]])
    if any(parameter.conditions for parameter in facts.space.parameters.values()):
        caption += " A line passes beneath a parameter that the trial doesn't have."
    lead = "Where strong lines run together, good configurations agree; where they spread, that parameter is free."
    alt = f"Parallel coordinates of {counted(len(drawn), 'trial')} over {listed([scale.name for scale in scales])}."
    names = [scale.name for scale in scales]
    rows = [
        (str(trial.number), *(setting(trial.params[name]) if name in trial.params else "" for name in names),
         number(trial.value))
        for trial in facts.ranked[:10]
    ]  # fmt: skip
    table = Table(("trial", *names, facts.metric), tuple(rows)) if rows else None
    plot = Plot("parallel", figure, caption, alt, wide=True, table=table)
    return Section("parallel", "All configurations", lead, (plot,))


def importance(facts: Facts) -> Section | None:
    """Returns which parameters mattered, and what that means."""
    if not facts.space.parameters or not facts.ended:
        return None
    blocks: list[Block] = []
    for place, found in enumerate(facts.importances):
        name = facts.objectives[place]
        if found.reason:
            blocks.append(Text(f"Nothing is said of what matters to {name}: {found.reason}."))
            continue
        blocks.append(Items(tuple(meaning(found, name, facts.trials))))
        parts = {"PED-ANOVA": found.ped_anova, "fANOVA": found.fanova}
        figure = drawing.importances(found.order[:MOST_BARS], {method: own for method, own in parts.items() if own})
        caption = f"Parts in {name}, in percent, from {found.compared.what}."
        if set(found.fanova) < set(found.ped_anova):
            caption += " fANOVA knows only parameters that every trial has."
        label = "importance" if place == 0 else f"importance-{name}"
        shares = ", ".join(f"{one} {share(found.of(one), 1)}" for one in found.order)
        table = Table(
            ("parameter", *parts),
            tuple(
                (one, *(f"{100 * own[one]:.0f}" if one in own else "" for own in parts.values())) for one in found.order
            ),
        )
        alt = f"Importance of parameters for {name}: {shares}."
        blocks.append(Plot(label, figure, caption, alt, table=table))
    if all(found.reason for found in facts.importances):
        return Section("importance", "What mattered", f"Nothing can be said: {facts.importances[0].reason}.")
    lead = (
        "PED-ANOVA tells which parameters set the best tenth of the trials apart; fANOVA which ones explain the "
        "differences between all of them. A parameter may matter to the one and not to the other: one that must merely "
        "not be wrong matters to fANOVA alone. Both speak of the ranges that were searched, and of no others."
    )
    return Section("importance", "What mattered", lead, tuple(blocks))


def landscape(facts: Facts) -> Section | None:
    """Returns values against each parameter that matters, and over each pair of these."""
    names = [name for name in mattering(facts.importances[0]) if name in facts.space.parameters]  # no fixed ones
    if not names or len(facts.ended) < 3:
        return None
    blocks: list[Block] = [*_slices(facts, names[:MOST_SLICES])]
    if contours := [*_contours(facts, names)]:
        what = facts.importances[0].compared.what
        told = (
            f"Over pairs of parameters: {what}, smoothed, the better the stronger, the palest for all that is far "
            "worse than most; blank where too little is known. The ring is around the best of these."
        )
        blocks += [Text(told), *contours]
    if not blocks:
        return None
    matters = "may matter" if facts.importances[0].reason else "matters"
    pairs, ridge = ("", "") if not contours else (
        ", then pairs of these", "; a ridge across a pair says that the two must be chosen together"
    )  # fmt: skip
    lead = (
        f"Each parameter that {matters} alone{pairs}. A slope that runs up to an end of its axis asks for a wider "
        f"range{ridge}."
    )
    return Section("landscape", "Where good values lie", lead, tuple(blocks))


def scales_of(facts: Facts) -> list[Scale]:
    """Returns an axis for each parameter that varies."""
    return [Scale.of(name, parameter) for name, parameter in facts.space.parameters.items() if parameter.size != 1]


def mattering(found: Importance) -> list[str]:
    """Returns the parameters that matter, the most important first; all of them where nobody knows."""
    if found.reason:
        return [name for name in found.compared.trials[0].params if name not in found.constant][:MOST_SLICES] \
            if found.compared.trials else []  # fmt: skip
    return [name for name in found.order if found.of(name) >= MATTERS]


def meaning(found: Importance, metric: str, trials: Sequence[Trial] = ()) -> Iterator[str]:
    """Yields in sentences which parameters mattered to a metric, and where the two measures disagree.

    `trials` are all of the study, which may have tried what those that are compared don't have.
    """
    first, *others = found.order
    weak = [name for name in others if found.of(name) < MATTERS]
    told = found.disputed or (first,)
    strong = [name for name in others if found.of(name) >= 0.15 and name not in told]
    then = f", then {listed(strong)}" if strong else ""
    if found.disputed:
        over_all, among_best = found.disputed
        yield (
            f"The two measures disagree on what {metric} depended most on: over all {over_all} "
            f"({share(found.fanova[over_all], 1)}), among the best trials {among_best} "
            f"({share(found.ped_anova[among_best], 1)}){then}."
        )
    else:
        yield capital(f"{metric} depended most on {first} ({share(found.of(first), 1)}, the mean of both){then}.")
    apart = [name for name in found.fanova if found.differs(name) and name not in (*weak, *told)]
    for name in apart[:2]:
        if found.fanova[name] > found.ped_anova.get(name, 0.0):
            yield f"A wrong {name} does harm, but among the best trials it makes little difference."
        else:
            yield f"{name} makes little difference over all, but it sets the best trials apart."
    if weak:
        yield f"{listed(weak)} hardly mattered to it, within what was tried."
    everywhere = [name for name in found.constant if _values(trials, name) <= _values(found.compared.trials, name)]
    if everywhere:
        yield f"Of {listed(everywhere)} one value alone was tried, so nothing is known of {_it(everywhere)}."
    if elsewhere := [name for name in found.constant if name not in everywhere]:
        complete = all(trial.state == "complete" for trial in found.compared.trials)
        which = f"{len(found.compared.trials)} {'complete' if complete else 'compared'} trials"
        yield f"The {which} all have the same {listed(elsewhere)}, so nothing can be said of {_it(elsewhere)}."


def _values(trials: Sequence[Trial], name: str) -> set[str]:
    return {repr(trial.params[name]) for trial in trials if name in trial.params}


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "these"


def _slices(facts: Facts, names: Sequence[str]) -> Iterator[Plot]:
    groups = (("pruned", PRUNED), ("running", RUNNING), ("complete", COMPLETE), ("failed", FAILED))
    for name in names:
        parameter = facts.space.parameters[name]
        members = {
            state: (
                [trial.params[name] for trial in own],
                [facts.value(trial) or 0.0 for trial in own],
                color,
            )
            for state, color in groups
            if (
                own := [
                    trial
                    for trial in facts.trials
                    if name in trial.params
                    and facts.value(trial) is not None
                    and (trial.state if trial.state != "paused" else "running") == state
                ]
            )
        }
        if not members:
            continue
        best = facts.best
        mark = (best.params[name], best.value or 0.0) if best is not None and name in best.params else None
        figure = drawing.sliced(Scale.of(name, parameter), members, mark, maximize=facts.maximize, metric=facts.metric)
        shown = sum(len(own[0]) for own in members.values())
        caption = capital(f"{facts.metric} against `{name}`") + (
            f", of the {counted(shown, 'trial')} that have it." if parameter.conditions else "."
        )
        drawn = [value for _, values, _ in members.values() for value in values]
        caption += edge(drawn, maximize=facts.maximize, within=[] if mark is None else [mark[1]])
        yield Plot(f"slice-{name}", figure, caption, f"{facts.metric} against {name}, a point a trial.")


def _contours(facts: Facts, names: Sequence[str]) -> Iterator[Plot]:
    found = facts.importances[0]
    if found.reason:
        return
    pairs = sorted(itertools.combinations(names, 2), key=lambda pair: -found.of(pair[0]) * found.of(pair[1]))
    best = _best_of(found.compared, maximize=facts.maximize)
    levels = _levels(found.compared.values, maximize=facts.maximize)
    for pair in pairs[:MOST_PAIRS]:
        # Options go upward, where their names have room
        across, upward = sorted((Scale.of(name, facts.space.parameters[name]) for name in pair),
                                key=lambda scale: bool(scale.options))  # fmt: skip
        both = [
            (trial.params, value)
            for trial, value in zip(found.compared.trials, found.compared.values, strict=True)
            if across.name in trial.params and upward.name in trial.params
        ]
        if len(both) < 10:
            continue
        configurations = [params for params, _ in both]
        values = np.clip([value for _, value in both], levels[0], levels[-1])
        points = np.array([[scale.coordinate(p[scale.name]) for scale in (across, upward)] for p in configurations])
        top = best.params
        mark = [scale.coordinate(top[scale.name]) for scale in (across, upward) if scale.name in top]
        figure = drawing.contour(
            across,
            upward,
            points,
            surface((across, upward), configurations, values),
            levels,
            (mark[0], mark[1]) if len(mark) == 2 else (np.nan, np.nan),
            maximize=facts.maximize,
            metric=facts.metric,
        )
        name = f"{across.name} and {upward.name}"
        told = f"{capital(facts.metric)} over `{across.name}` and `{upward.name}`."
        yield Plot(f"contour-{across.name}-{upward.name}", figure, told, f"{facts.metric} over {name}.")


def _best_of(found: Compared, *, maximize: bool) -> Trial:
    sign = 1.0 if maximize else -1.0
    return max(zip(found.trials, found.values, strict=True), key=lambda pair: sign * pair[1])[0]


def _levels(values: Sequence[float], *, maximize: bool) -> NDArray[np.float64]:
    """Returns the bounds of eight shades, (9,): what is far worse than most has the worst one."""
    low, high = limits(values, maximize=maximize, reach=REACH)
    return np.linspace(max(low, min(values)), min(high, max(values)), 9)
