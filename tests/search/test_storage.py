"""The journal file loses nothing that it acknowledged, and the mirror and its durable storage say the same."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState, create_trial

from leadline.errors import StudyError
from leadline.search.seal import Seal
from leadline.search.storage import JournalFile, Mirror

UP = [StudyDirection.MAXIMIZE]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


@pytest.fixture(params=["journal", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], BaseStorage]]:
    """A function that opens the same durable storage anew at each call."""
    databases: list[RDBStorage] = []

    def journal() -> BaseStorage:
        return JournalStorage(JournalFile(tmp_path / "study.journal"))

    def sqlite() -> BaseStorage:
        databases.append(RDBStorage(f"sqlite:///{tmp_path}/study.db"))
        return databases[-1]

    yield journal if request.param == "journal" else sqlite
    for database in databases:
        database.remove_session()
        database.engine.dispose()


class TestJournalFileConforms(StorageTestCase):
    @pytest.fixture
    def storage(self, path: Path) -> BaseStorage:
        return JournalStorage(JournalFile(path))


class TestMirrorConforms(StorageTestCase):
    @pytest.fixture
    def storage(self, path: Path) -> BaseStorage:
        return Mirror(JournalStorage(JournalFile(path)))


class CommittingMirror(Mirror):
    """Commits before it reads, and reads the journal: ids in a new one are those in memory."""

    def get_trial(self, trial_id: int) -> FrozenTrial:
        self.commit()
        return self.durable.get_trial(trial_id)

    def get_all_trials(self, study_id: int, *arguments: Any, **options: Any) -> list[FrozenTrial]:
        self.commit()
        return self.durable.get_all_trials(study_id, *arguments, **options)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        self.commit()
        return self.durable.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        self.commit()
        return self.durable.get_study_system_attrs(study_id)


class TestWhatAMirrorCommitsConforms(StorageTestCase):
    @pytest.fixture
    def storage(self, path: Path) -> BaseStorage:
        return CommittingMirror(JournalStorage(JournalFile(path)))


def record(number: int) -> dict[str, Any]:
    return {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"number": number, "text": "ä\n☃"}}


def journal_of(path: Path, count: int) -> JournalFile:
    journal = JournalFile(path)
    journal.append_logs([record(number) for number in range(count)])
    return journal


def unseal(path: Path) -> None:
    """Leaves a journal as it is before its seal is written: what a crash finds, and an earlier version left."""
    Seal(path).path.unlink(missing_ok=True)


def records(path: Path, read_only: bool = True) -> list[dict[str, Any]]:
    return list(JournalFile(path, read_only=read_only).read_logs(0))


def contents(storage: BaseStorage, study_id: int) -> list[dict[str, Any]]:
    """All that a storage says of a study's trials, but for ids and for when they began and ended."""
    trials = []
    for trial in storage.get_all_trials(study_id):
        fields = {key: value for key, value in vars(trial).items() if not key.startswith(("_trial_id", "_datetime"))}
        fields["datetime_start"] = trial.datetime_start is not None
        fields["datetime_complete"] = trial.datetime_complete is not None
        fields["intermediate_values"] = {step: repr(float(v)) for step, v in trial.intermediate_values.items()}
        trials.append(fields)
    return trials


def assert_same(mirror: Mirror, durable: BaseStorage, name: str = "study") -> None:
    stored = durable.get_study_id_from_name(name)
    assert contents(durable, stored) == contents(mirror, mirror.study_id)
    assert durable.get_study_user_attrs(stored) == mirror.get_study_user_attrs(mirror.study_id)
    assert durable.get_study_system_attrs(stored) == mirror.get_study_system_attrs(mirror.study_id)
    assert durable.get_study_directions(stored) == mirror.get_study_directions(mirror.study_id)


# ---- the journal file


