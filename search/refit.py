"""What is done with the winner: trained again on all but the test rows, and judged by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import StudyError
from .model import rebuild

if TYPE_CHECKING:
    from torch import nn

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
    lane = _lane(trainer, trial, job, fold=0)
    network = trainer.network(lane, bench)
    stack = _stack(trainer, bench, lane, network, job)
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


def judge(trainer: Trainer, folder: Folder, trial: Trial, job: Job, *, refitted: bool) -> dict[str, Any]:
    """Opens the test split for a complete trial, and returns what is found, by name.

    `value` is the metric on the test rows, of the network that was trained again if `refitted`. `valid` is the
    metric on the validation rows of the trial's own network, computed anew, and `recorded` what the trial itself had
    found for it: the same, if the device and the number of threads are. With folds or replicates both are those of
    the one whose weights are kept.
    """
    from ..trainers.data import open_test
    from ..trainers.worker import threads

    network, card = rebuild(trainer, folder, trial)
    bench = trainer.bench(job)
    lane = _lane(trainer, trial, job, fold=card["fold"], epoch=card["epoch"])
    with threads(job.threads):
        stack = _stack(trainer, bench, lane, network, job)
        data = bench.data_of(lane)
        valid = bench.score(lane, stack.predict(lane, data.valid.inputs), data.valid.targets)
        if refitted:
            del bench, stack  # a GPU may not hold both
            bench, lane = trainer.bench(job, refitting=True), _lane(trainer, trial, job, fold=0, epoch=card["epoch"])
            network, _ = rebuild(trainer, folder, trial, refitted=True)
            stack, data = _stack(trainer, bench, lane, network, job), bench.data
        test = open_test(trainer.loaded, trainer.split(job.seed), data)
        value = bench.score(lane, stack.predict(lane, test.inputs), test.targets)
    return {"value": value, "valid": valid, "recorded": card["fold_value"], "refit": refitted}


def _lane(trainer: Trainer, trial: Trial, job: Job, fold: int, epoch: int = 0) -> Lane:
    from ..trainers.stack import Lane
    from ..trainers.streams import Stream

    stream = Stream(job.seed, trial.number, fold)
    return Lane(trial.number, trial.params, trainer.recipe(trial.params), stream, epoch)


def _stack(trainer: Trainer, bench: Bench, lane: Lane, network: nn.Module, job: Job) -> Stack:
    """Returns a stack of the kind that the study's trials of this network train in, holding the lane alone."""
    from ..trainers.plan import name_of
    from ..trainers.stack import FusedStack, LoopedStack

    names = set(trainer.widths_of(lane.params)) & set(lane.params) & set(job.widths)
    widest = trainer.network(lane, bench, **{name: max(job.widths[name]) for name in names}) if names else network
    name = name_of(bench, lane.recipe, widest)
    padded = job.plans.get(f"{name}-widths", ("apart", 0))[0] == "padded"
    kind, _ = job.plans.get(name if padded else name_of(bench, lane.recipe, network), ("looped", 1))
    stack = FusedStack(bench, widest if padded else None) if kind == "fused" else LoopedStack(bench)
    stack.add(lane, network)
    return stack
