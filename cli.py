"""The command line: parse, call the study, print. `leadline --help` loads neither torch nor optuna nor mlflow."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import LeadlineError, SettingsError, StudyError, UsageError
from .search import completion, signals
from .search.completion import among, studies
from .search.printing import (
    checked,
    print_ablation,
    print_best,
    print_checked,
    print_front,
    print_json,
    print_outcome,
    print_test,
    storage_option,
    whole,
)
from .search.table import print_table
from .search.trial import ENDED
from .search.words import capital, short

if TYPE_CHECKING:
    from .search.analysis.deep_check import DeepCheck
    from .search.budget import Budget
    from .search.study import Study

app = typer.Typer(
    name="leadline",
    help="Search hyperparameters and network architectures for PyTorch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

File = Annotated[
    Path | None, typer.Argument(metavar="[STUDY.yaml]", help="A study file; without one, the digits study.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The study's name.", autocompletion=studies)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Storage = Annotated[str | None, typer.Option(help="Folder or database URL. [default: leadline-studies]")]
Allow = Annotated[list[str] | None, typer.Option(help="An installed package that module:function may come from.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a setting of the file.")]
Data = Annotated[
    str | None,
    typer.Option(help="A data set's name, a path, or module:function.", autocompletion=among(completion.DATA)),
]
Model = Annotated[
    str | None, typer.Option(help="A network family, or module:function.", autocompletion=among(completion.MODELS))
]
Executor = Annotated[
    str | None, typer.Option(help="inline, processes, ray.", autocompletion=among(completion.EXECUTORS))
]
Address = Annotated[str | None, typer.Option(help="HOST:PORT of the Ray cluster. [default: the one that runs here]")]
Workers = Annotated[str | None, typer.Option(help="Workers on each device (ray: in all): auto or a number.")]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", autocompletion=among(completion.DEVICES))
]
DeviceHours = Annotated[float | None, typer.Option(help="End when all trials together have trained so long.")]
TotalEpochs = Annotated[int | None, typer.Option(help="End when all trials together have had so many epochs.")]
Target = Annotated[float | None, typer.Option(help="End when a complete trial's value is as good as this.")]
Stall = Annotated[int | None, typer.Option(help="End when the last so many trials were none the best.")]
Lanes = Annotated[str | None, typer.Option(help="Trials a worker trains at once: auto or a number.")]


@app.command()
def run(
    file: File = None,
    study: Annotated[str | None, typer.Option("--study", help="The study's name.")] = None,
    data: Data = None,
    model: Model = None,
    strategy: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(completion.STRATEGIES)}.", autocompletion=among(completion.STRATEGIES)),
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(help=f"{', '.join(completion.PRUNERS)}.", autocompletion=among(completion.PRUNERS))
    ] = None,
    trials: Annotated[int | None, typer.Option(help="End when the study has had so many trials.")] = None,
    minutes: Annotated[float | None, typer.Option(help="End after so many minutes of running, in all.")] = None,
    device_hours: DeviceHours = None,
    total_epochs: TotalEpochs = None,
    target: Target = None,
    stall: Stall = None,
    device: Device = None,
    lanes: Lanes = None,
    plan: Annotated[
        str | None,
        typer.Option(
            help="How lanes are trained: auto, fused, padded, looped.", autocompletion=among(completion.PLANS)
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The study's seed.")] = None,
    executor: Executor = None,
    address: Address = None,
    workers: Workers = None,
    storage: Storage = None,
    enqueue: Annotated[Path | None, typer.Option(help="A JSON list of configurations to run first.")] = None,
    warm_start: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An earlier study to learn from; may be repeated.", autocompletion=studies),
    ] = None,
    allow: Allow = None,
    sets: Sets = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a study, or go on with it: without a file, the built-in one on handwritten digits."""
    given = {
        "study": study,
        "data": _from_here(data),
        "model": model,
        "strategy": strategy,
        "pruner": pruner,
        "trials": trials,
        "minutes": minutes,
        "device_hours": device_hours,
        "total_epochs": total_epochs,
        "target": target,
        "stall": stall,
        "device": device,
        "lanes": _number(lanes),
        "plan": plan,
        "seed": seed,
        "executor": executor,
        "address": address,
        "workers": _number(workers),
        "storage": storage,
        "warm_start": warm_start or None,
    }
    opened, settings = _from_file(file, sets, given, allow)
    _start(opened, settings.budget, enqueue, as_json)


