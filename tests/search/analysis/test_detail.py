from __future__ import annotations

from collections.abc import Callable

import pytest

import leadline as ll
from leadline.search.analysis.detail import print_trial, trial_of


def broken(trial: ll.ActiveTrial) -> float:
    trial.report(0.5)
    raise ValueError(f"no {trial.params['x']}")


def test_a_trial_that_raised_an_error_shows_its_traceback_which_is_kept_as_a_file_too(
    plain: Callable[..., ll.Study], capsys: pytest.CaptureFixture[str]
) -> None:
    study = plain(strategy="grid").run(broken, trials=2, progress=False)
    print_trial(study, trial_of(study, 1))
    printed = capsys.readouterr().out
    assert printed.startswith("plain, trial 1: failed: ValueError: no 1 (test_detail.py:")
    assert 'raise ValueError(f"no {trial.params[' in printed
    assert study.trials[1].traceback == study.folder.traceback(1).read_text()
    assert study.trials[1].as_json()["traceback"].startswith("Traceback")


def test_a_traceback_whose_file_cannot_be_written_stands_in_the_study(plain: Callable[..., ll.Study]) -> None:
    study = plain().enqueue({"x": 3})
    (study.folder.path / "trials").touch()
    study.run(broken, trials=1, progress=False)
    assert (study.trials[0].traceback or "").startswith("Traceback")


def test_a_trial_shows_its_value_configuration_and_what_was_made_good(
    plain: Callable[..., ll.Study], capsys: pytest.CaptureFixture[str]
) -> None:
    trial = ll.Trial(3, "complete", {"x": 4}, 0.5, reason="done", faults=("after epoch 1: killed",))
    print_trial(plain(), trial)
    lines = ["plain, trial 3: complete: done", "value 0.5", "  x: 4", "Made good after epoch 1: killed"]
    assert capsys.readouterr().out.splitlines() == lines


def test_a_number_that_no_trial_has_is_an_error(plain: Callable[..., ll.Study]) -> None:
    with pytest.raises(ll.UsageError, match="`plain` has no trial 7; it has none"):
        trial_of(plain(), 7)
