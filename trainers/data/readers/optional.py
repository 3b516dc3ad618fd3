"""Packages that only some data sets need, imported when such a data set is read."""

from __future__ import annotations

import importlib
from typing import Any

from ....errors import DataError


def needed(module: str, package: str, what: str) -> Any:
    """Returns a module of a package that isn't among what `leadline.trainers` needs.

    Raises `DataError` naming the package to install where it can't be imported.

    >>> needed("json", "json", "An example").loads("[1]")
    [1]
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, OSError) as error:  # not there, or not built for the torch that is
        raise DataError(f"{what} needs the package `{package}`: pip install {package} ({one_line(error)}).") from error


def one_line(error: BaseException) -> str:
    """Returns what a foreign error says, in one line of at most 300 characters; its kind where it says nothing."""
    return f"{' '.join(str(error).split()) or type(error).__name__:.300}"
