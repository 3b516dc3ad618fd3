from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import unquote_plus

import optuna
import pytest

from leadline.errors import SettingsError, StudyError
from leadline.search.folder import (
    DEFAULT,
    Folder,
    locked,
    name_problem,
    open_storage,
    root_of,
    study_names,
    without_password,
    without_passwords,
)
from leadline.trainers.disk import unfinished


@pytest.mark.parametrize("name", ["digits", "a", "Digits-2_b.c", "größe", "x" * 100, "1", "_x"])
def test_a_name_that_can_be_a_folders_is_a_name(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../up",
        "a/b",
        "a\\b",
        ".hidden",
        "a..b",
        "x" * 101,
        "a b",
        "a\n",
        "-x",
        "a:b",
        "\0",
        "a\0b",
        "e\u0301",  # an accent of its own: file systems make one letter of the two
        "\uff41",  # a wide `a`
        "\u00b2",  # a high 2
        "a\u202eb",  # turns what follows around
        "a\u200bb",  # nothing to be seen
        "a\u2024b",  # a dot that is none
        "a\uff0e\uff0eb",
        "\u4e2d" * 90,  # 270 bytes: more than a file's name may have
        "a\u2215b",  # a slash that is none
        "~",
        "$HOME",
        "a;b",
        "%2e%2e",
        None,
        3,
        ["a"],
    ],
)
def test_anything_else_is_told_with_the_rule_and_the_value(name: object) -> None:
    problem = name_problem(name)
    assert problem is not None
    assert "1 to 100 letters" in problem
    assert f"{name!r:.200}" in problem


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:secret@host/studies", "postgresql://ann:***@host/studies"),
        ("postgresql+psycopg://ann:p@ss/w:rd@host:5432/s?x=1", "postgresql+psycopg://ann:***@host:5432/s?x=1"),
        ("postgresql://host/db?user=ann&password=hush&x=1", "postgresql://host/db?user=ann&password=***&x=1"),
        ("postgresql://ann:a@h/db?sslpassword=b&passfile=c", "postgresql://ann:***@h/db?sslpassword=***&passfile=***"),
        ("https://tracking.example/?api_key=abc#x", "https://tracking.example/?api_key=***#x"),
        ("https://:token@tracking.example", "https://:***@tracking.example"),
        ("http://127.0.0.1:5000 told me@host", "http://127.0.0.1:5000 told me@host"),
        ("sqlite:////home/ann/studies.db", "sqlite:////home/ann/studies.db"),
    ],
)
def test_an_address_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("secret", ["hunter2!", "p%40ss%2Fword", "with+plus"])
@pytest.mark.parametrize("url", ["postgresql://ann:{}@host/db", "postgresql://host/db?user=ann&password={}"])
def test_what_others_say_of_an_address_loses_its_passwords_in_every_spelling(url: str, secret: str) -> None:
    url = url.format(secret)
    said = without_passwords(f"can't connect to {url} as ann with {secret} or {unquote_plus(secret)}: refused", url)
    assert secret not in said
    assert unquote_plus(secret) not in said
    assert said.endswith("refused")


def test_of_a_short_password_nothing_is_told_at_all() -> None:
    assert "abc" not in without_passwords("the abc of it", "postgresql://ann:abc@host/db")


@pytest.mark.parametrize(
    "url", ["postgresql://ann:{}@127.0.0.1:1/x", "nonsense://ann:{}@h/x", "postgresql://ann:{}@h:port/x"]
)
def test_a_database_that_cannot_be_opened_is_told_without_the_password(tmp_path: Path, url: str) -> None:
    password = "hunt" + "er2!"  # a traceback shows lines of source too
    with pytest.raises(SettingsError) as caught:
        open_storage(url.format(password), Folder(tmp_path, "digits"), write=False)
    assert password not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("text", ["", "\n", "x" * 31, "0" * 32 + "\n\n", "0" * 32, "\x00" * 33, "g" * 32 + "\n"])
def test_a_damaged_mark_of_whose_folder_it_is_is_not_believed(tmp_path: Path, text: str) -> None:
    folder = Folder(tmp_path, "digits")
    folder.claim("0" * 32)
    folder.require("0" * 32)
    (folder.path / "id").write_text(text)
    with pytest.raises(SettingsError, match=f"is damaged: .* write {'0' * 32} into it"):
        folder.require("0" * 32)
    (folder.path / "id").write_text("1" * 32 + "\n")
    with pytest.raises(SettingsError, match="holds the files of another study"):
        folder.require("0" * 32)


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")


@FULL
def test_on_a_full_disk_a_folder_is_not_marked_and_the_error_names_the_file_and_its_bytes(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "digits")
    folder.path.mkdir()
    unfinished(folder.path / "id").symlink_to("/dev/full")
    with pytest.raises(StudyError, match=r"digits/id can't be written \(No space left on device\): 33 more bytes"):
        folder.claim("0" * 32)
    assert not (folder.path / "id").exists()


def test_whatever_stands_in_the_lock_is_told_as_printable_text(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "digits")
    with locked(None, folder):
        (folder.path / "lock").write_bytes(b"\xff\x1b[31mprocess 7\n\x00")
        with (
            pytest.raises(SettingsError, match=r"is being run by .*process 7; one process") as caught,
            locked(None, folder),
        ):
            pass
    assert "\x1b" not in str(caught.value)


def test_asking_where_files_are_creates_none(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "studies", "digits")
    assert folder.journal == tmp_path / "studies/digits/journal.log"
    assert folder.weights(7) == tmp_path / "studies/digits/trials/00007/best.safetensors"
    assert folder.mlflow_uri == f"sqlite:///{tmp_path}/studies/mlflow.db"
    folder.forget(7)
    folder.forget(7, but=("best",))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_stays_where_it_was_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder(root_of(None), "digits")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert folder.path == tmp_path / DEFAULT / "digits"


