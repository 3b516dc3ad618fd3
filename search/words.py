"""Values in words, as terminals and files tell them."""

from __future__ import annotations

from typing import Any


def short(value: Any) -> str:
    """Returns a value in a few characters."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