@app.command()
def check(
    file: File = None,
    data: Data = None,
    model: Model = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Look into data, networks, learning rates, costs: a minute.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --deep: draw the learning rate range test (.svg, .png).")
    ] = None,
    allow: Allow = None,
    sets: Sets = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Validate a study file without training: settings, data, space, networks."""
    if plot is not None and not deep:
        raise UsageError("--plot draws what --deep finds: give both")
    study, settings = _from_file(file, sets, {"data": _from_here(data), "model": model}, allow)
    found = _looked_into(study, settings, plot) if deep else None
    if as_json:
        print_json({**checked(study), **({} if found is None else {"deep": found.as_json()})})
    else:
        print_checked(study)
        width = min(120, get_terminal_size((116, 24)).columns)
        print("All is well; nothing was created." if found is None else f"\n{found.text(width)}")
    if found is not None and found.verdict == "problem":
        sys.exit(1)


@app.command()
def resume(
    name: Name,
    trials: Annotated[int | None, typer.Option(help="So many trials in all. [default: as before]")] = None,
    minutes: Annotated[float | None, typer.Option(help="So many minutes in all. [default: as before]")] = None,
    device_hours: DeviceHours = None,
    total_epochs: TotalEpochs = None,
    target: Target = None,
    stall: Stall = None,
    device: Device = None,
    executor: Executor = None,
    address: Address = None,
    workers: Workers = None,
    lanes: Lanes = None,
    storage: Storage = None,
    allow: Allow = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Go on with a study that was interrupted or killed, or give it another budget."""
    from .errors import StudyError
    from .search.budget import UNBOUNDED, Budget

    options = _given(devices=device, executor=executor, address=address, workers=_number(workers), lanes=_number(lanes))
    with _status("Opening the study ..."):
        study = _load(name, storage, allow or [], **options)
    if study.trainer is None:
        raise StudyError(f"`{name}` searches functions or arrays of a Python script: run that script again to go on")
    budget = Budget(trials, minutes, device_hours, total_epochs, target, stall)
    if budget == UNBOUNDED:
        budget = Budget(**(study.attribute("budget") or {}))
    _start(study, budget, None, as_json)


@app.command("ls")
def list_studies(storage: Storage = None, as_json: Json = False, debug: Debug = False) -> None:
    """List the studies."""
    from .search.folder import study_names

    rows: list[dict[str, Any]] = []
    for name in study_names(storage):
        study = _load(name, storage)
        trials = study.trials
        states = Counter(trial.state for trial in trials)
        best = study.best.value if "complete" in states else None
        budget = (study.attribute("budget") or {}).get("trials")
        ended = sum(states[state] for state in ENDED)
        known = {"trials": len(trials), "ended": ended, "of": budget, "best": best, "running": states["running"]}
        rows.append({"name": name, **known})
    if as_json:
        print_json(rows)
    elif not rows:
        print("There is no study here yet. `leadline run` makes one.")
    else:
        cells = [[row["name"], str(row["ended"]), str(row["of"] or ""), short(row["best"])] for row in rows]
        print_table(["study", "trials ended", "of", "best"], cells)


