"""What every executor must do, whatever it runs trainers on: subclass `ExecutorContract`, and name it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from contracts.objectives import endless, odd_ones_fail, process_number, rising, small_ones_prune_themselves
from contracts.waiting import eventually, lives

import leadline as ll

Make = Callable[..., ll.Study]


def outcome(trial: ll.Trial) -> dict[str, Any]:
    """All of a trial that must not depend on where and when it ran."""
    clocked = ("seconds", "peak_memory")
    return {name: value for name, value in trial.as_json().items() if name not in clocked}


class ExecutorContract:
    """The suite. `executor` is the name that a study is given."""

    executor: ClassVar[str]

    @pytest.fixture
    def study(self, folder: Path) -> Make:
        """Makes a study of `x` in 0 ... 9, each value once and in order, run by this executor."""

        def make(name: str = "contract", **options: Any) -> ll.Study:
            chosen = {"strategy": "grid", "storage": folder, "executor": self.executor, "mlflow": None, **options}
            return ll.Study(name, chosen.pop("space", ll.Space(x=ll.Int(0, 9))), **chosen)

        return make

    def test_it_trains_the_same_bits_as_a_study_within_this_process(self, digits: Make) -> None:
        wanted = digits("inline", epochs=3, patience=1, pruner="asha", executor="inline")
        given = digits("given", epochs=3, patience=1, pruner="asha", executor=self.executor)
        for study in (wanted, given):
            study.run(trials=6, progress=False)
        assert [outcome(trial) for trial in given.trials] == [outcome(trial) for trial in wanted.trials]
        assert all(trial.curve and trial.parameters for trial in given.trials)

    def test_an_objective_runs_once_for_each_configuration(self, study: Make) -> None:
        done = study().run(rising, progress=False)
        assert [trial.params["x"] for trial in done.trials] == list(range(10))
        assert [trial.value for trial in done.trials] == list(range(10))
        assert done.trials[9].curve == {1: 3.0, 2: 6.0, 3: 9.0}
        assert done.ended_by == "space"

    def test_a_raising_objective_fails_its_trial_alone_with_the_error_and_its_place(self, study: Make) -> None:
        done = study().run(odd_ones_fail, progress=False)
        assert [trial.state for trial in done.trials] == ["complete", "failed"] * 5
        assert done.trials[3].reason.startswith("ValueError: 3 is odd (objectives.py:")
        assert done.trials[3].value is None
        assert done.best.params == {"x": 8}

    def test_an_objective_may_prune_itself(self, study: Make) -> None:
        done = study().run(small_ones_prune_themselves, progress=False)
        assert [trial.state for trial in done.trials] == ["pruned"] * 5 + ["complete"] * 5
        assert done.trials[3].value == 3.0

    def test_what_a_trial_reports_arrives_in_order_and_before_its_end(self, digits: Make) -> None:
        told: list[tuple[int, int | str]] = []

        def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
            told.append((trial.number, epoch))

        def on_trial_end(trial: ll.Trial) -> None:
            told.append((trial.number, trial.state))

        study = digits(on_epoch=on_epoch, on_trial_end=on_trial_end, executor=self.executor)
        study.run(trials=2, progress=False)
        assert told == [(number, what) for number in range(2) for what in (1, 2, "complete")]

    def test_a_stopped_run_leaves_its_trial_running_and_the_next_one_goes_on_with_it(self, digits: Make) -> None:
        def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
            if (trial.number, epoch) == (1, 2):
                study.stop()

        study = digits(epochs=4, checkpoint=0, on_epoch=on_epoch, executor=self.executor)
        study.run(trials=3, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "running"]
        assert study.ended_by == "interrupt"
        assert not study.running
        digits(epochs=4, checkpoint=0, executor="inline").run(trials=3, progress=False)
        undisturbed = digits("undisturbed", epochs=4, executor="inline").run(trials=3, progress=False)
        assert [outcome(trial) for trial in study.trials] == [outcome(trial) for trial in undisturbed.trials]

    def test_what_a_callback_raises_ends_the_run_and_leaves_the_study_resumable(self, digits: Make) -> None:
        def on_epoch(trial: ll.Trial, epoch: int, metrics: Mapping[str, float]) -> None:
            raise ZeroDivisionError("the user's own mistake")

        with pytest.raises(ZeroDivisionError, match="own mistake"):
            digits(on_epoch=on_epoch, executor=self.executor).run(trials=2, progress=False)
        study = digits(executor="inline").run(trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["complete", "complete"]

    def test_data_that_cannot_be_had_stop_the_study_before_the_first_trial(self, digits: Make, folder: Path) -> None:
        study = digits(data=str(folder / "nowhere.csv"), executor=self.executor)
        with pytest.raises(ll.UsageError, match=r"nowhere\.csv"):
            study.run(trials=2, progress=False)
        assert not folder.exists()


class SeparateContract(ExecutorContract):
    """The suite of those whose workers are processes of their own."""

    def test_every_worker_is_gone_when_the_run_ends(self, study: Make) -> None:
        done = study(workers=2).run(process_number, trials=6, progress=False)
        processes = {int(trial.value or 0) for trial in done.trials}
        assert os.getpid() not in processes
        assert eventually(lambda: not any(map(lives, processes)))

    def test_a_worker_that_hears_nothing_is_ended_within_seconds_of_a_stop(self, study: Make, tmp_path: Path) -> None:
        pid, stopped = tmp_path / "pid", list[float]()
        going = study(space=ll.Space(x=ll.Int(0, 9), pid=str(pid)))

        def stop() -> None:
            if eventually(lambda: pid.exists() and bool(pid.read_text())):
                stopped.append(time.monotonic())
                going.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        going.run(endless, trials=1, progress=False)
        stopper.join()
        assert time.monotonic() - stopped[0] < 10
        assert eventually(lambda: not lives(int(pid.read_text())))
        assert [trial.state for trial in going.trials] == ["running"]

    def test_a_worker_leaves_when_its_driver_is_killed(self, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        script = f"""
        import leadline as ll
        from contracts.objectives import endless
        space, here = ll.Space(x=ll.Int(0, 9), pid={str(pid)!r}), {str(tmp_path)!r}
        ll.Study("orphans", space, executor={self.executor!r}, storage=here, mlflow=None).run(endless, trials=1)
        """
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        driver = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=environment)
        try:
            assert eventually(lambda: pid.exists() and bool(pid.read_text()))
        finally:
            driver.kill()
            driver.wait()
        assert eventually(lambda: not lives(int(pid.read_text())))

    def test_what_cannot_travel_is_one_error_that_names_the_fix(self, study: Make, folder: Path) -> None:
        fix = f"executor: {self.executor}.*move your functions into a module of their own"
        with pytest.raises(ll.SettingsError, match=fix) as caught:
            study().run(lambda trial: 0.0, trials=2)
        assert len(caught.value.problems) == 1
        assert not folder.exists()
