"""What came of the search: values against costs, mistakes, runners-up, and what to try next."""

from __future__ import annotations

import numpy as np

from ... import pareto
from ...goals import COSTS
from ...trial import Trial
from ...words import capital, counted, number, valued
from ..advice import advice as told
from ..document import Block, Items, Plot, Section, Table, Text
from ..drawing import fronts
from ..drawing import mistakes as drawing
from ..drawing.limits import edge
from ..facts import Facts
from ..mistakes import Mistakes
from ..mistakes import mistakes as found_mistakes

MISTAKES = "What the best one gets wrong"
MOST_CLASSES = 20  # of a confusion matrix that can be read
LABELS = {"parameters": "parameters of the network", "seconds": "seconds of training"}


def costs(facts: Facts) -> Section | None:
    """Returns values against parameters, seconds, and the other objectives."""
    if len(facts.complete) < 3:
        return None
    plots = []
    names = [*facts.goals.further, *(name for name in LABELS if name not in facts.goals.further)]
    for place, name in enumerate(names, start=1):  # objectives by their places, then what else trials cost
        objective = place <= len(facts.goals.further)
        points = []
        for trial in facts.complete:
            cost = facts.value(trial, place) if objective else getattr(trial, COSTS[name])
            if cost is not None and trial.value is not None:
                points.append((float(cost), trial.value, trial.number))
        if len({cost for cost, _, _ in points}) < 2 or (not objective and facts.settings["trainer"] is None):
            continue
        more = facts.goals.maximize[place] if objective else False
        front = pareto.front([(value, cost) for cost, value, _ in points], [facts.maximize, more])
        figure = fronts.front(
            [cost for cost, _, _ in points],
            [value for _, value, _ in points],
            [trial for _, _, trial in points],
            front,
            maximize=facts.maximize,
            names=(LABELS.get(name, name), facts.metric),
        )
        told = LABELS.get(name, name)
        caption = f"{capital(facts.metric)} against {told}; {counted(len(front), 'trial')} on the front, by number."
        values = [value for _, value, _ in points]
        caption += edge(values, maximize=facts.maximize, within=[values[place] for place in front])
        rows = [(str(points[place][2]), number(points[place][1]), number(points[place][0])) for place in front]
        table = Table(("trial on the front", facts.metric, told), tuple(rows))
        alt = f"{facts.metric} against {told}, with the Pareto front."
        plots.append(Plot(f"front-{name}", figure, caption, alt, table=table))
    if not plots:
        return None
    lead = (
        f"What a better {facts.metric} costs. No trial is better than those on the front in both; where it runs flat, "
        "the last bit of it is dear."
    )
    return Section("costs", f"{capital(facts.metric)} and what it costs", lead, tuple(plots))


def mistakes(facts: Facts) -> Section | None:
    """Returns what the best trial gets wrong on validation rows."""
    if facts.settings["trainer"] is None or facts.best is None:
        return None
    found = found_mistakes(facts)
    if found is None:
        why = "the data, or the code that reads them, can't be had here"
        why = why if facts.data is None else f"no predictions of trial {facts.best.number} were kept"
        return Section("mistakes", MISTAKES, f"This can't be shown: {why}.")
    if found.predictions.classes is None:
        return _of_numbers(facts.best.number, found)
    return _of_classes(facts.best.number, found)


def ranking(facts: Facts) -> Section | None:
    """Returns the best trials and the runners-up."""
    near, best = facts.runners_up, facts.best
    if not near or best is None:
        return None
    rows = [
        (str(one.trial.number), valued(one.trial.value, one.trial.spread), number(one.behind),
         ", ".join(one.differs) or "nothing", "" if one.verdict.noise is None else one.verdict.told,
         number(one.trial.parameters), _on_front(facts, one.trial))
        for one in near
    ]  # fmt: skip
    first = (
        *(str(best.number), valued(best.value, best.spread), "", "the best", "", number(best.parameters)),
        _on_front(facts, best),
    )
    header = ("trial", facts.metric, "behind by", "what differs", "is it noise?", "parameters", "on the front")
    return Section("runners-up", "The runners-up", _noise(facts), (Table(header, (first, *rows)),))


