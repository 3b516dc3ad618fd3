"""Greedy selection: what it takes, and what rows that it didn't see say of it."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from leadline.search.ensembles.selection import Judge, combined, held_out, select
from leadline.trainers.metrics import METRICS, Metric

RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.integers(0, 3, 200)


def guessers(count: int = 6, right: float = 0.5, rows: int = 200) -> np.ndarray:
    """Returns probabilities (count, rows, 3) of classifiers that are right, independently, in so many rows."""
    found = RANDOM.random((count, rows, 3)).astype(np.float32)
    hits = RANDOM.random((count, rows)) < right
    found[:, np.arange(rows), TARGETS[:rows]] += hits
    return found / found.sum(axis=2, keepdims=True)


def judge(name: str = "accuracy", targets: np.ndarray = TARGETS) -> Judge:
    metric = METRICS[name]
    return Judge(metric, bool(metric.maximize), targets, metric.task == "classification")


@pytest.mark.parametrize("metric", ["accuracy", "cross_entropy", "f1"])
def test_an_ensemble_is_never_worse_than_the_best_candidate_on_the_rows_it_was_chosen_by(metric: str) -> None:
    for right in (0.3, 0.5, 0.9):
        candidates, of = guessers(right=right), judge(metric)
        best = max(of.rank(one) for one in candidates)
        taken = select(candidates, of, 5)
        assert of.rank(combined(candidates, taken)) >= best
        assert 1 <= len(taken) <= 5


def test_it_begins_with_the_best_candidate_and_each_step_takes_what_is_best_then() -> None:
    candidates, of = guessers(), judge("cross_entropy")
    taken = select(candidates, of, 4)
    assert taken[0] == max(range(6), key=lambda place: of.rank(candidates[place]))
    for step in range(1, len(taken)):
        tried = [of.rank(combined(candidates, [*taken[:step], place])) for place in range(6)]
        assert taken[step] == tried.index(max(tried))


def test_with_likelihoods_it_comes_near_the_best_of_all_ensembles_of_that_size() -> None:
    candidates, of = guessers(count=5), judge("cross_entropy")
    everyone = [of.value(combined(candidates, list(some))) for some in combinations_with_replacement(range(5), 4)]
    found = of.value(combined(candidates, select(candidates, of, 4)))
    assert found <= np.quantile(everyone, 0.05)


def test_one_that_is_much_better_stays_alone() -> None:
    candidates = guessers(count=3, right=0.0)
    candidates[1] = np.eye(3, dtype=np.float32)[TARGETS]
    assert select(candidates, judge(), 5) == [1]


def test_of_equal_accuracies_the_likelier_one_is_taken() -> None:
    sure, unsure = np.eye(3, dtype=np.float32)[TARGETS] * 0.9 + 0.03, np.eye(3, dtype=np.float32)[TARGETS] * 0.1 + 0.3
    assert select(np.stack([unsure, sure]), judge(), 1) == [1]


def test_values_of_a_regression_are_averaged() -> None:
    targets = RANDOM.normal(size=200).astype(np.float32)
    off = RANDOM.normal(size=(200, 1)).astype(np.float32)
    candidates = np.stack([targets[:, None] + off, targets[:, None] - off, targets[:, None] + 3 * off])
    for name in ("rmse", "r2"):
        taken = select(candidates, judge(name, targets), 2)
        assert sorted(taken) == [0, 1]
        assert np.allclose(combined(candidates, taken)[:, 0], targets, atol=1e-5)


def test_a_candidate_counts_as_often_as_it_was_taken() -> None:
    candidates = guessers(count=2)
    assert np.allclose(combined(candidates, [0, 1, 0]), (2 * candidates[0] + candidates[1]) / 3)


def test_a_metric_that_is_no_number_is_the_worst() -> None:
    broken = Metric("broken", lambda outputs, targets: np.nan if outputs.exp()[0, 0] > 0.5 else 0.1)
    of = Judge(broken, True, TARGETS, True)
    candidates = np.full((2, 200, 3), 0.2, np.float32)
    candidates[0, :, 0] = 0.6
    assert select(candidates, of, 1) == [1]


def test_rows_held_out_show_that_the_best_of_many_guessers_was_luck() -> None:
    """Of 60 that guess, the best is right in half of the rows that it was chosen by, and in a third of others."""
    many = guessers(count=60, right=0.0)
    of = judge()
    flattered = of.value(combined(many, select(many, of, 5)))
    ensemble, alone = held_out(many, of, 5)
    assert flattered > 0.42
    assert 0.25 < ensemble < 0.40
    assert 0.25 < alone < 0.40


def test_rows_held_out_show_what_an_ensemble_of_independent_ones_is_worth() -> None:
    many = guessers(count=20, right=0.5)
    ensemble, alone = held_out(many, judge(), 7)
    assert ensemble > alone + 0.05
    assert held_out(many, judge(), 7) == (ensemble, alone)