def test_a_file_cut_at_every_byte_of_its_last_records_holds_exactly_the_whole_ones(path: Path) -> None:
    journal_of(path, 6)
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    for cut in range(len(b"".join(lines[:-3])), len(data) + 1):
        whole = data[:cut].count(b"\n")
        path.write_bytes(data[:cut])
        unseal(path)
        assert records(path) == [record(number) for number in range(whole)]
        assert path.stat().st_size == cut, "a reader must not write"
        journal = JournalFile(path)
        assert path.read_bytes() == b"".join(lines[:whole])
        journal.append_logs([record(99)])
        assert list(journal.read_logs(whole)) == [record(99)]
        assert records(path) == [*(record(number) for number in range(whole)), record(99)]


def test_a_file_cut_at_every_byte_of_its_first_record_becomes_empty(path: Path) -> None:
    journal_of(path, 1)
    unseal(path)
    data = path.read_bytes()
    for torn in [data[:cut] for cut in range(len(data))] + [b"\0" * 4096]:
        path.write_bytes(torn)
        assert records(path, read_only=False) == []
        assert path.stat().st_size == 0


@pytest.mark.parametrize(
    "garbage", [b"\0" * 5000, b"{}}\n", b"\xff\xfe\n\n", b"7\n", b'"text"\n[1]\n{"half":', b"\n\n"]
)
def test_garbage_at_the_very_end_is_cut_off(path: Path, garbage: bytes) -> None:
    journal_of(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + garbage)
    assert records(path) == [record(0), record(1)]
    assert records(path, read_only=False) == [record(0), record(1)]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("broken", [b"\n", b'{"op_code":2,"wor\n', b"\0\0\n", b"[]\n", b"\xff\n"])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_broken_line_in_the_middle_is_an_error_that_names_its_number(
    path: Path, broken: bytes, read_only: bool
) -> None:
    journal_of(path, 5)
    unseal(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], broken, *lines[4:]]))
    before = path.read_bytes()
    with pytest.raises(StudyError, match=r"study\.journal:4 isn't"):
        JournalStorage(JournalFile(path, read_only=read_only))
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", [b"Dear mother", b"Dear mother\nall is well.\n", b"SQLite format 3\0", b'{"a": 1}'])
def test_a_file_that_never_was_a_journal_is_left_as_it_is(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(StudyError, match="isn't a journal"):
        JournalFile(path)
    assert path.read_bytes() == text


def test_a_reader_neither_creates_nor_writes(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        records(path)
    assert not path.exists()
    journal_of(path, 1)
    with pytest.raises(StudyError, match="read_only"):
        JournalFile(path, read_only=True).append_logs([record(1)])


def test_a_reader_follows_the_writer_and_waits_for_the_end_of_a_line(path: Path) -> None:
    writer, reader = journal_of(path, 2), JournalFile(path, read_only=True)
    assert list(reader.read_logs(0)) == [record(0), record(1)]
    with writer.batch():
        writer.append_logs([record(2)])
        assert list(reader.read_logs(2)) == []
    half = json.dumps(record(3)).encode()
    with open(path, "ab") as file:
        file.write(half[:20])
    assert list(reader.read_logs(2)) == [record(2)]
    with open(path, "ab") as file:
        file.write(half[20:] + b"\n")
    assert list(reader.read_logs(3)) == [record(3)]
    assert list(reader.read_logs(1)) == [record(1), record(2), record(3)]


def test_reading_on_after_a_write_reads_only_what_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = journal_of(path, 500)
    assert len(list(journal.read_logs(0))) == 500
    journal.append_logs([record(500)])
    parsed: list[bytes] = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda line: parsed.append(line) or loads(line))
    assert list(journal.read_logs(500)) == [record(500)]
    assert len(parsed) == 1


class Calls:
    """Counts a function's calls and the bytes that its second argument had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.sizes: list[int] = []
        original = getattr(os, name)

        def counted(*arguments: Any) -> Any:
            self.sizes.append(len(arguments[1]) if len(arguments) > 1 else 0)
            return original(*arguments)

        monkeypatch.setattr(os, name, counted)


def test_creating_a_file_makes_its_folders_entry_durable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsyncs = Calls(monkeypatch, "fsync")
    JournalFile(path)
    assert len(fsyncs.sizes) == 1
    JournalFile(path)
    assert len(fsyncs.sizes) == 1


def test_cutting_a_torn_tail_is_made_durable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal_of(path, 1)
    fsyncs = Calls(monkeypatch, "fsync")
    JournalFile(path)
    assert len(fsyncs.sizes) == 0
    os.truncate(path, path.stat().st_size - 1)
    unseal(path)
    JournalFile(path)
    assert len(fsyncs.sizes) == 1


def test_appending_many_records_is_one_write_and_one_fsync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalFile(path)
    writes, fsyncs = Calls(monkeypatch, "write"), Calls(monkeypatch, "fsync")
    journal.append_logs([record(number) for number in range(100)])
    assert writes.sizes == [path.stat().st_size]
    assert len(fsyncs.sizes) == 1


def test_a_batch_is_one_write_and_equals_the_unbatched_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one, batched = JournalFile(tmp_path / "one"), JournalFile(tmp_path / "batched")
    for journal in (one_by_one, batched):
        JournalStorage(journal).create_new_study(UP, "study")

    def work(storage: JournalStorage) -> None:
        for number in range(5):
            trial_id = storage.create_new_trial(0)
            assert storage.get_trial(trial_id).number == number, "held records are read back"
            storage.set_trial_param(trial_id, "lr", 0.5, FloatDistribution(0, 1))
            storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [number])

    work(JournalStorage(one_by_one))
    storage = JournalStorage(batched)
    length = batched.path.stat().st_size
    writes, fsyncs = Calls(monkeypatch, "write"), Calls(monkeypatch, "fsync")
    with batched.batch():
        with batched.batch():
            work(storage)
        assert batched.path.stat().st_size == length
    assert writes.sizes == [batched.path.stat().st_size - length]
    assert len(fsyncs.sizes) == 1
    reread = JournalStorage(JournalFile(batched.path, read_only=True))
    assert reread.get_all_trials(0) == storage.get_all_trials(0)
    assert contents(storage, 0) == contents(JournalStorage(JournalFile(one_by_one.path, read_only=True)), 0)


def test_an_empty_batch_writes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalFile(path)
    fsyncs = Calls(monkeypatch, "fsync")
    with journal.batch():
        pass
    assert fsyncs.sizes == []


def test_a_batch_whose_body_raises_writes_what_the_storage_has_replayed(path: Path) -> None:
    storage = JournalStorage(journal := JournalFile(path))
    study_id = storage.create_new_study(UP, "study")
    with pytest.raises(UpdateFinishedTrialError), journal.batch():  # noqa: PT012
        trial_id = storage.create_new_trial(study_id)
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
        storage.set_trial_intermediate_value(trial_id, 0, 0.5)
    storage.create_new_trial(study_id)
    assert JournalStorage(JournalFile(path)).get_all_trials(study_id) == storage.get_all_trials(study_id)


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Lets `os.write` write `room` more bytes in pieces of 7, then fail."""
    left, write = room, os.write

    def until_full(descriptor: int, data: Any) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left -= (written := write(descriptor, data[: min(7, left)]))
        return written

    monkeypatch.setattr(os, "write", until_full)


def test_a_full_disk_leaves_the_file_as_it_was_and_says_what_is_needed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_of(path, 2)
    before = path.read_bytes()
    needed = len(before) // 2
    with monkeypatch.context() as full:
        fill_the_disk(full, room=needed - 1)
        with pytest.raises(StudyError, match=rf"study\.journal .*No space.* {needed} more bytes .*resumes"):
            journal.append_logs([record(2)])
    assert path.read_bytes() == before
    journal.append_logs([record(3)])
    assert list(journal.read_logs(0)) == records(path) == [record(0), record(1), record(3)]


def test_a_journal_that_is_gone_is_told_and_not_begun_anew(path: Path) -> None:
    journal = journal_of(path, 2)
    path.unlink()
    with pytest.raises(StudyError, match=r"study\.journal can't be written .* moved or removed"):
        journal.append_logs([record(2)])
    assert not path.exists()


def test_a_journal_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nowhere/study\.journal can't be written"):
        JournalFile(tmp_path / "nowhere" / "study.journal")


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_an_interrupt_leaves_no_half_record(path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    journal = journal_of(path, 1)

    def interrupt(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, interrupt)
        with pytest.raises(KeyboardInterrupt):
            journal.append_logs([record(1)])
    journal.append_logs([record(2)])
    assert records(path) == [record(0), record(2)]


def test_a_batch_that_met_a_full_disk_is_written_by_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = JournalStorage(journal := JournalFile(path))
    study_id = storage.create_new_study(UP, "study")
    with monkeypatch.context() as full:
        fill_the_disk(full, room=10)
        with pytest.raises(StudyError, match="more bytes"), journal.batch():
            storage.create_new_trial(study_id)
        assert len(storage.get_all_trials(study_id)) == 1
        assert JournalStorage(JournalFile(path, read_only=True)).get_all_trials(study_id) == []
    storage.create_new_trial(study_id)
    assert len(storage.get_all_trials(study_id)) == 2
    assert JournalStorage(JournalFile(path)).get_all_trials(study_id) == storage.get_all_trials(study_id)


def test_optunas_own_backend_reads_and_continues_the_file(path: Path) -> None:
    ours = JournalStorage(JournalFile(path))
    optuna.create_study(storage=ours, study_name="study").optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    theirs = JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
    assert theirs.get_all_trials(0) == ours.get_all_trials(0)
    optuna.load_study(storage=theirs, study_name="study").optimize(lambda trial: trial.suggest_float("x", 0, 1), 2)
    assert JournalStorage(JournalFile(path)).get_all_trials(0) == theirs.get_all_trials(0)
    assert [trial.number for trial in ours.get_all_trials(0)] == [0, 1, 2, 3, 4]


# ---- the mirror


def test_an_unknown_study_is_created_at_once_or_is_an_error(reopen: Callable[[], BaseStorage]) -> None:
    durable = reopen()
    with pytest.raises(KeyError, match="digits"):
        Mirror.open(durable, "digits", None)
    both = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    Mirror.open(durable, "other", UP)
    mirror = Mirror.open(durable, "digits", both)
    assert reopen().get_study_directions(reopen().get_study_id_from_name("digits")) == both
    assert mirror.get_study_name_from_id(mirror.study_id) == "digits"
    assert Mirror.open(reopen(), "digits", UP).get_study_directions(0) == both


def every_kind_of_trial(mirror: Mirror) -> None:
    """Fills a mirror over several commits with trials in every state, one of which is enqueued and later popped."""
    study = optuna.load_study(storage=mirror, study_name="study", sampler=optuna.samplers.RandomSampler(seed=0))
    study.set_user_attr("settings", {"lanes": (4, 8), "rate": math.inf})
    study.enqueue_trial({"lr": 0.25}, user_attrs={"why": "a guess"})
    study.enqueue_trial({"lr": 0.75})
    study.enqueue_trial({"lr": 0.5})
    mirror.commit()
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, None):
        trial = study.ask()
        trial.suggest_float("lr", 1e-3, 1, log=True)
        trial.suggest_int("depth", 1, 8)
        if trial.number % 2:
            mirror.commit()
        trial.suggest_categorical("norm", ["batch", None, 3, 0.5, True])
        for epoch in range(3):
            trial.report(math.nan if epoch == 1 else epoch / 3, epoch)
        trial.set_user_attr("reason", f"it was number {trial.number}")
        if state is not None:
            study.tell(trial, 0.5 if state is TrialState.COMPLETE else None, state=state)
    study.add_trial(create_trial(value=1.0, params={"lr": 0.1}, distributions={"lr": FloatDistribution(1e-3, 1, True)}))
    study.enqueue_trial({"lr": 0.125})


def test_a_reopened_study_equals_the_mirror(reopen: Callable[[], BaseStorage]) -> None:
    durable = reopen()
    Mirror.open(durable, "another", UP).commit()
    durable.create_new_trial(durable.get_study_id_from_name("another"))  # so that ids differ from numbers
    mirror = Mirror.open(durable, "study", UP)
    every_kind_of_trial(mirror)
    mirror.commit()
    assert_same(mirror, reopen())
    again = Mirror.open(reopen(), "study")
    assert_same(again, durable)
    states = [trial.state.name for trial in again.get_all_trials(again.study_id)]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "COMPLETE", "WAITING"]
    assert [again.get_trial(again.trial_id(number)).number for number in range(6)] == list(range(6))
    with pytest.raises(KeyError):
        again.trial_id(6)
    for here, there in zip(mirror.get_all_trials(0), again.get_all_trials(0), strict=True):
        for field in ("datetime_start", "datetime_complete"):
            before, after = getattr(here, field), getattr(there, field)
            assert (before is None) == (after is None)
            assert before is None or timedelta(0) <= after - before < timedelta(minutes=1)


