import os
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev

import pytest
import torch
from contracts.driver import Driver
from contracts.stack import Hall, blobs, same, tied
from torch import nn

from leadline import Trainer
from leadline.trainers import checkpoints
from leadline.trainers.messages import (
    Adopt,
    AtRung,
    AtWork,
    Broken,
    Close,
    Decision,
    Ended,
    Fault,
    Job,
    Planned,
    Ready,
    Report,
    Saved,
    Start,
    Stop,
    Unfit,
)
from leadline.trainers.stack import FusedStack, LoopedStack
from leadline.trainers.stack.rows import Rows
from leadline.trainers.time_limits import TimeLimits

SMALL = {"depth": 1, "feature_maps": 8, "dropout": 0.2, "batch_norm": True}


class Killed(BaseException):
    """What no worker can handle."""


def trainer(model="mlp", **settings):
    return Trainer(model, blobs(), **{"epochs": 4, "batch_size": 32, "lr": 0.01, "checkpoint": 0, **settings})


def job(folder=None, **changes):
    plain = {"seed": 0, "metric": None, "maximize": True, "device": "cpu", "folder": folder, "stack": "fused"}
    return Job(**{**plain, **changes})


def serve(made, driver, **changes):
    """Runs a worker until it is told to close, or killed; returns the driver it talked to."""
    made.serve(job(**changes), driver)
    return driver


def curve(driver, number=0):
    """What was reported of a trial, but for the seconds."""
    return [
        (report.epoch, report.value, {name: value for name, value in report.metrics.items() if name != "seconds"})
        for report in driver.reports(number)
    ]


def best_of(folder, number=0):
    found = checkpoints.read(folder / "trials" / f"{number:05d}" / "best.safetensors")
    assert found is not None
    return found


def on_report(epoch, *commands, number=0):
    """Answers the report of that epoch, and nothing else."""
    return lambda event: (
        commands if isinstance(event, Report) and (event.number, event.epoch) == (number, epoch) else ()
    )


def deciding(prune_at=None, pause_at=None):
    """Lets every trial at a rung go on; prunes, or pauses, all of them at that epoch."""
    verdicts = {prune_at: "prune", pause_at: "pause"}
    return lambda event: (
        [Decision(number, verdicts.get(epoch, "go")) for number, epoch in event.epochs.items()]
        if isinstance(event, AtRung)
        else []
    )


# The way of a trial


def test_a_worker_says_first_that_it_is_ready():
    assert serve(trainer(), Driver(), lanes=3).events == [Ready(3, "cpu", os.getpid())]


def test_each_epoch_is_reported_in_order_and_then_the_end():
    driver = serve(trainer(), Driver(Start(0, SMALL)))
    kinds = [type(event) for event in driver.events]
    assert kinds == [Ready, AtWork, Planned, *[AtWork, Report] * 4, Ended]
    assert [report.epoch for report in driver.reports(0)] == [1, 2, 3, 4]
    for report in driver.reports(0):
        assert set(report.metrics) == {"train/loss", "train/accuracy", "valid/loss", "valid/accuracy", "seconds"}
        assert report.value == report.metrics["valid/accuracy"]
    assert driver.waited(0) == []


def test_the_end_tells_the_value_of_the_best_epoch_and_the_facts():
    driver = serve(trainer(), Driver(Start(0, SMALL)))
    ended, values = driver.ended(0), [report.value for report in driver.reports(0)]
    assert (ended.outcome, ended.reason, ended.value) == ("complete", "all epochs done", max(values))
    assert ended.facts["epochs"] == 4
    assert ended.facts["best_epoch"] == values.index(max(values)) + 1
    assert ended.facts["last"] == values[-1]
    assert ended.facts["parameters"] == 6 * 8 + 2 * 8 + 8 * 3 + 3
    assert ended.facts["seconds"] == pytest.approx(sum(report.metrics["seconds"] for report in driver.reports(0)))
    assert ended.facts["peak_memory"] is None  # a CPU's is shared


def test_a_metric_to_be_minimized_is_best_where_it_is_least():
    driver = serve(trainer(), Driver(Start(0, {**SMALL, "lr": 0.3})), metric="cross_entropy", maximize=False)
    values = [report.value for report in driver.reports(0)]
    assert driver.ended(0).value == min(values) < max(values)


def test_the_weights_of_the_best_epoch_are_kept_with_what_is_needed_to_use_them(tmp_path):
    made = trainer(lr=0.3, epochs=6)
    driver = serve(made, Driver(Start(0, SMALL)), folder=tmp_path)
    ended = driver.ended(0)
    assert ended.facts["best_epoch"] < 6  # else this test shows nothing
    weights, card = best_of(tmp_path)
    assert (card["params"], card["epoch"], card["value"]) == (SMALL, ended.facts["best_epoch"], ended.value)
    assert (card["metric"], card["in_shape"], card["classes"]) == ("accuracy", [6], ["0", "1", "2"])
    bench = made.bench(job())
    network = made.build(SMALL, bench.data.in_shape, bench.data.outputs)
    network.load_state_dict(weights)
    with torch.no_grad():
        assert bench.metric(network.eval()(bench.data.valid.inputs), bench.data.valid.targets) == ended.value


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    serve(trainer(), Driver(Start(0, SMALL)))
    assert list(tmp_path.iterdir()) == []


def test_patience_ends_a_trial_that_no_longer_improves():
    driver = serve(trainer(epochs=50, patience=2, lr=1e-9), Driver(Start(0, {**SMALL, "batch_norm": False})))
    ended = driver.ended(0)
    assert (ended.outcome, ended.reason) == ("complete", "no better for 2 epochs")
    assert ended.facts["epochs"] == ended.facts["best_epoch"] + 2 == 3


def test_a_configuration_overrules_the_trainers_settings():
    driver = serve(trainer(), Driver(Start(0, {**SMALL, "epochs": 2, "optimizer": "sgd"})))
    assert driver.ended(0).facts["epochs"] == 2


def test_threads_hold_while_the_worker_serves_and_no_longer():
    before, during = torch.get_num_threads(), []
    driver = Driver(answer=lambda event: during.append(torch.get_num_threads()) or ())
    serve(trainer(), driver, threads=before + 1)
    assert (during, torch.get_num_threads()) == ([before + 1], before)


# Decisions


def test_a_trial_waits_for_a_decision_exactly_at_its_rungs():
    driver = serve(trainer(), Driver(Start(0, SMALL, frozenset({1, 3})), answer=deciding()))
    assert driver.waited(0) == [1, 3]
    assert driver.ended(0).outcome == "complete"


def test_a_trial_doesnt_wait_after_its_last_epoch():
    driver = serve(trainer(), Driver(Start(0, SMALL, frozenset({4}))))
    assert driver.waited(0) == []
    assert driver.ended(0).outcome == "complete"


