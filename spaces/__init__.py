"""WHAT may vary: parameters, and the space they span. Knows no torch."""

from __future__ import annotations

from .parameters import Choice, Float, Int, Parameter, Scalar
from .space import Space

__all__ = ["Choice", "Float", "Int", "Parameter", "Scalar", "Space"]