def test_a_reopened_study_goes_on_where_it_was(reopen: Callable[[], BaseStorage]) -> None:
    mirror = Mirror.open(reopen(), "study", UP)
    every_kind_of_trial(mirror)
    mirror.commit()
    durable = reopen()
    again = Mirror.open(durable, "study")
    study = optuna.load_study(storage=again, study_name="study")
    assert study.best_value == 1.0
    again.set_trial_intermediate_value(again.trial_id(3), 3, 0.9)
    study.tell(3, 2.0)
    assert study.ask().number == 5, "the one that was enqueued"
    assert study.ask().number == 6
    again.commit()
    assert study.best_value == 2.0
    assert_same(again, durable)
    assert_same(again, reopen())


def test_a_trial_written_whole_keeps_its_dates(reopen: Callable[[], BaseStorage]) -> None:
    mirror = Mirror.open(reopen(), "study", UP)
    study = optuna.load_study(storage=mirror, study_name="study")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    study.add_trial(
        create_trial(state=TrialState.PRUNED, params={"x": 1}, distributions={"x": FloatDistribution(0, 1)})
    )
    mirror.commit()
    assert Mirror.open(reopen(), "study").get_all_trials(0) == mirror.get_all_trials(0)


class Spy:
    """A storage whose writes are listed, and whose `fail_at`-th write raises before it changes anything."""

    def __init__(self, storage: BaseStorage, fail_at: int | None = None) -> None:
        self.storage, self.fail_at = storage, fail_at
        self.writes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.storage, name)
        if not name.startswith(("create_new_trial", "set_")):
            return attribute

        def spied(*arguments: Any) -> Any:
            if self.fail_at is not None and len(self.writes) == self.fail_at:
                self.fail_at = None
                raise ConnectionError("the database is gone")
            self.writes.append(name)
            return attribute(*arguments)

        return spied


