"""Whether a difference of two trials or studies may be noise, in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import LeadlineError
from ..predictions import Predictions, kept_predictions
from ..words import short
from .significance import ALPHA, mcnemar, paired_bootstrap

LARGEST = 20_000  # outputs: F1 of 75,000 took 0.1 s on a busy machine, so 1,000 resamples of two trials 3 minutes

if TYPE_CHECKING:
    from ..study import Study
    from ..trial import Trial


@dataclass(frozen=True)
class Verdict:
    """Whether a difference may be noise, or None where that can't be told; `told` says so in a sentence.

    `test` is how it was found, `p` the probability of such a difference where there is none, or `interval` the 95 % one
    of the difference, the second's less the first's.
    """

    noise: bool | None
    told: str
    test: str | None = None
    p: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Side:
    """One of two trials that are compared: its study, and what it is called."""

    study: Study
    trial: Trial
    name: str


def of_trials(first: Side, second: Side, *, resamples: int = 1000) -> Verdict:
    """Returns whether the difference of two trials' values may be noise.

    Replicates are told apart by Welch's t-test of their means and spreads. Else both networks are judged on the same
    validation rows: by McNemar's exact test where the metric is accuracy, or the outputs of classes are too many to
    compute another one so often; else by a paired bootstrap of the metric, of so many `resamples`. That tells of these
    networks and rows like these; it doesn't tell what training them again would give, nor that the better one was
    chosen among many for being lucky on these very rows.
    """
    if first.study is second.study and first.trial.number == second.trial.number:
        both = f"both are trial {first.trial.number} of `{first.study.name}`"
        return Verdict(None, f"There is nothing to tell apart: {both}.")
    for side in (first, second):
        if side.trial.state != "complete":
            return _unknown(f"{side.name} isn't complete ({side.trial.state})")
    if reason := other_goal(first.study, second.study) or _own_objectives(first.study, second.study):
        return _unknown(reason)
    if _replicates(first) > 1 and _replicates(second) > 1:
        return _by_spread(first, second)
    try:
        kept = [kept_predictions(side.study, side.trial) for side in (first, second)]
    except LeadlineError as error:  # the data or the user's code are elsewhere
        return _unknown(f"the validation rows can't be had: {error}")
    one, other = kept
    if one is None or other is None:
        missing = first if one is None else second
        return _unknown(f"nothing is kept of what {missing.name} says of its validation rows")
    if not _same_rows(one, other):
        return _unknown("they were validated on different rows")
    accuracy = first.study.metric_name == "accuracy" and first.study.metric in (None, "accuracy")  # not a user's own
    if accuracy or (one.classes is not None and one.outputs.size > LARGEST):
        return _by_mcnemar(first, second, one, other)
    return _by_bootstrap(first, second, one, other, resamples)


def of_studies(first: Study, second: Study) -> Verdict:
    """Returns whether the complete trials of one study are better than those of the other, by Mann-Whitney's test.

    It takes values as drawn independently. Those of a strategy that learns aren't, so its p is a guide, no proof.

    Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the
    other" (1947); scipy's, exact for few trials without ties.
    """
    if reason := other_goal(first, second) or _own_objectives(first, second) or _other_data(first, second):
        return _unknown(reason)
    values = [[trial.value for trial in study.trials if trial.state == "complete"] for study in (first, second)]
    one, other = ([value for value in found if value is not None] for found in values)
    if not one or not other or 2 / math.comb(len(one) + len(other), len(one)) > ALPHA:
        return _unknown(f"{len(one)} and {len(other)} complete trials are too few to tell studies apart")
    from scipy.stats import mannwhitneyu

    p = float(mannwhitneyu(one, other, alternative="two-sided").pvalue)
    middles = f"{short(median(one))} and {short(median(other))} are the medians of {len(one)} and {len(other)}"
    return _told(p, f"{middles} complete trials", "Mann-Whitney's test")


def other_goal(first: Study, second: Study) -> str | None:
    """Returns why values of two studies aren't of one kind; None if they are."""
    if first is second:
        return None
    names = [f"{study.metric_name}, {'maximized' if study.maximize else 'minimized'}" for study in (first, second)]
    return None if names[0] == names[1] else f"{names[0]}, is another goal than {names[1]}"


