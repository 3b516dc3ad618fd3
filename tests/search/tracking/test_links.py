"""Links to pages of MLflow's UI."""

from __future__ import annotations

from leadline.search.tracking import comparison_link, trials_link


def test_the_link_lists_trials_alone_with_the_best_first() -> None:
    link = trials_link("http://127.0.0.1:5000/", "7", maximize=False)
    assert link.startswith("http://127.0.0.1:5000/#/experiments/7/runs?")
    assert "tags.%60leadline.kind%60+%3D+%27trial%27" in link
    assert "orderByKey=metrics.%60objective%60&orderByAsc=true" in link


def test_the_link_of_a_comparison_names_runs_and_experiment() -> None:
    link = comparison_link("http://127.0.0.1:5000", "7", ["a1", "b2"])
    assert link == ("http://127.0.0.1:5000/#/compare-runs?runs=%5B%22a1%22%2C%20%22b2%22%5D&experiments=%5B%227%22%5D")
