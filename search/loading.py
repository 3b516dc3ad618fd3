"""The settings that a study was made with, read from where it is kept."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, StudyError, nearest
from ..spaces import Space
from ..trainers.quiet import quiet
from .folder import Folder, is_there, is_url, name_problem, open_storage, release, root_of, shown, study_names
from .storage import Mirror

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from ..trainers.trainer import Trainer


def settings_of(
    name: str,
    storage: str | Path | BaseStorage | None,
    trainer: Trainer | None,
    *,
    allow: Collection[str] = (),
    base: Path | None = None,
    imports: bool = True,
) -> dict[str, Any]:
    """Returns what `Study` was given when the study called `name` was made, and how it was run last, by argument.

    `trainer` stands in for one that only the study's own script knows; without, that is None. `allow`, `base` and
    `imports` are as for `load_study`. Raises SettingsError if there is no such study, StudyError if leadline didn't
    make it.
    """
    if text := name_problem(name):
        raise SettingsError(text)
    folder = Folder(root_of(storage), name)
    if not is_there(storage, folder):
        raise _missing(name, storage, folder)
    with quiet("optuna"):
        durable = open_storage(storage, folder, write=False)
        try:
            mirror = Mirror.open(durable, name)
        except KeyError:
            raise _missing(name, storage, folder) from None
        finally:
            release(durable)
    attributes = mirror.get_study_user_attrs(mirror.study_id)
    kept = attributes.get("leadline:settings")
    if kept is None:
        raise StudyError(f"`{name}` is an Optuna study that leadline didn't make; open it with optuna.load_study")
    kept_base, run_with = attributes.get("leadline:base"), attributes.get("leadline:options", {})
    how = dict(run_with.get("study", {}))
    limits = {**(kept.get("limits") or {}), **how.pop("limits", {})}
    if trainer is None and kept["trainer"] is not None:
        described = {**kept["trainer"], **run_with.get("trainer", {})}
        trainer = _trainer_of(described, Path(kept_base) if kept_base else base, allow)
        if trainer is not None:
            trainer.imports = imports
    return {
        "space": Space.parse(kept["space"]),
        "trainer": trainer,
        "metric": _known_metric(kept["metric"]),
        "direction": kept["direction"],
        "strategy": "bayes" if str(kept["strategy"]).startswith("<") else kept["strategy"],
        "pruner": "none" if str(kept["pruner"]).startswith("<") else kept["pruner"],
        "seed": kept["seed"],
        "limits": limits or None,
        "warm_start": kept.get("warm_start"),
        **how,
    }


def _missing(name: str, storage: str | Path | BaseStorage | None, folder: Folder) -> SettingsError:
    known = study_names(storage) if isinstance(storage, str | Path | None) and not is_url(storage) else []
    told = f"there is no study `{name}` in {shown(storage, folder)}.", nearest(name, known), "`leadline ls` lists them"
    return SettingsError(" ".join(filter(None, told)))


def _known_metric(kept: Any) -> Any:
    """Returns the metric, or metrics, of a study's settings; None for one that only its own script knows."""
    if isinstance(kept, list):
        return [_known_metric(one) for one in kept]
    return None if str(kept).startswith("<") else kept


def _trainer_of(described: dict[str, Any], base: Path | None, allow: Collection[str]) -> Trainer | None:
    """Returns the trainer that describes itself so; None if it has parts that only its own script knows."""
    from ..trainers.trainer import Trainer

    data = described["data"]
    parts = [*described.values(), data["path"] if isinstance(data, dict) else None]
    if any(isinstance(part, str) and part.startswith("<") for part in parts):
        return None
    return Trainer(**{**described, "parts": tuple(described["parts"])}, base=base, allow=allow)
