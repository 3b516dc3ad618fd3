import os
from collections import Counter
from itertools import pairwise

import pytest
import torch
from contracts.driver import Driver
from contracts.stack import blobs, same, tied
from torch import nn

from leadline import Trainer
from leadline.trainers import checkpoints
from leadline.trainers.messages import Broken, Close, Decision, Ended, Job, Planned, Ready, Report, Start, Stop

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


def deciding(prune_at=None):
    """Answers every report that waits; prunes at that epoch."""
    return lambda event: (
        [Decision(event.number, event.epoch == prune_at)] if isinstance(event, Report) and event.waits else []
    )


# The way of a trial


def test_a_worker_says_first_that_it_is_ready():
    assert serve(trainer(), Driver(), lanes=3).events == [Ready(3, "cpu")]


def test_each_epoch_is_reported_in_order_and_then_the_end():
    driver = serve(trainer(), Driver(Start(0, SMALL)))
    assert [type(event) for event in driver.events] == [Ready, Planned, Report, Report, Report, Report, Ended]
    assert [report.epoch for report in driver.reports(0)] == [1, 2, 3, 4]
    for report in driver.reports(0):
        assert set(report.metrics) == {"train/loss", "train/accuracy", "valid/loss", "valid/accuracy", "seconds"}
        assert report.value == report.metrics["valid/accuracy"]
        assert not report.waits


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
    assert [report.epoch for report in driver.reports(0) if report.waits] == [1, 3]
    assert driver.ended(0).outcome == "complete"


def test_a_trial_doesnt_wait_after_its_last_epoch():
    driver = serve(trainer(), Driver(Start(0, SMALL, frozenset({4}))))
    assert not any(report.waits for report in driver.reports(0))
    assert driver.ended(0).outcome == "complete"


def test_a_waiting_trial_stands_still_until_the_decision_comes():
    rounds = [[], [Stop(7)], [Decision(0, prune=False)]]  # what comes to a waiting worker, round by round

    class Slow(Driver):
        def receive(self, *, wait):
            waiting = any(isinstance(event, Report) and event.waits for event in self.events)
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
        return [Stop(0), Stop(1), Decision(1, prune=False)] if isinstance(event, Report) and event.waits else []

    driver = Driver(Start(0, {**SMALL, "epochs": 1}), Start(1, SMALL, frozenset({1})), answer=answer)
    serve(trainer(), driver, lanes=2, folder=tmp_path)
    assert driver.ended(0).outcome == "complete"
    assert best_of(tmp_path)[1]["epoch"] == 1
    assert driver.ended(1).outcome == "stopped"


def test_a_trial_that_diverged_has_failed_though_the_time_is_up_in_that_moment():
    def answer(event):
        return [Stop(0), Stop(1), Decision(1, prune=False)] if isinstance(event, Report) and event.waits else []

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


def test_patience_counts_on_over_a_kill(tmp_path):
    patient = {"epochs": 50, "patience": 3, "lr": 1e-9}
    params = {**SMALL, "batch_norm": False}
    serve(trainer(**patient), Driver(Start(0, params), answer=on_report(2, Close())), folder=tmp_path)
    again = serve(trainer(**patient), Driver(Start(0, params)), folder=tmp_path)
    assert again.ended(0).facts["epochs"] == 4


def test_a_trial_killed_while_it_waited_waits_again_at_the_same_epoch_only(tmp_path, undisturbed):
    start = Start(0, SMALL, frozenset({1, 2}))
    first = Driver(start, answer=lambda event: deciding()(event) if getattr(event, "epoch", 0) < 2 else [Close()])
    serve(trainer(), first, folder=tmp_path)
    assert [report.waits for report in first.reports(0)] == [True, True]
    second = serve(trainer(), Driver(start, answer=deciding()), folder=tmp_path)
    assert [report.waits for report in second.reports(0)] == [False, True, False, False]
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
