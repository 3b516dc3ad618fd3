"""What every pruner of ours must do, in simulated studies: subclass `PrunerContract`, and say how it is made."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from leadline.search.pruners import Pruner
from leadline.search.pruners.base import Begin, End, Move, Resume
from leadline.search.trial import Trial

Curves = Callable[[int], Sequence[float]]  # a trial's value after each of its epochs, by number; NaN fails it


class Simulation:
    """Trains trials, in so many lanes of one stack, as a pruner says, and keeps their records.

    `paused_at` has, for each trial, the epochs after which it paused.
    """

    def __init__(self, pruner: Pruner, curves: Curves, *, trials: int, lanes: int = 1) -> None:
        self.pruner, self.curves, self.budget, self.lanes = pruner, curves, trials, lanes
        self.trials: list[Trial] = []
        self.paused_at: dict[int, list[int]] = {}
        self.trained = 0  # epochs, of all

    def run(self) -> Simulation:
        """Trains until nothing is left to be done."""
        while True:
            while len(self.of("running")) < self.lanes and self._place(self._ask(self.pruner.moves)):
                pass
            if not self.of("running") and not self._place(self._ask(self.pruner.last_moves), closing=True):
                break
            self._epoch()
        for trial in self.of("paused"):
            self._set(trial.number, state="pruned")
        return self

    def of(self, *states: str) -> list[Trial]:
        """Returns the trials that are in one of these states."""
        return [trial for trial in self.trials if trial.state in states]

    def _place(self, moves: list[Move], *, closing: bool = False) -> bool:
        for move in moves:
            assert not isinstance(move, Begin), "of the pruners here, none begins a trial from another"
            assert self.trials[move.number].state == "paused"
            self._set(move.number, state="pruned" if isinstance(move, End) else "running")
            if isinstance(move, Resume):
                return True
        may = not closing and len(self.trials) < self.budget and self._ask(self.pruner.takes_new)
        if may:
            self.trials.append(Trial(len(self.trials), "running", {"x": float(len(self.trials))}))
        return may

    def _epoch(self) -> None:
        waiting = []
        for trial in self.of("running"):
            whole, epoch = self.curves(trial.number), len(trial.curve) + 1
            value = whole[epoch - 1]
            self.trained += 1
            curve = {**trial.curve, epoch: value}
            if math.isnan(value):
                self._set(trial.number, state="failed")
            elif epoch == len(whole):
                self._set(trial.number, state="complete", curve=curve, value=value)
            else:
                self._set(trial.number, curve=curve)
                if epoch in self.pruner.rungs(trial.number, len(whole)):
                    waiting.append(trial.number)
        if waiting:
            for number, verdict in zip(waiting, self._ask(self.pruner.verdicts, waiting), strict=True):
                if verdict == "pause":
                    self.paused_at.setdefault(number, []).append(len(self.trials[number].curve))
                if verdict != "go":
                    self._set(number, state="paused" if verdict == "pause" else "pruned")

    def _ask(self, question: Callable[..., Any], *first: Any) -> Any:
        """Returns the pruner's answer, which is the same again to the same records."""
        answer = question(*first, self.trials)
        assert question(*first, list(self.trials)) == answer
        return answer

    def _set(self, number: int, **changes: Any) -> None:
        self.trials[number] = replace(self.trials[number], **changes)


def rising(seed: int, epochs: int = 32, failing: float = 0.1) -> Curves:
    """Returns curves that rise to levels drawn at random, at one rate, some failing in the second epoch."""

    def curve(number: int) -> list[float]:
        draw = random.Random(f"{seed} {number}")
        level, fails = draw.random(), draw.random() < failing
        values = [level * (1 - 0.9**epoch) + draw.gauss(0, 0.02) for epoch in range(1, epochs + 1)]
        return [*values[:1], math.nan] if fails else values

    return curve


class PrunerContract:
    """The suite. `make` returns the pruner for trials of so many epochs."""

    def make(self, epochs: int | None, *, maximize: bool = True, pausing: bool = True) -> Pruner:
        """Returns the pruner to judge."""
        raise NotImplementedError

    @pytest.mark.parametrize("lanes", [1, 7])
    @pytest.mark.parametrize("trials", [1, 3, 60])
    @pytest.mark.parametrize("epochs", [1, 2, 5, 32])
    def test_every_study_ends_with_every_trial_ended_and_one_complete(
        self, lanes: int, trials: int, epochs: int
    ) -> None:
        curves = rising(seed=0, epochs=epochs, failing=0.0)
        done = Simulation(self.make(epochs), curves, trials=trials, lanes=lanes).run()
        assert len(done.trials) == trials
        assert len(done.of("complete")) >= 1
        assert len(done.of("complete", "pruned")) == trials

    @pytest.mark.parametrize("lanes", [1, 16])
    def test_no_epoch_is_trained_twice(self, lanes: int) -> None:
        done = Simulation(self.make(32), rising(seed=1), trials=50, lanes=lanes).run()
        failed = len(done.of("failed"))
        assert failed > 0
        assert done.trained == sum(len(trial.curve) for trial in done.trials) + failed

    def test_decisions_fall_within_a_trials_epochs_before_its_last(self) -> None:
        for epochs in (1, 2, 3, 9, 32, 100):
            pruner = self.make(epochs)
            for number in range(20):
                assert all(1 <= rung < epochs for rung in pruner.rungs(number, epochs))
                assert pruner.rungs(number, 2) <= {1}

    @pytest.mark.parametrize("lanes", [1, 7])
    def test_smaller_is_better_where_the_metric_is_minimized(self, lanes: int) -> None:
        up = rising(seed=2)
        large = Simulation(self.make(32), up, trials=40, lanes=lanes).run()
        small = Simulation(
            self.make(32, maximize=False), lambda n: [-value for value in up(n)], trials=40, lanes=lanes
        ).run()
        assert [(trial.state, len(trial.curve)) for trial in small.trials] == [
            (trial.state, len(trial.curve)) for trial in large.trials
        ]

    def test_values_that_are_no_numbers_are_worse_than_any(self) -> None:
        def curves(number: int) -> list[float]:
            return [0.1 * number] * 32 if number % 2 else [-math.inf] * 31 + [0.0]

        done = Simulation(self.make(32), curves, trials=40, lanes=4).run()
        assert max(done.of("complete"), key=lambda trial: trial.value or 0.0).number == 39

    def test_what_cannot_pause_never_does(self) -> None:
        done = Simulation(self.make(32, pausing=False), rising(seed=3), trials=30, lanes=3).run()
        assert not done.paused_at
        assert done.of("complete")

    def test_trials_of_other_lengths_count(self) -> None:
        def curves(number: int) -> list[float]:
            return rising(seed=4, epochs=(32, 4, 9)[number % 3])(number)

        done = Simulation(self.make(32), curves, trials=45, lanes=4).run()
        assert len(done.of("complete", "pruned", "failed")) == 45
