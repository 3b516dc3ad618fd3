"""An ensemble beside the single best network, and each export format beside the network, on all test images.

    python benchmarks/ensembles.py --data DIR [--model convnet|mlp] [--strategy random] [--trials 16] [--seed 0]

DIR holds the four IDX files of Fashion-MNIST. Random configurations have networks differ, `bayes` has them be good;
convnets are trained for four epochs, MLPs for ten. The ensemble is chosen on validation rows; the test split is opened
once, for it and for the best trial. What is exported is reloaded and compared with the networks in training's own
stacks, whose test outputs the comparison has. `--folder` is where the study is kept, by default nowhere.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import leadline as ll
from leadline.search.ensembles.printing import print_ensemble
from leadline.search.table import print_table

NETWORKS = {
    "convnet": {"depth": ll.Int(2, 3), "feature_maps": ll.Choice([8, 16]), "lr": ll.Float(2e-3, 5e-2, log=True)},
    "mlp": {"depth": ll.Int(1, 3), "feature_maps": ll.Choice([64, 128, 256]), "lr": ll.Float(5e-4, 1e-2, log=True)},
}
REGULARIZERS = {"dropout": ll.Float(0.0, 0.3), "weight_decay": ll.Float(1e-5, 1e-1, log=True)}
EPOCHS = {"convnet": 4, "mlp": 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=NETWORKS, default="convnet")
    parser.add_argument("--strategy", default="random")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the study is kept [default: nowhere]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as nowhere:
        study = searched(given, given.folder or Path(nowhere))
        began = time.monotonic()
        found = study.ensemble(given.size, test=True, tell=lambda text: print(f"{text} ..."))
        print(f"chosen, trained again and judged in {time.monotonic() - began:.0f} s")
        print_ensemble(study, found)
        compare_formats(study, Path(nowhere))


def searched(given: argparse.Namespace, folder: Path) -> ll.Study:
    """Returns a study that has had its trials."""
    space = ll.Space(**NETWORKS[given.model], **REGULARIZERS)
    how = {"epochs": EPOCHS[given.model], "batch_size": 128, "schedule": "onecycle", "parts": (9, 1, 1)}
    trainer = ll.Trainer(given.model, given.data.absolute(), **how)
    name = f"fashion-{given.model}-{given.strategy}-{given.seed}"
    where = {"storage": folder, "executor": "inline", "workers": 1, "lanes": 1, "mlflow": None}
    study = ll.Study(name, space, trainer, strategy=given.strategy, seed=given.seed, **where)
    began = time.monotonic()
    study.run(trials=given.trials)
    print(f"{given.trials} trials in {(time.monotonic() - began) / 60:.1f} minutes")
    return study


def compare_formats(study: ll.Study, folder: Path) -> None:
    """Prints by how much the probabilities of each format differ at most from the networks' own, in float32."""
    assert study.trainer is not None
    data, rows = study.trainer.loaded, study.trainer.split(study.seed)
    inputs = data.rows(rows.test)
    lines = []
    for ensemble in (False, True):
        right = by_hand(study, inputs, ensemble=ensemble)
        for suffix in (".pt2", ".onnx", ".pt", ".safetensors"):
            path = study.export(folder / f"model{suffix}", ensemble=ensemble)
            model = ll.load_model(path)
            began = time.monotonic()
            told = model.predict(inputs)
            seconds = time.monotonic() - began
            what, size = "ensemble" if ensemble else "best", path.stat().st_size / 1e6
            alike = int((told.argmax(axis=1) == right.argmax(axis=1)).sum())
            lines.append(
                [what, suffix, f"{size:.2f}", f"{np.abs(told - right).max():.1e}", f"{alike:,}", f"{seconds:.1f}"]
            )
    print(f"\nagainst the networks, each by itself, on {len(inputs):,} test images")
    print_table(["model", "file", "MB", "furthest probability", "same class", "seconds"], lines)


def by_hand(study: ll.Study, inputs: np.ndarray, *, ensemble: bool) -> np.ndarray:
    """Returns the probabilities (n, classes) that the networks give alone, of inputs prepared as in training."""
    from leadline.trainers.data import Preparation

    model, total = study.model(ensemble=ensemble), 0.0
    for network, described in zip(model.program.networks, model.card["networks"], strict=True):
        prepared = Preparation.from_description(described["preparation"]).apply(inputs)
        with torch.no_grad():
            answers = torch.cat([network(part).softmax(dim=1) for part in prepared.split(512)])
        total = total + described["weight"] * answers.double().numpy()
    return np.asarray(total, dtype=np.float32)


if __name__ == "__main__":
    main()
