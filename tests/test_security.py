"""What SECURITY.md promises of the whole tree; what is one module's alone is tested beside it.

YAML: search/test_yaml.py. Names, passwords, locks: search/test_folder.py. `module:function`:
trainers/test_references.py. Archives, arrays, images and tables: trainers/data/readers/test_broken.py. State:
trainers/test_checkpoints.py, search/test_seal.py, test_faults.py.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts.commands import Leadline, runner

import leadline as ll
from leadline.search import serving
from leadline.search.analysis.comparison import compare
from leadline.search.completion import among
from leadline.search.folder import study_names
from leadline.search.objective import Objective

ROOT = Path(ll.__file__).parent
FILES = sorted(path for path in (*ROOT.glob("*.py"), *ROOT.glob("s*/**/*.py"), *ROOT.glob("trainers/**/*.py")))
PASSWORD = "hunter2" + "-in-the-clear"


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yields each call in a file, with the name of what is called, as `module.function`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def found(*patterns: str) -> list[str]:
    """Returns where in the package something is called whose whole name matches."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} {name}"
        for path in FILES
        for name, node in calls(path)
        if any(re.fullmatch(pattern, name) for pattern in patterns)
    ]


def imported(*modules: str) -> set[str]:
    """Returns the files that import one of these modules, or something of it."""
    importers = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(name == module or name.startswith(f"{module}.") for name in names for module in modules):
                importers.add(str(path.relative_to(ROOT)))
    return importers


# No code from state


def test_nothing_is_unpickled_but_cifar_s_batches_by_a_reader_that_knows_no_names() -> None:
    assert imported("dill", "cloudpickle", "joblib", "shelve", "marshal") == set()
    between_ours = {"search/executors/ray.py", "trainers/hosted.py"}  # from a driver to its workers, in their cluster
    assert imported("pickle") == {"trainers/blueprint.py", "trainers/data/readers/unpickle.py", *between_ours}
    unpickling = found(r".*pickle\.loads?", r".*Unpickler", "np.save", "np.savez.*")
    assert {place.split(":")[0] for place in unpickling} <= {"trainers/hosted.py"}
    assert found(r"(np|numpy)\.load", r".*\.read_pickle", "eval", "exec", r"os\.system", "__import__") == []
    blueprint = (ROOT / "trainers/blueprint.py").read_text()
    assert "Unpickler" not in blueprint
    assert ".load" not in blueprint


def test_torch_reads_weights_alone_and_only_those_that_a_user_exported() -> None:
    loads = [(path, node) for path in FILES for name, node in calls(path) if name == "torch.load"]
    assert [str(path.relative_to(ROOT)) for path, _ in loads] == ["trainers/models/formats.py"]
    assert all("weights_only=True" in ast.unparse(node) for _, node in loads)
    assert {path.split(":")[0] for path in found("torch.save")} == {"trainers/models/formats.py"}


def test_the_pipe_between_a_driver_and_its_own_workers_is_the_only_one_that_pickles() -> None:
    importers = imported("multiprocessing")
    assert importers == {"search/executors/processes.py", "trainers/remote.py"}
    assert found(r"Listener", r"Client", r"socket\.socket", r".*create_server", r"asyncio.*") == []


def test_no_shell_is_ever_started() -> None:
    started = [
        (path.relative_to(ROOT), node.lineno)
        for path in FILES
        for name, node in calls(path)
        if any(word.arg == "shell" for word in node.keywords) or name in ("os.popen", "subprocess.getoutput")
    ]
    assert started == []


def test_a_study_s_folder_holds_no_pickle(tmp_path: Path) -> None:
    space = ll.Space(depth=ll.Int(1, 2), lr=ll.Float(1e-3, 1e-1, log=True))
    trainer = ll.Trainer("mlp", data="digits", epochs=2, checkpoint=0)
    study = ll.Study("plain", space, trainer, storage=tmp_path, executor="inline", mlflow=None, pruner="asha")
    study.run(trials=3, progress=False)
    paths = [path for path in study.folder.path.rglob("*") if path.is_file()]
    assert {path.suffix for path in paths} == {"", ".log", ".jsonl", ".crc", ".safetensors", ".json"}
    for path in paths:
        content = path.read_bytes()
        assert content[:1] != b"\x80", f"{path} begins as a pickle"
        if path.suffix in (".log", ".jsonl"):
            assert all(isinstance(json.loads(line), dict) for line in content.splitlines())
        if path.suffix == ".safetensors":
            length = 8 + int.from_bytes(content[:8], "little")
            assert isinstance(json.loads(content[8:length]), dict)


