"""Strategies by name: what proposes the next configurations. Each is an Optuna sampler, usable alone in plain Optuna.

A new strategy is a new file and one line in `STRATEGIES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import Problem, SettingsError, SpaceError, suggestion

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ...spaces import Space


def _grid(space: Space, seed: int, points: int | Mapping[str, int] | None = None) -> BaseSampler:
    from .grid import GridSampler

    return GridSampler(space, points)


def _random(space: Space, seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed)


def _bayes(space: Space, seed: int, startup: int = 5) -> BaseSampler:
    from .bayes import bayes

    return bayes(space, seed, startup)


def _tpe(space: Space, seed: int, startup: int = 10) -> BaseSampler:
    from .bayes import tpe

    return tpe(seed, startup)


def _gp(space: Space, seed: int, startup: int = 10) -> BaseSampler:
    from .bayes import gp

    return gp(seed, startup)


def _skopt(estimator: str) -> Callable[..., BaseSampler]:
    def make(space: Space, seed: int, startup: int = 10) -> BaseSampler:
        from .skopt import SkoptSampler

        return SkoptSampler(estimator, seed=seed, n_startup_trials=startup)

    return make


STRATEGIES: dict[str, Callable[..., BaseSampler]] = {
    "grid": _grid,
    "random": _random,
    "bayes": _bayes,
    "tpe": _tpe,
    "gp": _gp,
    "skopt-gp": _skopt("gp"),
    "skopt-rf": _skopt("rf"),
    "skopt-et": _skopt("et"),
}


class Strategy:
    """A strategy as a study is given it: a name, a mapping with `name` and options, or an Optuna sampler.

    Named strategies are stateless: a sampler is made afresh for each proposal, from the study's seed and the trial's
    number, so that a proposal depends on these and on the trials before it alone, also after a resume. A sampler of
    your own is used as it is. Raises SettingsError, holding every problem, for an unknown name or option.
    """

    def __init__(self, given: Any, space: Space) -> None:
        self._own: BaseSampler | None = None
        self.space = space
        options: dict[str, Any] = {}
        if isinstance(given, Mapping):
            options = dict(given)
            given = options.pop("name", None)
        if not isinstance(given, str):
            if given is None or not hasattr(given, "sample_relative"):
                raise SettingsError(f"a strategy is a name or an Optuna sampler, but got {given!r}")
            self._own, self.name, self.options = given, type(given).__name__, options
            return
        if given not in STRATEGIES:
            raise SettingsError(f"no strategy is called `{given}`. {suggestion(given, STRATEGIES)}")
        known = list(inspect.signature(STRATEGIES[given]).parameters)[2:]
        unknown = [option for option in options if option not in known]
        if unknown:
            raise SettingsError(
                Problem(f"`{given}` has no option `{option}`. {suggestion(option, known)}", (option,))
                for option in unknown
            )
        startup = options.get("startup", 0)
        if isinstance(startup, bool) or not isinstance(startup, int) or startup < 0:
            raise SettingsError([Problem(f"`startup` must be an integer >= 0, but got {startup!r}", ("startup",))])
        self.name, self.options = given, options
        if given == "grid":
            try:
                space.grid(options.get("points"))
            except SpaceError as error:
                raise SpaceError(problem.inside("points") for problem in error.problems) from None

    def sampler(self, seed: int, given: Mapping[str, Any] | None = None) -> BaseSampler:
        """Returns the sampler that makes one proposal, whose values are those in `given` and the rest fits these."""
        sampler = self._own or STRATEGIES[self.name](self.space, seed, **self.options)
        if not given:
            return sampler
        from .conditioned import condition

        return condition(sampler, given)

    @property
    def learns(self) -> bool:
        """Whether proposals depend on the results of the trials before them."""
        return self._own is not None or self.name not in ("grid", "random")

    @property
    def grid_size(self) -> int | None:
        """How many configurations the grid has; None if the strategy isn't one."""
        return sum(1 for _ in self.space.grid(self.options.get("points"))) if self.name == "grid" else None

    def describe(self) -> Any:
        """Returns the strategy as JSON."""
        if self._own is not None:
            return f"<{self.name}>"
        return {"name": self.name, **self.options} if self.options else self.name