def _by_mcnemar(first: Side, second: Side, one: Predictions, other: Predictions) -> Verdict:
    found = mcnemar(one.right, other.right)
    rows = f"of the same {len(one.rows):,} validation rows {first.name} alone has {found.first} right"
    return _told(found.p, f"{rows}, {second.name} alone {found.second}", "McNemar's exact test")


def _by_bootstrap(first: Side, second: Side, one: Predictions, other: Predictions, resamples: int) -> Verdict:
    import torch

    from ...trainers.worker import threads

    assert first.study.trainer is not None
    metric = first.study.trainer.metric(first.study.metric)

    def score(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
        return metric(torch.from_numpy(outputs), torch.from_numpy(targets))

    targets = one.targets if one.classes is not None else one.targets.reshape(-1, 1)
    with threads(1):  # of what is so small a second one only waits
        found = paired_bootstrap(score, other.outputs, one.outputs, targets, resamples=resamples)
    if not math.isfinite(found.low + found.high):  # of a rare class some redraws have no row
        return _unknown(f"{first.study.metric_name} is no number on some redraws of the validation rows")
    verdict = "This may be noise" if found.noise else "This is more than noise"
    what = f"{first.study.metric_name} of {second.name} less that of {first.name}"
    told = (
        f"{verdict}: {what} is {found.difference:+.4g}, "
        f"from {found.low:+.4g} to {found.high:+.4g} in 95 % of redraws of the same {len(one.rows):,} rows."
    )
    return Verdict(found.noise, told, "paired bootstrap", interval=(found.low, found.high))


def _by_spread(first: Side, second: Side) -> Verdict:
    from scipy.stats import ttest_ind_from_stats

    sides = (first, second)
    numbers = [(side.trial.value, side.trial.spread or 0.0, _replicates(side)) for side in sides]
    if all(spread == 0 for _, spread, _ in numbers):
        return _unknown("their replicates don't differ at all")
    p = float(ttest_ind_from_stats(*numbers[0], *numbers[1], equal_var=False).pvalue)
    means = " and ".join(f"{short(mean)} ± {short(spread)} (of {count})" for mean, spread, count in numbers)
    return _told(p, f"{means} replicates", "Welch's t-test")


def _told(p: float, what: str, test: str) -> Verdict:
    verdict = "This may be noise" if p >= ALPHA else "This is more than noise"
    return Verdict(p >= ALPHA, f"{verdict}: {what} ({test}, p = {p:.2g}).", test, p)


def _unknown(why: str) -> Verdict:
    return Verdict(None, f"Whether this is noise can't be told: {why}.")


def _replicates(side: Side) -> int:
    if side.study.trainer is not None:
        return side.study.trainer.replicates
    kept = side.study.attribute("settings")["trainer"]
    return int(kept["replicates"]) if kept else 1


def _own_objectives(first: Study, second: Study) -> str | None:
    """Returns why nobody knows what the values of two studies measure; None where they are of trainers, or of one."""
    if first is second or all(study.attribute("settings")["trainer"] for study in (first, second)):
        return None
    return f"leadline can't know that the objectives of `{first.name}` and `{second.name}` measure the same thing"


def _other_data(first: Study, second: Study) -> str | None:
    digests = [(study.attribute("split") or {}).get("data") for study in (first, second)]
    return None if digests[0] == digests[1] else "their data aren't the same"


def _same_rows(one: Predictions, other: Predictions) -> bool:
    """Tells whether both judge the same examples."""
    return (
        one.classes == other.classes
        and np.array_equal(one.rows, other.rows)
        and np.array_equal(one.targets, other.targets)
    )
