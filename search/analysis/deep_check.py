"""Sanity before spending: what a minute tells of a study's data, networks, learning rates and costs."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from ...errors import SettingsError
from ...trainers import sanity
from ...trainers.memory import bytes_told
from ...trainers.messages import Job
from ...trainers.reasons import told, users_code
from ...trainers.sanity import Cost, Finding, Rates, Verdict, worst
from ...trainers.sanity.cost import available_memory, duration
from ...trainers.stack import Lane
from ...trainers.streams import Stream
from ...trainers.worker import threads
from ..run import devices_of
from .charts import chart
from .networks import Candidate, between, candidates, ordered

if TYPE_CHECKING:
    from ...trainers.data import Split
    from ...trainers.stack import Bench
    from ...trainers.trainer import Trainer
    from ..study import Study

ROWS = 128  # training examples whose way through the network is looked at
SECONDS = {"fits": 24.0, "rates": 16.0, "cost": 12.0}  # at most, for all networks together
CHART = 72  # characters that the chart of a range test is wide
WIDTH = 116
MARKS: dict[Verdict, str] = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM"}


@dataclass(frozen=True)
class StudyCost(Finding):
    """What the study takes if all trials run all their epochs: with networks of the middle size, and of the largest.

    Where nobody says how many `trials`, the seconds are those of one. `memory` is the most bytes that a lane takes.
    """

    trials: int | None
    middle_seconds: float
    largest_seconds: float
    memory: int


@dataclass(frozen=True)
class Part:
    """A finding, of what it was made (`check`), and on which network (`of`: its name and configuration)."""

    check: str
    finding: Finding
    of: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {"check": self.check, "of": self.of, "params": self.params, **_plain(asdict(self.finding))}


@dataclass(frozen=True)
class DeepCheck:
    """What a deep check of a study came to. As text it is a report for people."""

    study: str
    device: str
    seconds: float
    parts: tuple[Part, ...]

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of all."""
        return worst(part.finding for part in self.parts)

    @property
    def rates(self) -> list[Rates]:
        """The range tests of the learning rate."""
        return [part.finding for part in self.parts if isinstance(part.finding, Rates)]

    def as_json(self) -> dict[str, Any]:
        """Returns it all as JSON."""
        whole = {"study": self.study, "device": self.device, "seconds": self.seconds, "verdict": self.verdict}
        return {**whole, "checks": [part.as_json() for part in self.parts]}

    def __str__(self) -> str:
        return self.text(WIDTH)

    def text(self, width: int) -> str:
        """Returns it all in lines of so many characters."""
        return "\n".join([*self._lines(width), "", self._summary()])

    def _lines(self, width: int) -> Iterator[str]:
        longest = max(len(part.check) for part in self.parts)
        for part in self.parts:
            head = f"{MARKS[part.finding.verdict]:8} {part.check:{longest}}  "
            text = f"{part.of}: {part.finding.text}" if part.of else part.finding.text
            yield textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head))
            if isinstance(part.finding, Rates) and len(part.finding.smooth) > 1:
                yield textwrap.indent(chart(part.finding), " " * max(0, min(len(head) - 2, width - CHART)))

    def _summary(self) -> str:
        counts = {verdict: sum(part.finding.verdict == verdict for part in self.parts) for verdict in MARKS}
        found = [f"{counts[v]} {v}{'s' if counts[v] > 1 else ''}" for v in ("problem", "warning") if counts[v]]
        tried = f"{len(self.parts)} checks of `{self.study}` on {self.device} in {self.seconds:.0f} s"
        return f"{tried}: {' and '.join(found) if found else 'all is well'}. Nothing was created."


def deep_check(
    study: Study,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    tell: Callable[[str], object] = lambda text: None,
) -> DeepCheck:
    """Returns what a minute tells of a study that `check` finds in order: data, networks, learning rates, costs.

    `trials` and `minutes` are its budget; `tell` is told what is being done. Nothing is created, and of the test rows
    only inputs are compared with those of others. All is drawn from the study's seed, so that it comes to the same
    each time, but for costs, and for what is broken off on a slow machine. Raises SettingsError without a trainer.
    """
    if study.trainer is None:
        raise SettingsError("a deep check needs a trainer; of an objective nobody knows what it does")
    began = time.monotonic()
    device = devices_of(study)[0]
    tell("Loading and preparing the data")
    bench = study.trainer.bench(Job(study.seed, study.metric, maximize=study.maximize, device=device))
    looker = _Looker(study, study.trainer, bench, tell)
    with threads(1 if bench.device.type == "cpu" else None):  # as a new study's trials have it (`Run`)
        parts = [*looker.data(study.trainer.split(study.seed)), *looker.networks(), *looker.rates()]
        parts += looker.costs(trials, minutes)
    return DeepCheck(study.name, str(bench.device), time.monotonic() - began, tuple(parts))


