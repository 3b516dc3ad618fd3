from __future__ import annotations

import io

import pytest
from rich.console import Console

from leadline.search.progress import Progress, clock, compact
from leadline.search.trial import Trial


def trial(number: int, state: str = "complete", value: float | None = None, **more: object) -> Trial:
    return Trial(number, state, {"depth": number, "lr": 0.00123456}, value, value, **more)  # type: ignore[arg-type]


def shown(*done: Trial, terminal: bool = False, maximize: bool = True, trials: int | None = 5) -> Progress:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    return Progress([*done], maximize=maximize, trials=trials, seconds=None, epochs=9, console=console)


def text(progress: Progress) -> str:
    assert isinstance(progress.console.file, io.StringIO)
    return progress.console.file.getvalue()


def table(progress: Progress) -> str:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(progress._table())
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_pipe_gets_a_plain_line_for_each_trial_that_ends() -> None:
    with (progress := shown()):
        for number, value in enumerate((0.5, 0.9, 0.7)):
            progress.began(trial(number, "running"))
            progress.ended(trial(number, value=value))
    assert text(progress).splitlines() == [
        "1/5  trial 0 complete 0.5000, best 0.5000 (trial 0)  depth=0 lr=0.001235",
        "2/5  trial 1 complete 0.9000, best 0.9000 (trial 1)  depth=1 lr=0.001235",
        "3/5  trial 2 complete 0.7000, best 0.9000 (trial 1)  depth=2 lr=0.001235",
    ]


def test_a_trial_that_pauses_is_told_and_counted_until_it_goes_on() -> None:
    progress = shown()
    progress.began(trial(0, "running"))
    progress.paused(trial(0, "paused", value=0.5, epochs=2))
    assert text(progress) == "0/5  trial 0 paused at epoch 2 0.5000  depth=0 lr=0.001235\n"
    assert "0 running, 1 paused" in table(progress)
    progress.began(trial(0, "running"))
    assert "1 running  " in table(progress)


def test_of_networks_that_cannot_be_stacked_the_first_reason_is_told_and_where_all_are() -> None:
    progress = shown()
    for blueprint in ("one", "two"):
        progress.planned(blueprint, "looped", "no fused layer: LSTM")
    assert text(progress) == (
        "Some networks are trained one after another, for no fused layer: LSTM "
        "(`leadline show NAME --json` has them all, under `plans`)\n"
    )


def test_a_failure_is_told_with_its_reason_and_is_never_the_best() -> None:
    progress = shown(trials=None)
    progress.ended(trial(0, "failed", reason="the loss was no number [at epoch 1]"))
    assert text(progress) == "1  trial 0 failed: the loss was no number [at epoch 1]  depth=0 lr=0.001235\n"


@pytest.mark.parametrize("reason", ["expected [/b, c]", "[/]", "no [bold]shape[/red]", "a\\[b]"])
def test_what_looks_like_markup_is_told_as_it_is(reason: str) -> None:
    progress = shown(trials=None)
    progress.ended(Trial(0, "failed", {"kind": "[/x]"}, reason=reason))
    assert text(progress) == f"1  trial 0 failed: {reason}  kind=[/x]\n"
    progress.began(Trial(1, "running", {"kind": "[/x]"}))
    assert "kind=[/x]" in table(progress)


def test_what_the_study_had_before_is_counted_and_may_be_the_best() -> None:
    progress = shown(trial(0, value=0.9), trial(1, "pruned", 0.95))
    progress.ended(trial(2, value=0.5))
    assert text(progress).startswith("3/5  trial 2 complete 0.5000, best 0.9000 (trial 0)")


def test_the_best_is_the_least_where_the_metric_is_minimized() -> None:
    progress = shown(maximize=False)
    for number, value in enumerate((0.5, 0.9, 0.1)):
        progress.ended(trial(number, value=value))
    assert "best 0.1000 (trial 2)" in text(progress).splitlines()[-1]


def test_the_table_tells_done_running_pruned_the_best_and_the_time_left() -> None:
    progress = shown(trial(0, value=0.25))
    progress.began(trial(1, "running"))
    progress.ended(trial(1, "pruned", 0.1))
    progress.began(trial(2, "running"))
    progress.reported(trial(2, "running", 0.125, epochs=3), 3, {})
    seen = table(progress)
    assert "2 of 5 trials (1 complete, 1 pruned), 1 running" in seen
    assert "best 0.2500  trial 0: depth=0" in seen
    assert "3/9  0.1250  depth=2" in seen
    assert "left" in seen


def test_a_terminal_gets_the_table_and_no_lines() -> None:
    with (progress := shown(terminal=True)):
        progress.ended(trial(0, value=0.5))
    assert "complete 0.5000, best" not in text(progress)


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(0, "0:00"), (59.4, "0:59"), (75, "1:15"), (3600, "1:00:00"), (90061, "25:01:01")]
)
def test_durations_are_told_as_a_clock_would(seconds: float, wanted: str) -> None:
    assert clock(seconds) == wanted


def test_what_is_empty_is_not_told_of_a_configuration() -> None:
    assert compact({"depth": 3, "remove": ""}) == "depth=3"


def test_a_configuration_fits_in_one_line() -> None:
    assert compact({"depth": 3, "lr": 1.5e-05, "norm": True, "kind": "a"}) == "depth=3 lr=1.5e-05 norm=True kind=a"