def test_a_waiting_trial_stands_still_until_the_decision_comes():
    rounds = [[], [Stop(7)], [Decision(0, "go")]]  # what comes to a waiting worker, round by round

    class Slow(Driver):
        def receive(self, *, wait):
            waiting = any(isinstance(event, AtRung) for event in self.events)
            return rounds.pop(0) if wait and waiting and rounds else super().receive(wait=wait)

    driver = serve(trainer(), Slow(Start(0, SMALL, frozenset({2}))))
    assert rounds == []
    assert [report.epoch for report in driver.reports(0)] == [1, 2, 3, 4]


def test_a_pruned_trial_ends_at_that_very_epoch():
    driver = serve(trainer(), Driver(Start(0, SMALL, frozenset({2})), answer=deciding(prune_at=2)))
    ended = driver.ended(0)
    assert (ended.outcome, ended.facts["epochs"], len(driver.reports(0))) == ("pruned", 2, 2)
    assert "pruner" in ended.reason
    assert ended.value == max(report.value for report in driver.reports(0))


def test_a_paused_trial_goes_on_elsewhere_as_if_it_had_never_stood_still(tmp_path, undisturbed):
    start = Start(0, SMALL, frozenset({2}))
    paused = serve(trainer(), Driver(start, answer=deciding(pause_at=2)), folder=tmp_path).ended(0)
    assert (paused.outcome, paused.facts["epochs"]) == ("paused", 2)
    again = serve(trainer(), Driver(Start(1, SMALL), start, answer=deciding()), lanes=2, folder=tmp_path)
    assert_as_undisturbed(again, tmp_path, undisturbed)
    assert again.waited(0) == [2]  # and is told to go on


def test_a_paused_trials_lane_is_free_and_its_neighbour_trains_on(tmp_path):
    starts = [Start(0, SMALL, frozenset({1})), Start(1, SMALL)]
    driver = serve(trainer(), Driver(*starts, answer=deciding(pause_at=1)), lanes=2, folder=tmp_path)
    assert (driver.ended(0).outcome, len(driver.reports(0))) == ("paused", 1)
    assert curve(driver, 1) == curve(serve(trainer(), Driver(Start(1, SMALL))), 1)


def test_trials_of_a_stack_that_reach_a_rung_together_are_asked_about_together():
    starts = [Start(number, SMALL, frozenset({2})) for number in range(3)]
    driver = serve(trainer(), Driver(*starts, answer=deciding()), lanes=3)
    assert [event.epochs for event in driver.events if isinstance(event, AtRung)] == [{0: 2, 1: 2, 2: 2}]


def branched(folder, child):
    """Trains trial 0 for two epochs, and leaves its state to another one."""
    serve(trainer(), Driver(Start(0, SMALL, frozenset({2})), answer=deciding(pause_at=2)), folder=folder)
    place = folder / "trials" / f"{child:05d}" / "branch.safetensors"
    place.parent.mkdir()
    os.link(folder / "trials" / "00000" / "checkpoint.safetensors", place)
    return checkpoints.read(place)[0]


def test_a_branch_begins_with_its_parents_weights_and_hyperparameters_of_its_own(tmp_path):
    tensors = branched(tmp_path, child=5)
    driver = serve(trainer(), Driver(Start(5, {**SMALL, "lr": 1e-12}, branch=True)), folder=tmp_path)
    assert [report.epoch for report in driver.reports(5)] == [3, 4]
    weights, _ = best_of(tmp_path, 5)
    for name, tensor in weights.items():
        if tensor.is_floating_point() and "running" not in name:
            assert torch.allclose(tensor, tensors[f"0.model.{name}"], atol=1e-6)  # at that rate it hardly moves


def test_a_branch_whose_parents_state_is_gone_fails_and_says_so(tmp_path):
    driver = serve(trainer(), Driver(Start(5, SMALL, branch=True)), folder=tmp_path)
    assert driver.ended(5).outcome == "failed"
    assert "the state of the trial that it was to begin from is gone" in driver.ended(5).reason


def test_a_branch_that_was_killed_goes_on_from_its_own_checkpoint(tmp_path):
    branched(tmp_path, child=5)
    child, place = Start(5, SMALL, branch=True), tmp_path / "trials" / "00005"
    serve(trainer(), Driver(child, answer=on_report(3, Close(), number=5)), folder=tmp_path)
    assert (place / "checkpoint.safetensors").exists()
    killed = serve(trainer(), Driver(child), folder=tmp_path)
    (place / "checkpoint.safetensors").unlink()
    assert curve(killed, 5) == curve(serve(trainer(), Driver(child), folder=tmp_path), 5)


def test_a_stopped_trial_ends_with_its_epoch_and_keeps_its_value():
    driver = serve(trainer(), Driver(Start(0, SMALL), answer=on_report(2, Stop(0))))
    ended = driver.ended(0)
    assert (ended.outcome, ended.facts["epochs"] in (2, 3)) == ("stopped", True)
    assert ended.value == max(report.value for report in driver.reports(0))


def test_only_the_lane_that_has_a_rung_is_pruned():
    driver = serve(
        trainer(), Driver(Start(0, SMALL), Start(1, SMALL, frozenset({1})), answer=deciding(prune_at=1)), lanes=2
    )
    assert (driver.ended(0).outcome, driver.ended(1).outcome) == ("complete", "pruned")
    assert len(driver.reports(0)) == 4


def test_a_trial_that_has_had_all_its_epochs_is_complete_though_the_time_is_up_in_that_moment(tmp_path):
    # Trial 0 has reported its last epoch, trial 1 of the same stack waits for a decision: then the time is up.
    def answer(event):
        return [Stop(0), Stop(1), Decision(1, "go")] if isinstance(event, AtRung) else []

    driver = Driver(Start(0, {**SMALL, "epochs": 1}), Start(1, SMALL, frozenset({1})), answer=answer)
    serve(trainer(), driver, lanes=2, folder=tmp_path)
    assert driver.ended(0).outcome == "complete"
    assert best_of(tmp_path)[1]["epoch"] == 1
    assert driver.ended(1).outcome == "stopped"


def test_a_trial_that_diverged_has_failed_though_the_time_is_up_in_that_moment():
    def answer(event):
        return [Stop(0), Stop(1), Decision(1, "go")] if isinstance(event, AtRung) else []

    driver = Driver(Start(0, {**SMALL, "lr": 1e30}), Start(1, SMALL, frozenset({1})), answer=answer)
    serve(trainer(optimizer="sgd"), driver, lanes=2)
    assert driver.ended(0).outcome == "failed"


def test_a_worker_leaves_at_the_end_of_its_epoch_when_told_to_close():
    driver = serve(trainer(), Driver(Start(0, SMALL), answer=on_report(2, Close())))
    assert not any(isinstance(event, Ended) for event in driver.events)
    assert len(driver.reports(0)) == 2


