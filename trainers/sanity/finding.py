"""What a check comes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "problem"]
BY_WEIGHT: tuple[Verdict, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True)
class Finding:
    """What a check comes to: a verdict, and in a sentence what was seen and, where that isn't well, what to do.

    Its kinds add the numbers that the verdict rests on.
    """

    verdict: Verdict
    text: str


def worst(findings: Iterable[Finding]) -> Verdict:
    """Returns the gravest verdict of all.

    >>> worst([Finding("ok", ""), Finding("warning", "")])
    'warning'
    """
    return max((finding.verdict for finding in findings), key=BY_WEIGHT.index, default="ok")
