"""Values, numbers and settings in words, as terminals, reports and files tell them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

INITIALS = ("auc", "mae", "rmse")


def short(value: Any) -> str:
    """Returns a value in a few characters.

    >>> short(0.98888), short(26122.0), short("adam"), short(None)
    ('0.9889', '26122', 'adam', '')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return str(value)


def number(value: Any) -> str:
    """Returns a value in a few characters; nothing for None.

    >>> number(0.98888), number(3.2e-5), number(12_345), number(None), number(True)
    ('0.9889', '3.2e-05', '12,345', '', 'true')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 1e7
        return f"{value:,.0f}" if whole or 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return str(value)


def valued(value: float | None, spread: float | None) -> str:
    """Returns a value and, where there is one, the deviation of its folds or replicates.

    >>> valued(0.9271, 0.01234), valued(0.9271, None)
    ('0.9271 ± 0.012', '0.9271')
    """
    return number(value) + (f" ± {spread:.2g}" if spread is not None else "")


def capital(text: str) -> str:
    """Returns a sentence that begins with a capital letter, a metric's initials with as many as they are.

    >>> capital("accuracy by epoch."), capital("auc by epoch.")
    ('Accuracy by epoch.', 'AUC by epoch.')
    """
    first, space, rest = text.partition(" ")
    return (first.upper() if first in INITIALS else first[:1].upper() + first[1:]) + space + rest


def setting(value: Any) -> str:
    """Returns a setting's value as a study file has it: what a name would hide stays visible.

    >>> setting("adam"), setting(None), setting(64), setting(0.1)
    ('adam', 'null', '64', '0.1')
    """
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def duration(seconds: float | None) -> str:
    """Returns seconds as people say them.

    >>> duration(0.004), duration(3.21), duration(125), duration(7500)
    ('4 ms', '3.2 s', '2 min 5 s', '2 h 5 min')
    """
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def share(part: float, whole: float) -> str:
    """Returns a part in percent of a whole.

    >>> share(1, 3), share(1, 0)
    ('33 %', '0 %')
    """
    return f"{part / whole:.0%}".replace("%", " %") if whole else "0 %"


def span(low: int, high: int) -> str:
    """Returns from where to where whole numbers go.

    >>> span(178, 28522), span(4522, 4522)
    ('178 to 28,522', '4,522')
    """
    return f"{low:,} to {high:,}" if low < high else f"{low:,}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Returns names as a sentence lists them.

    >>> listed(["lr", "depth", "dropout"])
    'lr, depth and dropout'
    """
    return f" {last} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def counted(count: int, thing: str) -> str:
    """Returns how many there are of a thing.

    >>> counted(1, "trial"), counted(2, "trial")
    ('1 trial', '2 trials')
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