# What goes wrong


def test_a_loss_that_is_no_number_fails_the_trial_with_epoch_and_step():
    driver = serve(trainer(optimizer="sgd", lr=1e30), Driver(Start(0, {**SMALL, "batch_norm": False})))
    ended = driver.ended(0)
    assert (ended.outcome, ended.value) == ("failed", None)
    assert "epoch 1" in ended.reason
    assert "step 2" in ended.reason


def test_a_metric_that_is_no_number_fails_the_trial_with_its_epoch():
    driver = serve(trainer(), Driver(Start(0, SMALL)), metric=lambda outputs, targets: float("nan"))
    assert (driver.ended(0).outcome, driver.ended(0).value) == ("failed", None)
    assert "metric was no number at epoch 1" in driver.ended(0).reason


def no_three(in_shape, classes, depth):
    if depth == 3:
        raise ValueError("three is too many")
    return nn.Linear(in_shape[0], classes)


def test_a_builder_that_raises_for_one_configuration_fails_that_trial_only():
    starts = [Start(number, {"depth": depth}) for number, depth in enumerate((2, 3, 4))]
    driver = serve(trainer(no_three), Driver(*starts), lanes=3)
    assert [driver.ended(number).outcome for number in range(3)] == ["complete", "failed", "complete"]
    failed = driver.ended(1)
    assert "ValueError: three is too many" in failed.reason
    assert "test_worker.py:" in failed.reason
    assert "Traceback" in failed.facts["traceback"]
    assert driver.reports(1) == []


def exiting(in_shape, classes, at):
    """A network that calls `sys.exit` where it is built, trained, or asked for one example alone."""
    if at == "building":
        sys.exit(0)

    class Exiting(nn.Linear):
        def forward(self, inputs):
            if (at == "training" and self.training) or (at == "latency" and len(inputs) == 1):
                sys.exit(0)
            return super().forward(inputs)

    return Exiting(in_shape[0], classes)


@pytest.mark.parametrize("at", ["building", "training", "latency"])
def test_code_that_would_end_the_process_fails_its_trial_with_the_place(at):
    starts = [Start(number, {"at": place}) for number, place in enumerate(("nowhere", at, "nowhere"))]
    driver = serve(trainer(exiting), Driver(*starts), latency=True, stack="looped")
    assert [driver.ended(number).outcome for number in range(3)] == ["complete", "failed", "complete"]
    assert driver.ended(1).reason.startswith("RuntimeError: the code raised SystemExit: 0 (test_worker.py:")
    assert "sys.exit(0)" in driver.ended(1).facts["traceback"]


class Moody(nn.Linear):
    def __init__(self, features, classes, dropout):
        super().__init__(features, classes)
        self.dropout = dropout

    def forward(self, inputs):
        if self.dropout > 0.5:
            raise RuntimeError("so much dropout won't do")
        return super().forward(inputs)


def moody(in_shape, classes, dropout):
    return Moody(in_shape[0], classes, dropout)


def test_a_module_that_raises_fails_its_own_trial_and_not_those_beside_it():
    driver = Driver(*(Start(number, {"dropout": rate}) for number, rate in enumerate((0.1, 0.9, 0.2))))
    serve(trainer(moody), driver, lanes=3)
    alone = serve(trainer(moody), Driver(Start(2, {"dropout": 0.2})))
    assert [driver.ended(number).outcome for number in range(3)] == ["complete", "failed", "complete"]
    assert "so much dropout won't do" in driver.ended(1).reason
    assert curve(driver, 2) == curve(alone, 2)


def test_a_network_with_tied_weights_is_trained_and_kept(tmp_path):
    driver = serve(trainer(tied), Driver(Start(0, {})), folder=tmp_path)
    assert driver.ended(0).outcome == "complete"
    assert set(best_of(tmp_path)[0]) == set(tied((6,), 3).state_dict())


def test_a_worker_without_its_data_says_what_is_wrong_and_no_more():
    driver = serve(Trainer("mlp", "/nowhere/at/all.csv"), Driver())
    (broken,) = driver.events
    assert isinstance(broken, Broken)
    assert "/nowhere/at/all.csv" in broken.problems[0]


def test_a_worker_whose_split_is_another_than_the_studys_says_so():
    driver = serve(trainer(), Driver(), split_digest="0" * 64)
    (broken,) = driver.events
    assert "data have changed" in broken.problems[0]


# Lanes


@pytest.mark.parametrize("other", [{**SMALL, "lr": 0.1}, {**SMALL, "depth": 2}], ids=["one stack", "two stacks"])
def test_two_lanes_at_once_equal_each_alone(other, tmp_path):
    both = serve(trainer(), Driver(Start(3, SMALL), Start(8, other)), folder=tmp_path / "both", lanes=2)
    for number, params in ((3, SMALL), (8, other)):
        alone = serve(trainer(), Driver(Start(number, params)), folder=tmp_path / "alone")
        assert curve(both, number) == curve(alone, number)
        assert both.ended(number).value == alone.ended(number).value
        assert same(best_of(tmp_path / "both", number)[0], best_of(tmp_path / "alone", number)[0])


def test_lanes_of_one_stack_report_in_the_order_of_their_numbers():
    driver = serve(trainer(), Driver(*(Start(number, SMALL) for number in (5, 2, 9))), lanes=3)
    reports = [event for event in driver.events if isinstance(event, Report)]
    assert [(report.epoch, report.number) for report in reports] == [(e, n) for e in range(1, 5) for n in (2, 5, 9)]


def test_a_lane_that_ended_is_refilled_and_the_new_one_equals_itself_alone():
    def refill(event):
        return [Start(2, SMALL)] if isinstance(event, Ended) and event.number == 0 else []

    driver = Driver(Start(0, {**SMALL, "epochs": 1}), Start(1, SMALL), answer=refill)
    serve(trainer(), driver, lanes=2)
    places = [event.number for event in driver.events if isinstance(event, Report)]
    assert places.index(2) < len(places) - places[::-1].index(1)  # it trained beside trial 1
    assert curve(driver, 2) == curve(serve(trainer(), Driver(Start(2, SMALL))), 2)


# Killed and started again


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return serve(trainer(), Driver(Start(0, SMALL)), folder=folder), best_of(folder)


def assert_as_undisturbed(driver, folder, undisturbed):
    expected, (weights, card) = undisturbed
    assert curve(driver) == curve(expected)
    assert driver.ended(0).outcome == "complete"
    assert driver.ended(0).value == expected.ended(0).value
    for fact in ("epochs", "best_epoch", "last", "parameters"):
        assert driver.ended(0).facts[fact] == expected.ended(0).facts[fact]
    found = best_of(folder)
    assert same(found[0], weights)
    assert found[1] == card


