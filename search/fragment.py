"""A trial as the part of a study file that trains it and nothing else."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

from .settings import trainer_defaults
from .words import short

if TYPE_CHECKING:
    from .study import Study
    from .trial import Trial


def fragment(study: Study, trial: Trial) -> str:
    """Returns `space:` and `trainer:` as YAML: in their place a study file trains this one configuration.

    The space's values are all fixed; the trainer has the settings of the study that aren't as they come. What only a
    Python script knows, a function say, is named in a comment.
    """
    spread = "" if trial.spread is None else f" ± {short(trial.spread)}"
    lines = [f"# {study.name}, trial {trial.number}: {study.metric_name} {short(trial.value)}{spread}\n"]
    described = {} if study.trainer is None else study.trainer.describe()
    defaults = {} if study.trainer is None else trainer_defaults()
    own = {
        name: described[name]
        for name, default in defaults.items()
        if described[name] != default and name not in trial.params
    }
    unknown = [name for name, value in own.items() if isinstance(value, str) and value.startswith("<")]
    lines += [f"# `{name}` is known to the study's own script alone\n" for name in unknown]
    trainer = {name: value for name, value in own.items() if name not in unknown}
    return "".join(lines) + as_yaml({"space": dict(trial.params), **({"trainer": trainer} if trainer else {})})


def as_yaml(value: dict[str, Any]) -> str:
    """Returns a value as YAML that readers of YAML 1.1, which take `1e-05` for text, understand as well."""
    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import Node
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        def decimal(self, number: float) -> Node:
            text = repr(number)
            mantissa, e, exponent = text.partition("e")
            dotted = f"{mantissa}.0e{exponent}" if e and "." not in mantissa else text
            return self.represent_scalar("tag:yaml.org,2002:float", dotted)

        def nothing(self, none: None) -> Node:
            return self.represent_scalar("tag:yaml.org,2002:null", "null")

        def sequence(self, items: list[Any]) -> Node:
            return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)

    Representer.add_representer(float, Representer.decimal)
    Representer.add_representer(list, Representer.sequence)
    Representer.add_representer(type(None), Representer.nothing)
    yaml = YAML()
    yaml.width = 10_000  # no text is folded
    yaml.Representer = Representer
    text = StringIO()
    yaml.dump(value, text)
    return text.getvalue()
