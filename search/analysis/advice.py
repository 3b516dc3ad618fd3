"""What to try next, from what a study has shown: bounds to widen, parameters to fix, budgets to raise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...spaces import Choice
from ..trial import Trial
from ..words import counted, listed, number, setting, share
from .drawing.scales import Scale
from .facts import Facts, reason_of

TOP = 0.1  # of the complete trials: those that advice goes by
EDGE = 0.05  # of a parameter's range: what is nearer to an end sits on it
ENOUGH = 20  # trials that can be compared, before a parameter is said not to matter
FAILING = 0.2  # of the trials: from there on failures are worth a word
LATE = 0.9  # of the epochs: a best epoch after that may not be the last word


def advice(facts: Facts) -> list[str]:
    """Returns what to try next, a sentence or two each, the weightiest first."""
    rules = (_failures, _bounds, _epochs, _budget, _cheaper, _parameters, _pruner, _test)
    return [told for rule in rules for told in rule(facts)]


def _top(facts: Facts) -> list[Trial]:
    """Returns the best tenth of the complete trials, at least three."""
    return facts.ranked[: max(3, math.ceil(TOP * len(facts.ranked)))]


def _failures(facts: Facts) -> Iterator[str]:
    failed = [trial for trial in facts.trials if trial.state == "failed"]
    if len(failed) < FAILING * len(facts.ended) or not failed:
        return
    told = f"{share(len(failed), len(facts.ended))} of the trials failed, most often: {_usual(failed)}."
    apart = list(_set_apart(facts, failed))
    yield told + (f" They had {listed(apart)}: leave that part of the space out." if apart else "")


def _usual(failed: Sequence[Trial]) -> str:
    return statistics.mode(map(reason_of, failed))


def _set_apart(facts: Facts, failed: Sequence[Trial]) -> Iterator[str]:
    """Yields in what failed trials differ from the others: numbers by Mann and Whitney's test."""
    from scipy.stats import mannwhitneyu

    others = [trial for trial in facts.ended if trial.state != "failed"]
    for name, parameter in facts.space.parameters.items():
        scale = Scale.of(name, parameter)
        theirs, rest = ([t.params[name] for t in group if name in t.params] for group in (failed, others))
        if scale.options or len(theirs) < 3 or len(rest) < 3:
            continue
        if mannwhitneyu(theirs, rest).pvalue < 0.01:
            middle, usual = statistics.median(theirs), statistics.median(rest)
            which = "greater" if middle > usual else "smaller"
            yield f"a {which} `{name}` (half of them beyond {setting(middle)}, of the others {setting(usual)})"


def _bounds(facts: Facts) -> Iterator[str]:
    for name, (end, which, count, of) in _at_an_end(facts).items():
        if which == "lower" and end == 0:
            yield f"`{name}` is best at 0: leave it out, or fix it there."
        elif not (which == "lower" and end == 1 and isinstance(end, int)):  # there is nothing below
            beyond = "below" if which == "lower" else "above"
            yield (
                f"{count} of the best {of} have `{name}` at the {which} end of its range: search {beyond} "
                f"{setting(end)} too."
            )


def _at_an_end(facts: Facts) -> dict[str, tuple[int | float, str, int, int]]:
    """Returns which parameters the best trials have at an end: it, whether it is the lower one, how many of how many.

    Options count if they are numbers.
    """
    found = {}
    top = _top(facts) if len(facts.complete) >= 5 else []
    for name, parameter in facts.space.parameters.items():
        known: Sequence[Any] = parameter.values() if isinstance(parameter, Choice) else parameter.values(2)
        own = [trial.params[name] for trial in top if name in trial.params]
        if len(own) < 3 or len(known) < 2 or not all(type(value) in (int, float) for value in known):
            continue
        scale = Scale.of(name, parameter) if not isinstance(parameter, Choice) else Scale.around(name, known)
        for end, which in ((min(known), "lower"), (max(known), "upper")):
            near = [abs(scale.unit(value) - scale.unit(end)) <= EDGE for value in own]
            if sum(near) >= 0.6 * len(near) and near[0]:
                found[name] = (end, which, sum(near), len(near))
    return found


