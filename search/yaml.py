"""Study files' YAML, read to plain values and nothing else: text, numbers, booleans, null, lists, mappings of text.

What could be more (tags that name Python's objects, sets, dates), what could be meant otherwise (a key given twice) and
what could take a machine's memory (aliases of aliases, brackets by the thousand) is refused, with its line, before
anything is made of it. It is YAML 1.2: `1e-4` is a number, `on` and `2024-01-31` are text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import SettingsError

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import MappingNode, Node

LARGEST_FILE = 100_000  # bytes; a study file has a thousand
MOST_VALUES = 10_000  # each alias counted as what it stands for
DEEPEST = 50
SCALARS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}
TEXTS = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "value", "merge")}  # plain scalars that look like these

_HALVES = re.compile("[\ud800-\udfff]")  # what no file can hold
_BEYOND = re.compile(r"\\U(?!0010|000)[0-9a-fA-F]{8}")  # an escape of a character after the last one

Place: TypeAlias = tuple[str | int, ...]


def read_text(path: Path) -> str:
    """Returns the text of a study file. Raises SettingsError where there is no regular file of a sane size in UTF-8."""
    try:
        if path.exists() and not path.is_file():
            raise SettingsError(f"{path} is no file: a study file is one, in YAML")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)  # never more, whatever the file says of its size
        if len(content) > LARGEST_FILE:
            raise SettingsError(f"{path} is larger than {LARGEST_FILE:,} bytes: that is no study file")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            line = error.object.count(b"\n", 0, error.start) + 1
            raise SettingsError(f"{path}:{line}: not UTF-8 at byte {error.start}: that is no study file") from None
        raise SettingsError(f"{path!s:.300}: {getattr(error, 'strerror', None) or error}. Is the path right?") from None


def parse(text: str, name: str) -> tuple[dict[str, Any], dict[Place, int]]:
    """Returns a mapping's plain values, and the line of each, by its path of keys and indices.

    `name` is what errors call the file. Raises SettingsError with file and line where it isn't YAML, or more than that.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        _check_size(YAML(typ="safe", pure=True), text, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML lets an anchor be given anew
            root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = " ".join(str(part).strip() for part in (error.context, error.problem) if part)
        line = f":{mark.line + 1}" if mark else ""
        raise SettingsError(f"{name}{line}: not valid YAML: {told.splitlines()[0]}") from None
    except (YAMLError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingsError(f"{name}{_line_of(error, text)}: not valid YAML: {reason}") from None
    reader = _Reader(yaml, name)
    found = None if root is None else reader.value(root, ())
    if not isinstance(found, dict):
        raise SettingsError(f"{name}:1: a study file is a mapping of keys to values, but got {found!r:.80}")
    return found, reader.lines


def _check_size(yaml: YAML, text: str, name: str) -> None:
    """Raises SettingsError at the line from which a text is nested too deep, or its aliases written out too long."""
    from ruamel.yaml import events

    sizes: dict[str, int] = {}  # of what anchors name: how many values
    open_ones: list[tuple[str | None, int]] = []  # anchors, and the count where they began
    count = 0
    for event in yaml.parse(text):
        if isinstance(event, events.CollectionEndEvent):
            anchor, began = open_ones.pop()
            if anchor is not None:
                sizes[anchor] = count - began
            continue
        line = event.start_mark.line + 1
        if isinstance(event, events.AliasEvent):
            count += sizes.get(event.anchor, 1)
        elif isinstance(event, events.ScalarEvent | events.CollectionStartEvent):
            if isinstance(event, events.CollectionStartEvent):
                open_ones.append((event.anchor, count))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
            count += 1
        if len(open_ones) > DEEPEST:
            raise SettingsError(
                f"{name}:{line}: values may be nested {DEEPEST} deep, but here are more. Was a bracket left open?"
            )
        if count > MOST_VALUES:
            raise SettingsError(
                f"{name}:{line}: a study file may hold {MOST_VALUES:,} values, each alias (`*name`) counted as what it "
                "stands for, but here are more. Give long choices as a range, or leave aliases out"
            )


class _Reader:
    """Makes plain values of YAML's nodes and notes their lines; nothing but ruamel's own numbers is constructed."""

    def __init__(self, yaml: YAML, name: str) -> None:
        self.constructor, self.name = yaml.constructor, name
        self.lines: dict[Place, int] = {}
        self._within: list[Node] = []

    def value(self, node: Node, place: Place) -> Any:
        from ruamel.yaml.nodes import MappingNode, ScalarNode

        if node in self._within:
            raise self._error(node, "an alias may not stand inside what it names. Leave it out")
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if node.tag != f"tag:yaml.org,2002:{'map' if isinstance(node, MappingNode) else 'seq'}":
            raise self._tagged(node)
        self._within.append(node)
        try:
            if isinstance(node, MappingNode):
                return dict(self._pairs(node, place))
            values = []
            for index, inner in enumerate(node.value):
                self.lines[*place, index] = inner.start_mark.line + 1
                values.append(self.value(inner, (*place, index)))
            return values
        finally:
            self._within.pop()

    def _pairs(self, node: MappingNode, place: Place) -> Iterator[tuple[str, Any]]:
        """Yields a mapping's keys and values; those that it merges (`<<`) first, so that its own replace them."""
        merging = [inner for key, inner in node.value if _merges(key)]
        for inner in merging:
            yield from self._merged(inner, place)
        seen: dict[str, int] = {}
        for key, inner in node.value:
            if _merges(key):
                continue
            name, line = self.value(key, place), key.start_mark.line + 1
            if not isinstance(name, str):
                raise self._error(
                    key, f"{'.'.join(map(str, (*place, repr(name))))}: a key must be text; put quotes around it"
                )
            if name in seen:
                raise self._error(
                    key, f"not valid YAML: duplicate key `{name}`, first in line {seen[name]}. Remove one"
                )
            seen[name] = self.lines[*place, name] = line
            yield name, self.value(inner, (*place, name))

    def _merged(self, node: Node, place: Place) -> Iterator[tuple[str, Any]]:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        parts = reversed(node.value) if isinstance(node, SequenceNode) else [node]  # the first one named wins
        for part in parts:
            if not isinstance(part, MappingNode):
                raise self._error(node, "`<<` merges mappings, as `<<: *name`, but here is something else")
            yield from dict(self.value(part, place)).items()

    def _scalar(self, node: Any) -> Any:
        if _HALVES.search(node.value):
            raise self._error(node, f"not valid YAML: {node.value!r:.80} holds half a character (UTF-16's surrogates)")
        if node.tag in TEXTS:
            return str(node.value)
        if node.tag not in SCALARS:
            raise self._tagged(node)
        try:
            return self.constructor.construct_object(node)
        except (ValueError, OverflowError, KeyError):  # an integer of thousands of digits, `!!int x`, `!!bool 7`
            kind = node.tag.rpartition(":")[2]
            raise self._error(node, f"not valid YAML: `{node.value:.40}` can't be read as {kind}") from None

    def _tagged(self, node: Node) -> SettingsError:
        return self._error(node, f"`{node.tag}` isn't taken: a study file holds plain values. Leave the tag out")

    def _error(self, node: Node, text: str) -> SettingsError:
        return SettingsError(f"{self.name}:{node.start_mark.line + 1}: {text}")


def _merges(key: Node) -> bool:
    return key.value == "<<" and getattr(key, "style", "") in (None, "")


def _line_of(error: Exception, text: str) -> str:
    """Returns the line of a character that YAML doesn't allow, as `:3`; nothing if the place isn't known."""
    beyond = _BEYOND.search(text)
    position = getattr(error, "position", beyond and beyond.start())
    return f":{text.count(chr(10), 0, position) + 1}" if isinstance(position, int) else ""
