"""References: `module:function`, the way a study file names the user's own code."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from ..errors import SettingsError, suggestion
from .reasons import told, users_code

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

    With a `base` folder (that of the study file) the module must lie in it, links followed, or belong to an installed
    package named in `allow`; nothing else is ever imported. Without one (a reference written in Python) any importable
    module will do. Raises SettingsError if it can't be had, with the module's own error if importing it failed.
    """
    module_name, name = reference.split(":")
    top = module_name.split(".")[0]
    if base is None or top in allow:
        module = _imported(reference, module_name)
    else:
        module = _imported_from(reference, module_name, base)
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise SettingsError(f"`{reference}`: `{module_name}` has no `{name}`. {suggestion(part, _public(found))}")
        found = getattr(found, part)
    return found


def _imported(reference: str, module: str) -> Any:
    try:
        with users_code():
            return importlib.import_module(module)
    except Exception as error:  # importing the user's module may raise anything; all of it is the user's to mend
        raise SettingsError(f"`{reference}`: importing `{module}` failed: {told(error)}") from error


def _imported_from(reference: str, module: str, base: Path) -> Any:
    """Imports a module and the packages around it, outermost first, each only once it is known to lie in `base`."""
    top, *inner = module.split(".")
    if top in sys.stdlib_module_names:
        raise SettingsError(
            f"`{reference}`: `{top}` is a module of Python itself, and that one wins. Rename yours, if there is one: "
            f"there is no module `{top}` in {base} that can be had, and none of Python's but with `--allow {top}`"
        )
    _forget_another(top, base)
    loaded = sys.modules.get(top)
    if loaded is not None and not _lies_in(getattr(loaded, "__spec__", None), base):
        raise SettingsError(
            f"`{reference}`: there is no module `{top}` in {base} that can be had: an installed one of that name is "
            f"loaded, and wins. Rename yours, or allow the installed package with `--allow {top}`"
        )
    name, search = "", [str(base)]
    for part in (top, *inner):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, search)
        if not _lies_in(spec, base):
            where = f" (it leads to {_place_of(spec)})" if spec is not None else ""
            raise SettingsError(
                f"`{reference}`: there is no module `{name}` in {base}{where}. Put it beside the study file, "
                f"or allow the installed package with `--allow {top}`"
            )
        if sys.path[:1] != [str(base)]:
            sys.path.insert(0, str(base))  # what the module itself imports lies beside it, as for a script
        found = _imported(reference, name)
        _from_a_study_folder.add(top)
        if not _lies_in(getattr(found, "__spec__", None), base):
            raise SettingsError(f"`{reference}`: `{name}` was found outside {base}. Rename yours")
        search = list(getattr(found, "__path__", []))
    return found


def _forget_another(top: str, base: Path) -> None:
    """Forgets a module of that name from another study's folder."""
    loaded = sys.modules.get(top)
    if loaded is not None and top in _from_a_study_folder and not _lies_in(getattr(loaded, "__spec__", None), base):
        for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
            del sys.modules[name]


def _lies_in(spec: ModuleSpec | None, base: Path) -> bool:
    """Tells whether a module's file, or all folders of a package without one, lie in `base`, links followed."""
    places = _places(spec)
    return bool(places) and all(place.resolve().is_relative_to(base.resolve()) for place in places)


def _places(spec: ModuleSpec | None) -> Sequence[Path]:
    if spec is None:
        return ()
    if spec.has_location and spec.origin:
        return (Path(spec.origin),)
    return [Path(place) for place in spec.submodule_search_locations or ()]


def _place_of(spec: ModuleSpec | None) -> str:
    return ", ".join(str(place.resolve()) for place in _places(spec)) or "nowhere"


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
