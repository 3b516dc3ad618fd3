"""What the tests of a search share: studies that are as small as real ones can be."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from contracts.cores import one_core

import leadline as ll


@pytest.fixture(autouse=True)
def on_one_core() -> Iterator[None]:
    with one_core():
        yield


@pytest.fixture(autouse=True)
def own_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the tests off a tracking server that the developer may have."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def faults() -> Iterator[Any]:
    """The benchmarks of faults, as modules by name: `faults("drivers")`."""
    place = Path(__file__).parents[2] / "benchmarks" / "faults"

    def load(name: str) -> ModuleType:
        known = f"faults_{name}"  # no checkout's folder is called so, under which pytest imports the package's root
        if known not in sys.modules:
            spec = importlib.util.spec_from_file_location(known, place / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            sys.modules[known] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[known])
        return sys.modules[known]

    sys.path.insert(0, str(place))
    yield load
    sys.path.remove(str(place))


@pytest.fixture(scope="session")
def postgresql(faults: Any) -> Iterator[Any]:
    """A server of the tests' own, on 127.0.0.1; see `benchmarks/faults/postgresql.py`."""
    pytest.importorskip("psycopg")
    kind = faults("postgresql").Server
    if lacking := kind.lacking():
        pytest.skip(lacking)
    with kind() as server:
        yield server


@pytest.fixture
def closed_at_once() -> Iterator[None]:
    """Has psycopg's warnings of connections that a lost driver left open come in the test that they are of."""
    yield
    gc.collect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a test's studies."""
    return tmp_path / "studies"


@pytest.fixture
def space() -> ll.Space:
    return ll.Space(depth=ll.Int(1, 2), feature_maps=ll.Choice([4, 8]), lr=ll.Float(1e-3, 1e-1, log=True))


@pytest.fixture
def digits(folder: Path, space: ll.Space) -> Callable[..., ll.Study]:
    """Makes a study of small networks on digits; what a test doesn't say is `random`, one lane, inline, untracked."""

    def make(name: str = "digits", **options: Any) -> ll.Study:
        settings = ("epochs", "patience", "checkpoint", "on_epoch", "on_trial_end", "loss", "data")
        given = {"data": "digits", "epochs": 2, **{key: options.pop(key) for key in settings if key in options}}
        trainer = ll.Trainer(options.pop("model", "mlp"), given.pop("data"), **given)
        how = {"executor": "inline", "workers": 1, "lanes": 1, "plan": "fused"}
        chosen = {"strategy": "random", "storage": folder, "mlflow": None, **how, **options}
        return ll.Study(name, chosen.pop("space", space), trainer, **chosen)

    return make


@pytest.fixture
def plain(folder: Path) -> Callable[..., ll.Study]:
    """Makes a study of one number `x` in 0 ... 9, for objectives."""

    def make(name: str = "plain", **options: Any) -> ll.Study:
        chosen = {"strategy": "random", "storage": folder, "executor": "inline", "mlflow": None, **options}
        return ll.Study(name, chosen.pop("space", ll.Space(x=ll.Int(0, 9))), **chosen)

    return make
