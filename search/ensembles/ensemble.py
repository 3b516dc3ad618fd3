"""The ensemble of a study: chosen on validation rows, judged on test rows if asked to, and kept with the study."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import Problem, SettingsError, StudyError
from ..analysis.significance import mcnemar, paired_bootstrap
from ..export import assembled, described
from ..model import network_of, trainer_of
from ..predictions import kept_predictions, softmax
from ..refit import judge
from ..run import devices_of, job_for
from .members import Part, Tell, furthest, outputs_of, parts_of
from .selection import Judge, combined, held_out, select

if TYPE_CHECKING:
    from ...trainers.messages import Job
    from ...trainers.models import Model
    from ...trainers.stack import Bench
    from ..ledger import Ledger
    from ..study import Study
    from ..trial import Trial

ATTRIBUTE = "ensemble"  # of the study, under which it is kept
MOST_BYTES = 2**31  # of predictions that are compared: of more the worst trials' are left out


@dataclass(frozen=True)
class EnsembleMember:
    """A trial whose network, or networks of folds or replicates, answer with this weight; `trained` again, or kept."""

    trial: int
    weight: float
    value: float | None
    trained: bool


@dataclass(frozen=True)
class Ensemble:
    """Trials whose answers are averaged, and what that comes to by the study's metric.

    `value` and `best_value` are those of the ensemble and of the best trial (`best`) on the validation rows that both
    were chosen by; `held_out` and `best_held_out` on rows that they weren't chosen by (`selection.held_out`). They are
    chosen of so many `candidates`. The members' networks gave the outputs of the validation rows again, but for
    `difference` at most (0: to the last bit). `test` is what the test split showed, None if it wasn't opened: `value`,
    `best_value` and, for classes, McNemar's test (`ensemble_alone` and `best_alone` are right, and `p`), for a
    regression the `difference`'s 95 % interval (`low`, `high`).
    """

    size: int
    metric: str
    candidates: int
    members: tuple[EnsembleMember, ...]
    value: float
    best: int
    best_value: float
    held_out: float
    best_held_out: float
    difference: float
    test: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return asdict(self)


def chosen(study: Study, ledger: Ledger, size: int, *, test: bool, tell: Tell) -> Ensemble:
    """Chooses the ensemble of a study that is held for writing, and keeps it with the study.

    With `test` the test split is opened once, for the ensemble and for the best trial, and the opening recorded. Raises
    StudyError where there are no predictions to choose by, or a member can't be trained again.
    """
    from ...trainers.worker import threads

    if size < 1:
        raise SettingsError([Problem(f"`size >= 1` must hold, but got {size}", ("size",))])
    trainer, job = trainer_of(study, "networks to choose from"), job_for(study, ledger, devices_of(study)[0])
    trials, answers, judge_of = _candidates(study)
    best = next((place for place, trial in enumerate(trials) if trial.number == study.best.number), None)
    if best is None:
        raise StudyError(f"nothing is kept of what trial {study.best.number}, the best, says of the validation rows")
    tell("choosing")
    taken = select(answers, judge_of, size)
    weights = {trials[place].number: count / len(taken) for place, count in sorted(Counter(taken).items())}
    apart = held_out(answers, judge_of, size)
    members = [trial for trial in trials if trial.number in weights]
    with threads(job.threads):
        bench = trainer.bench(job)
        parts = parts_of(trainer, study.folder, members, bench, job, tell)
        tell("checking the members' networks")
        valid = outputs_of(trainer, parts, bench, job, [data.valid.inputs for data in bench.folds])
        again = {part.lane.number for part in parts if part.trained}
        found = Ensemble(
            size=size,
            metric=study.metric_name,
            candidates=len(trials),
            members=tuple(
                EnsembleMember(trial.number, weights[trial.number], trial.value, trial.number in again)
                for trial in sorted(members, key=lambda trial: -weights[trial.number])
            ),
            value=judge_of.value(combined(answers, taken)),
            best=study.best.number,
            best_value=judge_of.value(answers[best]),
            held_out=apart[0],
            best_held_out=apart[1],
            difference=furthest(parts, valid),
        )
        if test:
            tell("opening the test split")
            found = _tested(study, ledger, found, parts, weights, bench, job)
    ledger.set_attribute(ATTRIBUTE, found.as_json())
    ledger.commit()
    return found


def ensemble_model(study: Study) -> Model:
    """Returns the study's ensemble as one model.

    Raises SettingsError if none was chosen, StudyError if its weights are gone.
    """
    from ...trainers import checkpoints

    kept, trainer = study.attribute(ATTRIBUTE), trainer_of(study, "networks to predict with or to export")
    if kept is None:
        raise SettingsError(f"`{study.name}` has no ensemble yet: `leadline ensemble {study.name}` chooses one")
    trials, networks = study.trials, []
    for member in kept["members"]:
        for fold in range(trainer.lanes_a_trial):
            path = study.folder.ensemble(member["trial"], fold)
            found = checkpoints.read(path)
            if found is None:
                raise StudyError(f"{path} is gone: `leadline ensemble {study.name}` makes it again")
            share = member["weight"] / trainer.lanes_a_trial
            told = described(trainer, trials[member["trial"]], found[1], share)
            networks.append((network_of(trainer, *found), told))
    how = f"an ensemble of {len(kept['members'])} of {kept['candidates']} complete trials, chosen by {kept['metric']}"
    scores = {"valid": kept["value"], "spread": None, "test": kept["test"] and kept["test"]["value"]}
    return assembled(study, networks, scores, f"{how} on validation rows (Caruana et al., 2004)")


def _candidates(study: Study) -> tuple[list[Trial], NDArray[np.float32], Judge]:
    """Returns the trials to choose from, the best first, their answers (M, n, ...), and what these are judged by."""
    trainer = trainer_of(study)
    trials = [trial for trial in study.trials if trial.state == "complete" and _can_be_had(study, trial)]
    trials.sort(key=lambda trial: (trial.value or 0.0) * (-1 if study.maximize else 1))
    of: list[Trial] = []
    answers: list[NDArray[np.float32]] = []
    for trial in trials:
        kept = kept_predictions(study, trial)
        if kept is None or (answers and (len(answers) + 1) * answers[0].nbytes > MOST_BYTES):
            continue
        of.append(trial)
        answers.append(kept.outputs if kept.classes is None else softmax(kept.outputs))
        targets, classes = kept.targets, kept.classes is not None
    if not of:
        raise StudyError(
            f"nothing is kept of what the trials of `{study.name}` say of the validation rows: there is none to choose"
        )
    return of, np.stack(answers), Judge(trainer.metric(study.metric), study.maximize, targets, classes)


def _can_be_had(study: Study, trial: Trial) -> bool:
    """Tells whether a trial's networks are kept or can be trained again: not where it began from another's weights."""
    alone = trainer_of(study).lanes_a_trial == 1
    return trial.parent is None or (alone and study.folder.weights(trial.number).exists())


def _tested(
    study: Study,
    ledger: Ledger,
    found: Ensemble,
    parts: list[Part],
    weights: Mapping[int, float],
    bench: Bench,
    job: Job,
) -> Ensemble:
    """Opens the test split, for the ensemble and the best trial, and records the opening as `Study.test` does."""
    from ...trainers.data import open_test

    trainer = trainer_of(study)
    refitted = trainer.refit and ledger.attribute("refit_failed") != found.best
    judged = judge(trainer, study.folder, study.best, job, refitted=refitted)
    rows = trainer.split(job.seed)
    subsets = [open_test(trainer.loaded, rows, data) for data in bench.folds]
    outputs = outputs_of(trainer, parts, bench, job, [subset.inputs for subset in subsets])
    targets = bench.data.in_units(subsets[0].targets).cpu().numpy().reshape(-1)
    classes = trainer.task == "classification"
    together = np.zeros(outputs[0].shape, dtype=np.float64)
    for part, one in zip(parts, outputs, strict=True):
        answers = softmax(one.numpy()) if classes else one.numpy()
        together += weights[part.lane.number] / trainer.lanes_a_trial * answers
    judge_of = Judge(trainer.metric(study.metric), study.maximize, targets, classes)
    mean, alone = together.astype(np.float32), judged.outputs.numpy()
    result = {"value": judge_of.value(mean), "best_value": judged.value}
    if classes:
        compared = mcnemar(mean.argmax(axis=1) == targets, alone.argmax(axis=1) == targets)
        result |= {"ensemble_alone": compared.first, "best_alone": compared.second, "p": compared.p}
    else:
        result |= asdict(paired_bootstrap(judge_of.score, mean, alone, targets))
    opened = {"trial": found.best, "metric": ledger.attribute("metric"), **judged.record(), "at": time.time()}
    opened["ensemble"] = {**result, "members": {str(number): weight for number, weight in weights.items()}}
    ledger.set_attribute("tests", [*(ledger.attribute("tests") or []), opened])
    ledger.commit()
    return replace(found, test=result)
