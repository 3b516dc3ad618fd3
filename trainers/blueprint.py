"""The blueprint: what two networks must have in common to share a stack."""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import types
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .stack.dropout import KINDS, LaneDropout

OWN = frozenset(vars(nn.Module())) - {"training"}  # what every module has: parameters, buffers, children, hooks
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
LANE_VALUES = {kind: ("p",) for kind in KINDS} | {LaneDropout: ("p", "calls", "_coordinates")}


def blueprint(network: nn.Module) -> str:
    """Returns a digest of the network's structure: the tree of its modules, shapes, and constants.

    Not part of it are weights and the rates of dropout modules. Constants are all that a module holds besides tensors,
    children and hooks, also what a class or function that was made on the spot has closed over. What can't be compared
    (a file, a lock) makes the network unlike any other.
    """
    seen: dict[int, str] = {}
    tensors = (*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False))
    entries: list[Any] = [
        [name, list(tensor.shape), str(tensor.dtype), tensor.requires_grad, seen.setdefault(id(tensor), name)]
        for name, tensor in tensors
    ]
    for name, module in network.named_modules(remove_duplicate=False):
        left_out = {*OWN, *LANE_VALUES.get(type(module), ())}
        constants = {key: value for key, value in vars(module).items() if key not in left_out}
        hooks = [_comparable(hook, set()) for kind in HOOKS for hook in getattr(module, kind).values()]
        entries.append([name, _comparable(type(module), set()), _comparable(constants, set()), hooks])
        entries.append(seen.setdefault(id(module), name))
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]


def _comparable(value: Any, within: set[int]) -> Any:
    """Returns JSON that is equal for equal values; for what can't be compared, JSON that is never equal."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if isinstance(
        value, torch.dtype | torch.device | torch.Size | np.generic | np.dtype | enum.Enum | PurePath | slice
    ):
        return repr(value)
    if id(value) in within:
        return "<itself>"
    within = {*within, id(value)}
    if isinstance(value, Tensor | np.ndarray):
        array = np.ascontiguousarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, nn.Module):
        return f"<module {type(value).__qualname__}>"  # a child under a second name; children are compared themselves
    if isinstance(value, list | tuple):
        return [type(value).__name__, *(_comparable(item, within) for item in value)]
    if isinstance(value, set | frozenset):
        return [type(value).__name__, *sorted(json.dumps(_comparable(item, within)) for item in value)]
    if isinstance(value, Mapping):
        return [[_comparable(key, within), _comparable(item, within)] for key, item in value.items()]
    if isinstance(value, functools.partial):
        return _comparable(["partial", value.func, value.args, value.keywords], within)
    if isinstance(value, types.MethodType):
        return _comparable(["method", value.__func__, value.__self__], within)
    if isinstance(value, types.BuiltinFunctionType):
        return ["function", value.__module__, value.__qualname__]
    if isinstance(value, types.CodeType):
        return [value.co_name, value.co_code.hex(), list(value.co_names), _comparable(value.co_consts, within)]
    if isinstance(value, types.FunctionType):
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        parts = [value.__code__, closed, value.__defaults__, value.__kwdefaults__]
        return ["function", value.__module__, value.__qualname__, _comparable(parts, within)]
    if isinstance(value, type):
        local = [item for item in vars(value).values() if "<locals>" in value.__qualname__]
        functions = [item for item in local if isinstance(item, types.FunctionType)]
        return ["class", value.__module__, value.__qualname__, _comparable(functions, within)]
    if hasattr(value, "__dict__"):
        return [_comparable(type(value), within), _comparable(vars(value), within)]
    return ["incomparable", id(value)]
