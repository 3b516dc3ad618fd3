"""A search over `mlp` on tables, beside scikit-learn's defaults on the same split and the same prepared inputs.

    python benchmarks/tables.py --data DIR [--table bank kin40k ...] [--minutes 4] [--workers 2] [--lanes 1]

DIR holds `bank.csv.gz`, `poker.csv.gz`, `higgs7k_train.tsv.gz`, `reg_kin40k.csv.gz` and `reg_protein.csv.gz`. Test
scores (accuracy, R²) are of the configuration that was best on validation, trained again on train and validation rows,
and of scikit-learn's estimators fitted on the same rows: what a table gives each of them is encoded and standardized
alike. The test split is opened once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

import leadline as ll
from leadline.trainers.data import merged, open_test, prepare

TABLES: dict[str, dict[str, Any]] = {
    "higgs7k": {"path": "higgs7k_train.tsv.gz", "label": 0},
    "bank": {"path": "bank.csv.gz", "label": "deposit"},
    "poker": {"path": "poker.csv.gz", "label": "CLASS"},
    "kin40k": {"path": "reg_kin40k.csv.gz", "label": -1},
    "protein": {"path": "reg_protein.csv.gz", "label": -1},
}
SPACE = ll.Space(
    depth=ll.Int(1, 5),
    feature_maps=ll.Choice([64, 128, 256]),
    activation=ll.Choice(["relu", "silu"]),
    batch_norm=ll.Choice([False, True]),
    lr=ll.Float(3e-4, 1e-2, log=True),
    dropout=ll.Float(0.0, 0.4),
    weight_decay=ll.Float(1e-5, 1e-1, log=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lanes", type=int, default=1)
    given = parser.parse_args()
    print("table    metric    leadline (valid)     MLP  boosting  trials  minutes", flush=True)
    for name in given.table:
        compare(name, given)


def compare(name: str, given: argparse.Namespace) -> None:
    """Prints a row of the table."""
    data = {**TABLES[name], "path": str(given.data.absolute() / TABLES[name]["path"])}
    trainer = ll.Trainer("mlp", data=data, epochs=given.epochs, batch_size=256, schedule="cosine", refit=True)
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"executor": "processes", "workers": given.workers, "lanes": given.lanes}
        study = ll.Study(name, SPACE, trainer, pruner="asha", storage=folder, mlflow=None, **options)
        began = time.monotonic()
        study.run(minutes=given.minutes, progress=False)
        minutes = (time.monotonic() - began) / 60
        ours, valid, metric, trials = study.test(), study.best.value or 0, study.metric_name, len(study.trials)
    rows = merged(trainer.split(seed=0))
    known = prepare(trainer.loaded, rows)
    train, test = known.train, open_test(trainer.loaded, rows, known)
    kinds = (
        (MLPClassifier, HistGradientBoostingClassifier)
        if known.classes
        else (MLPRegressor, HistGradientBoostingRegressor)
    )
    scores = [
        kind(random_state=0)
        .fit(train.inputs.numpy(), train.targets.numpy().ravel())
        .score(test.inputs.numpy(), test.targets.numpy().ravel())
        for kind in kinds
    ]
    row = f"{name:8} {metric:9} {ours:8.4f} ({valid:.4f}) {scores[0]:8.4f} {scores[1]:9.4f}"
    print(f"{row} {trials:7} {minutes:8.1f}", flush=True)


if __name__ == "__main__":
    main()
