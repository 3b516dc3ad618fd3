"""The ledger: the study's trials as the driver keeps them. Every change of a trial is made here."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from ..errors import SpaceExhausted
from ..spaces import Space
from .limits import Allowed
from .listeners import Listener
from .storage import Mirror
from .strategies import Strategy
from .strategies.grid import GridSampler
from .trial import EPOCH, Trial

OUTCOMES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

COUNTED = 1000  # configurations of a space, of which those within limits are counted


class Ledger:
    """Proposes, records and ends trials of one study. What has been done is durable after the next `commit`."""

    def __init__(
        self,
        mirror: Mirror,
        space: Space,
        strategy: Strategy,
        pruner: BasePruner,
        seed: int,
        allowed: Allowed | None = None,
    ) -> None:
        self.mirror, self.space, self.strategy, self.seed, self.allowed = mirror, space, strategy, seed, allowed
        name = mirror.get_study_name_from_id(mirror.study_id)
        self.optuna = optuna.load_study(study_name=name, storage=mirror, pruner=pruner, sampler=strategy.sampler(seed))
        self.listeners: list[Listener] = []
        self.asked: set[int] = set()  # running trials in the hands of the user
        self._committed = time.monotonic()
        self._ended: list[Trial] = []  # trials whose end isn't durable yet

    @property
    def trials(self) -> list[Trial]:
        """Every trial, by number."""
        return [self._record(frozen) for frozen in self._frozen()]

    def trial(self, number: int) -> Trial:
        """Returns one trial."""
        return self._record(self.mirror.get_trial(self.mirror.trial_id(number)))

    def unfinished(self) -> list[Trial]:
        """Returns the trials that another process left running."""
        running = map(self._record, self._frozen(TrialState.RUNNING))
        return [trial for trial in running if trial.number not in self.asked]

    def shelved(self) -> list[Trial]:
        """Returns the trials that were proposed, shelved, and not begun since."""
        return [self._record(frozen) for frozen in self._frozen(TrialState.WAITING) if frozen.params]

    @property
    def maximize(self) -> bool:
        """Whether greater values are better."""
        return self.optuna.direction == optuna.study.StudyDirection.MAXIMIZE

    @property
    def begun(self) -> int:
        """How many trials have begun: all but those that wait in line."""
        return len(self._frozen()) - len(self._frozen(TrialState.WAITING))

    def attribute(self, name: str) -> Any:
        """Returns what `set_attribute` kept with the study, None if nothing."""
        return self.mirror.get_study_user_attrs(self.mirror.study_id).get(f"leadline:{name}")

    def set_attribute(self, name: str, value: Any) -> None:
        """Keeps a JSON value with the study."""
        self.mirror.set_study_user_attr(self.mirror.study_id, f"leadline:{name}", value)

    def enqueue(self, configurations: Iterable[Mapping[str, Any]]) -> None:
        """Puts configurations first in line; what they leave out is proposed. Those the study holds are left out.

        Raises SpaceError, with every problem, if one isn't in the space; then none is put in line.
        """
        given = list(configurations)
        self.space.require(given)
        held = {_key(frozen.params or frozen.system_attrs.get("fixed_params", {})) for frozen in self._frozen()}
        for params in given:
            varying = {name: value for name, value in params.items() if name in self.space.parameters}
            if _key(varying) not in held:  # Optuna's own `skip_if_exists` compares each with each: 1 s for 128
                held.add(_key(varying))
                self.optuna.enqueue_trial(varying)

    @property
    def plans(self) -> dict[str, tuple[str, int]]:
        """How the stacks of each blueprint are run: their kind, and how many lanes pay."""
        return {name: (plan["stack"], plan["lanes"]) for name, plan in (self.attribute("plans") or {}).items()}

    def adopt(self, blueprint: str, stack: str, lanes: int, reason: str) -> tuple[str, int]:
        """Returns how the stacks of a blueprint are run: as was adopted before, else as is proposed."""
        if blueprint not in self.plans:
            plan = {"stack": stack, "lanes": lanes, "reason": reason}
            self.set_attribute("plans", {**(self.attribute("plans") or {}), blueprint: plan})
            for listener in self.listeners:
                listener.planned(blueprint, stack, reason)
        return self.plans[blueprint]

    def propose(self, given: Mapping[str, Any] | None = None) -> Trial:
        """Returns a new trial with every parameter set, those `given` to their values, and the others in view of them.

        Raises SpaceExhausted if the study has had them all.
        """
        enqueued = [frozen for frozen in self._frozen(TrialState.WAITING) if not frozen.params]
        number = enqueued[0].number if enqueued else len(self._frozen())
        seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        self.optuna.sampler = self._sampler(seed, given)
        if not enqueued and self._exhausted():
            raise SpaceExhausted("every configuration has been proposed")
        # What `optuna.Study.ask` does; but that would take the first trial in line, also if it is one of the shelved.
        self.optuna._thread_local.cached_all_trials = None
        if enqueued:
            trial_id = self.mirror.trial_id(number)
            self.mirror.set_trial_state_values(trial_id, TrialState.RUNNING)
        else:
            trial_id = self.mirror.create_new_trial(self.mirror.study_id)
        try:
            self.space.suggest(optuna.trial.Trial(self.optuna, trial_id))
        except SpaceExhausted as error:
            self.end(number, "failed", None, str(error))
            raise
        return self.trial(number)

    def shelve(self, trial: Trial) -> Trial:
        """Puts a proposed trial in line; returns it as it is there."""
        self.mirror.set_trial_state_values(self.mirror.trial_id(trial.number), TrialState.WAITING)
        return self.trial(trial.number)

    def began(self, trial: Trial) -> None:
        """Records that a trial is under way."""
        if trial.state == "waiting":
            self.mirror.set_trial_state_values(self.mirror.trial_id(trial.number), TrialState.RUNNING)
            trial = self.trial(trial.number)
        for listener in self.listeners:
            listener.began(trial)

    def report(
        self, number: int, epoch: int, value: float, metrics: Mapping[str, float] | None = None, *, decide: bool
    ) -> bool:
        """Records an epoch's value; returns whether the trial shall end, which the pruner is asked if `decide`.

        A trial that was taken up again repeats epochs that are recorded: they, and what was decided, stay as they are.
        """
        trial_id = self.mirror.trial_id(number)
        recorded = self.mirror.get_trial(trial_id).system_attrs.get(f"{EPOCH}{epoch}")
        if recorded is not None:
            return bool(recorded["prune"])
        self.mirror.set_trial_intermediate_value(trial_id, epoch, value)
        prune = decide and self.optuna.pruner.prune(self.optuna, self.mirror.get_trial(trial_id))
        entry: Any = {"metrics": dict(metrics or {}), "prune": prune, "at": time.time()}
        self.mirror.set_trial_system_attr(trial_id, f"{EPOCH}{epoch}", entry)
        trial = self.trial(number)
        for listener in self.listeners:
            listener.reported(trial, epoch, metrics or {})
        return prune

    def end(
        self, number: int, outcome: str, value: float | None, reason: str = "", facts: Mapping[str, Any] | None = None
    ) -> Trial:
        """Ends a trial as "complete", "pruned", "stopped" or "failed"; a value that is no number fails it."""
        if value is not None and math.isnan(value):
            outcome, value, reason = "failed", None, "its value was no number"
        trial_id, state = self.mirror.trial_id(number), OUTCOMES[outcome]
        for name, fact in {**(facts or {}), "reason": reason}.items():
            self.mirror.set_trial_user_attr(trial_id, name, fact)
        values = None if value is None or state == TrialState.FAIL else [float(value)]
        self._tell_sampler(trial_id, state, values)
        self.mirror.set_trial_state_values(trial_id, state, values)
        self._ended.append(self.trial(number))
        return self._ended[-1]

    def commit(self, *, older_than: float = 0.0) -> None:
        """Makes durable what has been done, if it is `older_than` so many seconds."""
        if time.monotonic() - self._committed >= older_than:
            self.mirror.commit()
            self._committed = time.monotonic()
            ended, self._ended = self._ended, []
            for trial in ended:  # only now: listeners clean up after it
                for listener in self.listeners:
                    listener.ended(trial)

    def _sampler(self, seed: int, given: Mapping[str, Any] | None) -> BaseSampler:
        if self.allowed is None:
            return self.strategy.sampler(seed, given)
        from .strategies.within import within

        return within(lambda attempt: self.strategy.sampler(seed + attempt, given), self.space, self.allowed, seed)

    def _tell_sampler(self, trial_id: int, state: TrialState, values: list[float] | None) -> None:
        # A sampler may stop the study when it has nothing left, which Optuna allows inside `optimize` alone.
        local = self.optuna._thread_local
        local.in_optimize_loop = True
        try:
            self.optuna.sampler.after_trial(self.optuna, self.mirror.get_trial(trial_id), state, values)
        finally:
            local.in_optimize_loop = False

    def _exhausted(self) -> bool:
        if self.optuna._stop_flag:
            return True
        if isinstance(self.optuna.sampler, GridSampler):
            return self.optuna.sampler.missing(self.optuna) is None
        size = self._size
        frozen = self._frozen()
        if size is None or len(frozen) < size:
            return False
        return len({tuple(sorted(trial.params.items(), key=repr)) for trial in frozen}) >= size

    @cached_property
    def _size(self) -> int | None:
        """How many configurations may be proposed; None if nobody counts them."""
        size = self.space.size
        if self.allowed is None or size is None or size > COUNTED:
            return size
        return sum(map(self.allowed, self.space.grid()))

    def _frozen(self, *states: TrialState) -> list[FrozenTrial]:
        return self.mirror.get_all_trials(self.mirror.study_id, deepcopy=False, states=states or None)

    def _record(self, frozen: FrozenTrial) -> Trial:
        return Trial.of(frozen, self.space.fixed)


def _key(params: Mapping[str, Any]) -> str:
    return repr(sorted(params.items()))
