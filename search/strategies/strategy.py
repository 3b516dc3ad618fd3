"""A strategy as a study is given it: by name with options, or as a sampler of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import Problem, SettingsError, SpaceError, suggestion
from ..goals import ONE, Goals
from ..options import option_problems
from .registry import STRATEGIES

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ...spaces import Space

LEAST = {"startup": 0, "population": 4, "interval": 1}  # of the options


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
        self.showing = ""  # how it is shown trials of different lengths, where a pruner pauses them
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
        if problems := [*_option_problems(given, options)]:
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
        if self.goals.several and self._own is None and self.learns:
            made = self._of_several(made, seed)
        from .informed import informed

        known = self.earlier if self.learns else ()
        return informed(made, self.space, known, seed, self.showing if self.learns and self._own is None else "")

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


def _option_problems(name: str, options: Mapping[str, Any]) -> Iterator[Problem]:
    known = STRATEGIES[name].options
    yield from option_problems(name, options, known, LEAST)
    share = options.get("share", 0.5)
    if "share" in known and not (isinstance(share, float) and 0 < share <= 0.5):
        yield Problem(f"`share` must be in (0, 0.5], but got {share!r}", ("share",))
