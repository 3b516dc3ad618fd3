"""The ledger: the study's trials as the driver keeps them. Every change of a trial is made here."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..errors import SpaceExhausted
from ..spaces import Space
from .goals import ONE, Goals
from .listeners import Listener
from .pruners.base import Pruner, Verdict
from .storage import Mirror
from .strategies import Strategy
from .strategies.proposer import Proposer
from .trial import EPOCH, FAULTS, PARENT, PAUSED, SAVED, Trial

_Result = TypeVar("_Result")

OUTCOMES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class AllBegun(Exception):
    """As many trials have begun as may, by this driver and the others."""


class Ledger:
    """Proposes, records and ends trials of one study. What has been done is durable after the next `commit`."""

    def __init__(
        self,
        mirror: Mirror,
        space: Space,
        strategy: Strategy,
        pruner: Pruner,
        seed: int,
        goals: Goals = ONE,
    ) -> None:
        self.mirror, self.space, self.strategy, self.seed, self.goals = mirror, space, strategy, seed, goals
        self.pruner = pruner
        name = mirror.get_study_name_from_id(mirror.study_id)
        self.optuna = optuna.load_study(study_name=name, storage=mirror, sampler=strategy.sampler(seed))
        pruner.bind(self.optuna)
        self.listeners: list[Listener] = []
        self.asked: set[int] = set()  # running trials in the hands of the user
        self._committed = time.monotonic()
        self._ended: list[Trial] = []  # trials whose end isn't durable yet
        self._records: dict[int, tuple[FrozenTrial, Trial]] = {}  # the memory replaces a trial that changes

    # What is more than this where several drivers run the study: see `shared/ledger.py`

    shared = False  # whether others may run it too
    id = ""  # the driver's, where others may

    @property
    def leads(self) -> bool:
        """Whether this driver is the one that sees to what is there once: the tracker's runs, the best network."""
        return True

    def holds(self) -> bool:
        """Tells whether nobody else has taken over what this driver does, as far as can be told now."""
        return True

    def hurry(self) -> None:
        """Has nothing be waited for any longer that a driver in no hurry would wait for: it was interrupted."""

    def when_leading(self, act: Callable[[], None]) -> None:
        """Calls `act` as soon as this driver leads."""
        act()

    def exclusively(self, act: Callable[[], _Result]) -> _Result:
        """Returns what `act` does in view of all that other drivers did, while none of them does such."""
        return act()

    def reserve(self, trials: int | None) -> None:
        """Lets as many trials begin in all, of all drivers; None sets no bound."""

    def owns(self, number: int) -> bool:
        """Tells whether the trial is this driver's."""
        return True

    @property
    def orphaned(self) -> bool:
        """Whether a driver that lives no more left a trial running."""
        return False

    @property
    def others_at_work(self) -> bool:
        """Whether other drivers have trials that haven't ended."""
        return False

    def stays(self) -> bool:
        """Tells whether this driver, with nothing left to begin, is still needed to take up what others leave.

        The two that joined first are as long as others have trials; another one until it has seen that the first lives.
        """
        return False

    def refresh(self, *, now: bool = False) -> list[Trial]:
        """Sees what other drivers did, `now` or if the last look is old; returns their trials that changed."""
        return []

    def take_up(self) -> list[Trial]:
        """Makes a trial that another driver left running this one's, if there is one; returns it."""
        return []

    def put_back(self, trial: Trial) -> None:
        """Puts a trial that was proposed and won't be begun back in line."""

    # Trials

    @property
    def trials(self) -> list[Trial]:
        """Every trial, by number."""
        return [self._record(frozen) for frozen in self._frozen()]

    def trial(self, number: int) -> Trial:
        """Returns one trial."""
        return self._record(self.mirror.get_trial(self.mirror.trial_id(number)))

    @property
    def maximize(self) -> bool:
        """Whether greater values are better."""
        return self.optuna.directions[0] == StudyDirection.MAXIMIZE

    def unfinished(self) -> list[Trial]:
        """Returns the trials that another process left running."""
        running = map(self._record, self._frozen(TrialState.RUNNING))
        return [trial for trial in running if trial.state == "running" and trial.number not in self.asked]

    @property
    def paused(self) -> list[Trial]:
        """The trials that may go on from where they stand."""
        running = map(self._record, self._frozen(TrialState.RUNNING))
        return [trial for trial in running if trial.state == "paused"]

    def shelved(self) -> list[Trial]:
        """Returns the trials that were proposed, shelved, and not begun since."""
        return [trial for trial in self._waiting() if trial.parent is None]

    def branched(self) -> list[Trial]:
        """Returns the trials that wait to begin from the state of another one."""
        return [trial for trial in self._waiting() if trial.parent is not None]

    def _waiting(self) -> list[Trial]:
        return [self._record(frozen) for frozen in self._frozen(TrialState.WAITING) if frozen.params]

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

    def name_objectives(self, names: Sequence[str]) -> None:
        """Tells what knows Optuna, its dashboard for one, what the objectives are called."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if self.optuna.metric_names != list(names):
                self.optuna.set_metric_names(list(names))

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

    def happened(self, event: str, **facts: Any) -> None:
        """Tells the listeners of something that isn't recorded: see `search/log.py` for what there is."""
        for listener in self.listeners:
            listener.happened(event, facts)

    def propose(self, given: Mapping[str, Any] | None = None) -> Trial:
        """Returns a new trial with every parameter set, those `given` to their values, and the others in view of them.

        Raises SpaceExhausted if the study has had them all, AllBegun if no more may begin.
        """
        enqueued = [frozen for frozen in self._frozen(TrialState.WAITING) if not frozen.params]
        number = enqueued[0].number if enqueued else len(self._frozen())
        self.optuna.sampler = sampler = self.strategy.sampler(self.seed, given)
        if not enqueued and isinstance(sampler, Proposer):
            template = sampler.propose(self.optuna)
            return self._record(self.mirror.get_trial(self.mirror.create_new_trial(self.mirror.study_id, template)))
        if not enqueued and self._exhausted():
            raise SpaceExhausted("every configuration has been proposed")
        # What `optuna.Study.ask` does; but that would take the first trial in line, also if it is one of the shelved.
        self.optuna._thread_local.cached_all_trials = None
        if enqueued:
            trial_id = self.mirror.trial_id(number)
            self.mirror.set_trial_state_values(trial_id, TrialState.RUNNING)
        else:
            trial_id = self.mirror.create_new_trial(self.mirror.study_id)
        self.space.suggest(optuna.trial.Trial(self.optuna, trial_id))
        return self.trial(number)

    def shelve(self, trial: Trial) -> Trial:
        """Puts a proposed trial in line; returns it as it is there."""
        self.mirror.set_trial_state_values(self.mirror.trial_id(trial.number), TrialState.WAITING)
        return self.trial(trial.number)

    def branch(self, params: Mapping[str, Any], parent: int, leave: Callable[[int, int], None]) -> Trial:
        """Puts a new trial in line, to begin from the state of a paused one; `leave(parent, number)` leaves it that."""
        number, varying = len(self._frozen()), {n: v for n, v in params.items() if n in self.space.parameters}
        leave(parent, number)  # first: a crash before the record leaves a file that nobody minds
        template = optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=varying,
            distributions={name: self.space.parameters[name].to_distribution() for name in varying},
            system_attrs={PARENT: parent},
        )
        self.mirror.create_new_trial(self.mirror.study_id, template)
        return self.trial(number)

    def began(self, trial: Trial, place: Mapping[str, Any] | None = None) -> None:
        """Records that a trial is under way, and in what `place`: the worker's number, device and lanes."""
        trial_id = self.mirror.trial_id(trial.number)
        if trial.state == "waiting":
            self.mirror.set_trial_state_values(trial_id, TrialState.RUNNING)
        for name, fact in (place or {}).items():
            self.mirror.set_trial_user_attr(trial_id, name, fact)
        trial = self.trial(trial.number)
        for listener in self.listeners:
            listener.began(trial)

    def report(self, number: int, epoch: int, value: float, metrics: Mapping[str, float] | None = None) -> None:
        """Records an epoch's value. A trial that was taken up again repeats epochs: they stay as they are recorded."""
        if self._epoch(number, epoch):
            return
        trial_id = self.mirror.trial_id(number)
        self.mirror.set_trial_intermediate_value(trial_id, epoch, value)
        self._note(number, epoch, metrics=dict(metrics or {}), at=time.time())
        trial = self.trial(number)
        for listener in self.listeners:
            listener.reported(trial, epoch, metrics or {})

    def saved(self, number: int, epoch: int, checksum: str) -> None:
        """Records that a trial's checkpoint after an epoch is on the disk."""
        entry: dict[str, Any] = {"epoch": epoch, "crc32": checksum}
        self.mirror.set_trial_system_attr(self.mirror.trial_id(number), SAVED, entry)

    def saved_epoch(self, number: int) -> int | None:
        """Returns the epoch of a trial's last checkpoint that is known to be on the disk; None if there is none."""
        saved = self.mirror.get_trial(self.mirror.trial_id(number)).system_attrs.get(SAVED)
        return None if saved is None else int(saved["epoch"])

    def fault(self, number: int, what: str, *, retried: bool = False) -> Trial:
        """Records what went wrong with a trial that goes on; `retried` if it might be to blame. Returns the trial."""
        after = max(self.trial(number).curve, default=0)
        entry: dict[str, Any] = {"what": what, "epoch": after, "at": time.time(), "retried": retried}
        self.mirror.set_trial_system_attr(self.mirror.trial_id(number), FAULTS, [*self._faults(number), entry])
        trial = self.trial(number)
        for listener in self.listeners:
            listener.faulted(trial, what)
        return trial

    def retried(self, number: int) -> bool:
        """Tells whether a trial has had its second chance."""
        return any(fault["retried"] for fault in self._faults(number))

    def _faults(self, number: int) -> list[dict[str, Any]]:
        return list(self.mirror.get_trial(self.mirror.trial_id(number)).system_attrs.get(FAULTS, ()))

    def decide(self, epochs: Mapping[int, int]) -> dict[int, Verdict]:
        """Returns the pruner's verdict on trials, by number, after the epoch that each has reported; "go" at no rung.

        What was decided once stays so, for a trial that was taken up again and comes to that epoch a second time.
        """
        undecided = [
            number
            for number, epoch in epochs.items()
            if "verdict" not in self._epoch(number, epoch) and epoch in self.pruner.rungs(number, 2 * epoch + 1)
        ]
        if undecided:
            for number, verdict in zip(undecided, self.pruner.verdicts(undecided, self.trials), strict=True):
                self._note(number, epochs[number], verdict=verdict)
        return {number: self._epoch(number, epoch).get("verdict", "go") for number, epoch in epochs.items()}

    def pause(self, number: int, facts: Mapping[str, Any]) -> Trial:
        """Records that a trial left its lane at a rung, and what is known of it until then."""
        for name, fact in facts.items():
            self.mirror.set_trial_user_attr(self.mirror.trial_id(number), name, fact)
        self._mark_paused(number, True)
        paused = self.trial(number)
        for listener in self.listeners:
            listener.paused(paused)
        return paused

    def resume(self, number: int) -> Trial:
        """Records that a paused trial goes on; returns it as it is then."""
        self._note(number, max(self.trial(number).curve), verdict="go")
        self._mark_paused(number, False)
        return self.trial(number)

    def end_early(self, number: int, reason: str) -> Trial:
        """Ends a trial that nobody trains as pruned, with the best value that it had come to."""
        values, best = self.trial(number).curve.values(), max if self.maximize else min
        facts = self.mirror.get_trial(self.mirror.trial_id(number)).user_attrs
        self._mark_paused(number, False)
        return self.end(number, "pruned", best(values, default=None), reason, facts)

    def end(
        self,
        number: int,
        outcome: str,
        value: float | Sequence[float] | None,
        reason: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> Trial:
        """Ends a trial as "complete", "pruned", "stopped" or "failed"; a value that is no number fails it.

        Of several objectives `value` is all of them, or the first, the others being among the facts and the metrics.
        """
        trial_id, best = self.mirror.trial_id(number), (facts or {}).get("best_epoch")
        metrics = self.mirror.get_trial(trial_id).system_attrs.get(f"{EPOCH}{best}", {}).get("metrics", {})
        outcome, values, problem = self.goals.judged(outcome, value, facts or {}, metrics)
        state, reason = OUTCOMES[outcome], problem or reason
        for name, fact in {**(facts or {}), "reason": reason}.items():
            self.mirror.set_trial_user_attr(trial_id, name, fact)
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
        size = self.space.size
        frozen = self._frozen()
        if size is None or len(frozen) < size:
            return False
        return len({tuple(sorted(trial.params.items(), key=repr)) for trial in frozen}) >= size

    def _frozen(self, *states: TrialState) -> list[FrozenTrial]:
        return self.mirror.get_all_trials(self.mirror.study_id, deepcopy=False, states=states or None)

    def _record(self, frozen: FrozenTrial) -> Trial:
        known, record = self._records.get(frozen.number, (None, None))
        if record is None or known is not frozen:
            record = Trial.of(frozen, self.space.fixed)
            self._records[frozen.number] = frozen, record
        return record

    def _epoch(self, number: int, epoch: int) -> Mapping[str, Any]:
        """Returns what is recorded of a trial's epoch: its metrics, when it was, the verdict; nothing if it wasn't."""
        frozen = self.mirror.get_trial(self.mirror.trial_id(number))
        return cast("Mapping[str, Any]", frozen.system_attrs.get(f"{EPOCH}{epoch}", {}))

    def _note(self, number: int, epoch: int, **noted: Any) -> None:
        entry = {**self._epoch(number, epoch), **noted}
        self.mirror.set_trial_system_attr(self.mirror.trial_id(number), f"{EPOCH}{epoch}", entry)

    def _mark_paused(self, number: int, paused: bool) -> None:
        self.mirror.set_trial_system_attr(self.mirror.trial_id(number), PAUSED, paused)


def _key(params: Mapping[str, Any]) -> str:
    return repr(sorted(params.items()))
