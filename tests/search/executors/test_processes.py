from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts.executor import SeparateContract
from contracts.objectives import process_number, three_kills_its_process

import leadline as ll

Make = Callable[..., ll.Study]


class TestProcesses(SeparateContract):
    executor = "processes"


def test_a_killed_worker_fails_the_trial_it_had_with_the_signals_name_and_the_study_goes_on(plain: Make) -> None:
    study = plain(strategy="grid", executor="processes").run(three_kills_its_process, progress=False)
    assert [trial.state for trial in study.trials] == ["complete"] * 3 + ["failed"] + ["complete"] * 6
    assert "SIGKILL" in study.trials[3].reason


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
