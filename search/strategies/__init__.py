"""Strategies by name: what proposes the next configurations. Each is an Optuna sampler, usable alone in plain Optuna.

A new strategy is a new file and one line in `STRATEGIES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Problem, SettingsError, SpaceError, suggestion
from ..goals import ONE, Goals

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ...spaces import Space

# How many ended trials a model is shown. A proposal after 5,000 trials then takes 0.2, 0.5 and 0.2 s of processor time,
# 0.4, 0.8 and 0.2 s with 63 running (`benchmarks/asking.py`); all of them would take the first two many minutes.
GP_SEES = 200
SKOPT_GP_SEES = 100
SKOPT_FOREST_SEES = 500


def _grid(space: Space | None, seed: int, points: int | Mapping[str, int] | None = None) -> BaseSampler:
    from .grid import GridSampler

    if space is None:
        raise SettingsError("`grid` needs a space: what its configurations are can't be seen from trials")
    return GridSampler(space, points)


def _random(space: Space | None, seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    from .fresh import Fresh

    return Fresh(RandomSampler, seed)


def _qmc(space: Space | None, seed: int) -> BaseSampler:
    from .qmc import QmcSampler

    return QmcSampler(seed, None if space is None else space.to_distributions())


def _bayes(space: Space | None, seed: int, startup: int = 5) -> BaseSampler:
    from .bayes import bayes

    return bayes(space, seed, startup)


def _tpe(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
    from .bayes import tpe
    from .fresh import Fresh

    return Fresh(lambda fresh: tpe(fresh, startup), seed)


def _gp(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
    from .bayes import gp
    from .fresh import Fresh

    return Fresh(lambda fresh: gp(fresh, startup), seed, most=GP_SEES)


def _cmaes(space: Space | None, seed: int, population: int | None = None) -> BaseSampler:
    from .cmaes import CmaesSampler

    return CmaesSampler(seed, None if space is None else space.to_distributions(), population)


def _bohb(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
    from .multifidelity import Multifidelity, at_highest_rung

    enough = max(startup, 1 + (0 if space is None else len(space.parameters)))
    return Multifidelity(_tpe(space, seed, startup), at_highest_rung(enough))


def _pbt(
    space: Space | None, seed: int, population: int = 10, interval: int | None = None, share: float = 0.2
) -> BaseSampler:
    return _random(space, seed)  # of the first generation; all others are the pruner's


def _skopt(estimator: str, most: int) -> Callable[..., BaseSampler]:
    def make(space: Space | None, seed: int, startup: int = 10) -> BaseSampler:
        from .fresh import Fresh
        from .skopt import SkoptSampler

        return Fresh(lambda fresh: SkoptSampler(estimator, seed=fresh, n_startup_trials=startup), seed, most)

    return make


def _nsga2(space: Space | None, seed: int, population: int = 20) -> BaseSampler:
    from .several import nsga2

    return nsga2(seed, population)


@dataclass(frozen=True)
class Entry:
    """A strategy in the registry.

    `make(space, seed, **options)` returns the sampler, for a space that is known or None; its proposals are a function
    of seed, trial number and history. `learns`: whether they depend on results. `attempts`: how often it is asked for
    one trial at most, if what it proposes won't do; 1 where asking is dear or would give the same again. `several`:
    whether it can do several objectives. `pruner`: the one that belongs to it, None if any does.
    """

    make: Callable[..., BaseSampler]
    learns: bool = True
    attempts: int = 1
    several: bool = False
    pruner: str | None = None

    @property
    def options(self) -> list[str]:
        return list(inspect.signature(self.make).parameters)[2:]


STRATEGIES: dict[str, Entry] = {
    "grid": Entry(_grid, learns=False, several=True),
    "random": Entry(_random, learns=False, attempts=8, several=True),
    "qmc": Entry(_qmc, learns=False, attempts=8, several=True),
    "bayes": Entry(_bayes, attempts=2, several=True),
    "tpe": Entry(_tpe, attempts=8, several=True),
    "gp": Entry(_gp, several=True),
    "cmaes": Entry(_cmaes, attempts=2),
    "bohb": Entry(_bohb, attempts=8, pruner="hyperband"),
    "thaw": Entry(_bayes, attempts=2, pruner="thaw"),
    "pbt": Entry(_pbt, learns=False, attempts=8, pruner="pbt"),
    "nsga2": Entry(_nsga2, attempts=8, several=True),
    "skopt-gp": Entry(_skopt("gp", SKOPT_GP_SEES)),
    "skopt-rf": Entry(_skopt("rf", SKOPT_FOREST_SEES)),
    "skopt-et": Entry(_skopt("et", SKOPT_FOREST_SEES)),
}


def sampler(name: str, seed: int = 0, space: Space | None = None, **options: Any) -> BaseSampler:
    """Returns the strategy called `name` as a sampler for plain Optuna.

    With a `space`, whole configurations of it are proposed, none twice (see `Guarded`); without one, the strategy
    learns from the trials what may vary, value by value, as Optuna's samplers do. Raises as `Strategy`.

    >>> import optuna
    >>> study = optuna.create_study(sampler=sampler("bayes", seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    """
    return Strategy({"name": name, **options}, space).sampler(seed)


class Strategy:
    """A strategy as a study is given it: a name, a mapping with `name` and options, or an Optuna sampler.

    Named strategies are stateless: a proposal depends on the study's seed, the trial's number and on the trials before
    it alone, also after a resume. In a `space` each configuration is proposed once at most, never one that isn't
    `allowed` (None: all are), and none that is likely to fail as others did, where the strategy learns (see `Guarded`).
    A sampler of your own is used as it is, but held to what is `allowed`, to priors and to `earlier` trials. Raises
    SettingsError, holding every problem, for an unknown name or option, and for a name that can't do several objectives
    where the `goals` are several.
    """

    def __init__(
        self,
        given: Any,
        space: Space | None,
        goals: Goals = ONE,
        allowed: Callable[[dict[str, Any]], bool] | None = None,
    ) -> None:
        self._own: BaseSampler | None = None
        self.space, self.goals, self.allowed = space, goals, allowed
        self.beside = ""  # the name of a pruner that pauses trials, so that those it learns from differ in length
        self.earlier: Sequence[Mapping[str, Any]] = ()  # trials of other studies, as `search.warm_start` takes them
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
        if goals.several and not STRATEGIES[given].several:
            able = [name for name, entry in STRATEGIES.items() if entry.several]
            raise SettingsError(f"`{given}` can't do several objectives; `{'`, `'.join(able)}` can")
        known = STRATEGIES[given].options
        problems = [
            Problem(f"`{given}` has no option `{option}`. {suggestion(option, known)}", (option,))
            for option in options
            if option not in known
        ]
        if problems:
            raise SettingsError(problems)
        floors = {"startup": 0, "population": 4, "interval": 1}
        problems = [
            Problem(f"`{option}` must be an integer >= {low}, but got {options[option]!r}", (option,))
            for option, low in floors.items()
            if option in options and not _is_integer(options[option], low)
        ]
        share = options.get("share", 0.2)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 0.5:
            problems.append(Problem(f"`share` must be in (0, 0.5], but got {share!r}", ("share",)))
        if problems:
            raise SettingsError(problems)
        self.name, self.options = given, options
        if given == "grid" and space is not None:
            try:
                space.grid(options.get("points"))
            except SpaceError as error:
                raise SpaceError(problem.inside("points") for problem in error.problems) from None

    def sampler(self, seed: int, given: Mapping[str, Any] | None = None) -> BaseSampler:
        """Returns the sampler of a study with this `seed`; its proposals have the values in `given`, the rest fits."""
        made = self._make(seed) if self._own is not None and self.allowed is None else self._guarded(seed)
        if not given:
            return made
        from .conditioned import condition

        return condition(made, given)

    def _guarded(self, seed: int) -> BaseSampler:
        if self.space is None:
            return self._make(seed)
        from .guarded import Guarded
        from .proposer import Proposer

        made = self._make(seed)
        if self._own is not None:
            made = Guarded(self._make, self.space, seed, avoid_failures=False)
        elif not isinstance(made, Proposer):
            entry = STRATEGIES["gp" if self.name == "bayes" and self.goals.several else self.name]
            made = Guarded(self._make, self.space, seed, avoid_failures=entry.learns, attempts=entry.attempts)
        made.allowed = self.allowed
        return made

    def _make(self, seed: int) -> BaseSampler:
        made = self._own or STRATEGIES[self.name].make(self.space, seed, **self.options)
        if self.space is None or self.name == "grid":  # which runs everything anyway
            return made
        if self.beside and self._own is None and self.learns:
            from .multifidelity import beside

            made = beside(made, self.beside)
        if self.goals.several and self._own is None and self.learns:
            made = self._of_several(made, seed)
        from .informed import informed

        return informed(made, self.space, self.earlier if self.learns else (), seed)

    def _of_several(self, made: BaseSampler, seed: int) -> BaseSampler:
        """Returns what proposes for several objectives."""
        from .several import Several, bayes

        if self.name != "bayes" or self.space is None:
            return Several(made, self.goals)
        startup = self.options.get("startup", 10)
        conditional = any(parameter.when for parameter in self.space.parameters.values())
        gp, tpe = (STRATEGIES[name].make(self.space, seed, startup) for name in ("gp", "tpe"))
        return bayes(gp, tpe, self.goals, conditional=conditional)

    @property
    def pruner(self) -> str | None:
        """The name of the pruner that belongs to it, None if any does."""
        return None if self._own is not None else STRATEGIES[self.name].pruner

    @property
    def learns(self) -> bool:
        """Whether proposals depend on the results of the trials before them."""
        return self._own is not None or STRATEGIES[self.name].learns

    @property
    def grid_size(self) -> int | None:
        """How many configurations the grid has; None if the strategy isn't one."""
        if self.name != "grid" or self.space is None:
            return None
        return sum(1 for _ in self.space.grid(self.options.get("points")))

    def describe(self) -> Any:
        """Returns the strategy as JSON."""
        if self._own is not None:
            return f"<{self.name}>"
        return {"name": self.name, **self.options} if self.options else self.name


def _is_integer(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
