from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts.executor import SeparateContract
from contracts.objectives import (
    dies_beside_a_process_apart,
    endless_with_a_process_apart,
    leaves_slowly,
    process_number,
    three_kills_its_process,
)
from contracts.waiting import eventually, lives

import leadline as ll
from leadline.search.executors import processes

Make = Callable[..., ll.Study]


class TestProcesses(SeparateContract):
    executor = "processes"


def test_a_killed_worker_fails_the_trial_it_had_with_the_signals_name_and_the_study_goes_on(plain: Make) -> None:
    study = plain(strategy="grid", executor="processes").run(three_kills_its_process, progress=False)
    assert [trial.state for trial in study.trials] == ["complete"] * 3 + ["failed"] + ["complete"] * 6
    assert "SIGKILL" in study.trials[3].reason


def test_a_worker_that_leaves_by_itself_is_told_by_its_exit_status_however_slowly_it_leaves(plain: Make) -> None:
    study = plain(executor="processes").run(leaves_slowly, trials=1, progress=False)
    assert "the worker process died: exit status 3." in study.trials[0].reason


def test_a_file_in_the_working_folder_is_no_module_of_a_worker(
    plain: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = plain(executor="processes", storage=tmp_path / "studies")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit('not the json of Python')")
    assert study.run(process_number, trials=1, progress=False).best.value


def test_a_worker_that_hangs_up_and_stays_is_told_as_that(plain: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LEAVING", 0.0)
    study = plain(executor="processes").run(leaves_slowly, trials=1, progress=False)
    assert "the worker process hung up and didn't end." in study.trials[0].reason


def test_a_worker_whose_log_cannot_be_written_ends_the_run_with_the_files_name(plain: Make) -> None:
    study = plain(executor="processes").run(process_number, trials=1, progress=False)
    log = study.folder.path / "worker-0.log"
    log.unlink()
    log.mkdir()
    with pytest.raises(ll.StudyError, match=r"worker-0\.log can't be written"):
        study.run(process_number, trials=2, progress=False)
    log.rmdir()
    assert len(study.run(process_number, trials=2, progress=False).trials) == 2


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user that no worker has started."""
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has guards that inherit orphans")
class TestAProcessApart:
    """A process that a worker has started, and that has left its group, lost its parent and shed its environment."""

    def test_it_is_killed_when_the_workers_time_is_up_and_no_other_is(
        self, plain: Make, tmp_path: Path, stranger: subprocess.Popen[bytes]
    ) -> None:
        pid = tmp_path / "pid"
        space = ll.Space(x=ll.Int(0, 9), pid=str(pid))
        study = plain(space=space, executor="processes", limits={"seconds": 1})
        study.run(endless_with_a_process_apart, trials=1, progress=False)
        assert study.trials[0].reason.startswith("time limit: ")
        assert eventually(lambda: not lives(int(pid.read_text())))
        assert stranger.poll() is None

    def test_it_is_killed_when_the_driver_is_killed_and_no_other_is(
        self, tmp_path: Path, stranger: subprocess.Popen[bytes]
    ) -> None:
        pid = tmp_path / "pid"
        script = f"""
        import leadline as ll
        from contracts.objectives import endless_with_a_process_apart
        space = ll.Space(x=ll.Int(0, 9), pid={str(pid)!r})
        study = ll.Study("apart", space, executor="processes", storage={str(tmp_path)!r}, mlflow=None)
        study.run(endless_with_a_process_apart, trials=1)
        """
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=environment) as driver:
            began = eventually(pid.exists)
            driver.kill()
        assert began
        assert eventually(lambda: not lives(int(pid.read_text())))
        assert stranger.poll() is None

    def test_it_is_killed_when_the_worker_is_killed_and_no_other_is(
        self, plain: Make, tmp_path: Path, stranger: subprocess.Popen[bytes]
    ) -> None:
        pid = tmp_path / "pid"
        study = plain(space=ll.Space(x=ll.Int(0, 9), pid=str(pid)), executor="processes")
        study.run(dies_beside_a_process_apart, trials=1, progress=False)
        assert "SIGKILL" in study.trials[0].reason
        assert eventually(lambda: not lives(int(pid.read_text())))
        assert stranger.poll() is None


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import os\n\ndef objective(trial):\n    return os.getpid()\n")
    (tmp_path / "script.py").write_text(
        textwrap.dedent("""
        import os
        import leadline as ll
        from mine import objective

        space = ll.Space(x=ll.Int(0, 9))
        there = ll.Study("there", space, mlflow=None).run(objective, trials=2)
        here = ll.Study("here", space, mlflow=None).run(lambda trial: os.getpid(), trials=2)
        print(os.getpid() != there.best.value, os.getpid() == here.best.value)
        """)
    )
    ran = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "True True\n", ran.stderr


def test_a_worker_that_dies_before_it_can_work_twice_is_an_error_and_no_trial_is_blamed(
    plain: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    study = plain(executor="processes")
    with pytest.raises(ll.StudyError, match=r"can't start.*exit status 7"):
        study.run(process_number, trials=2, progress=False)
    assert study.trials == []
