"""What the documentation takes from the code when it is built: the command line, from the commands themselves."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from leadline.cli import app

COMMANDS = "<!-- the commands -->"
KINDS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}  # what an option takes that doesn't say so; else a path


def on_startup(**_: Any) -> None:
    """Makes the link through which the package, whose folder has any name, is found: `build/site/leadline`."""
    root = Path(__file__).parents[2]
    link = root / "build/site/leadline"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(root)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Returns a page with the commands in their place; MkDocs calls it for every page."""
    return markdown.replace(COMMANDS, commands()) if COMMANDS in markdown else markdown


def commands() -> str:
    """Returns every command as Markdown: how it is called, what it does, its arguments and options."""
    parts = []
    for command in app.registered_commands:
        callback: Any = command.callback
        name = command.name or callback.__name__.replace("_", "-")
        hints = get_type_hints(callback, include_extras=True)
        given = [(one, *_info(hints[one.name])) for one in inspect.signature(callback).parameters.values()]
        arguments = [str(info.metavar) for _, _, info in given if isinstance(info, ArgumentInfo)]
        rows = [f"| {_names(one, kind, info)} | {_told(one, info)} |" for one, kind, info in given]
        shown = " ".join(["leadline", name, *arguments, "[OPTIONS]"])
        parts.append(f"## {name}\n\n{inspect.getdoc(callback)}\n\n```text\n{shown}\n```\n")
        parts.append("| | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _info(hint: Any) -> tuple[type, ArgumentInfo | OptionInfo]:
    """Returns the type of a parameter, without `None` and `list`, and what Typer knows of it."""
    kind, info = get_args(hint)
    inner = [part for part in get_args(kind) if part is not type(None)]
    kind = inner[0] if inner else kind
    return (get_args(kind) or (kind,))[0], info


def _names(parameter: inspect.Parameter, kind: type, info: ArgumentInfo | OptionInfo) -> str:
    """Returns a parameter's names as they are given, with what it takes."""
    if isinstance(info, ArgumentInfo):
        return f"`{info.metavar}`"
    long = parameter.name.replace("_", "-")
    given = (info.default, *(info.param_decls or ()))  # within Annotated the first name is taken for a default
    names = [name for name in given if isinstance(name, str) and name.startswith("-")] or [f"--{long}"]
    if kind is bool:
        return ", ".join(f"`{name}`" for name in [*names, *([f"--no-{long}"] if parameter.default is True else [])])
    return f"`{names[0]} {info.metavar or KINDS.get(kind, 'PATH')}`"


def _told(parameter: inspect.Parameter, info: ArgumentInfo | OptionInfo) -> str:
    """Returns what a parameter is for, and what it is where it isn't given."""
    text = (info.help or "").replace("|", "\\|").replace("[default: ", "Default: ").replace("]", ".")
    plain = parameter.default in (None, True, False, inspect.Parameter.empty)
    return text if plain or "Default:" in text else f"{text} Default: `{parameter.default}`."