def _epochs(facts: Facts) -> Iterator[str]:
    epochs, top = facts.study.epochs, [trial for trial in _top(facts) if trial.best_epoch]
    if epochs is None or epochs < 3 or not top:
        return
    late = [trial for trial in top if (trial.best_epoch or 0) >= LATE * epochs]
    if len(late) >= 0.5 * len(top):
        which = f"{len(late)} of the best {len(top)} were best in their last epochs (of {epochs}): their curves"
        which = which if len(top) > 1 else f"The best trial was best in its last epochs (of {epochs}): its curve"
        yield f"{which} still improved. More epochs, {2 * epochs} say, may give more than more trials."


def _budget(facts: Facts) -> Iterator[str]:
    latest = facts.latest
    if latest is None or len(facts.ended) < 10:
        return
    since = sum(trial.number > latest.number for trial in facts.ended)
    if since <= 0.25 * len(facts.ended):
        which = "The last trial on the front" if facts.goals.several else "The best trial"
        more = math.ceil(1.5 * len(facts.trials) / 10) * 10
        yield (
            f"{which} came late ({latest.number} of {len(facts.trials)}), so the search was still finding "
            f"better ones: go on with it, to {more} trials say."
        )
    elif since >= 0.6 * len(facts.ended):
        yield (
            f"{counted(since, 'trial')} brought nothing better. More trials in this space will hardly help: change the "
            "space, the data or the training."
        )


def _cheaper(facts: Facts) -> Iterator[str]:
    best = facts.best
    if best is None or best.parameters is None:
        return
    alike = [one.trial for one in facts.runners_up if one.verdict.noise and one.trial.parameters]
    smaller = min(alike, key=lambda trial: trial.parameters or 0, default=None)
    if smaller is not None and smaller.parameters and smaller.parameters <= 0.7 * best.parameters:
        yield (
            f"Trial {smaller.number} can't be told from the best by these validation rows ({number(smaller.value)} "
            f"against {number(best.value)}) and has {smaller.parameters:,} parameters instead of {best.parameters:,}: "
            "take it where size counts."
        )


def _parameters(facts: Facts) -> Iterator[str]:
    found = facts.importances[0]
    if found.reason or len(found.compared.trials) < ENOUGH or facts.best is None:
        return
    ends = _at_an_end(facts)
    weak = [name for name in found.order if found.of(name) < 0.05 and name in facts.best.params and name not in ends]
    if fixed := [f"`{name}: {setting(facts.best.params[name])}`" for name in weak if facts.explored(name)]:
        yield f"Fix what hardly mattered, so that the search has fewer directions to look in: {listed(fixed)}."
    rare = [name for name in facts.space.parameters if name in found.ped_anova and not facts.explored(name)]
    if rare:
        usual = {name: facts.usual(name) for name in rare}
        told = [f"`{n}` ({setting(value)} in {share(often, len(facts.trials))} of the trials)" for n, (value, often) in
                usual.items()]  # fmt: skip
        yield (
            f"The search soon settled on one value of {listed(told)}, so little is known of the others. If you doubt "
            "it, fix one of those, or take `strategy: random`."
        )


def _pruner(facts: Facts) -> Iterator[str]:
    epochs = facts.study.epochs
    if facts.settings["pruner"] != "none" or epochs is None or epochs < 8 or facts.settings["trainer"] is None:
        return
    from scipy.stats import spearmanr

    early = max(1, epochs // 4)
    both = [(t.curve[early], t.value) for t in facts.complete if early in t.curve and t.value is not None]
    if len(both) < ENOUGH:
        return
    agree = float(spearmanr(*np.array(both).T).statistic)
    if agree >= 0.7:
        yield (
            f"After {counted(early, 'epoch')} trials stood nearly as in the end (rank correlation {agree:.2f}): "
            "`pruner: asha` would find as much in a fraction of the time."
        )


def _test(facts: Facts) -> Iterator[str]:
    if facts.settings["trainer"] is not None and facts.best is not None and not facts.attributes.get("tests"):
        yield (
            f"When nothing is to be chosen any more, `leadline test {facts.name} --retrain 5` opens the test split and "
            "trains the best configuration five times more: that tells how much of its value was luck."
        )
