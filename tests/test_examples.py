"""The examples run as they stand, from a folder of any name, only with fewer trials."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = {path.name: path.read_text() for path in (ROOT / "examples").glob("*.py")}


def shorter(script: str) -> str:
    return re.sub(r"trials=\d+", "trials=3", re.sub(r"epochs=\d+", "epochs=2", script)).replace("range(15)", "range(3)")


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_runs_without_a_guard_from_a_folder_of_any_name(name, tmp_path):
    folder = tmp_path / "leadline-main.x and more"
    folder.mkdir()
    (folder / name).write_text(shorter(SCRIPTS[name]))
    ran = subprocess.run([sys.executable, name], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "{" in ran.stdout or "params" in ran.stdout


@pytest.mark.parametrize("name", ["study.yaml", "own_module.yaml"])
def test_a_study_file_is_in_order(name):
    main = "from leadline.cli import main; main()"
    command = [sys.executable, "-c", main, "check", str(ROOT / "examples" / name)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "All is well" in ran.stdout
