"""The benchmark that replays strategies on recorded tables: look-ups, methods and comparisons are what they say."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from leadline import Choice, Float, Int, Space

REPLAY = Path(__file__).parent.parent / "benchmarks" / "replay"
MODULES = ("tables", "traces", "methods", "strategies", "report")
SPACE = Space(
    lr=Float(1e-4, 1.0, log=True), depth=Int(1, 4), units=Int(16, 256, log=True), act=Choice(["relu", "tanh"])
)


@pytest.fixture
def replay(monkeypatch):
    monkeypatch.syspath_prepend(REPLAY)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        del sys.modules[name]


def pool_of(replay, size=40):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    configurations = [SPACE.suggest(study.ask()) for _ in range(size)]
    losses = np.array([abs(np.log10(c["lr"]) + 2) + c["depth"] for c in configurations])
    losses[3] = np.nan
    return replay.tables.Pool("taskset/made", SPACE, configurations, losses)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "lookup.py").write_text("GRIDS = {'fcnet': {'act': ['relu', 'tanh'], 'units': [16, 32, 64, 128]}}\n")
    (tmp_path / "fcnet").mkdir()
    keys = np.array([[a, u] for a in range(2) for u in range(4)], dtype=np.uint8)
    values = keys.sum(axis=1)[:, None] + np.array([0.0, 0.5])  # two seeds
    np.savez(tmp_path / "fcnet" / "naval_propulsion.npz", key=keys, value=values)
    return tmp_path


def test_a_pool_gives_the_nearest_configuration_that_is_not_taken(replay):
    pool = pool_of(replay)
    proposed = pool.params(7)
    assert pool.find(proposed, ()) == 7
    near = pool.find(proposed, [7])
    assert near != 7
    assert len({pool.find(proposed, range(left)) for left in range(39)}) > 1
    assert pool.find(proposed, [i for i in range(40) if i != 31]) == 31


def test_a_grid_finds_each_of_its_configurations_and_means_its_seeds(replay, folder):
    grid = replay.tables.load(folder, "fcnet/naval_propulsion")
    assert [grid.find(grid.params(index), ()) for index in range(8)] == list(range(8))
    assert all(grid.space.contains(grid.params(index)) for index in range(8))
    assert grid.losses[grid.find({"act": "tanh", "units": 2}, ())] == 3.25


def test_regret_is_0_for_the_best_and_1_for_the_median_of_those_that_trained(replay):
    pool = pool_of(replay)
    assert pool.regret(np.nanmin(pool.losses)) == 0
    assert pool.regret(np.nanmedian(pool.losses)) == 1


def test_the_halves_share_no_table_and_have_every_kind_of_several_tables(replay):
    t = replay.tables
    assert sorted(t.CHOOSE + t.REPORT) == sorted(t.ALL)
    assert min(len(t.CHOOSE), len(t.REPORT), len(t.CORE)) >= 12
    for half in (t.CHOOSE, t.REPORT):
        assert {name.split("/")[0] for name in half} >= {kind for kind, names in t.NAMES.items() if len(names) > 1}
    assert set(t.CORE) <= set(t.REPORT)


@pytest.mark.parametrize("method", ["random", "optuna.tpe", "optuna.cmaes", "skopt.et", "tpe"])
def test_a_run_on_a_pool_has_no_configuration_twice_and_ends_at_its_best(replay, monkeypatch, method):
    pool = pool_of(replay, size=13)  # skopt begins with ten at random
    monkeypatch.setattr(replay.tables, "load", lambda folder, name: pool)
    trace = replay.strategies.replay(Path(), method, "taskset/made", seed=0, trials=13)
    assert (trace.repeats, trace.failed) == (0, 1)
    assert trace.improvements[-1][1] == 0


def test_methods_are_told_the_configuration_that_stood_for_the_proposal(replay):
    pool = pool_of(replay)
    method = replay.methods.make("optuna.tpe", SPACE, 0)
    method.ask()
    method.tell(pool.params(5), 1.0)
    method.ask()
    method.tell(pool.params(3), float("nan"))
    assert [trial.params for trial in method._study.trials] == [pool.params(5), pool.params(3)]
    assert [trial.state.name for trial in method._study.trials] == ["COMPLETE", "FAIL"]


def test_a_peer_proposes_what_it_does_in_a_study_of_its_own(replay):
    def loss(params):
        return abs(np.log10(params["lr"]) + 2) + params["depth"]

    method = replay.methods.make("optuna.tpe", SPACE, 7)
    proposed = []
    for _ in range(20):
        proposed.append(method.ask())
        method.tell(proposed[-1], loss(proposed[-1]))
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7))
    study.optimize(lambda trial: loss(SPACE.suggest(trial)), n_trials=20)
    assert proposed == [trial.params for trial in study.trials]


def test_the_command_goes_on_where_it_was_and_the_report_compares_what_it_left(folder):
    def command(script, *given):
        ran = subprocess.run([sys.executable, REPLAY / script, *given], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    common = ("--on", "fcnet/naval_propulsion", "--traces", folder / "traces")
    run = (folder, "random", "tpe", *common, "--trials", "8", "--seeds")  # all there are: tpe repeats none
    assert len(command("strategies.py", *run, "1")) == 2
    assert len(command("strategies.py", *run, "2")) == 2
    assert len(command("strategies.py", *run, "2", "--rerun")) == 4
    shown = command("report.py", "random", "tpe", *common, "--reference", "tpe", "--plot", folder / "plot.svg")
    assert shown[0] == "1 tables, 2 seeds, 8 trials"
    assert 1 <= int(shown[-1].split("|")[2]) <= 8  # trials that tpe needs for the optimum
    lines = (folder / "traces" / "tpe.csv").read_text().splitlines()
    assert [line.split(",")[:5] for line in lines[1:]] == [["fcnet/naval_propulsion", s, "8", "0", "0"] for s in "01"]
    assert all(line.endswith(":0") for line in lines[1:])
    assert (folder / "plot.svg").read_text().startswith("<?xml")


def test_a_trace_is_read_as_it_was_written(replay, tmp_path):
    trace = replay.traces.Trace("fcnet/naval_propulsion", 3, 6, 1, 1, 0.5, ((2, 7.5), (3, 0.25), (5, 0.0)))
    replay.traces.write(tmp_path, "random", [])
    replay.traces.append(tmp_path, "random", trace)
    assert replay.traces.read(tmp_path, "random") == {("fcnet/naval_propulsion", 3): trace}
    assert trace.curve() == [1, 1, 0.25, 0.25, 0, 0]


def test_the_critical_difference_is_that_of_the_source(replay):
    assert replay.report.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # Demšar 2006, section 3.2.4
