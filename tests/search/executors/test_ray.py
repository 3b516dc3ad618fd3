"""On a real Ray cluster whose nodes are processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts.executor import SeparateContract
from contracts.objectives import rising, three_kills_its_process, waits_for_the_file_go
from contracts.waiting import eventually

import leadline as ll

# Before it is imported: no reports of usage, and the cluster on 127.0.0.1
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
pytest.importorskip("ray", reason="Ray isn't installed")
QUICK = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 4}
Make = Callable[..., ll.Study]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head with one core, where this process joins it."""
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": QUICK},
    )
    yield made
    made.shutdown()


@pytest.fixture(autouse=True)
def here(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)


def count(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


class TestRay(SeparateContract):
    executor = "ray"


def test_a_killed_worker_fails_the_trial_it_had_and_the_study_goes_on(plain: Make) -> None:
    study = plain(strategy="grid", executor="ray", workers=1).run(three_kills_its_process, progress=False)
    assert [trial.state for trial in study.trials] == ["complete"] * 3 + ["failed"] + ["complete"] * 6
    assert study.trials[3].reason.startswith("the worker's process died on node 127.0.0.1")


def test_a_node_that_joins_is_used_and_one_that_is_lost_takes_no_study_with_it(
    cluster: Any, plain: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = ll.Space(x=ll.Int(0, 9), folder=str(tmp_path))
    study = plain(space=space, strategy="grid", executor="ray")
    log = study.folder.path / "log.jsonl"

    runner = threading.Thread(target=lambda: study.run(waits_for_the_file_go, trials=5, progress=False))
    runner.start()  # nodes are this thread's: they need the main one
    try:
        assert eventually(lambda: count(tmp_path, "began-*") == 1)  # the head has one core, so one worker
        node = cluster.add_node(num_cpus=1)
        assert eventually(lambda: count(tmp_path, "began-*") == 2)
        cluster.remove_node(node, allow_graceful=False)
        assert eventually(lambda: "the worker's node 127.0.0.1 died" in log.read_text())
    finally:
        (tmp_path / "go").touch()
        runner.join()
    assert [trial.state for trial in study.trials] == ["complete"] * 5
    assert not any(trial.faults for trial in study.trials)  # it was nobody's fault
    assert capsys.readouterr().out == ""  # where `--json` prints, Ray's daemons would tell of it


def test_terminating_is_still_the_programs_own_affair(plain: Make) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    plain(executor="ray").run(rising, trials=1, progress=False)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_where_there_is_no_gpu_a_study_that_wants_one_says_so(plain: Make) -> None:
    with pytest.raises(ll.SettingsError, match="no node of the Ray cluster has a GPU"):
        plain(executor="ray", devices="cuda").run(rising, trials=1, progress=False)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1", "local", "ray://127.0.0.1:10001"])
def test_no_cluster_is_an_error_that_says_how_to_start_one(plain: Make, folder: Path, address: str) -> None:
    with pytest.raises(ll.SettingsError, match="ray start --head"):
        plain(executor="ray", address=address).run(rising, trials=1, progress=False)
    assert not folder.exists()
