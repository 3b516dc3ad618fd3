"""The sections of a report: each function writes one from a study's facts, or leaves it out."""

from __future__ import annotations

from collections.abc import Callable

from ..document import Section
from ..facts import Facts
from .course import curves, endings, history, time
from .outcome import advice, costs, mistakes, ranking
from .question import answer, question, reproduction
from .space import importance, landscape, parallel

SECTIONS: tuple[Callable[[Facts], Section | None], ...] = (
    question,
    answer,
    history,
    parallel,
    importance,
    landscape,
    curves,
    endings,
    time,
    costs,
    mistakes,
    ranking,
    advice,
    reproduction,
)
"""In the order in which they are read."""
