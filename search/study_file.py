"""A study file, written from a study: what `leadline run` needs to run it again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import settings
from .fragment import as_yaml

if TYPE_CHECKING:
    from .budget import Budget
    from .study import Study


def study_file(study: Study, budget: Budget) -> str | None:
    """Returns the study file of a study with that budget, what is as it comes left out; None where there can't be one.

    A study of an objective, or with functions or arrays that only its own script knows, has none. Data that are a file
    are named by their whole path; what `module:function` names is looked up in the folder of the file.

    >>> import leadline as ll
    >>> from leadline.search.budget import Budget
    >>> space = ll.Space(depth=ll.Int(1, 3), lr=ll.Float(1e-4, 1e-1, log=True))
    >>> print(study_file(ll.Study("small", space, ll.Trainer("mlp", epochs=2)), Budget(trials=3)), end="")
    study: small
    data: digits
    model: mlp
    space:
      depth:
        int: [1, 3]
      lr:
        float: [0.0001, 0.1]
        log: true
    trainer:
      epochs: 2
    direction: maximize
    strategy: bayes
    trials: 3
    executor: auto
    """
    described = study.describe()
    trainer = described["trainer"]
    if trainer is None or any(isinstance(value, str) and value.startswith("<") for value in _values(described)):
        return None
    run_with = settings.options(study)
    defaults = {**settings.trainer_defaults(), **_hooks()}
    own = {**{name: value for name, value in trainer.items() if name in defaults}, **run_with["trainer"]}
    own = {name: value for name, value in own.items() if value != defaults[name]}
    how = dict(run_with["study"])
    how["device"] = how.pop("devices")
    limits = {**(described.get("limits") or {}), **how.pop("limits")}
    written = {
        "study": study.name,
        "data": _found(trainer["data"], study.trainer.base if study.trainer else None),
        "model": trainer["model"],
        "space": described["space"],
        "trainer": own or None,
        **{name: described.get(name) for name in ("metric", "direction", "strategy", "pruner", "seed")},
        "limits": limits or None,
        "warm_start": described.get("warm_start"),
        **{name: getattr(budget, name) for name in vars(budget)},
        **how,
    }
    plain: dict[str, Any] = {"pruner": "none", "seed": 0, **settings.HOW}
    kept = {name: value for name, value in written.items() if value is not None and value != plain.get(name)}
    if study.tracking is None:
        kept["mlflow"] = None
    return as_yaml(kept)


def _hooks() -> dict[str, Any]:
    """Returns how the trainer's settings are that say how, not what, it trains, where nobody gives them."""
    from ..trainers.trainer import Trainer

    signature = inspect.signature(Trainer).parameters
    return {name: signature[name].default for name in ("checkpoint", "streamed", "on_epoch", "on_trial_end")}


def _found(data: Any, base: Path | None) -> Any:
    """Returns the data's description with the whole path of what is a file."""
    if isinstance(data, Mapping):
        return {name: _found(value, base) if name == "path" else value for name, value in data.items()}
    place = (base or Path.cwd()) / str(data)
    return str(place.absolute()) if place.is_file() or ("/" in str(data) and place.exists()) else data


def _values(described: Any) -> Iterator[Any]:
    if isinstance(described, Mapping):
        for value in described.values():
            yield from _values(value)
    elif isinstance(described, list | tuple):
        for value in described:
            yield from _values(value)
    else:
        yield described
