"""Commands as their users give them, run in the tests' own process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from leadline import cli


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Leadline = Callable[..., Said]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leadline:
    """Returns what runs a command as `leadline ...` does."""

    def say(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["leadline", *arguments])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as ending:
            code = ending.code or 0
        return Said(code, *capsys.readouterr())

    return say
