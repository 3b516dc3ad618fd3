"""Where a study is kept: in a crash-safe file in Optuna's journal format; and its copy in the driver's memory.

Mirror            what samplers, pruners and the scheduler read and write: memory, in microseconds
  | commit()
JournalStorage    Optuna's; or its RDBStorage, or any other `BaseStorage`
  | append_logs()
JournalFile       a line of JSON for each change, one write and one fsync for each commit
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..errors import StudyError
from ..trainers.disk import fsync, writing
from .seal import Seal


class JournalFile(BaseJournalBackend):
    """A journal in one file, in the format of Optuna's `JournalFileBackend`, that survives crashes and full disks.

    Opening it for writing cuts off a torn tail: broken lines with no whole record after them, which a crash in the
    middle of a write leaves. A reader ignores such a tail and never writes. Any number of processes may read while one
    writes; that only one does is for the caller to see to (leadline locks the study), nothing is locked here. What was
    acknowledged is sealed (`search/seal.py`): where a byte of it has changed, or some are gone, nothing is believed.

    Args:
        path: The file, in a folder that exists. It is created if it doesn't exist, unless `read_only`.
        read_only: Never write.

    Raises:
        StudyError: The file isn't a journal, or not as it was acknowledged, or can't be made; or, in reading, a line is
            broken and whole records follow it.
    """

    def __init__(self, path: str | os.PathLike[str], read_only: bool = False) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self.seal = Seal(self.path)
        self._read = (0, 0)  # the records and bytes that were in the file when it was last read to its end
        self._held: list[bytes] = []  # lines that JournalStorage knows and the file doesn't
        self._batching = False
        if not read_only:
            if self.path.exists():
                self.seal.check()
                self._cut_torn_tail()
            else:
                with writing(self.path):
                    self.seal.path.unlink(missing_ok=True)
                    self.path.touch()
                    fsync(self.path.parent)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yields the records from number `log_number_from` on, held ones included."""
        number, offset = self._read if log_number_from >= self._read[0] else (0, 0)
        if not offset:
            self.seal.check()
        broken = 0
        with open(self.path, "rb") as file:
            file.seek(offset)
            for line in file:
                record = _record(line)
                if record is None:
                    broken = broken or number + 1
                elif broken:
                    raise StudyError(
                        f"Each line of a journal must be a JSON object, but {self.path}:{broken} isn't, and as whole"
                        " records follow, no crash tore it. Was the file edited, or written by two processes? Restore"
                        " a copy, or delete that line to go on without it."
                    )
                else:
                    number, offset = number + 1, offset + len(line)
                    if number > log_number_from:
                        yield record
        self._read = number, offset
        yield from map(json.loads, self._held[max(0, log_number_from - number) :])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds the records to the file, in one write and one fsync; within a `batch`, holds them.

        Raises:
            StudyError: They can't be written (a WriteError), or the file is `read_only`. It is as it was before.
        """
        if self.read_only:
            raise StudyError(f"{self.path} was opened with `read_only=True`, so it can't be written.")
        lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs]
        if self._batching:
            self._held += lines
        else:
            data = b"".join(self._held + lines)
            length = self._write(data)
            self._held = []
            self.seal.extend(length, data)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Holds what is appended inside and writes it at the end; if that fails, the next write takes it along."""
        if self._batching:
            yield
            return
        self._batching = True
        try:
            yield
        finally:
            # Even if the body raised: JournalStorage has replayed each record, counts it, and won't append it again.
            self._batching = False
            if self._held:
                self.append_logs([])

    def _write(self, data: bytes) -> int:
        """Appends to the file; returns how long it was before."""
        with writing(self.path, len(data)):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)  # not created: a file that vanished is an error
            with open(descriptor, "ab", buffering=0) as file:
                length = file.seek(0, os.SEEK_END)
                try:
                    rest = memoryview(data)
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                    os.fsync(descriptor)
                except BaseException:  # an interrupt as well: nothing may ever follow half a record
                    file.truncate(length)
                    raise
        return length

    def _cut_torn_tail(self) -> None:
        data = self.path.read_bytes()
        end = data.rfind(b"\n") + 1
        while end and _record(data[(start := data.rfind(b"\n", 0, end - 1) + 1) : end]) is None:
            end = start
        torn, first = data[end:], b'{"op_code":'
        if not end and torn.strip(b"\0") and torn[: len(first)] != first[: len(torn)]:
            raise StudyError(f"{self.path} isn't a journal, so it was left as it is. Is that the right file?")
        if torn:
            os.truncate(self.path, end)
            fsync(self.path)