def killing(moment):
    """An answer that kills the worker at its so-many-th word."""
    words = Counter()

    def answer(event):
        words["spoken"] += 1
        if words["spoken"] == moment:
            raise Killed
        return ()

    return answer


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_closed_worker_is_followed_by_one_that_repeats_its_reports_and_goes_on(epoch, tmp_path, undisturbed):
    first = serve(trainer(), Driver(Start(0, SMALL), answer=on_report(epoch, Close())), folder=tmp_path)
    second = serve(trainer(), Driver(Start(0, SMALL)), folder=tmp_path)
    assert second.reports(0)[:epoch] == first.reports(0)  # seconds and all
    assert_as_undisturbed(second, tmp_path, undisturbed)


@pytest.mark.parametrize("word", range(1, 7))
def test_a_worker_killed_at_any_word_is_followed_by_one_that_makes_the_trial_whole(word, tmp_path, undisturbed):
    with pytest.raises(Killed):
        serve(trainer(), Driver(Start(0, SMALL), answer=killing(word)), folder=tmp_path)
    assert_as_undisturbed(serve(trainer(), Driver(Start(0, SMALL)), folder=tmp_path), tmp_path, undisturbed)


@pytest.mark.parametrize("rename", range(1, 5))
def test_a_worker_killed_while_it_writes_is_followed_by_one_that_makes_the_trial_whole(
    rename, tmp_path, undisturbed, monkeypatch
):
    calls, replace = Counter(), os.replace

    def dying(source, target):
        calls["replace"] += 1
        if calls["replace"] == rename:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        with pytest.raises(Killed):
            serve(trainer(), Driver(Start(0, SMALL)), folder=tmp_path)
    assert_as_undisturbed(serve(trainer(), Driver(Start(0, SMALL)), folder=tmp_path), tmp_path, undisturbed)


def test_a_worker_killed_again_and_again_gets_there(tmp_path, undisturbed):
    for word in (3, 2, 4, 3, 5):
        with pytest.raises(Killed):
            serve(trainer(), Driver(Start(0, SMALL), answer=killing(word)), folder=tmp_path)
    assert_as_undisturbed(serve(trainer(), Driver(Start(0, SMALL)), folder=tmp_path), tmp_path, undisturbed)


def test_without_a_checkpoint_a_trial_begins_again_and_comes_to_the_same(tmp_path, undisturbed):
    rare = trainer(checkpoint=1e9)
    serve(rare, Driver(Start(0, SMALL), answer=on_report(2, Close())), folder=tmp_path)
    assert not (tmp_path / "trials").exists()
    assert_as_undisturbed(serve(rare, Driver(Start(0, SMALL)), folder=tmp_path), tmp_path, undisturbed)


def test_with_a_torn_checkpoint_a_trial_begins_again_and_comes_to_the_same(tmp_path, undisturbed):
    serve(trainer(), Driver(Start(0, SMALL), answer=on_report(2, Close())), folder=tmp_path)
    file = tmp_path / "trials/00000/checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    assert_as_undisturbed(serve(trainer(), Driver(Start(0, SMALL)), folder=tmp_path), tmp_path, undisturbed)


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:-10])])
def test_with_its_last_checkpoint_damaged_a_trial_goes_on_from_the_one_before_and_says_so(
    damage, tmp_path, undisturbed
):
    first = serve(trainer(), Driver(Start(0, SMALL), answer=on_report(3, Close())), folder=tmp_path)
    assert [event.epoch for event in first.events if isinstance(event, Saved)] == [1, 2, 3]
    damage(tmp_path / "trials/00000/checkpoint.safetensors")
    second = serve(trainer(), Driver(Start(0, SMALL, saved=3)), folder=tmp_path)
    faults = [event for event in second.events if isinstance(event, Fault)]
    assert faults == [Fault(0, "the checkpoint of epoch 3 is gone or damaged: it goes on from that of epoch 2")]
    assert second.reports(0)[:2] == first.reports(0)[:2], "repeated, not trained"
    assert second.reports(0)[2] != first.reports(0)[2], "trained anew, in other seconds"
    assert_as_undisturbed(second, tmp_path, undisturbed)


def test_a_trial_whose_checkpoints_are_all_gone_begins_again_and_says_so(tmp_path, undisturbed):
    driver = serve(trainer(), Driver(Start(0, SMALL, saved=2)), folder=tmp_path)
    faults = [event for event in driver.events if isinstance(event, Fault)]
    assert faults == [Fault(0, "the checkpoint of epoch 2 is gone or damaged: it goes on from its beginning")]
    assert_as_undisturbed(driver, tmp_path, undisturbed)


def test_what_the_study_is_told_of_a_checkpoint_is_the_files_own_checksum(tmp_path):
    driver = serve(trainer(), Driver(Start(0, SMALL), answer=on_report(2, Close())), folder=tmp_path)
    saved = [event for event in driver.events if isinstance(event, Saved)]
    place = tmp_path / "trials/00000"
    for event, name in zip(saved, ("checkpoint-before", "checkpoint"), strict=True):
        assert f'"checked":"{event.checksum}'.encode() in (place / f"{name}.safetensors").read_bytes()


