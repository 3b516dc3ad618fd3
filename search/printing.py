"""What the commands print: tables, outcomes, and JSON without NaN."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from .limits import SAMPLE, share, size_told
from .table import print_table, print_wrapped
from .trial import ENDED
from .words import short, span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..trainers.data import Data
    from ..trainers.footprint import Footprint
    from .analysis.ablation import Variant
    from .study import Study
    from .trial import Trial


def checked(study: Study) -> dict[str, Any]:
    """Returns what `leadline check` tells of a study of a trainer, by name."""
    from ..trainers.data import explain

    assert study.trainer is not None
    data, split = study.trainer.loaded, study.trainer.split(study.seed)
    sizes = study.trainer.network_sizes(study.space)
    grid = study.strategy.grid_size
    finite = study.space.size
    varying = f"{len(study.space.parameters)} parameters, endlessly many configurations"
    return {
        "study": study.name,
        "data": f"{data.name}: {len(split.train)} train, {len(split.valid)} valid, {len(split.test)} test, {split.by}",
        "task": f"{data.task} by {study.trainer.metric(study.metric).name}{_classes(data, split.train)}",
        "inputs": " x ".join(map(str, study.trainer.in_shape)),
        "space": f"{finite:,} configurations" if finite else varying,
        **({"grid": f"{grid:,} configurations"} if grid else {}),
        "network": f"{study.trainer.describe()['model']}: {span(*sizes)} parameters",
        **_limited(study),
        "search": f"{study.strategy.name}, pruner {study.describe()['pruner']}",
        **({"columns": columns} if (columns := explain(data, split.train)) else {}),
    }


def _limited(study: Study) -> dict[str, str]:
    """Returns what a study's limits leave of its space, and what its networks take; nothing if it has none."""
    if study.trainer is None or study.allowed is None:
        return {}
    left = share(study.space, study.allowed, study.seed)
    limits = f"{study.limits}: {left:.0%} of {SAMPLE} random configurations are within"
    try:
        takes = _taken([study.trainer.footprint(params) for params in study.trainer.ends(study.space)])
    except SettingsError as error:  # the space's ends may be networks that can't be
        takes = f"can't be told: {error}"
    return {"takes": takes, "limits": limits}


def _taken(footprints: list[Footprint]) -> str:
    ranges = []
    for name, what in (("flops", "flops an example"), ("memory", "of memory a lane")):
        sizes = sorted(getattr(one, name) for one in footprints)
        ranges.append(f"{size_told(name, sizes[0])} to {size_told(name, sizes[-1])} {what}")
    return ", ".join(ranges)


def _classes(data: Data, rows: NDArray[Any]) -> str:
    if data.classes is None:
        return ""
    counts = Counter(data.targets[rows].tolist())
    shown = ", ".join(f"{name} ({counts[place]:,})" for place, name in enumerate(data.classes[:10]))
    return f", {len(data.classes)} classes: {shown}{', ...' if len(data.classes) > 10 else ''}"


def print_checked(study: Study) -> None:
    """Prints what `checked` returns, a line each; of a table how each column is taken."""
    for name, value in checked(study).items():
        if name == "columns":
            print("columns:")
            for column, taken in value.items():
                print(f"  {column + ':':20} {taken}")
        else:
            print(f"{name + ':':12} {value}")


def whole(study: Study) -> dict[str, Any]:
    """Returns all of a study as JSON: `study` and `trials`."""
    trials = study.trials
    complete = any(trial.state == "complete" for trial in trials)
    return {
        "study": {
            **study.describe(),
            "budget": study.attribute("budget"),
            "ended_by": study.attribute("ended_by"),
            "seconds": study.attribute("seconds"),
            "split": study.attribute("split"),
            "plans": study.attribute("plans") or {},
            "tests": study.attribute("tests") or [],
            "best": study.best.number if complete else None,
            "best_trials": [trial.number for trial in study.goals.front(trials)],
        },
        "trials": [trial.as_json() for trial in trials],
    }


def print_outcome(study: Study, ended: list[Trial], *, new: int, waiting: int) -> None:
    """Prints how a run ended, the best trial, and what to do next."""
    from .folder import without_password
    from .tracking import store_of

    where = f"{study.name}{storage_option(study)}"
    if study.goes_on:
        print(f"\n{study.name}: nothing is left for this driver, {counted(ended)}; others go on with the rest.")
        print(f"`leadline show {where}` shows how far they are.")
        return
    exhausted = "the grid is complete" if study.strategy.name == "grid" else "the space is exhausted"
    why = {"space": exhausted, "trials": "done" if new else "was finished already"}.get(study.ended_by)
    why = why or study.budget.words(study.ended_by)
    print(f"\n{study.name}: {why}, {counted(ended)}")
    for line in study.faults.lines():
        print(f"  {line}")
    if waiting:
        print(f"{waiting} more wait in line: `leadline resume {where} --trials {len(ended) + waiting}` runs them.")
    if all(trial.state != "complete" for trial in ended):
        print(f"No trial is complete. `leadline show {where}` tells why each ended.")
        return
    print_best(study, study.best)
    print_front(study)
    print()
    if study.tracking is not None:
        print(f"MLflow:  {without_password(store_of(study.tracking.uri, study.folder))}")
        print(f"Compare: leadline ui {where}")
    print(f"Picture: leadline report {where}")
    print(f"Next:    leadline test {where}")


