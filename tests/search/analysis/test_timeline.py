from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from leadline.search.analysis.timeline import timeline

NOON = datetime(2026, 1, 1, 12)


def trial(number, start, end=None, epochs=(), **facts):
    """A trial that began and ended so many seconds after noon, with epochs that ended then."""
    at = [NOON.timestamp() + second for second in epochs]
    return SimpleNamespace(
        number=number,
        datetime_start=None if start is None else NOON + timedelta(seconds=start),
        datetime_complete=None if end is None else NOON + timedelta(seconds=end),
        user_attrs=facts,
        system_attrs={f"leadline:epoch:{n}": {"at": when, "metrics": {"seconds": 1.0}} for n, when in enumerate(at, 1)},
    )


def bars(found):
    return [(bar.number, bar.row, pytest.approx(bar.start), pytest.approx(bar.end)) for bar in found.bars]


def test_one_after_the_other_they_are_in_one_row():
    found = timeline([trial(0, 0, 10), trial(1, 10, 30)])
    assert bars(found) == [(0, 0, 0, 10), (1, 0, 10, 30)]
    assert (found.most, found.busy, found.cuts) == (1, pytest.approx(30), ())


def test_side_by_side_they_are_in_rows_of_their_own():
    found = timeline([trial(0, 0, 10), trial(1, 2, 30), trial(2, 11, 20)])
    assert bars(found) == [(0, 0, 0, 10), (1, 1, 2, 30), (2, 0, 11, 20)]
    assert found.most == 2


def test_a_pause_ends_a_bar_and_what_comes_after_is_another():
    found = timeline([trial(0, 0, 24, epochs=[1, 2, 3, 22, 23, 24]), trial(1, 3, 21, epochs=range(4, 22))])
    assert bars(found) == [(0, 0, 0, 3), (1, 0, 3, 21), (0, 0, 21, 24)]


def test_what_was_written_down_after_the_next_one_began_wasnt_beside_it():
    found = timeline([trial(0, 0, 11, seconds=9), trial(1, 10, 20, seconds=10)])
    assert bars(found) == [(0, 0, 0, 9), (1, 0, 10, 20)]
    assert found.most == 1


def test_hours_in_which_nothing_ran_are_cut():
    found = timeline([trial(0, 0, 100), trial(1, 7200, 7300)])
    assert found.busy == pytest.approx(200)
    assert found.bars[1].start == pytest.approx(104)
    assert found.cuts == (pytest.approx(102),)


def test_a_running_trial_is_as_long_as_its_epochs():
    assert bars(timeline([trial(0, 0, epochs=[5, 10])])) == [(0, 0, 0, 10)]


def test_trials_without_times_have_no_timeline():
    assert timeline([trial(0, None), trial(1, 3)]) is None