# Code is imported by what runs it alone


MARK = """\
import os
from pathlib import Path
Path(__file__).with_name("imported").write_text(str(os.getpid()))

from torch import nn

def build(in_shape, classes, width=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_shape[0] * in_shape[1] * in_shape[2], width), nn.ReLU(),
                         nn.Linear(width, classes))

def data():
    from leadline.trainers.data.readers.digits import read_digits
    return read_digits()

def metric(outputs, targets):
    return float((outputs.argmax(1) == targets).float().mean())

def on_epoch(trial, epoch, metrics):
    pass
"""
WITH_CODE = """\
study: marked
data: marking:data
model: marking:build
metric: marking:metric
space: {width: {int: [4, 8]}, lr: {float: [1e-3, 1e-1], log: true}}
trainer: {epochs: 1, on_epoch: "marking:on_epoch"}
mlflow: null
trials: 2
executor: inline
"""


@pytest.fixture
def leadline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leadline:
    return runner(monkeypatch, capsys)


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leadline: Leadline) -> Path:
    """A finished study whose module leaves a mark when it is imported, and isn't imported yet; returns the mark."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "marking.py").write_text(MARK)
    (tmp_path / "study.yaml").write_text(WITH_CODE)
    assert leadline("run", "study.yaml")[0] == 0
    mark = tmp_path / "imported"
    assert mark.exists()
    mark.unlink()
    del sys.modules["marking"]
    return mark


def test_what_only_reads_a_study_imports_none_of_its_code(marked: Path, leadline: Leadline) -> None:
    for command in (
        *(
            ["ls"],
            ["show", "marked"],
            ["show", "marked", "--json"],
            ["status", "marked"],
            ["status", "marked", "--json"],
        ),
        *(["best", "marked"], ["best", "marked", "--yaml"], ["compare", "marked:0", "marked:1"]),
        *(["report", "marked"], ["report", "marked", "--format", "md"]),
    ):
        code, _, error = leadline(*command)
        assert code == 0, (command, error)
        assert not marked.exists(), command
        assert "marking" not in sys.modules
    assert "marked" in among(study_names(None))("m")
    assert not marked.exists()
    assert leadline("check", "study.yaml")[0] == 0
    assert marked.exists(), "what runs, or would, imports it"


def test_without_the_study_s_folder_its_code_comes_from_nowhere_else(
    marked: Path, tmp_path: Path, leadline: Leadline
) -> None:
    (tmp_path / "marking.py").rename(tmp_path / "elsewhere.py")
    code, _, error = leadline("resume", "marked", "--trials", "3")
    assert code == 2
    assert "there is no module `marking` in" in error


def test_the_code_of_a_study_made_by_a_script_is_looked_up_in_the_working_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leadline: Leadline
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = ll.Trainer("mlp", data="leadline.trainers.data.readers.digits:read_digits", epochs=1)
    how: dict[str, Any] = {"mlflow": None, "executor": "inline"}
    ll.Study("scripted", ll.Space(lr=ll.Float(1e-3, 1e-1)), trainer, **how).run(trials=1, progress=False)
    code, _, error = leadline("resume", "scripted", "--trials", "2")
    assert code == 2
    assert "--allow leadline" in error
    assert leadline("resume", "scripted", "--trials", "2", "--allow", "leadline")[0] == 0
    again = ll.load_study("scripted")  # Python may import whatever it likes
    assert len(again.run(trials=3, progress=False).trials) == 3


def test_comparing_from_python_without_imports_imports_nothing(marked: Path) -> None:
    found = compare("marked:0", "marked:1", lambda name: ll.load_study(name, imports=False))
    assert "what only reads a study never imports it" in found.verdicts["trial"].told
    assert not marked.exists()


# Servers


def test_the_server_that_is_started_listens_on_this_machine_alone_and_its_password_is_no_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    class Process:
        def __init__(self, command: list[str], env: dict[str, str], **options: Any) -> None:
            started.append((command, env))

        def wait(self) -> int:
            return 0

        def terminate(self) -> None: ...

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    uri = f"postgresql://ann:{PASSWORD}@host/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    said: list[Any] = []
    serving.serve_mlflow(None, str(tmp_path), 5000, lambda text, facts: said.append((text, facts)))
    ((command, environment),) = started
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert PASSWORD not in " ".join(command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri
    assert PASSWORD not in repr(said)


def test_no_other_address_than_this_machine_s_own_is_served_anywhere() -> None:
    texts = {path: path.read_text() for path in FILES}
    assert [path for path, text in texts.items() if "0.0.0.0" in text or '"::"' in text] == []
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if '"--host"' in text] == ["search/serving.py"]
    joins = {path: text for path, text in texts.items() if "ray.init(" in text}
    assert [str(path.relative_to(ROOT)) for path in joins] == ["search/executors/ray.py"]
    (joining,) = [line for line in next(iter(joins.values())).splitlines() if "ray.init(" in line]
    assert "address" in joining  # without one it would start a head


# Passwords


def test_a_password_is_nowhere_in_what_a_study_leaves_and_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leadline: Leadline
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"http://ann:{PASSWORD}@127.0.0.1:{port}"
    (tmp_path / "study.yaml").write_text(
        "study: secret\ndata: digits\nmodel: mlp\nspace: {lr: {float: [1e-3, 1e-1]}}\ntrainer: {epochs: 1}\n"
        f"trials: 1\nexecutor: inline\nmlflow: {{uri: '{store}', wait: 0}}\n"
    )
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said = [leadline("run", "study.yaml")]
    said += [leadline(*words, "secret") for words in (["show", "--json"], ["status"], ["status", "--json"], ["best"])]
    said += [leadline("ls", "--json"), leadline("report", "secret", "--format", "md")]
    assert [code for code, *_ in said] == [0] * len(said), said
    assert "MLflow was in trouble" in said[0][1]
    assert PASSWORD not in repr(said)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "study.yaml"]
    assert len(left) > 5
    assert [path for path in left if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "lines",
    [
        "storage: 'postgresql://ann:{}@127.0.0.1:1/x'",
        "storage: {{url: 'postgresql://ann:{}@h/x'}}",
        "mlflow: ['http://ann:{}@h']",
        "mlflow: {{uri: 'http://ann:{}@h', wait: no}}",
        "mlflow: {{url: 'http://ann:{}@h'}}",
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_password_is_nowhere_in_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leadline: Leadline,
    lines: str,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "study: secret\ndata: digits\nmodel: mlp\nspace: {lr: {float: [1e-3, 1e-1]}}\ntrials: 1\n"
    (tmp_path / "study.yaml").write_text(text + lines.format(PASSWORD) + "\n")
    code, out, error = leadline(command, "study.yaml")
    assert PASSWORD not in out + error
    if command == "check" and "@127.0.0.1:1" in lines:  # it asks no server
        assert code == 0
        return
    assert code == 2
    told = subprocess.run(
        [sys.executable, "-c", "from leadline.cli import main; main()", command, "study.yaml", "--debug"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert "Traceback" in told.stderr
    assert PASSWORD not in told.stderr + told.stdout


def test_a_password_in_a_setting_on_the_command_line_is_not_told_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leadline: Leadline
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (
        f"storage=[postgresql://a:{PASSWORD}@h/x",
        f"postgresql://a:{PASSWORD}@h/x",
        f"a.b=http://a:{PASSWORD}@h",
    ):
        code, out, error = leadline("check", "--set", given)
        assert code == 2
        assert PASSWORD not in out + error


def test_an_objective_holds_no_address(tmp_path: Path) -> None:
    assert vars(Objective(print)).keys() == {"function", "_stopped"}