def _record(line: bytes) -> dict[str, Any] | None:
    """Returns the line's JSON object, or None if the line is broken."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


@dataclass
class Write:
    """A call of the durable storage, still to be made; `owner` is the study's or trial's id in memory."""

    method: str
    owner: int
    arguments: tuple[Any, ...]


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _noted(method: _Method) -> _Method:
    """Returns a `set_...` method of the memory that also notes the change for the next commit."""
    name, signature = method.__name__, inspect.signature(method)

    @functools.wraps(method)
    def noting(self: Mirror, *args: Any, **kwargs: Any) -> Any:
        _, owner, *arguments = signature.bind(self, *args, **kwargs).args
        if name.endswith("_attr"):
            arguments[-1] = _as_stored(arguments[-1])
        with self._lock:
            result = method(self, owner, *arguments)
            creation = self._new.get(owner) if "_trial_" in name else None
            if creation:  # takes it along: the memory replaces trials, so the one taken here won't change any more
                creation.arguments = (self._get_trial(owner),)
            elif result is not False:  # False: `set_trial_state_values` left the trial as it was
                self._pending.append(Write(name, owner, tuple(arguments)))
        return result

    return cast(_Method, noting)


def _is_blank(trial: FrozenTrial) -> bool:
    """Tells whether a trial is one of the budget that no driver has claimed: see `shared/mirror.py`."""
    return trial.state == TrialState.WAITING and not trial.params and not trial.system_attrs


def _as_stored(value: Any) -> Any:
    """Returns an attribute's value as durable storages give it back; raises TypeError if they can't keep it."""
    return json.loads(json.dumps(value))


class Mirror(InMemoryStorage):
    """The driver's memory of a study that is kept in a durable storage.

    Reads come from memory. Writes change the memory at once and the durable storage, in order, at the next `commit()`.
    What that would refuse (an attribute that isn't JSON, a parameter whose distribution changes its kind) is refused at
    once, as it would fail every commit to come. Other processes' writes aren't seen.

    A trial created since the last commit is written whole, with its dates, in one call. A later change of state is
    dated by the durable storage itself, when it is committed.

    Example:
        >>> durable = InMemoryStorage()  # in earnest: JournalStorage(JournalFile("digits.journal"))
        >>> mirror = Mirror.open(durable, "digits", [StudyDirection.MAXIMIZE])
        >>> mirror.create_new_trial(mirror.study_id), durable.get_n_trials(0)
        (0, 0)
        >>> mirror.commit()
        >>> durable.get_n_trials(0)
        1
    """

    def __init__(self, durable: BaseStorage) -> None:
        super().__init__()
        self.durable = durable
        self._pending: deque[Write] = deque()
        self._new: dict[int, Write] = {}  # by trial id, the creations that came after the last commit began
        self._durable_studies: dict[int, int] = {}  # the durable storage's ids, by the memory's
        self._durable_trials: dict[int, int] = {}

    @classmethod
    def open(cls, durable: BaseStorage, name: str, directions: Sequence[StudyDirection] | None = None) -> Self:
        """Returns a mirror of the study called `name`, which is created, durably and at once, if there is none.

        Args:
            durable: The storage that keeps the study.
            name: The study's name.
            directions: Those of a study to be created; one that exists keeps its own. None creates none.

        Raises:
            KeyError: There is no such study, and `directions` is None.
        """
        mirror = cls(durable)
        try:
            stored = durable.get_study_id_from_name(name)
        except KeyError:
            if directions is None:
                raise KeyError(f"There is no study called {name!r}.") from None
            try:
                stored = durable.create_new_study(directions, name)
            except DuplicatedStudyError:  # another process was faster
                stored = durable.get_study_id_from_name(name)
        mirror._load(stored)
        return mirror

    @property
    def study_id(self) -> int:
        """The id, in this memory, of the study that was opened."""
        return next(iter(self._durable_studies))

    def trial_id(self, number: int) -> int:
        """Returns the id, in this memory, of the study's trial `number`; raises KeyError if there is none."""
        return self.get_trial_id_from_study_id_trial_number(self.study_id, number)

    def commit(self) -> None:
        """Makes all changes durable; in a `JournalFile`, with one write and one fsync.

        If the durable storage fails, what it has taken isn't written again, and the rest waits for the next commit.
        Other threads may go on reading and writing the memory; only one may commit.
        """
        with self._lock:
            self._new.clear()
            changes = len(self._pending)
        with self._batch():
            for _ in range(changes):
                self._perform(self._pending[0])
                self._pending.popleft()

    set_study_user_attr = _noted(InMemoryStorage.set_study_user_attr)
    set_study_system_attr = _noted(InMemoryStorage.set_study_system_attr)
    set_trial_param = _noted(InMemoryStorage.set_trial_param)
    set_trial_state_values = _noted(InMemoryStorage.set_trial_state_values)
    set_trial_intermediate_value = _noted(InMemoryStorage.set_trial_intermediate_value)
    set_trial_user_attr = _noted(InMemoryStorage.set_trial_user_attr)
    set_trial_system_attr = _noted(InMemoryStorage.set_trial_system_attr)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        with self._lock:
            self._check_study_id(study_id)
            if template_trial is not None:
                template_trial = copy.copy(template_trial)
                template_trial.user_attrs = _as_stored(template_trial.user_attrs)
                template_trial.system_attrs = _as_stored(template_trial.system_attrs)
                known = self._studies[study_id].param_distribution
                for name, distribution in template_trial.distributions.items():
                    check_distribution_compatibility(known.setdefault(name, distribution), distribution)
            trial_id = super().create_new_trial(study_id, template_trial)
            self._new[trial_id] = Write("create_new_trial", study_id, (self._get_trial(trial_id),))
            self._pending.append(self._new[trial_id])
            return trial_id

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        with self._lock:
            return self._load(self.durable.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        with self._lock:
            self.commit()
            super().delete_study(study_id)
            self.durable.delete_study(self._durable_studies.pop(study_id))

    def _load(self, stored: int) -> int:
        """Takes the study with the id `stored` over from the durable storage; returns its id in memory."""
        name, directions = self.durable.get_study_name_from_id(stored), self.durable.get_study_directions(stored)
        study_id = super().create_new_study(directions, name)
        study = self._studies[study_id]
        self._durable_studies[study_id] = stored
        study.user_attrs = self.durable.get_study_user_attrs(stored)
        study.system_attrs = self.durable.get_study_system_attrs(stored)
        trials = self.durable.get_all_trials(stored, deepcopy=False)
        while trials and _is_blank(trials[-1]):
            trials.pop()
        for trial in trials:
            self._durable_trials[super().create_new_trial(study_id, trial)] = trial._trial_id
            study.param_distribution.update(trial.distributions)
        return study_id

    def _perform(self, write: Write) -> None:
        ids = self._durable_trials if write.method.startswith("set_trial_") else self._durable_studies
        result = getattr(self.durable, write.method)(ids[write.owner], *write.arguments)
        if write.method == "create_new_trial":
            self._durable_trials[write.arguments[0]._trial_id] = result

    def _batch(self) -> contextlib.AbstractContextManager[None]:
        backend = getattr(self.durable, "_backend", None)  # a JournalStorage's: Optuna has no public way to it
        return backend.batch() if isinstance(backend, JournalFile) else contextlib.nullcontext()
