"""What went wrong, counted and told in a few lines."""

from __future__ import annotations

from leadline import Trial
from leadline.search.faults import Faults
from leadline.search.log import LOST, RETRY, TRACKER, UNWRITTEN


def failed(*reasons: str) -> Faults:
    faults = Faults()
    for number, reason in enumerate(reasons):
        faults.ended(Trial(number, "failed", {}, reason=reason))
    return faults


def test_where_all_went_well_nothing_is_told() -> None:
    faults = Faults()
    faults.ended(Trial(0, "complete", {}, value=1.0))
    faults.ended(Trial(1, "pruned", {}))
    assert faults.lines() == []


def test_reasons_that_differ_in_numbers_alone_are_counted_together() -> None:
    faults = failed("NaN at epoch 3, step 41", "no such file", "NaN at epoch 12, step 7")
    assert faults.lines() == [
        "2 trials failed: NaN at epoch 3, step 41, and alike (trials 0, 2)",
        "1 trial failed: no such file (trial 1)",
    ]


def test_no_more_than_a_few_reasons_and_trials_are_named() -> None:
    assert failed(*["x"] * 7).lines() == ["7 trials failed: x (trials 0, 1, 2, 3, 4, ...)"]
    assert failed(*"abcdefg").lines()[-1] == "2 trials failed for 2 other reasons"


def test_workers_lost_retries_and_trouble_with_the_tracker_and_the_disk_are_told() -> None:
    faults = Faults()
    faults.happened(LOST, {"worker": 0, "reason": "killed by signal 9"})
    faults.happened(LOST, {"worker": 1, "reason": "exit status 3"})
    faults.happened(RETRY, {"trial": 4})
    faults.happened(TRACKER, {"problem": "http://h can't be reached"})
    faults.happened(UNWRITTEN, {"reason": "/full can't be written: No space left on device"})
    faults.happened("plan", {})
    assert faults.lines() == [
        "2 workers lost: exit status 3",
        "1 trial given another go",
        "MLflow was in trouble once: http://h can't be reached",
        "1 traceback not written, but kept with the study: /full can't be written: No space left on device",
    ]


def test_the_same_is_read_from_a_log() -> None:
    events = [
        {"event": "trial ended", "trial": 3, "state": "failed", "reason": "x"},
        {"event": "trial ended", "trial": 4, "state": "complete", "reason": "all epochs done"},
        {"event": LOST, "reason": "y"},
    ]
    assert Faults.of(events).as_json() == {
        "failed": {"3": "x"},
        "workers_lost": ["y"],
        "retried": [],
        "tracker": [],
        "unwritten": [],
    }
