"""References: `module:function`, the way a study file names the user's own code."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ..errors import SettingsError, suggestion

_from_a_study_folder: set[str] = set()  # top-level modules that were imported from beside a study file


def is_reference(text: object) -> bool:
    """Tells whether `text` has the form `module:function`.

    >>> from leadline.trainers.references import is_reference
    >>> is_reference("my_networks:build"), is_reference("convnet"), is_reference("C:/data.csv")
    (True, False, False)
    """
    if not isinstance(text, str) or text.count(":") != 1:
        return False
    module, name = text.split(":")
    return all(part.isidentifier() for part in [*module.split("."), *name.split(".")])


def resolve(reference: str, base: Path | None = None, allow: Collection[str] = ()) -> Any:
    """Returns what `module:function` names.

    With a `base` folder (that of the study file) the module must lie in it, or belong to an installed package named in
    `allow`; without one (a reference written in Python) any importable module will do. Raises SettingsError if it can't
    be had, with the module's own error if importing it failed.
    """
    module_name, name = reference.split(":")
    top = module_name.split(".")[0]
    if base is not None and top not in allow:
        _make_importable(reference, top, base)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # importing the user's module may raise anything; all of it is the user's to mend
        raise SettingsError(
            f"`{reference}`: importing `{module_name}` failed: {type(error).__name__}: {error}"
        ) from error
    if base is not None and top not in allow and not _lies_in(module, base):
        raise SettingsError(f"`{reference}`: `{top}` is an installed module too, and that one wins. Rename yours")
    if base is not None:
        _from_a_study_folder.add(top)
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise SettingsError(f"`{reference}`: `{module_name}` has no `{name}`. {suggestion(part, _public(found))}")
        found = getattr(found, part)
    return found


def _make_importable(reference: str, top: str, base: Path) -> None:
    """Puts `base` first where modules are looked for, and forgets a module of that name from another study's folder."""
    if not any(path.exists() for path in (base / f"{top}.py", base / top)):
        raise SettingsError(
            f"`{reference}`: there is no module `{top}` in {base}. Put it beside the study file, "
            f"or allow the installed package with `--allow {top}`"
        )
    if sys.path[:1] != [str(base)]:
        sys.path.insert(0, str(base))
    loaded = sys.modules.get(top)
    if loaded is not None and not _lies_in(loaded, base) and top in _from_a_study_folder:
        for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
            del sys.modules[name]


def _lies_in(module: Any, base: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(base.resolve())


def describe(value: Any) -> str:
    """Returns the reference of a function or class, or `<...>` with its place where it can't be imported."""
    return reference_to(value) or f"<{_name(value)} in {_place(value)}>"


def reference_to(value: Any) -> str | None:
    """Returns `module:function` for what another process can import; None for lambdas, inner functions, `__main__`."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not module or not name or module == "__main__" or not is_reference(f"{module}:{name}"):
        return None
    if not _can_be_found(module.split(".")[0]):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is value else None


def _can_be_found(top: str) -> bool:
    """Tells whether a process with this one's `sys.path` finds the module; being loaded here doesn't say so."""
    return any(finder.find_spec(top, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))


def travels(value: Any) -> bool:
    """Tells whether another process can get at `value`: a name, a path, or something it can import."""
    return value is None or isinstance(value, str | Path) or reference_to(value) is not None


def _name(value: Any) -> str:
    return str(getattr(value, "__qualname__", type(value).__qualname__)).replace("<", "").replace(">", "")


def _place(value: Callable[..., Any]) -> str:
    try:
        return Path(inspect.getsourcefile(value) or "?").name
    except TypeError:
        return str(getattr(type(value), "__module__", "?"))


def _public(module: Any) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_") and callable(getattr(module, name))]
