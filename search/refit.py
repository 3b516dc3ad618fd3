"""What is done with the winner: trained again on all but the test rows, and judged by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import StudyError
from .model import rebuild

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..trainers.messages import Job
    from ..trainers.stack import Bench, Lane, Stack
    from ..trainers.trainer import Trainer
    from .folder import Folder
    from .trial import Trial


def refit(trainer: Trainer, folder: Folder, trial: Trial, job: Job, interrupted: Callable[[], bool]) -> None:
    """Trains a complete trial's configuration on train and valid rows together, for as many epochs as were best.

    Its weights are kept beside the trial's own. Where they are there already, and when it is `interrupted`, nothing is
    done. Raises StudyError if the training fails.
    """
    from ..trainers import checkpoints
    from ..trainers.worker import threads

    _, card = rebuild(trainer, folder, trial)
    path = folder.weights(trial.number, refitted=True)
    found = checkpoints.read(path)
    if found is not None and all(found[1][name] == card[name] for name in ("study", "params", "epoch")):
        return
    bench = trainer.bench(job, refitting=True)
    lane = lane_of(trainer, trial, job, fold=0)
    (stack,) = stacked(trainer, bench, [(lane, trainer.network(lane, bench))], job)
    with threads(job.threads):
        for _ in range(card["epoch"]):
            if interrupted():
                return
            (epoch,) = stack.train_epoch()
            if epoch.error is not None or epoch.diverged_at is not None:
                why = epoch.error or f"the loss was no number at epoch {lane.epoch}, step {epoch.diverged_at}"
                raise StudyError(f"training trial {trial.number} again, on train and valid rows, failed: {why}")
    data = bench.data
    checkpoints.write(path, stack.weights(lane), {**card, "fold": 0, "refit": True, **data.describe()})


@dataclass(frozen=True)
class Judged:
    """What a network came to: `value` is the metric on the test rows, of the network that was trained again if `refit`.

    `valid` is the metric on the validation rows of the trial's own network, computed anew, and `recorded` what the
    trial itself had found for it: the same, if the device and the number of threads are. With folds or replicates both
    are those of the one whose weights are kept. `outputs` (n, ...) are those of the test rows, in the targets' units.
    """

    value: float
    valid: float
    recorded: float
    refit: bool
    outputs: Tensor = field(repr=False)

    def record(self) -> dict[str, Any]:
        """Returns what is kept of it, by name."""
        return {name: getattr(self, name) for name in ("value", "valid", "recorded", "refit")}


def judge(trainer: Trainer, folder: Folder, trial: Trial, job: Job, *, refitted: bool) -> Judged:
    """Opens the test split for a complete trial, and returns what is found."""
    from ..trainers.data import open_test
    from ..trainers.worker import threads

    network, card = rebuild(trainer, folder, trial)
    bench = trainer.bench(job)
    lane = lane_of(trainer, trial, job, fold=card["fold"], epoch=card["epoch"])
    with threads(job.threads):
        (stack,) = stacked(trainer, bench, [(lane, network)], job)
        data = bench.data_of(lane)
        valid = bench.score(lane, stack.predict(lane, data.valid.inputs), data.valid.targets)
        if refitted:
            del bench, stack  # a GPU may not hold both
            bench, lane = trainer.bench(job, refitting=True), lane_of(trainer, trial, job, fold=0, epoch=card["epoch"])
            network, _ = rebuild(trainer, folder, trial, refitted=True)
            (stack,), data = stacked(trainer, bench, [(lane, network)], job), bench.data
        test = open_test(trainer.loaded, trainer.split(job.seed), data)
        outputs = stack.predict(lane, test.inputs)
        value = bench.score(lane, outputs, test.targets)
    return Judged(value, valid, card["fold_value"], refitted, data.in_units(outputs).cpu())


def lane_of(trainer: Trainer, trial: Trial, job: Job, fold: int, epoch: int = 0) -> Lane:
    """Returns the lane that a trial trained in, with its own random streams."""
    from ..trainers.stack import Lane
    from ..trainers.streams import Stream

    stream = Stream(job.seed, trial.number, fold)
    return Lane(trial.number, trial.params, trainer.recipe(trial.params), stream, epoch)


def stacked(trainer: Trainer, bench: Bench, lanes: Sequence[tuple[Lane, nn.Module]], job: Job) -> list[Stack]:
    """Returns stacks of the kinds that the study's trials train in, holding lanes that have these networks."""
    from ..trainers.stack import FusedStack, LoopedStack

    stacks: dict[str, Stack] = {}
    for lane, network in lanes:
        name, kind, widest = _kind(trainer, bench, lane, network, job)
        if name not in stacks:
            stacks[name] = FusedStack(bench, widest) if kind == "fused" else LoopedStack(bench)
        stacks[name].add(lane, network)
    return list(stacks.values())


def _kind(
    trainer: Trainer, bench: Bench, lane: Lane, network: nn.Module, job: Job
) -> tuple[str, str, nn.Module | None]:
    """Returns the name of a lane's stack, its kind, and the network to which narrower ones are padded there, if any."""
    from ..trainers.plan import name_of

    names = set(trainer.widths_of(lane.params)) & set(lane.params) & set(job.widths)
    widest = trainer.network(lane, bench, **{name: max(job.widths[name]) for name in names}) if names else network
    name = name_of(bench, lane.recipe, widest)
    if job.plans.get(f"{name}-widths", ("apart", 0))[0] == "padded":
        return name, job.plans.get(name, ("looped", 1))[0], widest
    name = name_of(bench, lane.recipe, network)
    return name, job.plans.get(name, ("looped", 1))[0], None