def test_a_disk_that_is_full_breaks_the_worker_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    serve(trainer(), Driver(Start(0, SMALL), answer=on_report(2, Close())), folder=tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        driver = serve(trainer(), Driver(Start(0, SMALL)), folder=tmp_path)
    broken = driver.events[-1]
    assert isinstance(broken, Broken)
    assert not broken.settings
    found = checkpoints.read(tmp_path / "trials/00000/checkpoint.safetensors")
    assert found is not None
    assert found[1]["epoch"] == 2


def test_patience_counts_on_over_a_kill(tmp_path):
    patient = {"epochs": 50, "patience": 3, "lr": 1e-9}
    params = {**SMALL, "batch_norm": False}
    serve(trainer(**patient), Driver(Start(0, params), answer=on_report(2, Close())), folder=tmp_path)
    again = serve(trainer(**patient), Driver(Start(0, params)), folder=tmp_path)
    assert again.ended(0).facts["epochs"] == 4


def test_a_trial_killed_while_it_waited_waits_again_at_the_same_epoch_only(tmp_path, undisturbed):
    start = Start(0, SMALL, frozenset({1, 2}))
    first = Driver(start, answer=lambda event: [Close()] if getattr(event, "epoch", 0) == 2 else deciding()(event))
    serve(trainer(), first, folder=tmp_path)
    assert first.waited(0) == [1, 2]
    second = serve(trainer(), Driver(start, answer=deciding()), folder=tmp_path)
    assert second.waited(0) == [2]
    assert_as_undisturbed(second, tmp_path, undisturbed)


def test_a_trial_pruned_when_it_is_taken_up_again_trains_no_further(tmp_path):
    start = Start(0, SMALL, frozenset({2}))
    serve(trainer(), Driver(start, answer=on_report(2, Close())), folder=tmp_path)
    again = serve(trainer(), Driver(start, answer=deciding(prune_at=2)), folder=tmp_path)
    assert (again.ended(0).outcome, len(again.reports(0))) == ("pruned", 2)


def test_lanes_taken_up_again_beside_each_other_go_on_from_where_each_was(tmp_path):
    starts = [Start(0, SMALL), Start(1, {**SMALL, "depth": 2}), Start(2, {**SMALL, "lr": 0.1})]
    serve(trainer(), Driver(*starts, answer=on_report(2, Close(), number=1)), folder=tmp_path, lanes=3)
    again = serve(trainer(), Driver(*starts), folder=tmp_path, lanes=3)
    for start in starts:
        assert curve(again, start.number) == curve(serve(trainer(), Driver(start)), start.number)
        assert all(a.epoch + 1 == b.epoch for a, b in pairwise(again.reports(start.number)))


# Folds and replicates


def lanes_alone(number, params, count, epochs=4, **settings):
    """Returns the curve and the weights of each of a trial's lanes, each alone in a stack."""
    hall = Hall(FusedStack, data=blobs(), **{"batch_size": 32, "lr": 0.01, "epochs": epochs, **settings})
    return [hall.alone(number, epochs, fold, **params) for fold in range(count)]


def without(report, *names):
    return {name: value for name, value in report.metrics.items() if name not in names}


@pytest.mark.parametrize("how", ["folds", "replicates"])
def test_a_trial_of_several_lanes_is_the_mean_of_each_alone_bit_for_bit(how):
    driver = serve(trainer(**{how: 3}), Driver(Start(5, SMALL)), lanes=3)
    alone = [curve for curve, _ in lanes_alone(5, SMALL, 3, **{how: 3})]
    assert len({tuple(point.items()) for curve in alone for point in curve}) > 4  # else this test shows nothing
    for epoch, report in enumerate(driver.reports(5)):
        points = [curve[epoch] for curve in alone]
        assert report.value == fmean(point["value"] for point in points)
        assert report.metrics["spread"] == stdev(point["value"] for point in points)
        means = {name: fmean(point[name] for point in points) for name in points[0] if name != "value"}
        assert without(report, "seconds", "spread") == means


def test_the_end_of_a_trial_with_folds_tells_the_mean_at_its_best_epoch_and_the_spread_there():
    ended = (driver := serve(trainer(folds=3, lr=0.3), Driver(Start(0, SMALL)), lanes=3)).ended(0)
    best = max(driver.reports(0), key=lambda report: report.value)
    assert (ended.value, ended.facts["best_epoch"]) == (best.value, best.epoch)
    assert ended.facts["spread"] == best.metrics["spread"]
    assert ended.facts["parameters"] == 6 * 8 + 2 * 8 + 8 * 3 + 3  # of one network


def test_the_weights_kept_are_those_of_the_best_fold_and_the_card_says_which(tmp_path):
    settings = {"folds": 3, "lr": 0.05}
    driver = serve(trainer(**settings), Driver(Start(7, SMALL)), folder=tmp_path, lanes=3)
    best_epoch = driver.ended(7).facts["best_epoch"]
    alone = lanes_alone(7, SMALL, 3, best_epoch, **settings)
    values = [curve[-1]["value"] for curve, _ in alone]
    assert max(values) > values[0]  # else this test shows nothing
    weights, card = best_of(tmp_path, 7)
    assert card["fold"] == values.index(max(values))
    assert same(weights, alone[card["fold"]][1])
    assert card["value"] == driver.ended(7).value


def test_a_trials_folds_are_pruned_together():
    starts = [Start(0, SMALL, frozenset({2})), Start(1, SMALL)]
    driver = serve(trainer(folds=3), Driver(*starts, answer=deciding(prune_at=2)), lanes=6)
    assert (driver.ended(0).outcome, driver.ended(0).facts["epochs"]) == ("pruned", 2)
    assert len(driver.reports(0)) == 2
    assert curve(driver, 1) == curve(serve(trainer(folds=3), Driver(Start(1, SMALL)), lanes=3), 1)


def test_patience_counts_on_the_mean_of_the_folds():
    patient = trainer(folds=3, patience=2, lr=1e-9, epochs=50)
    driver = serve(patient, Driver(Start(0, {**SMALL, "batch_norm": False})), lanes=3)
    assert driver.ended(0).reason == "no better for 2 epochs"
    assert driver.ended(0).facts["epochs"] == 3


def test_a_fold_that_diverges_fails_its_trial_and_no_other():
    starts = [Start(0, {**SMALL, "batch_norm": False, "lr": 1e30}), Start(1, {**SMALL, "batch_norm": False})]
    driver = serve(trainer(folds=2, optimizer="sgd"), Driver(*starts), lanes=4)
    assert [driver.ended(number).outcome for number in (0, 1)] == ["failed", "complete"]


@pytest.mark.parametrize(("lanes", "trials"), [(1, 1), (3, 1), (5, 1), (6, 2), (12, 4)])
def test_a_worker_takes_as_many_trials_as_their_lanes_have_room_for(lanes, trials):
    assert serve(trainer(folds=3), Driver(), lanes=lanes).events == [Ready(trials, "cpu", os.getpid())]


@pytest.mark.parametrize("word", range(1, 7))
def test_a_trial_with_folds_killed_at_any_word_is_made_whole(word, tmp_path):
    made = trainer(folds=2, lr=0.3)
    undisturbed = serve(made, Driver(Start(0, SMALL)), folder=tmp_path / "undisturbed", lanes=2)
    with pytest.raises(Killed):
        serve(made, Driver(Start(0, SMALL), answer=killing(word)), folder=tmp_path, lanes=2)
    again = serve(made, Driver(Start(0, SMALL)), folder=tmp_path, lanes=2)
    assert_as_undisturbed(again, tmp_path, (undisturbed, best_of(tmp_path / "undisturbed")))
    assert again.ended(0).facts["spread"] == undisturbed.ended(0).facts["spread"]


# Time


def test_a_trial_whose_time_is_up_has_failed_at_the_end_of_its_epoch_and_no_other(tmp_path):
    limits = TimeLimits(seconds=1e-9)
    driver = serve(trainer(), Driver(Start(0, SMALL)), limits=limits, folder=tmp_path)
    ended = driver.ended(0)
    assert (ended.outcome, ended.value, len(driver.reports(0))) == ("failed", None, 1)
    assert ended.reason.startswith("time limit: `seconds <= 1e-09` must hold, but it has trained ")


def test_a_trial_that_ends_with_an_epoch_that_took_too_long_is_complete():
    driver = serve(trainer(epochs=1), Driver(Start(0, SMALL)), limits=TimeLimits(epoch_seconds=1e-9))
    assert driver.ended(0).outcome == "complete"


def test_an_epoch_that_took_too_long_fails_its_trial():
    driver = serve(trainer(), Driver(Start(0, SMALL)), limits=TimeLimits(epoch_seconds=1e-9))
    assert driver.ended(0).reason.startswith("time limit: `epoch_seconds <= 1e-09` must hold, but epoch 1 has taken ")


# Devices


def test_a_worker_whose_device_fails_says_that_it_is_unfit_and_blames_no_trial(monkeypatch):
    def failing(stack):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(FusedStack, "_train", failing)
    driver = serve(trainer(), Driver(Start(0, SMALL)))
    assert driver.events[-1] == Unfit(
        "cpu failed: AcceleratorError: CUDA error: an illegal memory access was encountered (test_worker.py:"
        f"{failing.__code__.co_firstlineno + 1})"
    )
    assert not [event for event in driver.events if isinstance(event, Ended)]


# Out of memory


def roomy(monkeypatch, most, error=torch.OutOfMemoryError):
    """Lets no more than `most` lanes train at once, or `most(epoch)`, counting each stack's; returns their counts."""
    train, seen = FusedStack._train, []
    train_epoch = FusedStack.train_epoch

    def doubting(stack):
        stack._proven = 0  # as on a GPU, where memory that has sufficed may not suffice again
        return train_epoch(stack)

    monkeypatch.setattr(FusedStack, "train_epoch", doubting)

    def limited(stack):
        seen.append(len(stack.lanes))
        outcome = train(stack)  # memory runs out when weights have changed already
        if len(stack.lanes) > (most if isinstance(most, int) else most(len(seen))):
            raise error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return outcome

    monkeypatch.setattr(FusedStack, "_train", limited)
    return seen


FIVE = [Start(number, {**SMALL, "lr": 0.01 * (number + 1)}) for number in range(5)]


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_out_of_memory_no_trial_is_lost_and_each_comes_to_the_same(most, monkeypatch):
    undisturbed = serve(trainer(), Driver(*FIVE), lanes=5)
    plans = {name: ("fused", 5) for name in planned(undisturbed)}
    counts = roomy(monkeypatch, most)
    driver = serve(trainer(), Driver(*FIVE), lanes=5, plans=plans)
    assert counts[0] == 5 > most >= max(counts[3:])
    for start in FIVE:
        assert driver.ended(start.number).outcome == "complete"
        assert curve(driver, start.number) == curve(undisturbed, start.number)
        assert driver.ended(start.number).value == undisturbed.ended(start.number).value


def test_trials_that_come_after_memory_ran_out_come_to_the_same_too(monkeypatch):
    def refill(event):
        return (
            [Start(event.number + 5, FIVE[event.number].params)]
            if isinstance(event, Ended) and event.number < 5
            else []
        )

    undisturbed = serve(trainer(), Driver(*FIVE, answer=refill), lanes=5)
    plans = {name: ("fused", 5) for name in planned(undisturbed)}
    counts = roomy(monkeypatch, 2)
    driver = serve(trainer(), Driver(*FIVE, answer=refill), lanes=5, plans=plans)
    assert counts.count(5) == 1, "it is tried once"
    assert max(counts[3:]) == 2
    for number in range(10):
        assert curve(driver, number) == curve(undisturbed, number)


def test_out_of_memory_folds_stay_together(monkeypatch):
    made, starts = trainer(folds=2), FIVE[:3]
    undisturbed = serve(made, Driver(*starts), lanes=6)
    plans = {name: ("fused", 6) for name in planned(undisturbed)}
    counts = roomy(monkeypatch, 2)
    driver = serve(made, Driver(*starts), lanes=6, plans=plans)
    assert set(counts) <= {6, 4, 2}
    for start in starts:
        assert driver.ended(start.number).outcome == "complete"
        assert curve(driver, start.number) == curve(undisturbed, start.number)


def test_a_trial_that_does_not_fit_alone_has_failed_with_the_reason(monkeypatch):
    name = planned(serve(trainer(), Driver(FIVE[0])))[0]
    roomy(monkeypatch, 0)
    driver = serve(trainer(), Driver(*FIVE[:3]), lanes=3, plans={name: ("fused", 3)})
    for number in range(3):
        assert driver.ended(number).outcome == "failed"
        assert driver.ended(number).reason.startswith("out of memory: ")
        assert "Traceback" in driver.ended(number).facts["traceback"]
        assert driver.reports(number) == []


def test_a_trial_whose_folds_do_not_fit_together_has_failed_with_the_reason(monkeypatch):
    name = planned(serve(trainer(folds=2), Driver(FIVE[0]), lanes=2))[0]
    roomy(monkeypatch, 1)
    driver = serve(trainer(folds=2), Driver(FIVE[0]), lanes=2, plans={name: ("fused", 2)})
    assert driver.ended(0).reason.startswith("out of memory: ")


def test_no_trial_is_charged_for_memory_that_runs_out_in_mid_training(monkeypatch):
    undisturbed = serve(trainer(), Driver(*FIVE), lanes=5)
    plans = {name: ("fused", 5) for name in planned(undisturbed)}
    roomy(monkeypatch, lambda epoch: 5 if epoch == 1 else 3)
    driver = serve(trainer(), Driver(*FIVE), lanes=5, plans=plans)
    for start in FIVE:
        assert driver.ended(start.number).outcome == "complete"
        assert curve(driver, start.number) == curve(undisturbed, start.number)


def test_no_trial_is_charged_for_a_cpus_memory_that_runs_out(monkeypatch):
    plans = {name: ("fused", 5) for name in planned(serve(trainer(), Driver(FIVE[0])))}
    roomy(
        monkeypatch, 3, lambda _: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 2000000000 bytes")
    )
    driver = serve(trainer(), Driver(*FIVE), lanes=5, plans=plans)
    assert {driver.ended(start.number).outcome for start in FIVE} == {"complete"}


def test_no_trial_is_charged_where_there_is_no_memory_for_one_more_row(monkeypatch):
    plans = {name: ("fused", 5) for name in planned(serve(trainer(), Driver(FIVE[0])))}
    arrange = Rows.arrange

    def limited(rows, sources):
        if len(sources) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        arrange(rows, sources)

    monkeypatch.setattr(Rows, "arrange", limited)
    driver = serve(trainer(), Driver(*FIVE), lanes=5, plans=plans)
    assert {driver.ended(start.number).outcome for start in FIVE} == {"complete"}


# Plans


def planned(driver):
    """The blueprints for which a plan was proposed."""
    return [event.blueprint for event in driver.events if isinstance(event, Planned)]


def stacks_of(monkeypatch):
    """Notes which trials train together: at each epoch of a stack, its class and its lanes' numbers."""
    seen = []
    for kind in (FusedStack, LoopedStack):

        def noting(stack, train=kind.train_epoch):
            seen.append((type(stack), tuple(lane.number for lane in stack.lanes)))
            return train(stack)

        monkeypatch.setattr(kind, "train_epoch", noting)
    return seen


class Adopting(Driver):
    """Answers each plan with another than was proposed, at once or after others have had their say."""

    def __init__(self, *commands, stack, lanes=1):
        super().__init__(*commands)
        self.adopted = stack, lanes

    def send(self, event):
        super().send(event)
        if isinstance(event, Planned):
            self.inbox[-1] = Adopt(event.blueprint, *self.adopted)


def test_a_plan_is_proposed_once_a_blueprint():
    others = [{**SMALL, "lr": 0.1}, {**SMALL, "dropout": 0.5}, {**SMALL, "depth": 2}, {**SMALL, "batch_size": 16}]
    driver = serve(trainer(), Driver(*(Start(n, params) for n, params in enumerate([SMALL, *others, SMALL]))), lanes=6)
    names = planned(driver)
    assert len(names) == len(set(names)) == 3


def test_another_optimizer_or_batch_size_is_another_stack(monkeypatch):
    params = [SMALL, {**SMALL, "optimizer": "sgd"}, {**SMALL, "batch_size": 16}, {**SMALL, "batch_size": 32}]
    starts = [Start(number, {**one, "epochs": 1}) for number, one in enumerate(params)]
    plans = {name: ("fused", 4) for name in planned(serve(trainer(), Driver(*starts), lanes=4))}
    seen = stacks_of(monkeypatch)
    serve(trainer(), Driver(*starts), lanes=4, plans=plans)
    assert seen == [(FusedStack, (0, 3)), (FusedStack, (1,)), (FusedStack, (2,))]


@pytest.mark.parametrize(("proposed", "adopted"), [("fused", "looped"), ("looped", "fused")])
def test_what_the_study_adopted_wins_over_what_was_proposed(proposed, adopted):
    driver = serve(trainer(), Adopting(Start(0, SMALL), Start(1, SMALL), stack=adopted), lanes=2, stack=proposed)
    (event,) = [event for event in driver.events if isinstance(event, Planned)]
    assert event.stack == proposed
    plain = serve(trainer(), Driver(Start(0, SMALL), Start(1, SMALL)), lanes=2, stack=adopted)
    other = serve(trainer(), Driver(Start(0, SMALL), Start(1, SMALL)), lanes=2, stack=proposed)
    assert curve(driver, 0) == curve(plain, 0) != curve(other, 0)


def test_what_was_adopted_before_is_not_proposed_again():
    name = planned(serve(trainer(), Driver(Start(0, SMALL))))[0]
    driver = serve(trainer(), Driver(Start(0, SMALL)), plans={name: ("looped", 1)})
    assert planned(driver) == []
    assert curve(driver) == curve(serve(trainer(), Driver(Start(0, SMALL)), stack="looped"))


def test_why_a_network_is_looped_is_proposed_with_it():
    def drawing(in_shape, classes):
        class Drawing(nn.Linear):
            def forward(self, inputs):
                return super().forward(inputs + torch.randn_like(inputs))

        return Drawing(in_shape[0], classes)

    driver = serve(trainer(drawing), Driver(Start(0, {}), Start(1, {})), lanes=2)
    (event,) = [event for event in driver.events if isinstance(event, Planned)]
    assert (event.stack, event.lanes) == ("looped", 1)
    assert "draws random numbers" in event.reason
    assert [driver.ended(number).outcome for number in (0, 1)] == ["complete", "complete"]


def test_with_as_many_lanes_as_pay_it_says_again_that_it_is_ready_with_more():
    driver = serve(trainer(), Driver(Start(0, SMALL), Start(1, SMALL)), lanes=None, most_lanes=4)
    kinds = [type(event) for event in driver.events]
    assert kinds[:4] == [Ready, AtWork, Planned, Ready]
    assert [event.lanes for event in driver.events if isinstance(event, Ready)] == [1, 4]


def test_with_as_many_lanes_as_pay_folds_fill_them():
    driver = serve(trainer(folds=3), Driver(Start(0, SMALL)), lanes=None, most_lanes=8)
    assert [event.lanes for event in driver.events if isinstance(event, Ready)] == [1, 2]


def test_with_as_many_lanes_as_pay_a_looped_network_is_trained_alone():
    driver = serve(trainer(), Driver(Start(0, SMALL)), lanes=None, most_lanes=4, stack="looped")
    assert [event.lanes for event in driver.events if isinstance(event, Ready)] == [1]


def test_a_known_plan_tells_at_once_how_many_lanes_pay():
    name = planned(serve(trainer(), Driver(Start(0, SMALL))))[0]
    driver = serve(trainer(), Driver(Start(0, SMALL)), lanes=None, most_lanes=16, plans={name: ("fused", 6)})
    ready = [event for event in driver.events if isinstance(event, Ready)]
    assert [event.lanes for event in ready] == [1, 6]


def test_a_study_that_closes_instead_of_adopting_ends_the_worker():
    class Closing(Adopting):
        def send(self, event):
            super().send(event)
            if isinstance(event, Planned):
                self.inbox = [Close()]

    driver = serve(trainer(), Closing(Start(0, SMALL), Start(1, SMALL), stack="fused"), lanes=2)
    assert [type(event) for event in driver.events] == [Ready, AtWork, Planned]


# Widths that share a stack

WIDTHS = {"feature_maps": [4, 8]}
BOTH = [Start(0, {**SMALL, "feature_maps": 4}), Start(1, SMALL), Start(2, {**SMALL, "feature_maps": 4, "lr": 0.1})]


def padded(*starts, **changes):
    return serve(trainer(), Driver(*starts), **{"lanes": 3, "stack": "padded", "widths": WIDTHS, **changes})


def test_networks_of_several_widths_share_one_stack_where_that_is_asked_for(monkeypatch):
    driver = padded(*BOTH)
    plans = [(event.stack, event.reason) for event in driver.events if isinstance(event, Planned)]
    assert plans == [("padded", "asked for"), ("fused", "asked for")]
    kept = {event.blueprint: (event.stack, 3) for event in driver.events if isinstance(event, Planned)}
    seen = stacks_of(monkeypatch)
    assert planned(padded(*BOTH, plans=kept)) == []
    assert set(seen) == {(FusedStack, (0, 1, 2))}


def test_networks_of_several_widths_are_apart_where_that_was_adopted(monkeypatch):
    names = planned(padded(*BOTH))
    (widths,) = [name for name in names if name.endswith("-widths")]
    seen = stacks_of(monkeypatch)
    serve(trainer(), Driver(*BOTH), lanes=3, stack="padded", widths=WIDTHS, plans={widths: ("apart", 3)})
    assert {(0, 2), (1,)} <= {numbers for _, numbers in seen}
    assert (0, 1, 2) not in {numbers for _, numbers in seen}


@pytest.mark.parametrize("stack", ["fused", "looped"])
def test_widths_are_apart_where_no_padding_is_asked_for(stack):
    driver = serve(trainer(), Driver(*BOTH), lanes=3, stack=stack, widths=WIDTHS)
    assert len(planned(driver)) == 2
    assert not any(name.endswith("-widths") for name in planned(driver))


def test_a_padded_trial_comes_to_what_it_comes_to_unpadded():
    driver, apart = padded(*BOTH), serve(trainer(), Driver(*BOTH), lanes=3)
    for start in BOTH:
        assert driver.ended(start.number).outcome == "complete"
        for report, other in zip(driver.reports(start.number), apart.reports(start.number), strict=True):
            for name in ("train/loss", "valid/loss"):
                assert report.metrics[name] == pytest.approx(other.metrics[name], rel=1e-4)


def test_a_padded_trials_parameters_are_counted_by_its_own_width(tmp_path):
    driver, apart = padded(*BOTH), serve(trainer(), Driver(*BOTH), lanes=3)
    for start in BOTH:
        width = start.params["feature_maps"]
        assert driver.ended(start.number).facts["parameters"] == 6 * width + 2 * width + width * 3 + 3
        assert driver.ended(start.number).facts["parameters"] == apart.ended(start.number).facts["parameters"]


def test_a_padded_trials_weights_fit_into_its_own_network(tmp_path):
    made, driver = trainer(), padded(*BOTH, folder=tmp_path)
    bench = made.bench(job())
    for start in BOTH:
        network = made.build(start.params, bench.data.in_shape, bench.data.outputs)
        network.load_state_dict(best_of(tmp_path, start.number)[0])
        with torch.no_grad():
            value = bench.metric(network.eval()(bench.data.valid.inputs), bench.data.valid.targets)
        assert value == driver.ended(start.number).value


def test_padded_lanes_come_to_the_same_bits_beside_others_alone_and_after_a_kill(tmp_path):
    driver = padded(*BOTH)
    for start in BOTH:
        assert curve(driver, start.number) == curve(padded(start), start.number)
    with pytest.raises(Killed):
        serve(trainer(), Driver(*BOTH, answer=killing(10)), folder=tmp_path, lanes=3, stack="padded", widths=WIDTHS)
    again = padded(*BOTH, folder=tmp_path)
    for start in BOTH:
        assert curve(again, start.number) == curve(driver, start.number)


def test_out_of_memory_padded_lanes_come_to_the_same(monkeypatch):
    undisturbed = padded(*BOTH)
    kept = {event.blueprint: (event.stack, 3) for event in undisturbed.events if isinstance(event, Planned)}
    counts = roomy(monkeypatch, 2)
    driver = padded(*BOTH, plans=kept)
    assert counts[0] == 3
    for start in BOTH:
        assert curve(driver, start.number) == curve(undisturbed, start.number)


# When a worker listens


class Late(Driver):
    """Has nothing to say when it isn't waited for, and one word at a time when it is."""

    def receive(self, *, wait):
        if not wait:
            return []
        queue = self.inbox
        if not queue:
            return super().receive(wait=True)
        self.inbox = queue[:1]
        said = super().receive(wait=True)
        self.inbox = queue[1:]
        return said


def unclocked(events):
    plain = []
    for event in events:
        if isinstance(event, Report):
            plain.append(replace(event, metrics=without(event, "seconds")))
        elif isinstance(event, Ended):
            plain.append(replace(event, facts={name: v for name, v in event.facts.items() if name != "seconds"}))
        else:
            plain.append(event)
    return plain


@pytest.mark.parametrize("lanes", [2, 3])
def test_a_driver_that_answers_late_is_told_the_same_in_the_same_order(lanes):
    def study(kind):
        """Five more trials after the first ones, two of which are pruned."""
        left = [Start(number, {**SMALL, "epochs": 1 + number % 3}, frozenset({1})) for number in range(lanes, 7)]

        def answer(event):
            if isinstance(event, AtRung):
                return [Decision(number, "prune" if number in (1, 4) else "go") for number in event.epochs]
            return [left.pop(0)] if isinstance(event, Ended) and left else []

        firsts = [Start(number, {**SMALL, "epochs": 1 + number % 3}, frozenset({1})) for number in range(lanes)]
        driver = kind(answer=answer)
        driver.inbox = []
        driver.firsts = firsts
        serve(trainer(), driver, lanes=lanes)
        return driver

    class Prompt(Driver):
        def send(self, event):
            if isinstance(event, Ready):
                self.inbox += self.firsts
            super().send(event)

    class Tardy(Prompt, Late):
        pass

    prompt, late = study(Prompt), study(Tardy)
    assert unclocked(late.events) == unclocked(prompt.events)
    assert {event.number for event in prompt.events if isinstance(event, Ended)} == set(range(7))


# Which weights are written


def test_weights_that_cannot_be_among_the_best_are_not_written(tmp_path):
    starts = [Start(number, {**SMALL, "lr": lr}) for number, lr in enumerate((0.05, 1e-9, 0.05, 1e-9, 0.05, 1e-9))]
    how = {"metric": "cross_entropy", "maximize": False, "keep": 2}
    driver = serve(trainer(epochs=6), Driver(*starts), folder=tmp_path, lanes=6, **how)
    values = [driver.ended(number).value for number in range(6)]
    assert max(values[::2]) < min(values[1::2])  # else this test shows nothing
    written = {int(path.parent.name) for path in tmp_path.glob("trials/*/best.safetensors")}
    assert written == {n for n in range(6) if values[n] in sorted(values[: n + 1])[:2]}
    assert not written & {3, 5}


def test_all_weights_are_written_where_all_are_kept(tmp_path):
    serve(trainer(), Driver(*FIVE[:3]), folder=tmp_path, lanes=3, keep=None)
    assert len(list(tmp_path.glob("trials/*/best.safetensors"))) == 3


def test_what_is_to_be_minimized_is_kept_where_it_is_least(tmp_path):
    starts = [Start(number, {**SMALL, "lr": lr}) for number, lr in enumerate((0.05, 1e-9))]
    driver = serve(trainer(), Driver(*starts), folder=tmp_path, lanes=2, keep=1, metric="cross_entropy", maximize=False)
    assert driver.ended(0).value < driver.ended(1).value
    assert [path.parent.name for path in tmp_path.glob("trials/*/best.safetensors")] == ["00000"]
