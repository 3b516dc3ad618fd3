"""Greedy selection of an ensemble, by Caruana et al., "Ensemble selection from libraries of models" (ICML 2004)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..predictions import TINY

if TYPE_CHECKING:
    from ...trainers.metrics import Metric

Answers = NDArray[np.float32]  # probabilities (n, classes), or values (n, 1)


@dataclass(frozen=True)
class Judge:
    """What answers for rows whose `targets` (n,) are known are worth, by a metric; more is better."""

    metric: Metric
    maximize: bool
    targets: NDArray[Any]
    classes: bool

    def value(self, answers: Answers) -> float:
        """Returns the metric of answers (n, ...)."""
        return self.score(answers, self.targets)

    def score(self, answers: Answers, targets: NDArray[Any]) -> float:
        """Returns the metric of answers (n, ...) for other targets (n,)."""
        outputs = np.log(answers + TINY) if self.classes else answers
        return self.metric(torch.from_numpy(outputs), torch.from_numpy(targets if self.classes else targets[:, None]))

    def rank(self, answers: Answers) -> tuple[float, float]:
        """Returns what answers are compared by: the metric and, where that is equal, the likelihood of the targets.

        Few rows give many equal accuracies; the likelihood tells these apart by more than luck. No number is worst.
        """
        value = self.value(answers) * (1 if self.maximize else -1)
        right = answers[np.arange(len(answers)), self.targets] if self.classes else np.ones(1)
        return (-np.inf if np.isnan(value) else value), float(np.log(right + TINY).mean())

    def of(self, rows: NDArray[np.int64]) -> Judge:
        """Returns the judge of some of the rows."""
        return Judge(self.metric, self.maximize, self.targets[rows], self.classes)


def select(candidates: NDArray[np.float32], judge: Judge, size: int) -> list[int]:
    """Returns the candidates that form the ensemble, in the order in which they were taken; one may come several times.

    candidates: (M, n, classes) probabilities, or (M, n, 1) values. It begins with the best one, and each step takes, of
    all candidates, the one with which the mean is best. After `size` steps the best of the ensembles on the way is
    returned, the smallest of equals: so on these rows it is never worse than the best candidate.

    The paper's remedies against overfitting the rows: replacement, a start with the best (its "sorted initialization",
    here of one, as more than one leaves a small ensemble no room), and few steps. Its third, bags of candidates, makes
    large ensembles.
    """
    taken: list[int] = []
    total = np.zeros(candidates.shape[1:], dtype=np.float64)
    ranks: list[tuple[float, float]] = []
    for step in range(1, size + 1):
        tried = [judge.rank(((total + one) / step).astype(np.float32)) for one in candidates]
        best = max(range(len(tried)), key=tried.__getitem__)  # of equals the first
        taken.append(best)
        ranks.append(tried[best])
        total += candidates[best]
    return taken[: ranks.index(max(ranks)) + 1]


def combined(candidates: NDArray[np.float32], taken: list[int]) -> Answers:
    """Returns the mean of the candidates that were taken, each as often as it was."""
    weights = Counter(taken)
    total = sum(count * candidates[place].astype(np.float64) for place, count in weights.items())
    return np.asarray(total / len(taken), dtype=np.float32)


def held_out(candidates: NDArray[np.float32], judge: Judge, size: int, seed: int = 0) -> tuple[float, float]:
    """Returns what an ensemble, and the best candidate, come to on rows that they weren't chosen by.

    The rows are halved at random; both are chosen by one half and judged by the other, and the other way round. The
    values are the means.
    """
    order = np.random.default_rng(seed).permutation(candidates.shape[1])
    halves = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    found = []
    for mine, other in (halves, halves[::-1]):
        by, unseen = candidates[:, mine], candidates[:, other]
        for steps in (size, 1):
            found.append(judge.of(other).value(combined(unseen, select(by, judge.of(mine), steps))))
    return float(np.mean(found[0::2])), float(np.mean(found[1::2]))
