"""leadline searches hyperparameters and network architectures for PyTorch.

The names in `__all__` are the whole promise; everything else may move. They are loaded when first used, so that
importing leadline costs nothing and changes nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        DataError,
        LeadlineError,
        Pruned,
        SettingsError,
        SpaceError,
        SpaceExhausted,
        StudyError,
        StudyFailed,
        UsageError,
    )
    from .search.study import Study, load_study
    from .search.trial import ActiveTrial, Trial
    from .spaces import Choice, Float, Int, Space
    from .trainers.models import Model, load_model
    from .trainers.networks import build
    from .trainers.trainer import Trainer

_HOMES = {
    ".errors": (
        "DataError",
        "LeadlineError",
        "Pruned",
        "SettingsError",
        "SpaceError",
        "SpaceExhausted",
        "StudyError",
        "StudyFailed",
        "UsageError",
    ),
    ".spaces": ("Choice", "Float", "Int", "Space"),
    ".search.study": ("Study", "load_study"),
    ".search.trial": ("ActiveTrial", "Trial"),
    ".trainers.models": ("Model", "load_model"),
    ".trainers.networks": ("build",),
    ".trainers.trainer": ("Trainer",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "ActiveTrial",
    "Choice",
    "DataError",
    "Float",
    "Int",
    "LeadlineError",
    "Model",
    "Pruned",
    "SettingsError",
    "Space",
    "SpaceError",
    "SpaceExhausted",
    "Study",
    "StudyError",
    "StudyFailed",
    "Trainer",
    "Trial",
    "UsageError",
    "build",
    "load_model",
    "load_study",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
