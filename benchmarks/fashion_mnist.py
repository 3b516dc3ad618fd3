"""A search on Fashion-MNIST, and how far its best validation accuracy is from the test accuracy.

    python benchmarks/fashion_mnist.py --data DIR [--model convnet] [--minutes 30] [--workers 2]

DIR holds the four IDX files. The study is an ordinary one: `bayes`, pruned by `asha`, the best configuration trained
again on train and validation rows in the end. The test split is opened once, when all is chosen.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import leadline as ll

SPACES = {
    "convnet": ll.Space(
        depth=ll.Int(2, 4),
        feature_maps=ll.Choice([32, 48, 64]),
        lr=ll.Float(1e-3, 2e-2, log=True),
        dropout=ll.Float(0.0, 0.5),
        weight_decay=ll.Float(1e-5, 1e-1, log=True),
    ),
    "resnet": ll.Space(
        depth=ll.Choice([8, 14]),
        feature_maps=ll.Choice([12, 16, 24]),
        lr=ll.Float(1e-3, 2e-2, log=True),
        dropout=ll.Float(0.0, 0.5),
        weight_decay=ll.Float(1e-5, 1e-1, log=True),
        shortcut=ll.Choice(["A", "B"]),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=SPACES, default="convnet")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the study is kept [default: nowhere]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as nowhere:
        trainer = ll.Trainer(
            given.model,
            data=given.data.absolute(),
            epochs=given.epochs,
            batch_size=128,
            schedule="onecycle",
            flip=0.5,
            parts=(9, 1, 1),
            refit=True,
        )
        study = ll.Study(
            f"fashion-{given.model}",
            SPACES[given.model],
            trainer,
            pruner="asha",
            storage=given.folder or nowhere,
            executor="processes",
            workers=given.workers,
            mlflow=None,
        )
        began = time.monotonic()
        study.run(minutes=given.minutes)
        minutes = (time.monotonic() - began) / 60
        best, states = study.best, [trial.state for trial in study.trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        print(f"{given.model}: {len(states)} trials ({counts}) in {minutes:.1f} minutes, the last training included")
        print(f"best: {best.params}, epoch {best.best_epoch} of {best.epochs}")
        value = study.test()
        print(f"validation {best.value:.4f}, test {value:.4f}: {(best.value or 0) - value:+.4f} apart")


if __name__ == "__main__":
    main()
