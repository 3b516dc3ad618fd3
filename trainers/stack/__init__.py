"""The stack: lanes stepping together on one device. Fused (at once) or looped (one after another)."""

from .base import Bench, Epoch, Lane, Stack, part
from .fused import FusedStack
from .looped import LoopedStack, predict

__all__ = ["Bench", "Epoch", "FusedStack", "Lane", "LoopedStack", "Stack", "part", "predict"]
