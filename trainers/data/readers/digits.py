"""The 1,797 handwritten digits that come with scikit-learn: a real task without a download."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from ....errors import DataError
from ..arrays import from_arrays
from ..source import Data


def read_digits() -> Data:
    """Returns images (1797, 1, 8, 8) of handwritten digits, 0..16 as float32, of ten classes.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, https://doi.org/10.24432/C50P49
    (its test part).
    """
    # What `sklearn.datasets.load_digits` reads; but importing that takes over a second, in the driver and each worker.
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise DataError("`digits` come with scikit-learn, which isn't installed: pip install scikit-learn")
    with gzip.open(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    images, labels = table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)
    return from_arrays(images, labels, name="digits", task="classification")