class _Looker:
    """Goes through the checks of a study, one kind after the other."""

    def __init__(self, study: Study, trainer: Trainer, bench: Bench, tell: Callable[[str], object]) -> None:
        self.study, self.trainer, self.bench, self.tell = study, trainer, bench, tell
        self.stream = Stream(study.seed, 0)
        self.candidates = candidates(study.space, trainer)
        self.broken: list[str] = []  # names of the candidates that can't be built, run or trained

    def data(self, split: Split) -> Iterator[Part]:
        self.tell("Looking at inputs and targets")
        loaded, data = self.trainer.loaded, self.bench.data
        yield Part("inputs", sanity.inputs(loaded, data))
        yield Part("targets", sanity.targets(loaded, data))
        self.tell("Looking for duplicates")
        yield Part("duplicates", sanity.duplicates(loaded, split))

    def networks(self) -> Iterator[Part]:
        for candidate in self.candidates:
            self.tell(f"Looking at activations: {candidate.name} network")
            yield self._of("activations", candidate, partial(self._activations, candidate))
        left = SECONDS["fits"]
        for place, candidate in enumerate(self.candidates):
            if candidate.name in self.broken:
                continue
            self.tell(f"Learning a few examples by heart: {candidate.name} network")
            began, share = time.monotonic(), left / (len(self.candidates) - place)
            init = self.trainer.recipe(candidate.params).init
            build = partial(self._build, candidate.params)
            yield self._of(
                "fits", candidate, partial(sanity.fits, build, self.bench, self.stream, init=init, seconds=share)
            )
            left -= time.monotonic() - began

    def rates(self) -> Iterator[Part]:
        """Tests the range of learning rates with each optimizer that the space has, on the middle network."""
        center, space = self.candidates[0], self.study.space
        if center.name in self.broken:
            return
        searched = space.parameters.get("optimizer")
        optimizers = searched.values() if searched else [None]
        for optimizer in optimizers:
            params = between(space, {} if optimizer is None else {"optimizer": optimizer})
            recipe = self.trainer.recipe(params)
            low, high = recipe.lr, recipe.lr
            if "lr" in params and "lr" in space.parameters:
                values = ordered(space.parameters["lr"])
                low, high = values[0], values[-1]
            self.tell(f"Testing learning rates: {recipe.optimizer}")
            share = SECONDS["rates"] / len(optimizers)
            test = partial(sanity.rates, partial(self._build, params), self.bench, recipe, self.stream)
            candidate = replace(center, params=params)
            yield self._of("learning rate", candidate, partial(test, low=low, high=high, seconds=share))

    def costs(self, trials: int | None, minutes: float | None) -> Iterator[Part]:
        measured: list[Cost] = []
        chosen = list(self._costly())
        for candidate, batch in chosen:
            self.tell(f"Measuring what a trial costs: {candidate.name} network{batch}")
            recipe = self.trainer.recipe(candidate.params)
            build = partial(self._build, candidate.params)
            measure = partial(sanity.cost, build, self.bench, recipe, self.stream)
            part = self._of("cost", candidate, partial(measure, seconds=SECONDS["cost"] / len(chosen)))
            measured += [part.finding] if isinstance(part.finding, Cost) else []
            yield part
        if measured:
            yield Part("study", self._whole(measured, trials, minutes))

    # Parts of these

    def _activations(self, candidate: Candidate) -> Finding:
        needed, available = 16 * self.trainer.weight(candidate.params), available_memory(self.bench.device)
        if needed > available:
            text = f"Its weights with gradients and optimizer need {bytes_told(needed)} of {bytes_told(available)}."
            self.broken.append(candidate.name)
            return Finding("problem", text)
        network = self._build(candidate.params).to(self.bench.device)
        return sanity.activations(network, self.bench.data.train.inputs[:ROWS], self.stream.key("noise"))

    def _of(self, check: str, candidate: Candidate, look: Callable[[], Finding]) -> Part:
        """Returns what a look at a network finds; what is raised there is a finding too."""
        try:
            with users_code():
                finding = look()
        except Exception as error:  # builder, network and loss are the user's: they may raise anything
            self.broken.append(candidate.name)
            finding = Finding("problem", f"It can't be built, run or trained: {told(error)}")
        named = candidate.name if "=" in candidate.name else f"{candidate.name} network"
        return Part(check, finding, named, candidate.params)

    def _build(self, params: dict[str, Any]) -> nn.Module:
        lane = Lane(0, params, self.trainer.recipe(params), self.stream)
        return self.trainer.network(lane, self.bench)

    def _costly(self) -> Iterator[tuple[Candidate, str]]:
        """Yields the networks whose costs are measured, the largest with the smallest batches and with the largest."""
        sizes = [one for one in self.candidates if "=" not in one.name and one.name not in self.broken]
        searched = self.study.space.parameters.get("batch_size")
        for one in sizes:
            params = {**one.params, "epochs": self.study.epochs}
            if searched is None or one is not sizes[-1]:
                yield replace(one, params=params), ""
                continue
            for batch in dict.fromkeys((ordered(searched)[0], ordered(searched)[-1])):
                yield replace(one, params={**params, "batch_size": batch}), f", batches of {batch}"

    def _whole(self, costs: list[Cost], trials: int | None, minutes: float | None) -> StudyCost:
        lanes = self.trainer.lanes_a_trial
        usual, most = costs[0].seconds * lanes, max(cost.seconds for cost in costs) * lanes
        memory = max(cost.memory for cost in costs)
        each = f"A trial takes {duration(usual)} with the middle network and at most {duration(most)}"
        each += f" ({lanes} lanes each)" if lanes > 1 else ""
        verdict: Verdict = "ok"
        text = f"{each}, one after another on one core or GPU"
        if trials is not None:
            text += f": {trials} trials {duration(trials * usual)}, at most {duration(trials * most)}"
        if minutes is not None and usual > 60 * minutes:
            text += f"; not one ends within {duration(60 * minutes)}: take fewer epochs, examples or layers"
            verdict = "problem"
        elif minutes is not None:
            text += f"; in {duration(60 * minutes)} there is time for {int(60 * minutes / usual):,} of the middle one"
            if most > 60 * minutes:
                text, verdict = f"{text}, for none of the largest: take fewer epochs or smaller networks", "warning"
        text += f"; {bytes_told(memory)} of memory a lane. Pruning, early stopping and fused lanes make it less."
        count = trials or 1
        return StudyCost(verdict, text, trials, count * usual, count * most, memory)


def _plain(value: Any) -> Any:
    """Returns a value with lists for its tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value
