"""The blueprint: what two networks must have in common to share a stack."""

from __future__ import annotations

import hashlib
import io
import pickle
import types
import uuid
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .stack.dropout import KINDS, LaneDropout

OWN = frozenset(vars(nn.Module()))  # what every module has: parameters, buffers, children, hooks, its mode
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
LANE_VALUES = {kind: ("p",) for kind in KINDS} | {LaneDropout: ("p", "calls", "_coordinates")}
OF_EVERY_CLASS = ("__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__")


def blueprint(network: nn.Module) -> str:
    """Returns a digest of the network's structure: the tree of its modules, shapes, and constants.

    Not part of it are weights and the rates of dropout modules. Constants are all that a module holds besides tensors,
    children and hooks, also what a class or function that was made on the spot has closed over. What can't be compared
    (a file, a lock) makes the network unlike any other.
    """
    places: dict[int, str] = {}
    tensors = (*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False))
    entries: list[Any] = [
        (name, tuple(tensor.shape), str(tensor.dtype), tensor.requires_grad, places.setdefault(id(tensor), name))
        for name, tensor in tensors
    ]
    modules = list(network.named_modules(remove_duplicate=False))
    for name, module in modules:
        entries.append((name, places.setdefault(id(module), name)))
    for name, module in modules:
        left_out = {*OWN, *LANE_VALUES.get(type(module), ())}
        constants = {key: value for key, value in vars(module).items() if key not in left_out}
        hooks = [hook for kind in HOOKS for hook in getattr(module, kind).values()]
        entries.append((name, _digest((type(module), constants, hooks), places)))
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:16]


def _digest(value: Any, places: Mapping[int, str], within: frozenset[int] = frozenset()) -> str:
    """Returns what is equal for equal values, in every process; for what can't be compared, what is never equal."""
    written = io.BytesIO()
    try:
        _Writer(written, places, within).dump(value)
    except Exception:  # whatever a user's object raises that was never meant to be written
        return uuid.uuid4().hex
    return hashlib.sha256(written.getvalue()).hexdigest()


class _Writer(pickle.Pickler):
    """Writes a value down for its digest alone: it is never read.

    What pickle would refuse, or write by name where the name doesn't say it all, is written by what it is made of.
    """

    def __init__(self, file: io.BytesIO, places: Mapping[int, str], within: frozenset[int]) -> None:
        super().__init__(file, protocol=5)
        self.places, self.within = places, within

    def persistent_id(self, value: Any) -> Any:
        if type(value) is str:  # which pickle writes anew or refers to, by the object's identity
            return value.encode(errors="surrogatepass")
        if isinstance(value, nn.Module | Tensor) and id(value) in self.places:
            return "place", self.places[id(value)]
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous()
            content = plain.flatten().view(torch.uint8).numpy().tobytes()
            return "tensor", str(plain.dtype), tuple(plain.shape), hashlib.sha256(content).hexdigest()
        if isinstance(value, types.ModuleType):
            return "module", value.__name__
        if isinstance(value, set | frozenset):  # whose order differs from process to process
            return "set", sorted(self._digests(*value))
        if isinstance(value, types.CodeType):
            return "code", value.co_code, value.co_names, *self._digests(*value.co_consts)
        parts = _made_on_the_spot(value)
        if parts is None:
            return None
        if id(value) in self.within:
            return "itself"
        inner = self.within | {id(value)}
        return type(value).__name__, [_digest(part, self.places, inner) for part in parts]

    def _digests(self, *values: Any) -> list[str]:
        return [_digest(value, self.places, self.within) for value in values]


def _made_on_the_spot(value: Any) -> list[Any] | None:
    """Returns what a function, a local class or a part of one is made of; None for all else, which a name tells."""
    if isinstance(value, types.FunctionType):
        closed = [_content(cell) for cell in value.__closure__ or ()]
        defaults = [value.__defaults__, value.__kwdefaults__]
        return [value.__module__, value.__qualname__, value.__code__, closed, *defaults]
    if isinstance(value, type) and "<locals>" in value.__qualname__:
        held = {name: item for name, item in vars(value).items() if name not in OF_EVERY_CLASS}
        return [value.__module__, value.__qualname__, value.__bases__, held]
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    return None


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a name that isn't bound yet
        return "empty"
