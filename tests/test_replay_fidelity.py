"""The benchmark that replays multi-fidelity searches: what it charges, what it counts, and that searches end."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from leadline import Float, Space
from leadline.search.pruners import Asha, NoPruner

REPLAY = Path(__file__).parent.parent / "benchmarks" / "replay"
MODULES = ("tables", "traces", "fidelity")
SPACE = Space(lr=Float(1e-4, 1.0, log=True), dropout=Float(0.0, 1.0))


@pytest.fixture
def replay(monkeypatch):
    monkeypatch.syspath_prepend(REPLAY)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def curves(replay):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    configurations = [SPACE.suggest(study.ask()) for _ in range(600)]
    levels = np.array([abs(np.log10(c["lr"]) + 2) + c["dropout"] for c in configurations])
    recorded = levels[:, None] + np.concatenate([[9.0], 0.9 ** np.arange(1, 21)])  # before training, and 20 epochs
    recorded[5, 4:] = np.nan
    table = replay.tables.Pool("taskset/made", SPACE, configurations, recorded[:, -1], recorded)
    return replay.fidelity.Curves.of(table)


def test_epochs_are_those_trained_and_losses_the_least_so_far(replay, curves):
    assert curves.epochs == 20
    assert (np.diff(curves.losses[0]) <= 0).all()
    assert np.isnan(curves.losses[5, 3:]).all()
    assert curves.regret(curves.best) == 0
    assert curves.regret(curves.median) == 1


def test_random_search_in_full_reaches_its_own_regret_for_about_its_own_cost(replay, curves):
    target = curves.target(seeds=30)
    assert 0 < target < 0.2
    costs = []
    for seed in range(20):
        run = replay.fidelity.make("random", curves, seed)
        costs += [next((cost for cost, regret in run.go() if regret <= target), 100.0)]
    assert 20 < np.mean(costs) <= 100


def test_every_epoch_is_paid_for_once_and_seen_after(replay, curves):
    held = optuna.samplers.RandomSampler(0)
    run = replay.fidelity.Run(curves, Asha(20, maximize=False, first=3), lambda number: held)
    costs = [cost for cost, _ in run.go()]
    assert costs == sorted(costs)
    assert costs[0] == 1 / 20
    failed = sum(trial.state == "failed" for trial in run.records)
    assert run.spent == sum(len(trial.curve) for trial in run.records) + failed
    assert run.spent >= 100 * 20
    assert len(set(run.indices)) == len(run.indices)


def test_optuna_sees_the_configuration_that_stood_for_the_one_proposed(replay, curves):
    held = optuna.samplers.RandomSampler(0)
    run = replay.fidelity.Run(curves, NoPruner(), lambda number: held)
    next(run.go())
    assert run.study.trials[0].params == run.records[0].params == curves.table.params(run.indices[0])


@pytest.mark.parametrize("method", ["asha", "hyperband+random", "bohb", "thaw", "optuna.median", "optuna.hyperband"])
def test_every_method_gets_there_and_the_same_way_again(replay, curves, method):
    def costs():
        run = replay.fidelity.make(method, curves, 1)
        found = []
        for cost, regret in run.go():
            found.append(cost)
            if regret < 0.15:
                return found
        raise AssertionError(f"{method} hasn't come there")

    assert costs() == costs()


def test_outcomes_are_read_as_they_were_written(replay, tmp_path):
    outcome = replay.fidelity.Outcome("taskset/made", 3, True, 7.25, 0.0, 40, 1.5)
    replay.fidelity._write(tmp_path, "asha+gp/best", {("taskset/made", 3): outcome})
    assert replay.fidelity._read(tmp_path, "asha+gp/best") == {("taskset/made", 3): outcome}
