"""A parameter as an axis: where its values lie, on a line from 0 to 1 and on an axis of matplotlib's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....spaces import Choice, Float, Int
from ...words import setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from ....spaces.parameters import Parameter

LONGEST = 14  # characters of a value beside an axis
MOST_TICKS = 10  # of categories


@dataclass(frozen=True)
class Scale:
    """The axis of the parameter called `name`: numbers from `low` to `high`, or `options` side by side."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    options: tuple[Any, ...] = ()

    @classmethod
    def of(cls, name: str, parameter: Parameter) -> Scale:
        """Returns a parameter's axis."""
        if isinstance(parameter, Float | Int):
            whole = isinstance(parameter, Int)
            return cls(name, float(parameter.low), float(parameter.high), parameter.log, whole)
        assert isinstance(parameter, Choice)
        return cls(name, 0.0, len(parameter.options) - 1.0, options=tuple(parameter.options))

    @classmethod
    def around(cls, name: str, values: Iterable[float]) -> Scale:
        """Returns the axis of what was measured, with room at both ends; logarithmic where it spans decades."""
        known = list(values)
        low, high = min(known), max(known)
        if low > 0 and high / low >= 20:
            return cls(name, low / 1.3, high * 1.3, log=True)
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        return cls(name, low - room, high + room)

    def coordinate(self, value: Any) -> float:
        """Returns where a value lies on an axis of matplotlib's: itself, or its option's place."""
        if not self.options:
            return float(value)
        return float(next(place for place, option in enumerate(self.options) if _same(option, value)))

    def unit(self, value: Any) -> float:
        """Returns where a value lies between the ends, in [0, 1]; 0.5 where there is but one."""
        place, low, high = self.coordinate(value), self.low, self.high
        if self.log:
            place, low, high = math.log(place), math.log(low), math.log(high)
        return (place - low) / (high - low) if high > low else 0.5

    def raw(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the coordinates of places (n,) in [0, 1]."""
        if self.log:
            return np.asarray(np.exp(np.log(self.low) + units * (np.log(self.high) - np.log(self.low))))
        return np.asarray(self.low + units * (self.high - self.low))

    @property
    def labels(self) -> list[str]:
        """What stands beside each option."""
        return [short(setting(option)) for option in self.options]

    def ticks(self) -> list[tuple[float, str]]:
        """Returns a few places in [0, 1], and what stands there."""
        if self.options:
            step = math.ceil(len(self.options) / MOST_TICKS)
            return [(self.unit(option), short(setting(option))) for option in self.options[::step]]
        if self.low == self.high:
            return [(0.5, setting(self.low))]
        if self.log and self.high / self.low >= 10:
            decades = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [(self.unit(10.0**decade), power(10.0**decade)) for decade in decades]
        from matplotlib.ticker import MaxNLocator

        inner = MaxNLocator(4, integer=self.whole).tick_values(self.low, self.high)
        room = 0.08 * (self.high - self.low)
        within = [place for place in inner if self.low + room <= place <= self.high - room]
        return [(self.unit(place), f"{place:.4g}") for place in (self.low, *within, self.high)]

    def put_on(self, axes: Axes, which: str, *, labelled: bool = True) -> None:
        """Gives an axis, "x" or "y", this scale."""
        axis: Axis = getattr(axes, f"{which}axis")
        if labelled:
            getattr(axes, f"set_{which}label")(short(self.name, 28))
        if self.options:
            step = math.ceil(len(self.options) / MOST_TICKS)
            axis.set_ticks(list(range(0, len(self.options), step)), labels=self.labels[::step])
            if which == "x" and max(map(len, self.labels)) * len(self.labels) > 40:
                axis.set_tick_params(rotation=30)
            getattr(axes, f"set_{which}lim")(-0.5, len(self.options) - 0.5)
            return
        if self.log:
            from matplotlib.ticker import LogLocator, NullLocator

            getattr(axes, f"set_{which}scale")("log")
            decades = self.high / self.low >= 100
            axis.set_major_locator(LogLocator(10, subs=(1,) if decades else (1, 2, 5), numticks=6 if decades else 8))
            axis.set_minor_locator(NullLocator())  # they take longer to draw than all else
            axis.set_major_formatter(lambda value, place: power(value))
        elif self.whole:
            from matplotlib.ticker import MaxNLocator

            axis.set_major_locator(MaxNLocator(6, integer=True))
        elif self.high >= 1e4:
            from matplotlib.ticker import EngFormatter

            axis.set_major_formatter(EngFormatter(sep=""))
        low, high = self.raw(np.array([-0.03, 1.03]))
        if self.whole and not self.log:
            room = min(0.5, 0.1 * (self.high - self.low))
            low, high = self.low - room, self.high + room
        if low < high:
            getattr(axes, f"set_{which}lim")(low, high)


def short(text: str, most: int = LONGEST) -> str:
    """Returns a text cut to so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def power(value: float) -> str:
    """Returns a number of few digits as people write it beside a logarithmic axis.

    >>> power(1e-4), power(0.02), power(1), power(5000), power(1e6)
    ('1e-4', '0.02', '1', '5,000', '1e6')
    """
    if 0.005 <= value < 1e6:
        return f"{value:,.0f}" if value >= 1 else f"{value:g}"
    digits, exponent = f"{value:.0e}".split("e")
    return f"{digits}e{int(exponent)}"


def _same(option: Any, value: Any) -> bool:
    return option == value and isinstance(option, bool) == isinstance(value, bool)
