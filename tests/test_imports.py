import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import leadline

ROOT = Path(leadline.__file__).parent
LAYERS = ("errors", "spaces", "trainers", "search", "cli")  # each may import itself and those before it
FILES = sorted(path for layer in LAYERS for path in (*ROOT.glob(f"{layer}.py"), *ROOT.glob(f"{layer}/**/*.py")))


@dataclass(frozen=True)
class Import:
    """One import: by whom, of what, and whether it is done when the importer is loaded."""

    importer: str
    imported: str
    line: int
    at_load: bool
    for_types: bool


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["leadline", *parts]).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def known(name):
    """The module or package of ours that this name is, or lies in."""
    while name not in MODULES and "." in name:
        name = name.rpartition(".")[0]
    return name


def imports_of(module):
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def walk(node, at_load, for_types):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                base = package.rsplit(".", child.level - 1)[0] if child.level else ""
                start = ".".join(part for part in (base, child.module) if part)
                names = [f"{start}.{alias.name}" for alias in child.names]
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, at_load and not inside, for_types or typing)
                continue
            for name in names:
                if name == "leadline.__version__":  # the root's own, which takes loading nothing
                    continue
                imported = known(name) if name.startswith("leadline.") else name
                yield Import(module, imported, child.lineno, at_load, for_types)

    return list(walk(ast.parse(path.read_text()), True, False))


IMPORTS = [found for module in MODULES for found in imports_of(module)]
OURS = [found for found in IMPORTS if found.imported.split(".")[0] == "leadline"]


def told(found):
    return f"{MODULES[found.importer].relative_to(ROOT)}:{found.line} imports {found.imported}"


def layer_of(module):
    return LAYERS.index(module.split(".")[1])


# The direction


def test_imports_run_one_way():
    assert [told(found) for found in OURS if layer_of(found.imported) > layer_of(found.importer)] == []


def test_siblings_import_each_other_relatively():
    absolute = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "leadline")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "leadline" for alias in node.names))
    ]
    assert absolute == []


def test_no_imports_go_round_in_a_circle():
    graph = {module: set() for module in MODULES}
    for found in OURS:
        if found.imported != found.importer and not found.for_types:
            graph[found.importer].add(found.imported)
    # A package's own modules are loaded by it, and import from it nothing but modules.
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("library", ["mlflow", "skopt", "ray"])
def test_a_heavy_library_is_imported_in_one_place_inside_the_function_that_needs_it(library):
    users = [found for found in IMPORTS if found.imported.split(".")[0] == library]
    tracking = "leadline.search.tracking"  # a package for MLflow alone
    assert len({tracking if found.importer.startswith(tracking) else found.importer for found in users}) <= 1
    assert [told(found) for found in users if found.at_load and not found.for_types] == []


def test_pydantic_stays_in_the_settings_and_optuna_out_of_the_trainers():
    assert {found.importer for found in IMPORTS if found.imported.startswith("pydantic")} == {"leadline.search.config"}
    users = {found.importer for found in IMPORTS if found.imported.split(".")[0] == "optuna"}
    assert {user for user in users if user.startswith("leadline.trainers")} == set()
    loading = [f for f in IMPORTS if f.imported.split(".")[0] in ("optuna", "torch") and f.at_load and not f.for_types]
    assert [told(found) for found in loading if found.importer.startswith("leadline.spaces")] == []


# What is loaded, and what is changed


def run(script, *arguments):
    done = subprocess.run([sys.executable, "-W", "error", "-c", script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


WITHOUT = """
import json, sys

sys.modules.update(dict.fromkeys(sys.argv[1:]))  # as if they weren't installed
import torch
from leadline.trainers.messages import Adopt, Close, Ended, Go, Job, Planned, Ready, Report, Start
from leadline.trainers.trainer import Trainer

class Channel:
    def __init__(self):
        self.events, self.inbox = [], [Start(0, {"depth": 1, "lr": 0.05})]

    def send(self, event):
        self.events.append(event)
        if isinstance(event, Planned):
            self.inbox.append(Adopt(event.blueprint, event.stack, event.lanes))
        if isinstance(event, Ready | Ended):
            self.inbox.append(Go())

    def receive(self, *, wait):
        commands, self.inbox = self.inbox, []
        return commands or ([Close()] if wait else [])

inputs = torch.arange(60.0).reshape(60, 1)
trainer = Trainer("mlp", (inputs, (inputs[:, 0] > 30).long()), epochs=3, batch_size=8)
channel = Channel()
trainer.serve(Job(0, None, maximize=True, device="cpu"), channel)
reports = [event.epoch for event in channel.events if isinstance(event, Report)]
print(json.dumps([reports, channel.events[-1].outcome]))
"""


def test_trainers_need_torch_numpy_and_safetensors_alone():
    blocked = ("optuna", "mlflow", "pydantic", "pandas", "sklearn", "rich", "typer", "skopt", "ray", "ruamel")
    assert run(WITHOUT, *blocked) == [[1, 2, 3], "complete"]


HELP = """
import contextlib, io, json, sys
from leadline.cli import main
shown = io.StringIO()
for command in sys.argv[1:]:
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        sys.argv = ["leadline", *command.split(), "--help"]
        main()
heavy = {"torch", "mlflow", "optuna", "pandas", "skopt", "sklearn", "numpy"}
print(json.dumps([shown.getvalue(), sorted(heavy & set(sys.modules))]))
"""


def test_help_loads_nothing_heavy():
    shown, loaded = run(HELP, "", "run", "show")
    assert loaded == []
    assert all(command in shown for command in ("run", "check", "resume", "ls", "show", "best", "test", "ui"))


IMPORTING = """
import json, logging, os, random, sys, warnings

def state():
    loggers = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    return {
        "environment": dict(os.environ),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "torch flags": [
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic,
            torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(),
            str(torch.get_default_dtype()), torch.is_grad_enabled(),
        ],
        "seeds": [torch.initial_seed(), torch.get_rng_state().sum().item(), hash(random.getstate()),
                  int(np.random.get_state()[1].sum())],
        "warnings": [str(entry) for entry in warnings.filters],
        "handlers": [str(handler) for handler in logging.root.handlers],
        "level": logging.root.level,
        "folder": os.getcwd(),
    }, loggers

import numpy as np, torch, optuna, pandas, pydantic, safetensors.torch, ruamel.yaml, rich, typer
import optuna.samplers, optuna.pruners, optuna.storages.journal
torch.manual_seed(3)
before, levels = state()
import leadline
for name in leadline.__all__:
    getattr(leadline, name)
after, now = state()
changed = [part for part in before if before[part] != after[part]]
changed += [name for name in levels if levels[name] != now[name]]
print(json.dumps(changed))
"""


def test_importing_leadline_changes_nothing():
    assert run(IMPORTING) == []
