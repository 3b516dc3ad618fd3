from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts.executor import ExecutorContract
from contracts.objectives import endless, process_number, three_kills_its_process
from contracts.waiting import eventually, lives

import leadline as ll

Make = Callable[..., ll.Study]


class TestProcesses(ExecutorContract):
    executor = "processes"


def test_a_killed_worker_fails_the_trial_it_had_with_the_signals_name_and_the_study_goes_on(plain: Make) -> None:
    study = plain(strategy="grid", executor="processes").run(three_kills_its_process, progress=False)
    assert [trial.state for trial in study.trials] == ["complete"] * 3 + ["failed"] + ["complete"] * 6
    assert "SIGKILL" in study.trials[3].reason


def test_every_worker_is_gone_when_the_run_ends(plain: Make) -> None:
    study = plain(executor="processes", workers=2).run(process_number, trials=6, progress=False)
    processes = {int(trial.value or 0) for trial in study.trials}
    assert os.getpid() not in processes
    assert not any(map(lives, processes))


def test_a_worker_that_hears_nothing_is_ended_within_seconds_of_a_stop(plain: Make, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    study = plain(space=ll.Space(x=ll.Int(0, 9), pid=str(pid)), executor="processes")

    def stop() -> None:
        if eventually(lambda: pid.exists() and bool(pid.read_text())):
            study.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    study.run(endless, trials=2, progress=False)
    stopper.join()
    assert not lives(int(pid.read_text()))
    assert [trial.state for trial in study.trials] == ["running"]


def test_a_worker_leaves_when_its_driver_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"""
    import leadline as ll
    from contracts.objectives import endless
    space = ll.Space(x=ll.Int(0, 9), pid={str(pid)!r})
    ll.Study("orphans", space, executor="processes", storage={str(tmp_path)!r}, mlflow=None).run(endless, trials=1)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    driver = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=environment)
    try:
        assert eventually(lambda: pid.exists() and bool(pid.read_text()))
    finally:
        driver.kill()
        driver.wait()
    assert eventually(lambda: not lives(int(pid.read_text())))


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


def test_what_cannot_travel_is_one_error_that_names_the_fix(plain: Make, folder: Path) -> None:
    with pytest.raises(ll.SettingsError, match="move your functions into a module of their own") as caught:
        plain(executor="processes").run(lambda trial: 0.0, trials=2)
    assert len(caught.value.problems) == 1
    assert not folder.exists()
