"""The sections of a report: each function writes one from a study's facts, or leaves it out."""

from __future__ import annotations

from collections.abc import Callable

from ..document import Section
from ..facts import Facts
from .course import curves, history
from .question import answer, question, reproduction

SECTIONS: tuple[Callable[[Facts], Section | None], ...] = (
    question,
    answer,
    history,
    curves,
    reproduction,
)
"""In the order in which they are read."""
