"""Where a study's files are: one folder a study, in one visible folder for all of them.

leadline-studies/
    mlflow.db  mlflow-artifacts/      MLflow's store, shared by the studies of this folder
    digits-convnet/
        journal.log                   the study itself, in Optuna's journal format (unless it is kept in a database)
        lock, id                      held by the process that runs the study; which study it is
        trials/00007/                 valid.safetensors, what its network says of the validation rows; of the best
                                      trials best.safetensors, their weights; checkpoint.safetensors, and the one
                                      before, while it is running; traceback.txt if it raised an error
        model/                        the best trial's network, ready to be taken elsewhere
        ensemble/                     the weights of those that answer together
        worker-0.log                  what a worker printed; with the driver's id where several run the study
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus

from ..errors import SettingsError
from ..trainers.disk import fsync, unfinished, writing

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

DEFAULT = "leadline-studies"
SHORT = 4  # characters: a password that is shorter stands in many words
_SECRET = r"(?i)([?&;][^=&;\s]*(?:pass|pwd|secret|token|key)[^=&;\s]*=)"  # before a value in an address
LONGEST_NAME = 100
MOST_BYTES = 240  # of a name: file systems take 255, and temporary files want some


def name_problem(name: object) -> str | None:
    """Returns what keeps `name` from being a study's name, None if it is one: it becomes a folder's name too.

    Letters may be of any script, but in the one form that Unicode normalizes them to (NFKC): else two names that look
    alike would be two studies, or one, as the file system has it.
    """
    if (
        isinstance(name, str)
        and re.fullmatch(r"\w[\w.-]*", name)
        and ".." not in name
        and len(name) <= LONGEST_NAME
        and len(name.encode()) <= MOST_BYTES
        and unicodedata.normalize("NFKC", name) == name
    ):
        return None
    rule = f"1 to {LONGEST_NAME} letters, digits, `_`, `-` or `.`, not beginning with `.`"
    return f"a study's name must be {rule}, but got {name!r:.200}"


class Folder:
    """The files of the study called `name` under `root`. Nothing is created before it is needed."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root.absolute(), name
        self.path = self.root / name

    @property
    def journal(self) -> Path:
        """The study's journal."""
        return self.path / "journal.log"

    @property
    def mlflow_uri(self) -> str:
        """The address of MLflow's store for the studies of this root."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> str:
        """Where MLflow keeps files, as an URI."""
        return (self.root / "mlflow-artifacts").as_uri()

    def trial(self, number: int) -> Path:
        """Returns the folder of one trial's weights."""
        return self.path / "trials" / f"{number:05d}"

    def weights(self, number: int, *, refitted: bool = False) -> Path:
        """Returns the file of a complete trial's best weights, or of those it got when it was trained again."""
        return self.trial(number) / ("refit.safetensors" if refitted else "best.safetensors")

    def predictions(self, number: int) -> Path:
        """Returns the file of what a complete trial's network says of the validation rows."""
        return self.trial(number) / "valid.safetensors"

    def ensemble(self, number: int, fold: int) -> Path:
        """Returns the file of the weights of a trial that takes part in the ensemble, by fold or replicate."""
        return self.path / "ensemble" / f"{number:05d}-{fold}.safetensors"

    def forget(self, number: int, *, but: Collection[str] = ()) -> None:
        """Removes an ended trial's tensors, `but` those of these names ("best", "refit", "valid")."""
        kept = {f"{name}.safetensors" for name in but}
        for path in self.trial(number).glob("*.safetensors*"):  # what a crash left half written, too
            if path.name not in kept:
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there is none, or something is left in it
            self.trial(number).rmdir()

    def traceback(self, number: int) -> Path:
        """Returns the file of the traceback of a trial that raised an error."""
        return self.trial(number) / "traceback.txt"

    def branch(self, parent: int, child: int) -> None:
        """Leaves the checkpoint of a paused trial for another one to begin from.

        It is a second link to the file, where the file system has these: the parent's next checkpoint takes its own
        place, and leaves this one be. Where the parent has none, the other one will find nothing, and fail.
        """
        source = self.trial(parent) / "checkpoint.safetensors"
        place = self.trial(child) / "branch.safetensors"
        shutil.rmtree(place.parent, ignore_errors=True)  # what a crash between this and the trial's record left
        with writing(place):
            place.parent.mkdir(parents=True)
            if source.exists():
                try:
                    os.link(source, place)
                except OSError:
                    shutil.copyfile(source, place)
                    fsync(place)
            fsync(place.parent)

    def claim(self, identity: str) -> None:
        """Marks the folder as that study's.

        Raises SettingsError if it holds the files of another one of this name, and WriteError if it can't be written.
        """
        self.require(identity)
        mark = self.path / "id"
        if not mark.exists():
            text, new = f"{identity}\n", unfinished(mark)
            with writing(mark, len(text)):
                self.path.mkdir(parents=True, exist_ok=True)
                new.write_text(text)
                fsync(new)
                os.replace(new, mark)  # whole, or not there

    def require(self, identity: str) -> None:
        """Raises SettingsError if the folder holds the files of another study of this name."""
        mark = self.path / "id"
        if not mark.exists() or mark.read_bytes() == f"{identity}\n".encode():
            return
        kept = _text_of(mark)
        if kept == identity or not re.fullmatch(r"[0-9a-f]{32}", kept):
            raise SettingsError(f"{mark} is damaged: where the folder is this study's, write {identity} into it")
        raise SettingsError(
            f"{self.path} holds the files of another study called `{self.name}`. "
            "Give this one another name, or remove that folder"
        )


