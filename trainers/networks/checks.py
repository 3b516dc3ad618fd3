"""Rules for the arguments of builders: each check returns the problems it finds, `require` raises them all at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain

from ...errors import Problem, SettingsError, suggestion

STEMS = ("auto", "imagenet", "small")
DEEPEST = 2_000  # layers of a network whose depth is free; ResNet-1202 is the deepest that was published
SMALL = 64  # pixels of the shorter side below which an image is small


def require(*problems: Iterable[Problem]) -> None:
    """Raises SettingsError, holding all of these problems, if there are any."""
    found = list(chain(*problems))
    if found:
        raise SettingsError(found)


def images(family: str, in_shape: Sequence[int]) -> list[Problem]:
    """Returns what keeps `in_shape` from being that of an image: (C, H, W)."""
    if len(in_shape) == 3:
        return []
    return [
        Problem(
            f"`{family}` needs images of shape (channels, height, width), but an example's shape is {tuple(in_shape)}. "
            "Reshape the data, or use `mlp`"
        )
    ]


def whole(low: int, **given: object) -> list[Problem]:
    """Returns which of the values given by name isn't a whole number of at least `low`.

    >>> print(*whole(1, depth=3, feature_maps=0))
    feature_maps: `feature_maps >= 1` must hold, but got feature_maps=0
    """
    found = []
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int):
            kind = f"`{name}` must be a whole number, but got {name}={value!r}"
            near = f". Did you mean {round(value)}?" if isinstance(value, float) and abs(value) < 1e9 else ""
            found.append(Problem(kind + near, (name,)))
        elif value < low:
            found.append(Problem(f"`{name} >= {low}` must hold, but got {name}={value}", (name,)))
    return found


def depths(depth: object) -> list[Problem]:
    """Returns what keeps a free depth, of layers alike, from being one.

    >>> print(*depths(-1))
    depth: `depth >= 0` must hold, but got depth=-1
    """
    if isinstance(depth, int) and depth > DEEPEST:
        return [Problem(f"`depth <= {DEEPEST}` must hold, but got depth={depth}", ("depth",))]
    return whole(0, depth=depth)


def given(**values: object) -> dict[str, object]:
    """Returns the values that aren't None: those of arguments that weren't left out."""
    return {name: value for name, value in values.items() if value is not None}


def rates(**given: object) -> list[Problem]:
    """Returns which of the values given by name isn't a rate: a number in [0, 1].

    >>> print(*rates(dropout=50))
    dropout: `0 <= dropout <= 1` must hold, but got dropout=50. Did you mean 0.5?
    """
    found = []
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 <= value <= 1:  # type: ignore[operator]
            continue
        near = f". Did you mean {value / 100:g}?" if number and 1 < value <= 100 else ""  # type: ignore[operator]
        found.append(Problem(f"`0 <= {name} <= 1` must hold, but got {name}={value!r}{near}", (name,)))
    return found


def amounts(**given: object) -> list[Problem]:
    """Returns which of the values given by name isn't a number from 0 on; true is 1."""
    return [
        Problem(f"`{name} >= 0` must hold, but got {name}={value!r}", (name,))
        for name, value in given.items()
        if not isinstance(value, int | float) or not 0 <= value < float("inf")
    ]


def options(known: Collection[object], **given: object) -> list[Problem]:
    """Returns which of the values given by name isn't one of the `known`.

    >>> print(*options(["auto", "small"], stem="smal"))
    stem: `stem` is one of `auto`, `small`, but got stem='smal'. Did you mean `small`?
    """
    names = ", ".join(f"`{option}`" for option in known)
    return [
        Problem(f"`{name}` is one of {names}, but got {name}={value!r}{_near(value, known)}", (name,))
        for name, value in given.items()
        if not any(type(value) is type(option) and value == option for option in known)
    ]


def _near(value: object, known: Collection[object]) -> str:
    hint = suggestion(str(value), map(str, known))
    return f". {hint}" if hint.startswith("Did") else ""


def removals(remove: object, names: Sequence[str], classifier: str) -> list[Problem]:
    """Returns what keeps `remove` from being a list, with commas, of some of the `names` of layers."""
    if not isinstance(remove, str):
        return [Problem(f'`remove` must name layers, as "{",".join(names[:2])}", but got {remove!r}', ("remove",))]
    found = []
    for name in parted(remove):
        if name == classifier:
            text = f"`{name}` is the classifier, which can't be removed. {suggestion('', names)}"
            found.append(Problem(text, ("remove",)))
        elif name not in names:
            found.append(Problem(f"there is no layer `{name}` to remove. {suggestion(name, names)}", ("remove",)))
    return found


def parted(remove: str) -> frozenset[str]:
    """Returns the names in a list with commas.

    >>> sorted(parted("conv3, conv4"))
    ['conv3', 'conv4']
    """
    return frozenset(name.strip() for name in remove.split(",") if name.strip())


def small(stem: str, in_shape: Sequence[int]) -> bool:
    """Tells whether a network with this `stem` is made for small images; for "auto", by the shorter side's pixels."""
    return stem == "small" or (stem == "auto" and min(in_shape[1:]) < SMALL)
