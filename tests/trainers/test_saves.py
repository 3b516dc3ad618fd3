"""How often checkpoints are written. What they hold, and what is gone on from, is tested with the worker."""

from types import SimpleNamespace

import pytest

from leadline.trainers.saves import SHARE, Saves


@pytest.fixture
def clock(monkeypatch):
    """The clock that the checkpoints are spaced by; `now` is what it shows."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("leadline.trainers.saves.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def slow(monkeypatch, clock):
    """Has each writing of a file take so many seconds as `slow.seconds` says."""
    disk = SimpleNamespace(seconds=0.0, written=0)

    def write(*args, **kwargs):
        clock.now += disk.seconds
        disk.written += 1
        return "00000000"

    monkeypatch.setattr("leadline.trainers.checkpoints.write", write)
    return disk


def training(number, written):
    """Returns what a checkpoint needs of a trial."""
    empty = {"state": dict, "tensors": dict}
    return SimpleNamespace(number=number, epoch=1, params={}, written=written, **empty)


def trained(saves, trainings, clock, seconds, epoch=1.0):
    """Trains for so many seconds, asking after each epoch."""
    for _ in range(round(seconds / epoch)):
        clock.now += epoch
        saves.trained += epoch
        for one in sorted(trainings, key=lambda training: training.written):
            if saves.is_due(one):
                saves.write(one)


def test_they_are_as_far_apart_as_was_said(tmp_path, clock, slow):
    saves = Saves(tmp_path, ("", 0), 10)
    trained(saves, [training(0, clock.now)], clock, 100)
    assert slow.written == 10


def test_after_each_epoch_where_the_spacing_is_none_whatever_it_takes(tmp_path, clock, slow):
    slow.seconds = 5.0
    saves = Saves(tmp_path, ("", 0), 0)
    trained(saves, [training(0, clock.now)], clock, 20)
    assert slow.written == 20


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_on_a_slow_disk_they_cost_no_more_than_their_share(lanes, seconds, tmp_path, clock, slow):
    slow.seconds = seconds
    saves, trainings = Saves(tmp_path, ("", 0), 10), [training(number, clock.now) for number in range(lanes)]
    trained(saves, trainings, clock, 2000)
    assert SHARE / 2 * 2000 * min(1, lanes * seconds / 10 / SHARE) - seconds <= saves.spent <= SHARE * 2000 + seconds
    waited = [clock.now - one.written for one in trainings]
    assert max(waited) < 10 + seconds + 2 * lanes * seconds / SHARE, "each has its turn"


def test_without_a_folder_there_are_none():
    saves = Saves(None, ("", 0), 0)
    assert not saves.is_due(training(0, 0))
    assert saves.find(0, {}) is None