def test_a_new_trial_is_one_write_and_later_changes_are_written_singly() -> None:
    durable = Spy(InMemoryStorage())
    mirror = Mirror.open(durable, "study", UP)  # type: ignore[arg-type]
    study = optuna.load_study(storage=mirror, study_name="study", sampler=optuna.samplers.RandomSampler())
    trial = study.ask()
    trial.suggest_float("lr", 0, 1)
    trial.report(0.5, 0)
    assert durable.writes == []
    mirror.commit()
    assert durable.writes == ["create_new_trial"]
    trial.report(0.6, 1)
    trial.set_user_attr("seconds", 1.5)
    study.tell(trial, 0.6)
    mirror.commit()
    assert durable.writes[1:] == ["set_trial_intermediate_value", "set_trial_user_attr", "set_trial_state_values"]
    assert mirror.set_trial_state_values(study.ask()._trial_id, TrialState.RUNNING) is False
    mirror.commit()
    assert durable.writes[4:] == ["create_new_trial"]
    assert mirror.set_trial_state_values(mirror.trial_id(1), TrialState.RUNNING) is False
    mirror.commit()
    assert len(durable.writes) == 5
    assert_same(mirror, durable.storage)


def test_a_commit_to_a_journal_is_one_write_and_one_fsync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror.open(JournalStorage(JournalFile(path)), "study", UP)
    lanes = [mirror.create_new_trial(0) for _ in range(8)]
    mirror.commit()
    for lane in lanes:
        mirror.set_trial_intermediate_value(lane, 0, 0.5)
        mirror.set_trial_user_attr(lane, "lane", lane)
    writes, fsyncs = Calls(monkeypatch, "write"), Calls(monkeypatch, "fsync")
    mirror.commit()
    assert (len(writes.sizes), len(fsyncs.sizes)) == (1, 1)
    mirror.commit()
    assert (len(writes.sizes), len(fsyncs.sizes)) == (1, 1)