@app.command()
def show(
    name: Name,
    number: Annotated[
        int | None, typer.Option("--trial", help="This one alone: its configuration, and what went wrong.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a study's trials, each with its curve."""
    from .search.analysis.detail import print_trial, trial_of
    from .search.analysis.overview import print_overview

    study = _load(name, storage)
    if number is not None:
        trial = trial_of(study, number)
        print_json(trial.as_json()) if as_json else print_trial(study, trial)
    elif as_json:
        print_json(whole(study))
    else:
        print_overview(study)


@app.command()
def status(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", help="Go on showing it until the study has ended.")] = False,
    storage: Storage = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show how a study gets on: counts, pace, the best so far, what went wrong."""
    from .search import status as statuses

    def look() -> statuses.Status:
        return statuses.status_of(_load(name, storage))

    if follow:
        with suppress(KeyboardInterrupt):  # how one stops looking
            statuses.follow(look, as_json=as_json)
    elif as_json:
        print_json(look().as_json())
    else:
        statuses.print_status(look())


@app.command()
def best(
    name: Name,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the part of a study file that trains it: space and trainer.")
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a study's best configuration."""
    from .search.fragment import fragment

    if as_yaml and as_json:
        raise UsageError("--yaml and --json are two ways to print the same: give one")
    study = _load(name, storage)
    trial = study.best
    if as_yaml:
        print(fragment(study, trial), end="")
    elif as_json:
        several = {"best_trials": [one.as_json() for one in study.best_trials]} if study.goals.several else {}
        print_json({**trial.as_json(), **several})
    else:
        print_best(study, trial)
        print_front(study)


@app.command()
def compare(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help="A study, NAME, or a trial, NAME:12 or NAME:best.", autocompletion=studies),
    ],
    second: Annotated[
        str, typer.Argument(metavar="B", help="What to compare it with, of the same kind.", autocompletion=studies)
    ],
    storage: Storage = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two studies, or two trials: what differs, by how much, and is it noise?"""
    from .search.analysis import comparison

    with _status("Comparing ..."):
        found = comparison.compare(first, second, lambda name: _load(name, storage))
    if as_json:
        print_json(found.as_json())
    else:
        comparison.print_comparison(found)


@app.command()
def test(
    name: Name,
    retrain: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Train the best configuration N >= 2 times again, too.")
    ] = None,
    device: Device = None,
    storage: Storage = None,
    allow: Allow = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Open the test split, for the best trial alone."""
    from .search.analysis.retraining import retrain as train_again

    study = _load(name, storage, allow or [], **_given(devices=device))
    again = train_again(study, replicates=retrain) if retrain else None
    with _status("Opening the test split ..."):
        study.test()
    opened = study.attribute("tests")
    if as_json:
        told = {"value": again.value, "spread": again.spread, "reason": again.reason} if again else {}
        retrained = {**told, "times": retrain} if again else None
        print_json({**opened[-1], "opened": len(opened), "retrained": retrained})
    else:
        print_test(study, opened, again, retrain or 0)


@app.command()
def ablate(
    name: Name,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Layers to leave out together. [default: each in turn]")
    ] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Leave out each two layers, too.")] = False,
    switches: Annotated[bool, typer.Option(help="Switch off each regularizer in turn.")] = True,
    replicates: Annotated[int, typer.Option(min=2, help="Train each so many times.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each. [default: as the study]")] = None,
    device: Device = None,
    executor: Executor = None,
    address: Address = None,
    workers: Workers = None,
    lanes: Lanes = None,
    storage: Storage = None,
    allow: Allow = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train the best configuration without this and that: what is each layer worth?"""
    from .search.analysis.ablation import ablate

    options = _given(devices=device, executor=executor, address=address, workers=_number(workers), lanes=_number(lanes))
    with _status("Opening the study ..."):
        study = _load(name, storage, allow or [])
    ablation, variants = ablate(
        study, remove=remove or (), pairs=pairs, switches=switches, replicates=replicates, epochs=epochs, **options
    )
    if as_json:
        print_json({"study": ablation.name, "of": name, "variants": [asdict(variant) for variant in variants]})
        return
    print_ablation(study, ablation, variants, replicates)


@app.command()
def report(
    name: Name,
    output: Annotated[Path | None, typer.Option(help="The file to write. [default: NAME.html, or NAME.md]")] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(completion.REPORTS)}. [default: the output's, html]",
            autocompletion=among(completion.REPORTS),
        ),
    ] = None,
    plots: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write each plot there, too.")] = None,
    plot_format: Annotated[
        str, typer.Option(help=f"{', '.join(completion.PLOTS)}.", autocompletion=among(completion.PLOTS))
    ] = "svg",
    storage: Storage = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a study's report: what was searched, what was found, what to try next."""
    from .search.analysis.report import report_path, write_all

    path = report_path(name, output, format)
    with _status("Writing the report ..."):
        written = write_all(_load(name, storage), path, plots, plot_format)
    if as_json:
        print_json({"path": str(path), "plots": [str(plot) for plot in written]})
    else:
        print(path)


@app.command()
def ensemble(
    name: Name,
    size: Annotated[int, typer.Option(min=1, help="At most so many trials, counted as often as taken.")] = 5,
    test: Annotated[
        bool, typer.Option("--test", help="Open the test split, for the ensemble and the best trial.")
    ] = False,
    device: Device = None,
    storage: Storage = None,
    allow: Allow = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Choose trials whose answers together are best, on validation rows; `export` and `predict` take them."""
    from .search.ensembles.printing import print_ensemble

    with _telling("Opening the study") as tell:
        study = _load(name, storage, allow or [], **_given(devices=device))
        found = study.ensemble(size, test=test, tell=tell)
    if as_json:
        print_json(found.as_json())
    else:
        print_ensemble(study, found)


@app.command()
def export(
    name: Name,
    format: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(completion.FORMATS)}. [default: by --output, or torch-export]",
            autocompletion=among(completion.FORMATS),
        ),
    ] = None,
    trial: Annotated[int | None, typer.Option(help="The number of the trial. [default: the best]")] = None,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="Take the ensemble.")] = False,
    output: Annotated[Path | None, typer.Option(help="The file. [default: NAME and the format's suffix, here]")] = None,
    storage: Storage = None,
    allow: Allow = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the best network to one file, with preparation of the inputs, classes and a card inside."""
    from .search.predicting import print_exported
    from .trainers.models import file_of, save

    with _status("Exporting ..."):
        model = _load(name, storage, allow or []).model(trial, ensemble=ensemble)
        path = save(model, output or file_of(name, format), format)
    print_exported(model, path, as_json=as_json)


@app.command()
def predict(
    source: Annotated[
        str, typer.Argument(metavar="STUDY|MODEL", help="A study's name, or an exported file.", autocompletion=studies)
    ],
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Images or their folders, .npy, .npz, tables.")],
    trial: Annotated[int | None, typer.Option(help="The number of the trial. [default: the best]")] = None,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="Take the study's ensemble.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write a CSV file.")] = None,
    storage: Storage = None,
    allow: Allow = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the classes and probabilities, or the values, that the best network predicts for examples in files."""
    from .search import predicting
    from .trainers.models import FORMATS, load_model
    from .trainers.models.files import predict_files

    if output is not None and as_json:
        raise UsageError("--output writes a file, --json prints: give one of them")
    with _status("Loading the model ..."):
        exported = Path(source).is_file()
        if exported and (trial is not None or ensemble):
            raise UsageError(f"--trial and --ensemble are of a study, but {source} is a file that holds one model")
        try:
            study = None if exported else _load(source, storage, allow or [])
        except SettingsError as error:
            if Path(source).suffix.lower() not in {one.suffix for one in FORMATS.values()}:
                raise
            raise SettingsError(f"there is no file {source}, and {error}") from None
        model = load_model(source) if study is None else study.model(trial, ensemble=ensemble)
    found = predict_files(model, files, tell=lambda text: print(text, file=sys.stderr))
    with predicting.watched(found) as predicted:
        if output is not None:
            print(f"{predicting.write_predictions(predicted, model, output):,} predictions: {output}")
        elif as_json:
            predicting.print_predictions_json(predicted, model)
        else:
            predicting.print_predictions(predicted, model)


@app.command()
def ui(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Open at this study.", autocompletion=studies)
    ] = None,
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1.")] = 5000,
    storage: Storage = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Open MLflow's UI on the studies, at 127.0.0.1, until Ctrl-C."""
    from .search.serving import serve_mlflow

    study = _load(name, storage) if name else None

    def say(text: str, facts: dict[str, str]) -> None:
        if as_json:
            print_json(facts)
        else:
            print(text)
        sys.stdout.flush()

    serve_mlflow(study, storage, port, say)


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 the study failed, 2 wrong input, 130 and 143 interrupted."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where there are no blocks for curves: better `?` than a traceback
    signals.received.clear()
    try:
        with signals.handled(signals.leave):
            app(prog_name="leadline")
    except LeadlineError as error:
        if "--debug" in sys.argv:
            raise
        print(f"leadline: {error}" if "\n" not in str(error) else f"leadline:\n{error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        signals.ignore()


def _start(study: Study, budget: Budget, enqueue: Path | None, as_json: bool) -> None:
    had = sum(trial.state in ENDED for trial in study.trials)
    if enqueue is not None:
        configurations = _configurations(enqueue)
        problems = study.problems(budget=budget)
        if problems:
            raise UsageError(problems)
        study.enqueue(*configurations)
    with signals.stopping(study):
        try:
            study.run(**asdict(budget))
        except StudyError as error:  # it couldn't even end in order
            if not signals.received:
                raise
            print(f"Interrupted. {capital(str(error))}", file=sys.stderr)
            sys.exit(128 + signals.received[0])
    where = f"{study.name}{storage_option(study)}"
    if signals.received and study.ended_by == "interrupt":
        print(f"Interrupted. `leadline resume {where}` goes on where it stopped.", file=sys.stderr)
        sys.exit(128 + signals.received[0])
    found = study.trials
    ended = [trial for trial in found if trial.state in ENDED]
    if as_json:
        print_json(whole(study))
    else:
        print_outcome(study, ended, new=len(ended) - had, waiting=sum(trial.state == "waiting" for trial in found))
    if study.refit_problem:
        print(f"{study.refit_problem}. The model is the trial's own network.", file=sys.stderr)
    if study.model_problem:
        print(f"{study.model_problem}.", file=sys.stderr)
    if study.tracking_problem:
        print(
            f"MLflow doesn't have everything yet: {study.tracking_problem}. "
            f"The study has: `leadline resume {where}` sends what is missing.",
            file=sys.stderr,
        )
    sys.exit(1 if ended and all(trial.state == "failed" for trial in ended) else 0)


def _from_file(
    file: Path | None, sets: list[str] | None, given: dict[str, Any], allow: list[str] | None
) -> tuple[Study, Any]:
    from .search.config import parse_override, read, study_from

    overrides: dict[tuple[str, ...], Any] = {(name,): value for name, value in given.items() if value is not None}
    overrides.update(parse_override(text) for text in sets or [])
    settings, source = read(file, overrides)
    with _status("Checking settings, data and networks ..."):
        return study_from(settings, source, allow or [])


def _status(text: str) -> AbstractContextManager[object]:
    """Shows what is being done, on a terminal, while the context lasts."""
    from rich.console import Console

    console = Console(stderr=True)
    return console.status(text) if console.is_terminal else nullcontext()


@contextmanager
def _telling(first: str) -> Iterator[Callable[[str], None]]:
    """Gives what shows what is being done: in one line on a terminal, else a line each."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(f"{first} ...") if console.is_terminal else nullcontext() as status:
        yield lambda text: status.update(f"{text} ...") if status else print(f"{text} ...", file=sys.stderr)


def _looked_into(study: Study, settings: Any, plot: Path | None) -> DeepCheck:
    from .search.analysis import charts
    from .search.analysis.deep_check import deep_check

    if plot is not None:
        charts.require_picture(plot)
    with _telling("Looking into the study") as tell:
        found = deep_check(study, trials=settings.trials, minutes=settings.minutes, tell=tell)
    if plot is not None and found.rates:
        charts.plot(found.rates, plot)
    return found


def _load(name: str, storage: str | None, allow: list[str] | None = None, **options: Any) -> Study:
    """Opens a study; without `allow`, an empty list at least, only to read: then no code of the study's is imported."""
    from .search.study import load_study

    reads = allow is None
    return load_study(name, storage, allow=allow or [], base=Path.cwd(), imports=not reads, **options)


def _configurations(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}. Is the path right?") from None
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON: {error}") from None
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not all(isinstance(params, dict) for params in found):
        raise UsageError(f'{path}: a list of configurations must be given, as [{{"depth": 3}}]')
    return found


def _from_here(data: str | None) -> str | None:
    return str(Path(data).absolute()) if data and Path(data).exists() else data


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _number(given: str | None) -> str | int | None:
    return int(given) if given is not None and given.isdigit() else given
