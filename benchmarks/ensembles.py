"""An ensemble beside the single best network, and each export format beside the network, on all test images.

    python benchmarks/ensembles.py --data DIR [--trials 16] [--size 5] [--folder FOLDER]

DIR holds the four IDX files of Fashion-MNIST. Configurations are random, so that networks differ, and trained for four
epochs. The ensemble is chosen on validation rows; the test split is opened once, for it and for the best trial.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import leadline as ll

SPACE = ll.Space(
    depth=ll.Int(2, 3),
    feature_maps=ll.Choice([8, 16]),
    lr=ll.Float(2e-3, 5e-2, log=True),
    dropout=ll.Float(0.0, 0.3),
    weight_decay=ll.Float(1e-5, 1e-1, log=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the study is kept [default: nowhere]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as nowhere:
        study = searched(given.data.absolute(), given.folder or Path(nowhere), given.trials)


def searched(data: Path, folder: Path, trials: int) -> ll.Study:
    trainer = ll.Trainer("convnet", data, epochs=4, batch_size=128, schedule="onecycle", parts=(9, 1, 1))
    how = {"executor": "inline", "workers": 1, "lanes": 1, "mlflow": None}
    study = ll.Study("fashion-ensemble", SPACE, trainer, strategy="random", storage=folder, **how)
    began = time.monotonic()
    study.run(trials=trials)
    print(f"{trials} trials in {(time.monotonic() - began) / 60:.1f} minutes")
    return study


if __name__ == "__main__":
    main()