def test_nothing_is_written_before_a_commit(path: Path) -> None:
    mirror = Mirror.open(JournalStorage(JournalFile(path)), "study", UP)
    before = path.read_bytes()
    every_trial = [mirror.create_new_trial(0) for _ in range(3)]
    mirror.set_study_user_attr(0, "key", "value")
    mirror.set_trial_state_values(every_trial[0], TrialState.FAIL)
    assert path.read_bytes() == before


def test_a_commit_to_a_full_disk_is_made_good_by_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror.open(JournalStorage(JournalFile(path)), "study", UP)
    trial_id = mirror.create_new_trial(0)
    with monkeypatch.context() as full:
        fill_the_disk(full, room=20)
        for _ in range(2):
            with pytest.raises(StudyError, match="more bytes"):
                mirror.commit()
    mirror.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
    mirror.commit()
    assert_same(mirror, JournalStorage(JournalFile(path, read_only=True)))


def change(mirror: Mirror, dice: random.Random) -> None:
    """Makes one random change, of those that Optuna allows, to a mirror's study."""
    unfinished = [trial for trial in mirror.get_all_trials(0, deepcopy=False) if not trial.state.is_finished()]
    if not unfinished or dice.random() < 0.2:
        template = create_trial(
            state=dice.choice([TrialState.WAITING, TrialState.RUNNING, TrialState.PRUNED]),
            params={"a": dice.random()},
            distributions={"a": FloatDistribution(0, 1)},
            intermediate_values={0: dice.random()},
            user_attrs={"made": "from a template"},
        )
        mirror.create_new_trial(0, template if dice.random() < 0.5 else None)
        return
    trial = dice.choice(unfinished)
    trial_id, key = trial._trial_id, dice.choice("xyz")
    value = dice.choice([None, 1, -2.5, "text", [1, {"deep": True}], (1, 2)])
    kind = dice.randrange(7)
    if kind == 0 and "depth" not in trial.params:
        mirror.set_trial_param(trial_id, "depth", 3.0, IntDistribution(1, 8))
    elif kind == 1 and "norm" not in trial.params:
        distribution = CategoricalDistribution(["batch", None, 1])
        mirror.set_trial_param(
            trial_id=trial_id, param_name="norm", param_value_internal=1.0, distribution=distribution
        )
    elif kind == 2:
        mirror.set_trial_intermediate_value(trial_id, dice.randrange(4), dice.choice([0.25, math.nan, math.inf]))
    elif kind == 3:
        mirror.set_trial_user_attr(trial_id, key, value)
    elif kind == 4:
        mirror.set_trial_system_attr(trial_id, key=key, value=value)
    elif kind == 5:
        mirror.set_study_user_attr(0, key, value)
        mirror.set_study_system_attr(study_id=0, key=key, value=value)
    elif trial.state is TrialState.WAITING or dice.random() < 0.2:
        assert mirror.set_trial_state_values(trial_id, TrialState.RUNNING) == (trial.state is TrialState.WAITING)
    else:
        mirror.set_trial_state_values(trial_id, dice.choice([TrialState.COMPLETE, TrialState.PRUNED]), (0.5,))


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**32), commits=st.lists(st.integers(0, 12), min_size=1, max_size=6), fails=st.booleans())
def test_after_random_changes_and_commits_the_journal_equals_the_memory(
    seed: int, commits: list[int], fails: bool
) -> None:
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.journal")
        spy = Spy(JournalStorage(JournalFile(path)))
        mirror = Mirror.open(spy, "study", UP)  # type: ignore[arg-type]
        for changes in commits:
            for _ in range(changes):
                change(mirror, dice)
            if fails:
                spy.fail_at = len(spy.writes) + dice.randrange(6)
            try:
                mirror.commit()
            except ConnectionError:
                continue
            assert_same(mirror, spy.storage)
        spy.fail_at = None
        mirror.commit()
        assert_same(mirror, JournalStorage(JournalFile(path, read_only=True)))
        assert_same(Mirror.open(spy, "study"), spy.storage)  # type: ignore[arg-type]