def advice(facts: Facts) -> Section | None:
    """Returns what to try next."""
    found = told(facts)
    if not found:
        return None
    lead = "Each follows from the numbers above, by a plain rule; none knows what you know of the problem."
    return Section("next", "What to try next", lead, (Items(tuple(found)),))


def _on_front(facts: Facts, trial: Trial) -> str:
    return "yes" if facts.goals.several and trial in facts.front else ""


def _noise(facts: Facts) -> str:
    """Returns how many of the runners-up can be told from the best trial."""
    near = facts.runners_up
    alike, known = (sum(one.verdict.noise is value for one in near) for value in (True, False))
    if not alike and not known:
        one = "Whether these are worse can't be told from one value each."
        return near[0].verdict.told if facts.settings["trainer"] else one
    judged = f" in {facts.metric}" if facts.goals.several else ""
    if not alike:
        told = f"All of these are worse{judged} than the best by more than noise would explain."
        better = any(_on_front(facts, one.trial) for one in near)
        return f"{told} Those on the front are better than it in another objective." if better else told
    which = f"None of these {len(near)}" if alike == len(near) else f"{known} of these {len(near)}"
    return (
        f"{which} can be told from the best{judged} by its validation rows. What those that can't share is what the "
        "search has found; what differs between them is free."
    )


def _of_classes(trial: int, found: Mistakes) -> Section:
    classes = found.predictions.classes or ()
    wrong, pairs = int((~found.predictions.right).sum()), list(found.mixed_up())
    many = f"{len(found.predictions.rows):,} validation rows"
    lead = f"Of {many} trial {trial} gets {wrong:,} wrong." if wrong else f"Trial {trial} gets all {many} right."
    if pairs:
        truth, taken, count, of = pairs[0]
        lead += f" Most often “{truth}” is taken for “{taken}”: {count:,} of {of:,}."
    blocks: list[Block] = []
    rows = tuple((truth, taken, f"{count:,}", f"{of:,}") for truth, taken, count, of in pairs[:15])
    table = Table(("true class", "taken for", "rows", "of"), rows) if rows else None
    if pairs and len(classes) <= MOST_CLASSES:
        figure = drawing.confusion(found.counts, classes)
        caption = "A row is a true class, a column what it was taken for. On the diagonal, what is right."
        alt = f"Confusion matrix of {len(classes)} classes. {lead}"
        blocks.append(Plot("confusion", figure, caption, alt, table=table))
    elif table is not None:
        blocks.append(table)
    header, cells = found.rows()
    worst = "The worst of them" if wrong else "Those it is least sure of"
    doubt = ". Some may be labelled wrongly." if wrong else "."
    if found.images:
        images, titles = found.pictures()
        caption = f"{worst}: the true class → what it was taken for{doubt}"
        which = "are most wrong" if wrong else "it is least sure of"
        alt = f"The {len(images)} validation rows that {which}, as pictures."
        plot = Plot("worst", drawing.pictures(images, titles), caption, alt, table=Table(header, tuple(cells)))
        blocks.append(plot)
    else:
        blocks += [Text(f"{worst}, with their first columns{doubt}"), Table(header, tuple(cells))]
    return Section("mistakes", MISTAKES, lead, tuple(blocks))


def _of_numbers(trial: int, found: Mistakes) -> Section:
    kept = found.predictions
    truth, said = kept.targets.astype(float), kept.outputs[:, 0].astype(float)
    off = np.abs(said - truth)
    lead = (
        f"Half of the {len(truth):,} validation rows of trial {trial} are off by less than "
        f"{number(float(np.median(off)))}, the worst by {number(float(off.max()))}."
    )
    header, cells = found.rows()
    caption = "A point is a validation row; on the line, prediction and truth agree."
    return Section(
        "mistakes",
        MISTAKES,
        lead,
        (
            Plot("predicted", drawing.predicted(truth, said), caption, "Predictions against true values."),
            Text("The worst rows, with their first columns. Some may have wrong targets."),
            Table(header, tuple(cells)),
        ),
    )
