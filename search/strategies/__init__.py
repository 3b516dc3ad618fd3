"""Strategies: what proposes the next configurations. Each is an Optuna sampler, usable alone in plain Optuna."""

from __future__ import annotations

from .registry import STRATEGIES
from .strategy import Strategy, sampler

__all__ = ["STRATEGIES", "Strategy", "sampler"]