def test_after_random_changes_and_commits_the_database_equals_the_memory(reopen: Callable[[], BaseStorage]) -> None:
    dice, durable = random.Random(0), reopen()
    mirror = Mirror.open(durable, "study", UP)
    for _ in range(20):
        for _ in range(dice.randrange(12)):
            change(mirror, dice)
        mirror.commit()
        assert_same(mirror, durable)
    assert_same(mirror, reopen())


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_a_commit_that_fails_at_any_write_loses_and_repeats_nothing(kind: str, tmp_path: Path) -> None:
    fail_at, failed = 0, True
    while failed:
        path = tmp_path / f"{fail_at}.journal"
        spy = Spy(JournalStorage(JournalFile(path)) if kind == "journal" else InMemoryStorage(), fail_at)
        mirror = Mirror.open(spy, "study", UP)  # type: ignore[arg-type]
        dice = random.Random(1)
        failed = False
        for _ in range(3):
            for _ in range(8):
                change(mirror, dice)
            try:
                mirror.commit()
            except ConnectionError:
                failed = True
                assert len(spy.writes) == fail_at
        mirror.commit()
        assert_same(mirror, spy.storage)
        if kind == "journal":
            assert_same(mirror, JournalStorage(JournalFile(path, read_only=True)))
        creations = spy.writes.count("create_new_trial")
        assert creations == len(mirror.get_all_trials(0)) == len(spy.storage.get_all_trials(0))
        fail_at += 1
    assert fail_at > 10


