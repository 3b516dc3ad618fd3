"""What `leadline ensemble` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..model import trainer_of
from ..printing import opened_told, storage_option
from ..table import print_table

if TYPE_CHECKING:
    from ..study import Study
    from .ensemble import Ensemble


def print_ensemble(study: Study, found: Ensemble) -> None:
    """Prints an ensemble's members, and what it is worth beside the best trial."""
    where = f"{study.name}{storage_option(study)}"
    rows = [
        [str(one.trial), f"{one.weight:.2f}", f"{one.value:.4f}", "trained again" if one.trained else "kept"]
        for one in found.members
    ]
    print_table(["trial", "weight", found.metric, "networks"], rows)
    if how := _otherwise(study):
        print(how)
    if found.difference:
        print(f"The networks give other validation outputs than in training, by up to {found.difference:.2g}.")
    compared = {
        "validation rows": (found.value, found.best_value),
        "held out of the choice": (found.held_out, found.best_held_out),
        **({} if found.test is None else {"test rows": (found.test["value"], found.test["best_value"])}),
    }
    print()
    lines = [[rows, f"{one:.4f}", f"{best:.4f}"] for rows, (one, best) in compared.items()]
    print_table([f"{found.metric} on", "ensemble", f"trial {found.best}, the best"], lines)
    print(f"\nBoth were chosen among {found.candidates} trials by the validation rows, which flatter them.")
    print("Held out: chosen by one half of these rows and judged by the other, in turn.")
    print(f"{_compared(study, found.test)}\n\nNext: leadline export {where} --ensemble")


def _otherwise(study: Study) -> str:
    """Says why a trial of several networks has another value among the members than beneath; nothing of one network."""
    trainer = trainer_of(study)
    if trainer.lanes_a_trial == 1:
        return ""
    beneath = "what all their rows come to together" if trainer.folds > 1 else "that of their averaged predictions"
    return f"A trial's value here is the mean of its networks' values; beneath it is {beneath}."


def _compared(study: Study, test: Mapping[str, Any] | None) -> str:
    """Says what test rows tell of an ensemble and the best trial."""
    if test is None:
        return "The test split was not opened; `--test` opens it, once for both."
    if "p" in test:
        one, other, p = test["ensemble_alone"], test["best_alone"], test["p"]
        found = f"Test rows right: the ensemble alone {one:,}, the best trial alone {other:,}; p = {p:.2g} (McNemar)."
    else:
        low, high = test["low"], test["high"]
        found = f"On test rows they differ by {test['difference']:.4g}, 95 % interval {low:.4g} to {high:.4g}."
    return f"{found}\n{opened_told(len(study.attribute('tests')))}"