def test_forgetting_takes_all_of_a_trial_but_what_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "digits")
    folder.trial(3).mkdir(parents=True)
    checkpoint = folder.trial(3) / "checkpoint.safetensors"
    for file in (folder.weights(3), folder.predictions(3), checkpoint):
        file.write_bytes(b"x")
    folder.forget(3, but=("best", "valid"))
    assert (folder.weights(3).exists(), folder.predictions(3).exists(), checkpoint.exists()) == (True, True, False)
    folder.forget(3, but=("valid",))
    assert (folder.weights(3).exists(), folder.predictions(3).exists()) == (False, True)
    half_written = folder.trial(3) / ".machine.4711-checkpoint.safetensors"
    half_written.write_bytes(b"x")
    folder.forget(3)
    assert not folder.trial(3).exists()


def test_a_traceback_is_not_forgotten(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "digits")
    folder.trial(3).mkdir(parents=True)
    folder.traceback(3).write_text("Traceback ...")
    folder.forget(3)
    assert folder.traceback(3).exists()


class TestTheLock:
    def test_a_second_holder_is_told_who_the_first_is(self, tmp_path: Path) -> None:
        with (
            locked(None, Folder(tmp_path, "digits")),
            pytest.raises(SettingsError, match=f"is being run by process {os.getpid()} on"),
            locked(None, Folder(tmp_path, "digits")),
        ):
            pytest.fail("two hold it")

    def test_another_process_is_told_so_too(self, tmp_path: Path) -> None:
        program = f"""
from pathlib import Path
from leadline.search.folder import Folder, locked
with locked(None, Folder(Path({str(tmp_path)!r}), "digits")):
    print("held")
"""
        with locked(None, Folder(tmp_path, "digits")):
            ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert ran.returncode != 0
        assert f"`digits` is being run by process {os.getpid()}" in ran.stderr

    def test_it_is_free_again_after_a_holder_that_left_or_failed(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path, "digits")
        with pytest.raises(ZeroDivisionError), locked(None, folder):
            raise ZeroDivisionError
        for _ in range(2):
            with locked(None, folder):
                assert str(os.getpid()) in (folder.path / "lock").read_text()

    def test_it_is_free_again_after_a_holder_that_was_killed(self, tmp_path: Path) -> None:
        program = f"""
from pathlib import Path
from leadline.search.folder import Folder, locked
with locked(None, Folder(Path({str(tmp_path)!r}), "digits")):
    print("held", flush=True)
    input()
"""
        holder = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match=str(holder.pid)), locked(None, Folder(tmp_path, "digits")):
            pass
        holder.kill()
        holder.communicate()
        with locked(None, Folder(tmp_path, "digits")):
            assert str(os.getpid()) in (tmp_path / "digits/lock").read_text()

    @FULL
    def test_it_holds_on_a_full_disk_too(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path, "digits")
        folder.path.mkdir()
        (folder.path / "lock").symlink_to("/dev/full")
        with locked(None, folder):
            pass

    def test_studies_beside_each_other_do_not_wait_for_each_other(self, tmp_path: Path) -> None:
        with locked(None, Folder(tmp_path, "one")), locked(None, Folder(tmp_path, "two")):
            pass


class TestPasswords:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://ann:secret@host/studies", "postgresql://ann:***@host/studies"),
            ("postgresql+psycopg://ann:secret@host:5432/s", "postgresql+psycopg://ann:***@host:5432/s"),
            ("postgresql://ann:se:cr:et@host/studies", "postgresql://ann:***@host/studies"),
            ("postgresql://:secret@host/studies", "postgresql://:***@host/studies"),
            ("postgresql://ann:sec/ret@host/studies", "postgresql://ann:***@host/studies"),
            ("postgresql://ann:sec@ret@host/studies", "postgresql://ann:***@host/studies"),
            ("postgresql://ann@host/studies", "postgresql://ann@host/studies"),
            ("postgresql://host:5432/studies", "postgresql://host:5432/studies"),
            ("sqlite:///studies.db", "sqlite:///studies.db"),
        ],
    )
    def test_an_address_is_shown_without_its_password(self, url: str, shown: str) -> None:
        assert without_password(url) == shown

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql+psycopg://ann:secret@127.0.0.1:1/studies",
            "nosuch://ann:secret@host/studies",
            "postgresql://ann:secret@host:notaport/studies",
        ],
    )
    def test_a_database_that_cannot_be_reached_is_told_without_it(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(SettingsError, match="can't be opened") as caught:
            open_storage(url, Folder(tmp_path, "digits"), write=True)
        assert "secret" not in str(caught.value)
        assert "ann:***@" in str(caught.value)


class TestStorages:
    def test_reading_a_study_that_is_not_there_creates_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            optuna.get_all_study_names(open_storage(tmp_path, Folder(tmp_path, "digits"), write=False))
        assert list(tmp_path.iterdir()) == []

    def test_a_storage_of_your_own_is_used_as_it_is(self, tmp_path: Path) -> None:
        own = optuna.storages.InMemoryStorage()
        assert open_storage(own, Folder(tmp_path, "digits"), write=True) is own

    def test_studies_are_listed_by_name_and_other_folders_are_not(self, tmp_path: Path) -> None:
        for name in ("b", "a"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "journal.log").touch()
        (tmp_path / "mlflow-artifacts").mkdir()
        assert study_names(tmp_path) == ["a", "b"]
        assert study_names(tmp_path / "nowhere") == []