def test_a_retried_commit_makes_the_very_writes_that_were_left() -> None:
    def changed(spy: Spy) -> Mirror:
        mirror = Mirror.open(spy, "study", UP)  # type: ignore[arg-type]
        trials = [mirror.create_new_trial(0) for _ in range(2)]
        mirror.commit()
        for trial_id in trials:
            mirror.set_trial_user_attr(trial_id, "key", "value")
            mirror.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
        mirror.set_study_user_attr(0, "key", "value")
        return mirror

    smooth = Spy(InMemoryStorage())
    changed(smooth).commit()
    for fail_at in range(2, len(smooth.writes)):
        bumpy = Spy(InMemoryStorage(), fail_at)
        mirror = changed(bumpy)
        with pytest.raises(ConnectionError):
            mirror.commit()
        mirror.commit()
        assert bumpy.writes == smooth.writes
        assert_same(mirror, bumpy.storage)


def test_what_the_durable_storage_would_refuse_is_refused_at_once(reopen: Callable[[], BaseStorage]) -> None:
    mirror = Mirror.open(reopen(), "study", UP)
    trial_id = mirror.create_new_trial(0)
    for write, owner in [
        (mirror.set_study_user_attr, 0),
        (mirror.set_study_system_attr, 0),
        (mirror.set_trial_user_attr, trial_id),
        (mirror.set_trial_system_attr, trial_id),
    ]:
        with pytest.raises(TypeError, match="not JSON serializable"):
            write(owner, "array", np.zeros(2))
    with pytest.raises(TypeError, match="not JSON serializable"):
        mirror.create_new_trial(0, create_trial(value=0.0, user_attrs={"array": np.zeros(2)}))
    mirror.set_trial_param(trial_id, "lr", 0.5, FloatDistribution(0, 1))
    mirror.commit()
    again = Mirror.open(reopen(), "study")
    with pytest.raises(ValueError, match="distribution kind"):
        again.set_trial_param(again.create_new_trial(0), "lr", 1, IntDistribution(0, 1))
    with pytest.raises(ValueError, match="distribution kind"):
        again.create_new_trial(
            0, create_trial(value=0.0, params={"lr": 1}, distributions={"lr": IntDistribution(0, 1)})
        )
    again.set_trial_state_values(0, TrialState.COMPLETE, [1.0])
    with pytest.raises(UpdateFinishedTrialError):
        again.set_trial_user_attr(0, "late", True)
    again.commit()
    assert_same(again, reopen())


