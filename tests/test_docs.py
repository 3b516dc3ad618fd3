"""What README and documentation show works: every block of code is run as it stands, only with fewer trials.

Blocks of a page are run in order, in one folder. A block with a title is a file; Python without one is run, and the
calls of shell blocks are; then YAML is checked as a study file, or, without `study`, as a part of one.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from leadline.search.config import BUILT_IN, StudyFile
from leadline.trainers.recipe import Recipe
from leadline.trainers.trainer import Trainer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ENDINGS = {"python": "py", "yaml": "yaml"}
NOT_RUN = {  # calls that a test can't make, and why
    "pip install": "installs",
    "pytest": "runs these tests",
    "leadline ui": "serves until it is interrupted",
    "leadline --install-completion": "changes the shell's own files",
    "#!": "the shell's own",
    "#SBATCH": "SLURM's own",
    "postgresql://user": "needs that server",
    "ray start": "starts a cluster",
    "--executor ray": "needs a cluster",
    "imagenet": "needs ImageNet",
}
SMALL = {  # what makes each command small
    "run": ["--set", "trainer.epochs=2", "--set", "executor=inline", "--set", "mlflow=null"],
    "resume": ["--executor", "inline"],
    "test": [],
}
# Runs the steps of all pages in one process, so that torch is imported once, each page's in its folder.
RUNNER = """\
import contextlib, json, os, runpy, sys, traceback
from leadline.cli import main

def run(kind, *arguments):
    sys.argv = list(arguments) if kind == "python" else ["leadline", *arguments]
    print(">>>", kind, *arguments)
    try:
        runpy.run_path(arguments[0], run_name="__main__") if kind == "python" else main()
    except SystemExit as ending:
        if ending.code:
            raise RuntimeError(f"it ended with {ending.code}")

for folder, steps in json.load(open("pages.json")):
    os.chdir(folder)
    known = set(sys.modules)
    with open("output", "w") as output, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            for step in steps:
                run(*step)
            print("<<< done")
        except Exception:
            traceback.print_exc()
    for name in set(sys.modules) - known:  # pages' own modules may be called alike
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
            del sys.modules[name]
"""


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Returns each block's language, title and text."""
    return BLOCK.findall(page.read_text())


def smaller(text: str) -> str:
    """Returns a script or a command that trains less."""
    text = re.sub(r"trials=\d+", "trials=3", re.sub(r"epochs=\d+", "epochs=2", text))
    return re.sub(r"--trials \d+", "--trials 4", re.sub(r"--retrain \d+", "--retrain 2", text))


def calls(text: str) -> list[list[str]]:
    """Returns the calls of a shell block that can be made, each small."""
    lines = [part.strip() for line in text.splitlines() for part in line.partition("  #")[0].split("&&")]
    found = []
    for line in filter(None, lines):
        if any(mark in line for mark in NOT_RUN):
            continue
        program, *arguments = smaller(line).split()
        assert program in ("leadline", "python"), f"nobody knows how to run `{line}`"
        if arguments[0] == "run" and "--trials" not in arguments and "--minutes" not in arguments:
            arguments += ["--trials", "3"]
        found.append([program, *arguments, *(SMALL.get(arguments[0], []) if program == "leadline" else [])])
    return found


def study_file(text: str) -> str:
    """Returns a YAML block as a study file: a part replaces what the built-in study has."""
    yaml = YAML(typ="safe")
    given = yaml.load(text)
    return text if "study" in given else json.dumps({**yaml.load(BUILT_IN), **given})


def steps(page: Path, folder: Path) -> list[list[str]]:
    """Writes a page's files into the folder; returns what to run."""
    found: list[list[str]] = []
    checks: list[list[str]] = []
    for place, (language, title, text) in enumerate(blocks(page)):
        if language in ENDINGS:
            path = folder / (title or f"block_{place}.{ENDINGS[language]}")
            path.write_text(study_file(text) if language == "yaml" else smaller(text))
        if language == "yaml":
            checks.append(["leadline", "check", path.name])
        elif language == "python" and not title:
            found.append(["python", path.name])
        elif language == "sh":
            found += calls(text)
    return found + checks


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """What running each page's code printed."""
    base = tmp_path_factory.mktemp("pages") / "leadline-main.x and more"  # a folder of any name
    folders = {page: base / page.relative_to(ROOT).with_suffix("") for page in PAGES}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (base / "pages.json").write_text(
        json.dumps([(str(folder), steps(page, folder)) for page, folder in folders.items()])
    )
    subprocess.run([sys.executable, "-c", RUNNER], cwd=base, check=True)
    return {page: (folder / "output").read_text() for page, folder in folders.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(page: Path, printed: dict[Path, str]) -> None:
    assert printed[page].endswith("<<< done\n"), printed[page][-4000:]


def rows(heading: str) -> dict[str, str]:
    """Returns the defaults that a table of the study file's page tells, by name."""
    text = (ROOT / "docs/reference/study-file.md").read_text()
    table = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", table, re.MULTILINE))


def told(value: Any) -> str:
    """Returns a default as a study file has it."""
    return value if isinstance(value, str) else json.dumps(value)


def test_the_study_files_page_has_every_key_with_its_default() -> None:
    shown = rows("Keys")
    assert shown.keys() == StudyFile.model_fields.keys()
    for name, field in StudyFile.model_fields.items():
        own_words = field.is_required() or name in ("space", "metric", "direction")  # whose default depends on others
        assert shown[name] in (
            ["needed", "the family's", "the task's", "the metric's"] if own_words else [told(field.default)]
        )


def test_the_study_files_page_has_every_setting_of_the_trainer_with_its_default() -> None:
    shown = rows("Trainer")
    parameters = inspect.signature(Trainer.__init__).parameters
    given = {name: one.default for name, one in parameters.items() if one.kind == one.KEYWORD_ONLY}
    assert shown == {name: told(value) for name, value in given.items() if name not in ("base", "allow")}
    text = (ROOT / "docs/reference/study-file.md").read_text()
    searched = set(re.findall(r"^\| `(\w+)` \| `[^|]*` \| ✓ \|", text, re.MULTILINE))
    assert searched == set(Recipe.__dataclass_fields__)