@contextmanager
def locked(storage: str | Path | BaseStorage | None, folder: Folder) -> Iterator[None]:
    """Holds the study for this process: beside a file's database, else in the study's folder.

    Raises SettingsError if another process has it, naming that one, or the folder can't be written.
    """
    path = folder.path / "lock"
    if is_url(storage) and str(storage).startswith("sqlite:///"):
        database = Path(str(storage).removeprefix("sqlite:///"))
        path = database.with_name(f"{database.name}.{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}. Choose another --storage") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _text_of(path) or "another process"
            raise SettingsError(
                f"the study `{folder.name}` is being run by {holder}; one process at a time may write it. "
                f"`leadline show {folder.name}` reads it meanwhile"
            ) from None
        with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _text_of(path: Path) -> str:
    """Returns the printable characters at a file's beginning, whatever stands in it."""
    text = path.read_bytes()[:300].decode(errors="replace")
    return "".join(character for character in text if character.isprintable()).strip()


def is_there(storage: str | Path | BaseStorage | None, folder: Folder) -> bool:
    """Tells whether there is anything to open for reading, without making it."""
    if storage is None or (isinstance(storage, str | Path) and not is_url(storage)):
        return folder.journal.exists()
    file = str(storage).removeprefix("sqlite:///")
    return not str(storage).startswith("sqlite:///") or Path(file).exists()


def shown(storage: str | Path | BaseStorage | None, folder: Folder) -> str:
    """Returns where studies are kept, as it may be told."""
    return without_password(str(storage)) if is_url(storage) else str(folder.root)


def root_of(storage: str | Path | BaseStorage | None) -> Path:
    """Returns the folder for the files of studies kept in `storage`: itself if it is a folder."""
    return Path(DEFAULT if storage is None or is_url(storage) or not isinstance(storage, str | Path) else storage)


def is_url(storage: Any) -> bool:
    """Tells whether `storage` is the address of a database rather than a folder."""
    return isinstance(storage, str) and "://" in storage


def is_shared(storage: Any) -> bool:
    """Tells whether several drivers may run a study in `storage` together: in a PostgreSQL, by its address."""
    return is_url(storage) and re.match(r"postgres(ql)?(\+\w+)?://", storage) is not None


def open_storage(storage: str | Path | BaseStorage | None, folder: Folder, *, write: bool) -> BaseStorage:
    """Returns the Optuna storage: a database's by its URL, the one given, or the journal in the study's folder.

    Raises SettingsError if the database can't be reached.
    """
    from optuna.storages import JournalStorage, RDBStorage

    from .storage import JournalFile

    if storage is not None and not isinstance(storage, str | Path):
        return storage
    if is_url(storage):
        from sqlalchemy.exc import SQLAlchemyError

        from .shared.database import open_postgresql

        try:
            return open_postgresql(str(storage)) if is_shared(storage) else RDBStorage(str(storage))
        except (SQLAlchemyError, ImportError, ValueError) as error:
            reason = without_passwords((str(error).splitlines() or [type(error).__name__])[0], str(storage))
            text = f"the storage {without_password(str(storage))} can't be opened: {reason}"
            raise SettingsError(text) from None  # the cause may have the password in its words
    return JournalStorage(JournalFile(folder.journal, read_only=not write))


def release(storage: BaseStorage) -> None:
    """Closes the connections of a database's storage; another kind has none."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def without_password(url: str) -> str:
    """Returns the address of a storage or a server as it may be shown, stored and logged.

    >>> from leadline.search.folder import without_password
    >>> without_password("postgresql://ann:secret@host/studies?sslpassword=hush")
    'postgresql://ann:***@host/studies?sslpassword=***'
    """
    url = re.sub(r"(://[^:/@?\s]*):\S*@", r"\1:***@", url)
    return re.sub(_SECRET + r"[^&#\s]*", r"\1***", url)


def without_passwords(text: str, url: str) -> str:
    """Returns what somebody else says of an address, an error say, without the passwords that stand in the address."""
    text = without_password(text.replace(url, without_password(url)))
    found = re.findall(r"://[^:/@?\s]*:(\S*)@", url) + [value for _, value in re.findall(_SECRET + r"([^&#\s]*)", url)]
    for secret in filter(None, found):
        if len(secret) < SHORT:
            return "for a reason that may hold the password, and isn't shown"
        for form in {secret, unquote(secret), unquote_plus(secret)}:
            text = text.replace(form, "***")
    return text


def lives(process: int) -> bool:
    """Tells whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def study_names(storage: str | Path | None) -> list[str]:
    """Returns the names of leadline's studies in a folder, or in a database.

    Raises SettingsError if the database can't be reached.
    """
    folder = Folder(root_of(storage), "any")
    if not is_url(storage):
        return sorted(path.parent.name for path in folder.root.glob("*/journal.log"))
    if not is_there(storage, folder):
        raise SettingsError(f"there is no database {without_password(str(storage))}")
    opened = open_storage(storage, folder, write=False)
    try:
        return sorted(s.study_name for s in opened.get_all_studies() if "leadline:settings" in s.user_attrs)
    finally:
        release(opened)