def counted(trials: Sequence[Trial]) -> str:
    """Returns how many trials there are, and of each state.

    >>> from leadline import Trial
    >>> from leadline.search.printing import counted
    >>> counted([Trial(0, "pruned", {}), Trial(1, "complete", {}), Trial(2, "pruned", {})])
    '3 trials (1 complete, 2 pruned)'
    >>> counted([Trial(0, "complete", {})])
    '1 trial (1 complete)'
    """
    states = [trial.state for trial in trials]
    counts = {state: states.count(state) for state in (*ENDED, "running", "paused", "waiting")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(trials)} trial{'' if len(trials) == 1 else 's'}" + (f" ({told})" if told else "")


def print_test(study: Study, opened: list[dict[str, Any]], again: Trial | None, times: int) -> None:
    """Prints what opening the test split found, and what training the configuration so many times `again` did."""
    last, best = opened[-1], study.best
    print(f"{last['metric']} on the test split: {last['value']:.4f} (validation {best.value:.4f}, trial {best.number})")
    if last["refit"]:
        print("It is of the network trained again on train and validation rows together.")
    print(_reproduced(last["valid"], last["recorded"]))
    if again is not None and again.value is not None:
        print(f"Trained again {times} times, it comes to {again.value:.4f} ± {again.spread or 0:.4f} on validation.")
    elif again is not None:
        print(f"Training it again failed: {again.reason}.")
    print(opened_told(len(opened)))


def opened_told(times: int) -> str:
    """Says how often a study's test split has been opened."""
    often = "once" if times == 1 else f"{times} times"
    return f"The test split of this study has been opened {often}. Choose by validation, not by this number."


def _reproduced(valid: float, recorded: float) -> str:
    """Says whether the kept weights give the validation metric that the trial had recorded."""
    if valid == recorded:
        return f"The kept weights give the trial's validation metric again, exactly: {valid:.4f}."
    return f"The kept weights give {valid:.6g} on validation, where the trial recorded {recorded:.6g}: another device?"


def print_best(study: Study, trial: Trial) -> None:
    """Prints a trial that is the best one, and its configuration."""
    metric = study.metric_name
    size = "" if trial.parameters is None else f", {trial.parameters:,} parameters"
    epoch = "" if trial.best_epoch is None else f" at epoch {trial.best_epoch} of {trial.epochs}"
    goal = "" if metric == "accuracy" else f" ({'maximized' if study.maximize else 'minimized'})"
    spread = "" if trial.spread is None else f" ± {short(trial.spread)}"
    print(f"Best: trial {trial.number}, {metric} {short(trial.value)}{spread}{goal}{epoch}{size}")
    for name, value in trial.params.items():
        print(f"  {name}: {short(value)}")


def print_front(study: Study) -> None:
    """Prints the Pareto front of a study of several objectives, nothing of one."""
    if not study.goals.several:
        return
    front, names = study.best_trials, study.space.names
    these = "this one" if len(front) == 1 else f"one of these {len(front)}"
    print()
    print_wrapped(f"No trial is better than {these} in one objective without being worse in another:")
    header = ["trial", study.metric_name, *study.goals.further, *names]
    print_table(
        header,
        [
            [str(trial.number), *map(short, trial.values), *(short(trial.params.get(name)) for name in names)]
            for trial in front
        ],
    )


def print_ablation(study: Study, ablation: Study, variants: list[Variant], replicates: int) -> None:
    """Prints an ablation's table."""
    whole, *others = variants
    metric, best = study.metric_name, study.best
    print(f"\n{study.name}, trial {best.number}, {replicates} times each: {metric} on validation rows")
    spread = "" if whole.spread is None else f" ± {short(whole.spread)}"
    print(f"The whole network: {short(whole.value)}{spread}, {whole.parameters or 0:,} parameters\n")
    rows = []
    for variant in others:
        value = (
            f"failed: {variant.reason}" if variant.value is None else f"{variant.value:.4f} ± {variant.spread or 0:.4f}"
        )
        change = "" if variant.change is None else f"{variant.change:+.4f}"
        error = "" if variant.error is None else f"± {variant.error:.4f}"
        rows.append([variant.what, f"{variant.dropped:,}" if variant.dropped else "", value, change, error])
    print_table(["without", "parameters dropped", metric, "change", "standard error"], rows)
    print(f"\nThe test split was not opened. Each training: leadline show {ablation.name}{storage_option(study)}")


def storage_option(study: Study) -> str:
    """Returns the option that finds the study again, without a password; empty where it is the default."""
    from .folder import without_password

    return "" if study.storage is None else f" --storage {without_password(str(study.storage))}"


def print_json(value: Any) -> None:
    """Prints JSON, with null for NaN and infinities."""
    print(json.dumps(finite(value), indent=2, allow_nan=False))


def finite(value: Any) -> Any:
    """Returns JSON with null for what it has no word for: NaN and infinities."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