def test_an_attribute_is_kept_as_it_was_when_it_was_set_and_read_as_it_will_be(path: Path) -> None:
    durable = JournalStorage(JournalFile(path))
    mirror = Mirror.open(durable, "study", UP)
    trial_id = mirror.create_new_trial(0)
    mirror.commit()
    folds: tuple[float, list[float]] = (0.5, [0.25])
    template = create_trial(value=1.0, user_attrs={"folds": folds})
    mirror.create_new_trial(0, template)
    assert template.user_attrs == {"folds": folds}, "the caller's own isn't touched"
    mirror.set_trial_user_attr(trial_id, "folds", folds)
    folds[1].append(9.0)
    assert mirror.get_trial(trial_id).user_attrs == {"folds": [0.5, [0.25]]}
    mirror.commit()
    assert durable.get_trial(trial_id).user_attrs == {"folds": [0.5, [0.25]]}


def test_a_commit_beside_a_thread_that_writes_loses_nothing(path: Path) -> None:
    durable = JournalStorage(JournalFile(path))
    mirror = Mirror.open(durable, "study", UP)

    def work() -> None:
        for number in range(200):
            trial_id = mirror.create_new_trial(0)
            mirror.set_trial_intermediate_value(trial_id, 0, number)
            mirror.set_trial_user_attr(trial_id, "number", number)
            mirror.set_trial_state_values(trial_id, TrialState.COMPLETE, [number])

    writer = threading.Thread(target=work)
    writer.start()
    while writer.is_alive():
        mirror.commit()
    writer.join()
    mirror.commit()
    assert_same(mirror, durable)


def test_a_deleted_study_is_gone_from_both(path: Path) -> None:
    durable = JournalStorage(JournalFile(path))
    mirror = Mirror.open(durable, "study", UP)
    mirror.create_new_trial(mirror.study_id)
    mirror.delete_study(mirror.study_id)
    assert durable.get_all_studies() == mirror.get_all_studies() == []
    mirror.commit()


def test_reads_never_ask_the_durable_storage(path: Path) -> None:
    durable = JournalStorage(JournalFile(path))
    mirror = Mirror.open(durable, "study", UP)
    mirror.create_new_trial(0, create_trial(value=1.0))
    mirror.commit()
    path.unlink()
    now = datetime.now()
    assert mirror.get_best_trial(0).value == 1.0
    assert mirror.get_all_trials(0)[0].datetime_start <= now
    assert mirror.get_n_trials(0, TrialState.COMPLETE) == 1
