"""What was asked of a study, what it answers, and how to get the same again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ...budget import Budget
from ...fragment import as_yaml
from ...settings import trainer_defaults
from ...study_file import study_file
from ...words import counted, duration, listed, number, setting, span, valued
from ..document import Block, Code, Section, Table, Text
from ..facts import Facts

SHOWN = ("epochs", "batch_size", "optimizer", "lr", "patience", "loss")  # of the trainer's settings, as they come too
ELSEWHERE = ("folds", "replicates", "parts", "split_by", "split_seed")  # which lines of their own tell of


def question(facts: Facts) -> Section:
    """Returns what was searched, in what, how, and with what budget."""
    rows = [
        *_of_training(facts),
        ("judged by", _judged(facts)),
        ("strategy", f"{_named(facts.settings['strategy'])}, seed {facts.settings['seed']}"),
        ("pruner", _named(facts.settings["pruner"])),
        ("budget", _budget(facts)),
    ]
    if limits := facts.settings.get("limits"):
        rows.append(("limits", ", ".join(f"{name} {setting(most)}" for name, most in limits.items())))
    space = [_parameter(name, described) for name, described in facts.settings["space"].items()]
    lead = f"{_asked(facts)} Below stands what was fixed beforehand: all that is found holds for it."
    blocks: list[Block] = [
        Table((), tuple(row for row in rows if row[1])),
        Table(("parameter", "from", "to", "scale", "only when"), tuple(space)),
    ]
    return Section("question", "The question", lead, tuple(blocks))


def answer(facts: Facts) -> Section:
    """Returns the best configuration and how far its value can be believed."""
    if facts.best is None:
        return Section("answer", "The answer", f"There is none: {_why_none(facts)}", ())
    best, study = facts.best, facts.study
    rows = [("trial", str(best.number))]
    rows += [
        (f"{name} on validation" if place == 0 and facts.settings["trainer"] else name, _value(facts, place))
        for place, name in enumerate(facts.objectives)
    ]
    rows += [
        ("test", _tested(facts)),
        ("parameters of the network", "" if "parameters" in facts.objectives else number(best.parameters)),
        ("best epoch", f"{best.best_epoch} of {best.epochs}" if best.best_epoch else ""),
        ("training took", duration(best.seconds) if facts.settings["trainer"] else ""),
    ]
    params = tuple((name, setting(value), "" if name in study.space.parameters else "fixed")
                   for name, value in best.params.items())  # fmt: skip
    blocks: list[Block] = [
        Table((), tuple(row for row in rows if row[1])),
        Table(("parameter", "value", ""), params),
    ]
    if facts.goals.several:
        alone = "No other trial is better than this one in one objective without being worse in another."
        among = (
            "There are several objectives, so there is no single best trial. None of these is better than another "
            "in one objective without being worse in another; the one above is the best by the first alone."
        )
        blocks += [Text(alone if len(facts.front) == 1 else among), _front(facts)]
    return Section("answer", "The answer", _how_far(facts), tuple(blocks))


def reproduction(facts: Facts) -> Section:
    """Returns what somebody needs who wants the same study again."""
    from .... import __version__

    split = facts.attributes.get("split") or {}
    rows = [
        ("leadline", __version__),
        ("seed", str(facts.settings["seed"])),
        ("data, SHA-256", split.get("data", "")),
        ("split, SHA-256", split.get("digest", "")),
        ("study's identity", facts.attributes.get("id") or ""),
    ]
    blocks: list[Block] = [Table((), tuple(row for row in rows if row[1]))]
    budget = Budget(**(facts.attributes.get("budget") or {}))
    name, file = facts.name, study_file(facts.study, budget) if facts.study.trainer is not None else None
    if file is None:
        lead = (
            "This study searched what only its own script knows: run that script again, with these settings, in a "
            "storage that doesn't hold this study."
        )
        settings = {key: value for key, value in facts.settings.items() if value is not None}
        settings |= {"metric": facts.goals.named(facts.metric)} if facts.goals.several else {}
        blocks.append(Code(as_yaml({**settings, **budget.as_json()}).rstrip(), "yaml"))
    else:
        lead = (
            f"Save this as {name}.yaml and run it where there is no study of that name. On a CPU with one lane a study "
            "comes out the same to the last bit; with more lanes or workers each trial's curve does, but which "
            "configurations are proposed may depend on which trial ended first."
        )
        commands = f"leadline run {name}.yaml\nleadline best {name}\nleadline test {name}"
        blocks += [Code(file.rstrip(), "yaml"), Code(commands, "sh")]
    return Section("reproduce", "How to reproduce it", lead, tuple(blocks))


def _asked(facts: Facts) -> str:
    goals = zip(facts.objectives, facts.goals.maximize, strict=True)
    most = {True: "greatest", False: "least"}
    sought = listed([f"the {'fewest' if name == 'parameters' else most[more]} {name}" for name, more in goals])
    parameters = counted(len(facts.space.parameters), "parameter")
    if not facts.goals.several:
        return f"Which configuration of {parameters} has {sought}?"
    return (
        f"Which configurations of {parameters} have {sought}, so that none is better in one of these without being "
        "worse in another?"
    )


def _of_training(facts: Facts) -> Iterator[tuple[str, str]]:
    trainer = facts.settings["trainer"]
    if trainer is None:
        yield "what was tried", "an objective of the user's own: leadline proposed, and was told what came of it"
        return
    yield "data", _data(facts)
    split = facts.attributes.get("split") or {}
    if split:
        sizes = f"{split['train']:,} train, {split['valid']:,} valid"
        if trainer["folds"] > 1:
            sizes = f"{split['train'] + split['valid']:,} train and valid in turn"
        by = f", {trainer['split_by']}" if trainer.get("split_by") else ""
        yield "rows", f"{sizes}, {split['test']:,} test{by}; split by seed {split['seed']}"
    if trainer["folds"] > 1:
        yield "folds", f"{trainer['folds']}: a value is the mean over them, ± their standard deviation"
    if trainer["replicates"] > 1:
        yield "replicates", f"{trainer['replicates']}: a value is the mean over them, ± their standard deviation"
    sizes_found = [trial.parameters for trial in facts.trials if trial.parameters is not None]
    large = f", {span(min(sizes_found), max(sizes_found))} parameters" if sizes_found else ""
    yield "network", f"{trainer['model']}{large}"
    usual, searched = trainer_defaults(), facts.settings["space"]
    given = [name for name in trainer if name in usual and trainer[name] != usual[name] and name not in ELSEWHERE]
    shown = [name for name in dict.fromkeys([*SHOWN, *given]) if trainer.get(name) is not None and name not in searched]
    yield "training", ", ".join(f"{name} {setting(trainer[name])}" for name in shown)


def _data(facts: Facts) -> str:
    """Returns what the data are called and, where they can be had, what they hold."""
    given = facts.settings["trainer"]["data"]
    described = ", ".join(f"{name} {setting(value)}" for name, value in given.items()) if isinstance(given, Mapping) \
        else str(given)  # fmt: skip
    if facts.data is None:
        return described
    kinds = f", {counted(len(facts.data.classes), 'class')}" if facts.data.classes else ", a number to predict"
    return f"{described}: {len(facts.data):,} rows{kinds.replace('classs', 'classes')}"


def _judged(facts: Facts) -> str:
    ways = ["maximized" if more else "minimized" for more in facts.goals.maximize]
    told = [f"{name} ({way})" for name, way in zip(facts.objectives, ways, strict=True)]
    if facts.settings["trainer"]:
        told[0] += " on the validation rows, at its best epoch"
    return ", ".join(told)


def _named(given: Any) -> str:
    """Returns a strategy or pruner as it was given, with its options."""
    if not isinstance(given, Mapping):
        return str(given)
    options = ", ".join(f"{name} {setting(value)}" for name, value in given.items() if name != "name")
    return f"{given['name']}{f' ({options})' if options else ''}"


def _budget(facts: Facts) -> str:
    given = {name: value for name, value in (facts.attributes.get("budget") or {}).items() if value is not None}
    told = ", ".join(f"{name.replace('_', ' ')} {setting(value)}" for name, value in given.items())
    ended = facts.attributes.get("ended_by")
    known = {None: "not ended yet", "space": "the space is used up", "interrupt": "interrupted"}
    return f"{told} ({known[ended] if ended in known else Budget(**given).words(str(ended))})" if told else ""


def _parameter(name: str, described: Any) -> tuple[str, ...]:
    if not isinstance(described, Mapping):
        return name, setting(described), "", "fixed", ""
    kind = next(kind for kind in ("float", "int", "choice") if kind in described)
    when = " and ".join(
        f"{parent} is {' or '.join(map(setting, values if isinstance(values, list | tuple) else [values]))}"
        for parent, values in (described.get("when") or {}).items()
    )
    if kind == "choice":
        return name, ", ".join(map(setting, described[kind])), "", "one of these", when
    step = described.get("step")
    scale = "logarithmic" if described.get("log") else f"steps of {setting(step)}" if step else "linear"
    return name, *map(setting, described[kind]), f"{scale}{', whole numbers' if kind == 'int' else ''}", when


def _value(facts: Facts, place: int) -> str:
    assert facts.best is not None
    return valued(facts.value(facts.best, place), facts.best.spread if place == 0 else None)


def _how_far(facts: Facts) -> str:
    """Returns how the best value is to be read."""
    count = len(facts.complete)
    judged = len([trial for trial in facts.ended if trial.state != "failed"])
    if count == 1 and judged == 1:
        return "The only configuration that was tried to the end; nothing says yet whether it is a good one."
    chosen = f"The best of {counted(count, 'complete trial')} ({len(facts.ended)} ended)"
    if facts.settings["trainer"] is None:
        return f"{chosen}. Where values are noisy, the best of many owes something to luck."
    tests = facts.attributes.get("tests") or []
    test = (
        "The test value below, of rows that chose nothing, is the one to quote."
        if tests
        else "Rows that chose nothing are in the test split, which hasn't been opened."
    )
    return (
        f"{chosen}, chosen by the very validation rows whose value stands here: it owes something to luck, the more "
        f"trials the more, and new data will give somewhat less. {test}"
    )


def _tested(facts: Facts) -> str:
    if facts.settings["trainer"] is None:
        return ""
    tests = facts.attributes.get("tests") or []
    if not tests:
        return "not opened"
    last = tests[-1]
    often = "once" if len(tests) == 1 else f"{len(tests)} times"
    when = datetime.fromtimestamp(last["at"], tz=UTC).date()
    refit = ", trained again on train and validation rows" if last.get("refit") else ""
    return f"{number(last['value'])} {last['metric']} (trial {last['trial']}{refit}; opened {often}, last on {when})"


def _why_none(facts: Facts) -> str:
    states = {state: facts.count(state) for state in ("pruned", "failed", "running", "paused")}
    told = listed([f"{count} {state}" for state, count in states.items() if count])
    return f"no trial is complete ({told})." if told else "no trial has begun."


def _front(facts: Facts) -> Table:
    names = list(facts.space.parameters)
    rows = [
        (str(trial.number), *map(number, trial.values), *(setting(trial.params[name]) if name in trial.params else ""
         for name in names))
        for trial in facts.front
    ]  # fmt: skip
    return Table(("trial", *facts.objectives, *names), tuple(rows))
