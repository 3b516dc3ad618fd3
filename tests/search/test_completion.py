"""What the shell completes, asked for as bash, zsh and fish do."""

import os
import shutil
import subprocess
import sys

import pytest

from leadline.search import completion
from leadline.search.analysis import report
from leadline.search.analysis.drawing.files import PLOT_FORMATS
from leadline.search.executors import EXECUTORS
from leadline.search.pruners import PRUNERS
from leadline.search.strategies import STRATEGIES
from leadline.trainers.data import NAMED
from leadline.trainers.models import FORMATS
from leadline.trainers.networks import FAMILIES

MAIN = "from leadline.cli import main; main()"
MARKS = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


@pytest.fixture
def here(tmp_path):
    """A folder with two studies, and one elsewhere."""
    for name in ("leadline-studies/digits", "leadline-studies/mine", "elsewhere/other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "journal.log").touch()
    (tmp_path / "leadline-studies/mlflow-artifacts").mkdir()
    return tmp_path


def asked(here, shell, line, **environment):
    """Returns what `leadline` tells a shell that stands at the end of the line."""
    words = line.split(" ")
    bash = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    environment |= {"_LEADLINE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, **MARKS, **bash}
    ran = subprocess.run(
        [sys.executable, "-c", MAIN], cwd=here, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert ran.stderr == ""
    return [line for line in ran.stdout.split("\n") if line]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("leadline show ", ["digits", "mine"]),
        ("leadline show m", ["mine"]),
        ("leadline best nothing", []),
        ("leadline compare digits m", ["mine"]),
        ("leadline resume --storage elsewhere ", ["other"]),
        ("leadline show --storage sqlite:///studies.db ", []),
        ("leadline run --strategy sk", ["skopt-gp", "skopt-rf", "skopt-et"]),
        ("leadline check --model res", ["resnet"]),
        ("leadline run --data d", ["digits"]),
        ("leadline compa", ["compare"]),
        ("leadline run --warm", ["--warm-start"]),
        ("leadline export digits --format ", ["torch-export", "onnx", "torch", "safetensors"]),
        ("leadline report digits --format ", ["html", "md"]),
        ("leadline report digits --plot-format p", ["png"]),
    ],
)
def test_bash_is_told_names_of_studies_and_of_what_a_study_takes(here, line, told):
    assert asked(here, "bash", line) == told


def test_zsh_and_fish_are_told_the_same(here):
    assert asked(here, "fish", "leadline show ") == ["digits", "mine"]
    assert asked(here, "zsh", "leadline show ") == ['_arguments \'*: :(("digits"', '"mine"))\'']


@pytest.mark.parametrize(
    ("told", "registered"),
    [
        (completion.MODELS, FAMILIES),
        (completion.DATA, NAMED),
        (completion.STRATEGIES, STRATEGIES),
        (completion.PRUNERS, PRUNERS),
        (completion.EXECUTORS, EXECUTORS),
        (completion.FORMATS, FORMATS),
        (completion.REPORTS, report.FORMATS),
        (completion.PLOTS, PLOT_FORMATS),
    ],
)
def test_all_that_is_registered_is_told(told, registered):
    assert sorted(told) == sorted(registered)
    assert len(told) == len(set(told))


def test_neither_torch_nor_optuna_is_imported_for_it(here):
    script = f"import sys, atexit; atexit.register(lambda: print(sorted(sys.modules), file=sys.stderr)); {MAIN}"
    environment = {"_LEADLINE_COMPLETE": "complete_bash", "COMP_WORDS": "leadline show d", "COMP_CWORD": "2"}
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=here, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert ran.stdout == "digits\n"
    for heavy in ("torch", "optuna", "mlflow", "matplotlib", "pandas", "numpy", "sqlalchemy"):
        assert f"'{heavy}'" not in ran.stderr


@pytest.fixture
def program(tmp_path):
    """The command `leadline`, in a folder of its own."""
    path = tmp_path / "bin" / "leadline"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{MAIN}" "$@"\n')
    path.chmod(0o755)
    return path.parent


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_bash_in_which_it_was_installed_completes(here, program):
    environment = {**os.environ, "HOME": str(here), "PATH": f"{program}:{os.environ['PATH']}"}

    def bash(script):
        ran = subprocess.run(
            ["bash", "--norc", "-c", script], cwd=here, env=environment, capture_output=True, text=True, check=True
        )
        return ran.stdout

    # Joined to another command, so that this bash stays the one that is found to be the shell
    assert "bash completion installed" in bash("leadline --install-completion && true")
    line = 'COMP_WORDS=(leadline show ""); COMP_CWORD=2; _leadline_completion leadline; echo "${COMPREPLY[@]}"'
    assert bash(f"source ~/.bashrc; {line}") == "digits mine\n"
    assert "-F _leadline_completion leadline" in bash("leadline --show-completion && true")
